//! Tokens whose signature was right, and a memory of them: a signature costs far more than looking it up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ring::digest::{SHA256, digest as hash};
use serde_json::{Map, Value as Json};

use super::failure::Failure;
use super::keys::Found;
use crate::expr::Value;
use crate::identity::{Identity, groups};
use crate::jose::algorithm::Algorithm;
use crate::jose::key_set::{KeySet, TRIES_MAX};
use crate::jose::token::{Token, Unverified, Verified};

/// Most tokens that are remembered in each half of the memory.
const TOKENS_MAX: usize = 2_048;
/// Most bytes that they may have together in each half; what is remembered of a token takes a few times its length.
const BYTES_MAX: usize = 2 << 20;

/// What a token is remembered by.
pub(super) type Digest = [u8; 32];

/// A token whose signature is right. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Accepted(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    header: Map<String, Json>,
    identity: Arc<Identity>,
    /// The set whose key has verified it.
    keys: Arc<KeySet>,
    /// Made when somebody looks.
    shown: OnceLock<(Value<'static>, Value<'static>)>,
}

/// Tokens that were accepted with a set of keys. They are looked up by all of their bytes, and count only while this very
/// set is in use: a key that its provider takes away ends them. Their times, issuer and audience are checked each time.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Halves>);

/// When the younger half is full, it becomes the older one, and what was there is forgotten.
#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Digest, Accepted>,
    old: HashMap<Digest, Accepted>,
    /// Bytes of the young ones.
    bytes: usize,
}

/// What a token is remembered by.
pub(super) fn digest(token: &str) -> Digest {
    let digest = hash(&SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    bytes
}

// === impl Accepted ===

impl Accepted {
    /// Verifies a token with the keys that were found. Keys of an issuer verify its own tokens only.
    pub(super) fn of(
        token: Token<'_>,
        found: &[Found],
        allowed: &[Algorithm],
    ) -> Result<Self, Failure> {
        let mut tries = TRIES_MAX;
        let mut why = Failure::from(Unverified::UnknownKey);
        for found in found {
            match token.verify_within(&mut tries, &found.keys, allowed) {
                Ok(()) => {
                    let verified = token.clone().believed()?;
                    if found.may_verify(&verified.claims) {
                        return Ok(Self::new(verified, Arc::clone(&found.keys)));
                    }
                    why = Failure::Issuer;
                }
                Err(Unverified::UnknownKey) => {}
                Err(other) if why == Unverified::UnknownKey.into() => why = other.into(),
                Err(_) => {}
            }
        }
        Err(why)
    }

    fn new(verified: Verified, keys: Arc<KeySet>) -> Self {
        let Verified { header, claims } = verified;
        let text = |name: &str| {
            let text = claims.get(name).and_then(Json::as_str);
            text.unwrap_or_default().to_owned()
        };
        let said = claims.get("email_verified");
        let is_denied = said.is_some_and(|said| *said != true && *said != "true");
        let identity = Identity {
            kind: "jwt",
            id: text("sub"),
            name: text("name"),
            email: if is_denied {
                String::new()
            } else {
                text("email")
            },
            email_verified: said.is_some() && !is_denied,
            issuer: text("iss"),
            groups: groups(&claims),
            claims: Arc::new(claims),
            session: None,
            until: None,
        };
        Self(Arc::new(Inner {
            header,
            identity: Arc::new(identity),
            keys,
            shown: OnceLock::new(),
        }))
    }

    pub(super) fn header(&self) -> &Map<String, Json> {
        &self.0.header
    }

    pub(super) fn claims(&self) -> &Map<String, Json> {
        &self.0.identity.claims
    }

    /// Who the caller is.
    pub(super) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.0.identity)
    }

    /// Header and claims for expressions.
    pub(super) fn shown(&self) -> &(Value<'static>, Value<'static>) {
        let shown = |object: &Map<String, Json>| {
            let value = crate::expr::json::from_json(Json::Object(object.clone()), 0);
            value.unwrap_or(Value::Null)
        };
        let make = || (shown(self.header()), shown(self.claims()));
        self.0.shown.get_or_init(make)
    }
}

// === impl Cache ===

impl Cache {
    /// A token that was accepted with keys that are in use.
    pub(super) fn get(&self, digest: &Digest, found: &[Found]) -> Option<Accepted> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = halves.young.get(digest).or_else(|| halves.old.get(digest));
        let accepted = accepted?.clone();
        let is_in_use = |found: &Found| {
            Arc::ptr_eq(&found.keys, &accepted.0.keys) && found.may_verify(accepted.claims())
        };
        if !found.iter().any(is_in_use) {
            halves.young.remove(digest);
            halves.old.remove(digest);
            return None;
        }
        Some(accepted)
    }

    /// Remembers a token of so many bytes.
    pub(super) fn put(&self, digest: Digest, accepted: &Accepted, length: usize) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.young.len() >= TOKENS_MAX || halves.bytes + length > BYTES_MAX {
            halves.old = std::mem::take(&mut halves.young);
            halves.bytes = 0;
        }
        halves.bytes += length;
        halves.young.insert(digest, accepted.clone());
    }
}
