//! A session: who has signed in, when, and what the provider gave; and how all of it is written.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::provider::{Person, SignedIn, Tokens};
use super::settings::Settings;
use crate::env::{Env, SessionKeys};

/// Bytes of a session's id.
const ID_LEN: usize = 16;

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) keys: SessionKeys,
    /// When the cookie was last renewed: there was a request then.
    pub(super) seen: SystemTime,
    /// When the provider was last asked.
    pub(super) refreshed: SystemTime,
    /// [`Settings::version`] of that time.
    pub(super) version: u32,
    pub(super) person: Person,
    pub(super) tokens: Tokens,
}

/// Why a session is not good any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nobody used it for too long.
    Idle,
    /// It has lasted as long as it may.
    Old,
    /// It was ended: by its person, by the provider, by the operator.
    Ended,
}

/// What a cookie says: a whole session, or the name of one that is kept here because it is too large for cookies.
#[derive(Clone, Debug)]
pub(super) enum Carried {
    Whole(Box<Session>),
    Kept { id: String, seen: SystemTime },
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "s")]
    seen: u64,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    whole: Option<Whole>,
}

/// Times are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Whole {
    #[serde(rename = "b")]
    began: u64,
    #[serde(rename = "r")]
    refreshed: u64,
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "u")]
    subject: String,
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "e", default, skip_serializing_if = "String::is_empty")]
    email: String,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    provider_session: Option<String>,
    #[serde(rename = "c")]
    claims: Map<String, Value>,
    #[serde(rename = "a", default, skip_serializing_if = "String::is_empty")]
    access: String,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

// === impl Session ===

impl Session {
    /// Begins one, with an id that nobody had before.
    pub(super) fn begin(signed_in: SignedIn, issuer: &Arc<str>, version: u32, env: &Env) -> Self {
        let SignedIn { person, tokens } = signed_in;
        let mut id = [0; ID_LEN];
        env.random().fill(&mut id);
        // As it will be read from the cookie.
        let now = from_millis(to_millis(env.clock().now()));
        Self {
            keys: SessionKeys {
                id: URL_SAFE_NO_PAD.encode(id).into(),
                issuer: Arc::clone(issuer),
                subject: person.subject.as_str().into(),
                provider_session: person.provider_session.as_deref().map(Arc::from),
                began: now,
            },
            seen: now,
            refreshed: now,
            version,
            person,
            tokens,
        }
    }

    /// The same with what the provider says today. What it does not give anew stays.
    pub(super) fn renewed(&self, signed_in: SignedIn, version: u32, now: SystemTime) -> Self {
        let SignedIn { mut person, tokens } = signed_in;
        let old = &self.tokens;
        person.provider_session = self.person.provider_session.clone();
        Self {
            tokens: Tokens {
                access: if tokens.access.is_empty() {
                    old.access.clone()
                } else {
                    tokens.access
                },
                refresh: tokens.refresh.or_else(|| old.refresh.clone()),
                id: tokens.id.or_else(|| old.id.clone()),
                expires: tokens.expires,
            },
            person,
            ..self.asked(version, now)
        }
    }

    /// The same, and the provider was asked just now.
    pub(super) fn asked(&self, version: u32, now: SystemTime) -> Self {
        Self {
            refreshed: now,
            version,
            ..self.clone()
        }
    }

    /// When it ends, whatever happens.
    pub(super) fn end(&self, settings: &Settings) -> SystemTime {
        self.keys.began + settings.max_session
    }

    /// Why it is over, if it is.
    pub(super) fn over(&self, settings: &Settings, env: &Env) -> Option<Over> {
        let now = env.clock().now();
        match () {
            () if now >= self.end(settings) => Some(Over::Old),
            () if since(self.seen, now) >= settings.idle_session => Some(Over::Idle),
            () if env.sessions().is_ended(&self.keys) => Some(Over::Ended),
            () => None,
        }
    }

    /// Whether the provider is to be asked again.
    pub(super) fn is_due(&self, settings: &Settings, version: u32, now: SystemTime) -> bool {
        since(self.refreshed, now) >= settings.refresh_interval || self.version != version
    }

    /// Whether enough time has passed to write down that it is used.
    pub(super) fn is_stale(&self, settings: &Settings, now: SystemTime) -> bool {
        let part = (settings.idle_session / 8).max(Duration::from_secs(1));
        since(self.seen, now) >= part
    }

    /// So long a cookie of it is worth something, in seconds.
    pub(super) fn lifetime(&self, settings: &Settings, now: SystemTime) -> u64 {
        let left = since(now, self.end(settings)).min(settings.idle_session);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let person = &self.person;
        let whole = Whole {
            began: to_millis(self.keys.began),
            refreshed: to_millis(self.refreshed),
            version: self.version,
            subject: person.subject.clone(),
            name: person.name.clone(),
            email: person.email.clone(),
            email_verified: person.email_verified,
            provider_session: person.provider_session.clone(),
            claims: Map::clone(&person.claims),
            access: self.tokens.access.clone(),
            refresh: self.tokens.refresh.clone(),
            id_token: self.tokens.id.clone(),
            expires: self.tokens.expires.map(to_millis),
        };
        self.written(Some(whole))
    }

    /// Its name alone, for one that is kept here.
    pub(super) fn reference(&self) -> Vec<u8> {
        self.written(None)
    }

    fn written(&self, whole: Option<Whole>) -> Vec<u8> {
        let written = Written {
            id: (*self.keys.id).to_owned(),
            seen: to_millis(self.seen),
            whole,
        };
        // Texts, numbers and JSON can always be written as JSON; nothing reads what is empty.
        serde_json::to_vec(&written).unwrap_or_default()
    }
}

// === impl Carried ===

impl Carried {
    /// `issuer`: who vouches for all sessions of the login.
    pub(super) fn read(bytes: &[u8], issuer: &Arc<str>) -> Option<Self> {
        let Written { id, seen, whole } = serde_json::from_slice(bytes).ok()?;
        let seen = from_millis(seen);
        let Some(whole) = whole else {
            return Some(Self::Kept { id, seen });
        };
        Some(Self::Whole(Box::new(Session {
            keys: SessionKeys {
                id: id.into(),
                issuer: Arc::clone(issuer),
                subject: whole.subject.as_str().into(),
                provider_session: whole.provider_session.as_deref().map(Arc::from),
                began: from_millis(whole.began),
            },
            seen,
            refreshed: from_millis(whole.refreshed),
            version: whole.version,
            person: Person {
                subject: whole.subject,
                name: whole.name,
                email: whole.email,
                email_verified: whole.email_verified,
                claims: Arc::new(whole.claims),
                provider_session: whole.provider_session,
            },
            tokens: Tokens {
                access: whole.access,
                refresh: whole.refresh,
                id: whole.id_token,
                expires: whole.expires.map(from_millis),
            },
        })))
    }
}

/// How long after `earlier` it is; nothing if it is before.
fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

pub(super) fn to_millis(time: SystemTime) -> u64 {
    let since = since(SystemTime::UNIX_EPOCH, time);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn from_millis(millis: u64) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}
