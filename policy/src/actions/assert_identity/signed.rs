//! Assertions that were signed already: a caller's next requests carry the same one until half of its time is over.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::env::Env;
use crate::identity::Identity;

/// Assertions that are kept. When there are more, all are forgotten and signed anew: that costs a caller microseconds.
const KEPT_MAX: usize = 1024;

/// Signs, and keeps what was signed.
pub(super) struct Signed {
    lifetime: Duration,
    /// Claims of the provider that are copied.
    copied: Vec<String>,
    kept: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    token: Arc<str>,
    /// The key that signed it: with another one it is signed anew.
    key: String,
    until: SystemTime,
}

impl Signed {
    pub(super) fn new(lifetime: Duration, copied: Vec<String>) -> Self {
        let kept = Mutex::default();
        Self {
            lifetime,
            copied,
            kept,
        }
    }

    /// What is said of a caller to an audience; `None` if there is no key.
    pub(super) fn token(
        &self,
        identity: &Identity,
        issuer: String,
        audience: String,
        env: &Env,
    ) -> Option<Arc<str>> {
        let now = env.clock().now();
        let keys = env.keys();
        let mut claims = self.claims(identity, issuer, audience);
        // Everything that it says but the time, word for word: nobody gets what was signed for another.
        let last = identity.until.map(seconds);
        let name = json!([claims, last]).to_string();
        if let Some(known) = self.known(&name, keys.signing_id(), now) {
            return Some(known);
        }
        let since = seconds(now);
        claims.insert("iat".to_owned(), json!(since));
        let mut end = since + self.lifetime.as_secs();
        let mut until = now + self.lifetime / 2;
        if let Some(last) = last {
            // It is not believed for longer than the caller is.
            end = end.min(last);
            until = until.min(SystemTime::UNIX_EPOCH + Duration::from_secs(end));
        }
        claims.insert("exp".to_owned(), json!(end));
        let token: Arc<str> = keys.sign(&claims)?.into();
        let kept = Kept {
            token: Arc::clone(&token),
            key: keys.signing_id().to_owned(),
            until,
        };
        self.keep(name, kept);
        Some(token)
    }

    fn claims(&self, identity: &Identity, issuer: String, audience: String) -> Map<String, Value> {
        let mut claims = Map::new();
        for name in &self.copied {
            if let Some(value) = identity.claims.get(name) {
                claims.insert(name.clone(), value.clone());
            }
        }
        let mut say = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        say("iss", issuer.into());
        say("sub", identity.id.clone().into());
        say("aud", audience.into());
        // Without an issuer, the way in which the caller was authenticated is what tells ids apart.
        let idp = match identity.issuer.as_str() {
            "" => identity.kind,
            issuer => issuer,
        };
        say("idp", idp.into());
        if !identity.email.is_empty() {
            say("email", identity.email.clone().into());
            say("email_verified", identity.email_verified.into());
        }
        if !identity.name.is_empty() {
            say("name", identity.name.clone().into());
        }
        if !identity.groups.is_empty() {
            say("groups", json!(identity.groups));
        }
        claims
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    fn known(&self, name: &str, key: &str, now: SystemTime) -> Option<Arc<str>> {
        // Nothing panics while it holds the lock.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(name)?;
        (now < known.until && known.key == key).then(|| Arc::clone(&known.token))
    }

    fn keep(&self, name: String, signed: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, signed);
    }
}

fn seconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("lifetime", &self.lifetime)
            .field("copied", &self.copied)
            .finish_non_exhaustive()
    }
}
