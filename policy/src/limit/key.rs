//! The keyed hash that a bucket is known by: 128 bits of SipHash, which nobody without the seed can make collide.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Takes the parts of a bucket's key in turn. Two keys are the same only if they are of the same parts in the same order.
#[derive(Clone)]
pub struct KeyHasher(SipHasher24);

/// What a bucket is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(super) high: u64,
    pub(super) low: u64,
}

// === impl KeyHasher ===

impl KeyHasher {
    pub(super) fn new(seed: &[u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(seed))
    }

    /// One part. Its length goes in front, so that no part can borrow from its neighbour.
    pub fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.write(bytes);
    }

    /// A number, such as how many parts come next.
    pub fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    pub(crate) fn finish(self) -> Key {
        let (high, low) = self.0.finish128().as_u64();
        Key { high, low }
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed is in it.
        f.write_str("KeyHasher(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8, parts: &[&str]) -> Key {
        let mut hasher = KeyHasher::new(&[seed; 16]);
        parts.iter().for_each(|part| hasher.part(part.as_bytes()));
        hasher.finish()
    }

    #[test]
    fn where_one_part_ends_makes_a_difference() {
        let same = key(1, &["ab", "c"]);
        assert_eq!(key(1, &["ab", "c"]), same);
        for parts in [
            &["a", "bc"][..],
            &["abc"],
            &["c", "ab"],
            &["ab", "c", ""],
            &["ab\x01\0\0\0\0\0\0\0c"],
        ] {
            assert_ne!(key(1, parts), same, "{parts:?}");
        }
        assert_ne!(key(2, &["ab", "c"]), same);
    }

    #[test]
    fn the_seed_stays_secret() {
        assert_eq!(format!("{:?}", KeyHasher::new(&[7; 16])), "KeyHasher(***)");
    }
}
