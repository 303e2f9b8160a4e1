//! Agents' tokens: made here, kept as a hash, compared in constant time.

use std::fmt;

use rand::RngExt;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, de};
use subtle::ConstantTimeEq;

/// What a configuration keeps of a token: `sha256:` and 64 hexadecimal digits.
///
/// A plain hash is enough: a token holds 190 bits of randomness, so there is nothing to guess.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

const PREFIX: &str = "adit_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a token and the hash to keep of it.
#[must_use]
pub fn generate() -> (String, TokenHash) {
    let mut rng = rand::rng();
    let mut token = String::from(PREFIX);
    for _ in 0..32 {
        let letter = ALPHABET
            .get(rng.random_range(0..ALPHABET.len()))
            .copied()
            .unwrap_or(b'0');
        token.push(char::from(letter));
    }
    let hash = TokenHash::of(&token);
    (token, hash)
}

// === impl TokenHash ===

impl TokenHash {
    /// The hash of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// Whether this is the hash of `token`, in time that does not depend on either.
    #[must_use]
    pub fn is_of(&self, token: &str) -> bool {
        self.0.ct_eq(&Self::of(token).0).into()
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text
            .strip_prefix("sha256:")
            .filter(|digits| digits.is_ascii())?;
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (index, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read in the visitor, so that a mistake is told at its own place.
        struct Hash;

        impl de::Visitor<'_> for Hash {
            type Value = TokenHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "`sha256:` and 64 hexadecimal digits; `adit gateway token NAME` prints them",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TokenHash, E> {
                let wrong = || {
                    E::custom(
                        "a token hash is `sha256:` and 64 hexadecimal digits; `adit gateway token NAME` prints one",
                    )
                };
                TokenHash::parse(text).ok_or_else(wrong)
            }
        }

        deserializer.deserialize_str(Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_matches_its_own_hash_only() {
        let (token, hash) = generate();
        assert!(token.starts_with(PREFIX) && token.len() == 37);
        assert!(hash.is_of(&token));
        assert!(!hash.is_of(&generate().0));
        assert_eq!(TokenHash::parse(&hash.to_string()), Some(hash));
    }

    #[test]
    fn a_hash_that_is_none_is_refused() {
        for text in [
            "",
            "sha256:",
            "sha256:zz",
            "md5:00",
            &format!("sha256:{}", "é".repeat(32)),
        ] {
            assert_eq!(TokenHash::parse(text), None, "{text}");
        }
    }
}
