//! What is kept of sessions, as lines: each sealed with the gateway's keys, so that nobody reads who signed in, and
//! what is torn or altered does not open.

use std::time::{Duration, SystemTime};

use adit_policy::env::{Ended, Env, Sessions};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// Lines of another layout do not open.
const CONTEXT: &[u8] = b"adit sessions 1";

/// Something to be known after a restart. Times are milliseconds since 1970.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record {
    /// Sessions were ended.
    Ended { which: Which, at: u64, until: u64 },
    /// Something is kept under a name.
    Kept {
        name: String,
        value: String,
        until: u64,
    },
    /// A value was used.
    Used { value: String, until: u64 },
}

/// What tells a record from others: a later one of the same kind takes its place.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Key {
    Ended(Which),
    Kept(String),
    Used(String),
}

/// Which sessions are ended.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Which {
    Session(String),
    AtProvider(String, String),
    Person(String, String),
}

// === impl Record ===

impl Record {
    pub(super) fn ended(which: &Ended, at: SystemTime, until: SystemTime) -> Self {
        Self::Ended {
            which: Which::of(which),
            at: millis(at),
            until: millis(until),
        }
    }

    pub(super) fn kept(name: &str, value: &[u8], until: SystemTime) -> Self {
        Self::Kept {
            name: name.to_owned(),
            value: STANDARD.encode(value),
            until: millis(until),
        }
    }

    pub(super) fn used(value: &str, until: SystemTime) -> Self {
        Self::Used {
            value: value.to_owned(),
            until: millis(until),
        }
    }

    /// Its line, without the line's end.
    pub(super) fn line(&self, env: &Env) -> Option<String> {
        let text = serde_json::to_vec(self).ok()?;
        Some(env.keys().seal(CONTEXT, &text, env.random()))
    }

    /// What a line says; `None` if it was torn or altered, or its key is gone.
    pub(super) fn read(line: &[u8], env: &Env) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let text = env.keys().open(CONTEXT, line)?;
        serde_json::from_slice(&text).ok()
    }

    pub(super) fn key(&self) -> Key {
        match self {
            Self::Ended { which, .. } => Key::Ended(which.clone()),
            Self::Kept { name, .. } => Key::Kept(name.clone()),
            Self::Used { value, .. } => Key::Used(value.clone()),
        }
    }

    /// Until when it matters.
    pub(super) fn until(&self) -> SystemTime {
        match self {
            Self::Ended { until, .. } | Self::Kept { until, .. } | Self::Used { until, .. } => {
                moment(*until)
            }
        }
    }

    /// The sessions that it says were ended, if it does.
    pub(super) fn which_ended(&self) -> Option<Ended> {
        match self {
            Self::Ended { which, .. } => Some(which.clone().into_ended()),
            Self::Kept { .. } | Self::Used { .. } => None,
        }
    }

    /// Lets sessions know it again.
    pub(super) fn tell(self, sessions: &dyn Sessions, now: SystemTime) {
        let until = self.until();
        match self {
            Self::Ended { which, at, .. } => sessions.end(which.into_ended(), moment(at), until),
            Self::Kept { name, value, .. } => {
                if let Ok(value) = STANDARD.decode(value) {
                    sessions.put(&name, value.into(), now, until);
                }
            }
            // That it was used is all there is to know.
            Self::Used { value, .. } => drop(sessions.use_once(&value, now, until)),
        }
    }
}

// === impl Which ===

impl Which {
    fn of(which: &Ended) -> Self {
        match which {
            Ended::Session(id) => Self::Session(id.to_string()),
            Ended::AtProvider { issuer, session } => {
                Self::AtProvider(issuer.to_string(), session.to_string())
            }
            Ended::Person { issuer, subject } => {
                Self::Person(issuer.to_string(), subject.to_string())
            }
        }
    }

    fn into_ended(self) -> Ended {
        match self {
            Self::Session(id) => Ended::Session(id.into()),
            Self::AtProvider(issuer, session) => Ended::AtProvider {
                issuer: issuer.into(),
                session: session.into(),
            },
            Self::Person(issuer, subject) => Ended::Person {
                issuer: issuer.into(),
                subject: subject.into(),
            },
        }
    }
}

/// Never earlier than it was: what has ended must not begin again for a part of a millisecond.
fn millis(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_nanos().div_ceil(1_000_000));
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn moment(millis: u64) -> SystemTime {
    // More than this is no year that a calendar has.
    let millis = millis.min(u64::from(u32::MAX) * 1000);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}
