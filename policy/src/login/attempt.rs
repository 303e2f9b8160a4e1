//! A sign-in that has begun: what the browser keeps while its person is at the provider.
//!
//! Each has a cookie of its own, so that two tabs can sign in at once. What comes back from the provider is believed only
//! from the browser that was sent there.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::HeaderMap;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::cookies::{self, Names};
use super::return_to::ReturnTo;
use super::session::{from_millis, to_millis};
use crate::env::Env;

/// So long somebody may take at the provider.
pub(super) const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Most sign-ins that a browser has begun and not ended; beyond, the oldest is forgotten.
const OPEN_MAX: usize = 5;
/// Characters of the random part of a state: 16 bytes.
const RANDOM_LEN: usize = 22;
/// Characters of it that name the cookie.
const SHORT_LEN: usize = 8;

/// What is kept of one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// What the provider sends back: random, and the `auth_id` of the login.
    #[serde(rename = "s")]
    pub(super) state: String,
    #[serde(rename = "n")]
    pub(super) nonce: String,
    /// Proves to the provider who has asked (RFC 7636).
    #[serde(rename = "v")]
    pub(super) verifier: String,
    #[serde(rename = "r")]
    return_to: String,
    /// In milliseconds since 1970.
    #[serde(rename = "b")]
    began: u64,
}

/// A state that has come back, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State<'a> {
    random: &'a str,
    /// Which login it is for.
    pub(super) auth_id: &'a str,
}

// === impl Attempt ===

impl Attempt {
    pub(super) fn begin(auth_id: &str, return_to: &ReturnTo, env: &Env) -> Self {
        let behind = if auth_id.is_empty() {
            String::new()
        } else {
            format!(".{auth_id}")
        };
        Self {
            state: format!("{}{behind}", random::<16>(env)),
            nonce: random::<16>(env),
            verifier: random::<32>(env),
            return_to: return_to.as_str().to_owned(),
            began: to_millis(env.clock().now()),
        }
    }

    /// What the provider is told of the verifier.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    pub(super) fn return_to(&self) -> ReturnTo {
        ReturnTo::read(&self.return_to)
    }

    /// When its time is over.
    pub(super) fn end(&self) -> SystemTime {
        from_millis(self.began) + PATIENCE
    }

    /// The lines that make a browser keep it, and forget the oldest that it has.
    pub(super) fn lines(
        &self,
        names: &Names,
        context: &[u8],
        carried: &HeaderMap,
        env: &Env,
    ) -> Vec<HeaderValue> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let sealed = env.keys().seal(context, &plain, env.random());
        let name = State::read(&self.state).map(|state| state.cookie(names));
        let own = cookies::host_line(&name.unwrap_or_default(), &sealed, PATIENCE.as_secs());
        let gone = superfluous(names, context, carried, env).into_iter();
        gone.filter_map(|name| cookies::host_line(name, "", 0))
            .chain(own)
            .collect()
    }

    /// What the browser has kept for a state. `Err`: it has something that cannot be read.
    pub(super) fn find(
        state: State<'_>,
        names: &Names,
        context: &[u8],
        carried: &HeaderMap,
        env: &Env,
    ) -> Option<Result<Self, ()>> {
        let name = state.cookie(names);
        let (_, sealed) = cookies::all(carried).find(|(known, _)| *known == name)?;
        Some(
            open(context, sealed, env)
                .filter(|attempt| state.is(&attempt.state))
                .ok_or(()),
        )
    }
}

/// The cookies of sign-ins that go when one more begins.
fn superfluous<'c>(
    names: &Names,
    context: &[u8],
    carried: &'c HeaderMap,
    env: &Env,
) -> Vec<&'c str> {
    let now = env.clock().now();
    let kept = cookies::all(carried).filter(|(name, _)| name.starts_with(&names.attempt));
    // What cannot be read, or is over, is the oldest.
    let mut kept: Vec<_> = kept
        .map(|(name, sealed)| {
            let attempt = open(context, sealed, env).filter(|attempt| attempt.end() > now);
            (attempt.map_or(0, |attempt| attempt.began), name)
        })
        .collect();
    kept.sort_unstable();
    let over = kept.iter().filter(|(began, _)| *began == 0).count();
    let gone = over.max((kept.len() + 1).saturating_sub(OPEN_MAX));
    kept.into_iter().take(gone).map(|(_, name)| name).collect()
}

fn open(context: &[u8], sealed: &str, env: &Env) -> Option<Attempt> {
    serde_json::from_slice(&env.keys().open(context, sealed)?).ok()
}

fn random<const BYTES: usize>(env: &Env) -> String {
    let mut bytes = [0; BYTES];
    env.random().fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

// === impl State ===

impl<'a> State<'a> {
    /// A text of the form that [`Attempt::begin`] gives.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (random, rest) = text.split_at_checked(RANDOM_LEN)?;
        let auth_id = match rest {
            "" => "",
            _ => rest.strip_prefix('.').filter(|id| !id.is_empty())?,
        };
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (random.bytes().all(is_known) && auth_id.bytes().all(is_known))
            .then_some(Self { random, auth_id })
    }

    /// The cookie that is kept for it.
    pub(super) fn cookie(self, names: &Names) -> String {
        let short = self.random.get(..SHORT_LEN).unwrap_or_default();
        format!("{}{short}", names.attempt)
    }

    fn is(self, text: &str) -> bool {
        State::read(text) == Some(self)
    }
}
