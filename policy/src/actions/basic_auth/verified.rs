//! Passwords that were right a moment ago, so that hashing them is not done again for each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring::hmac::{HMAC_SHA256, Key, sign};

use super::recent::Recent;
use crate::env::{Env, Random};

/// A password that was not used for so long is hashed again.
const LIFETIME: Duration = Duration::from_secs(300);
/// So many passwords of all endpoints are remembered, a megabyte of them; more make each other be hashed again.
const VERIFIED_MAX: usize = 10_000;

/// What is kept of a password is an HMAC with a key that nobody else has and that ends with the process. The stored hash
/// is part of it: when the list of credentials changes, what was verified with another one is not found any more.
pub(super) struct Verified {
    key: Key,
    tags: Recent<Tag>,
}

/// A stored hash and a password that it was made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag([u8; 32]);

// === impl Verified ===

impl Verified {
    /// What all policies of a gateway share.
    pub(super) fn of(env: &Env) -> Arc<Self> {
        env.common_state("basic-auth verified", || Self::new(env.random()))
    }

    fn new(random: &dyn Random) -> Self {
        let mut key = [0; 32];
        random.fill(&mut key);
        Self {
            key: Key::new(HMAC_SHA256, &key),
            tags: Recent::new(LIFETIME, VERIFIED_MAX),
        }
    }

    pub(super) fn tag(&self, hash: &str, password: &[u8]) -> Tag {
        // No hash holds this byte, so that none can borrow from its password.
        let mut tag = [0; 32];
        let signed = sign(&self.key, &[hash.as_bytes(), &[0], password].concat());
        tag.copy_from_slice(signed.as_ref());
        Tag(tag)
    }

    pub(super) fn has(&self, tag: &Tag, now: Duration) -> bool {
        self.tags.has(tag, now)
    }

    pub(super) fn add(&self, tag: Tag, now: Duration) {
        self.tags.add(tag, now);
    }

    /// A number below `count` that is the same each time for a name, and that nobody can foretell.
    pub(super) fn choice(&self, name: &[u8], count: usize) -> usize {
        let Tag(bytes) = self.tag("", name);
        let number = bytes
            .iter()
            .take(4)
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        number.checked_rem(count).unwrap_or(0)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified(***)")
    }
}
