//! A signed token in its compact form (RFC 7515 §3.1), taken apart and verified.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, named};
use super::key_set::{KeySet, TRIES_MAX};
use super::strict_json;

/// Longest token in bytes; a longer one is refused before anything of it is read.
const TOKEN_MAX: usize = 16 << 10;

/// A token whose header was read; nothing of it is to be believed yet.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    header: Map<String, Value>,
}

/// What a token says, and its key has signed.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is longer than a token may be.
    TooLong,
    /// It has not three parts.
    Parts,
    /// A part is not base64url without padding.
    Base64,
    /// A part is not a JSON object, or a name stands twice in it.
    Json,
    /// `alg` is missing, or a member of the header has the wrong type.
    Header,
    /// The header wants something understood that nothing here understands (RFC 7515 §4.1.11).
    Critical,
}

/// Why a token is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// It is no token.
    Malformed(Malformed),
    /// Its algorithm is not allowed.
    Algorithm,
    /// No key has its name and type.
    UnknownKey,
    /// Its signature is wrong.
    Signature,
}

// === impl Token ===

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > TOKEN_MAX {
            return Err(Malformed::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Malformed::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed::Parts)?;
        if payload.contains('.') {
            return Err(Malformed::Parts);
        }
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !payload.bytes().chain(signature.bytes()).all(is_base64) {
            return Err(Malformed::Base64);
        }
        let header = object(header)?;
        let is_text = |name: &str| header.get(name).is_none_or(Value::is_string);
        if !header.contains_key("alg") || !["alg", "kid", "typ"].iter().all(|name| is_text(name)) {
            return Err(Malformed::Header);
        }
        if header.contains_key("crit") {
            return Err(Malformed::Critical);
        }
        Ok(Self {
            signed,
            payload,
            signature,
            header,
        })
    }

    /// The name of the key that is said to have signed it.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The algorithm that it names, if it is one of these.
    pub(crate) fn algorithm(&self, allowed: &[Algorithm]) -> Option<Algorithm> {
        let name = self.header.get("alg").and_then(Value::as_str)?;
        named(name).filter(|algorithm| allowed.contains(algorithm))
    }

    /// Whether one of these keys has signed it with one of these algorithms.
    pub(crate) fn verify(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<(), Unverified> {
        self.verify_within(&mut { TRIES_MAX }, keys, allowed)
    }

    /// The same, where each key that is tried takes one of the tries.
    pub(crate) fn verify_within(
        &self,
        tries: &mut usize,
        keys: &KeySet,
        allowed: &[Algorithm],
    ) -> Result<(), Unverified> {
        let algorithm = self.algorithm(allowed).ok_or(Unverified::Algorithm)?;
        let mut why = Unverified::UnknownKey;
        for key in keys.candidates(self.key_id(), algorithm) {
            let Some(left) = tries.checked_sub(1) else {
                break;
            };
            *tries = left;
            if key.verifies(algorithm, self.signed, self.signature) {
                return Ok(());
            }
            why = Unverified::Signature;
        }
        Err(why)
    }

    fn claims(&self) -> Result<Map<String, Value>, Malformed> {
        object(self.payload)
    }

    /// Header and claims. To be believed only of a token that was verified.
    pub(crate) fn believed(self) -> Result<Verified, Malformed> {
        Ok(Verified {
            claims: self.claims()?,
            header: self.header,
        })
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Malformed> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| Malformed::Base64)?;
    strict_json::object(&bytes).map_err(|_| Malformed::Json)
}

// === impl Malformed, Unverified ===

impl Malformed {
    /// The reason in one sentence, of which nothing comes from the token.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::TooLong => "the token is longer than 16 KiB",
            Self::Parts => "the token has not three parts between dots",
            Self::Base64 => "a part of the token is not base64url without padding",
            Self::Json => "a part of the token is not a JSON object, or a name stands twice in it",
            Self::Header => "the token's header has no `alg`, or a member of the wrong type",
            Self::Critical => "the token's header has `crit`, which nothing here understands",
        }
    }
}

impl Unverified {
    /// The reason in one sentence, of which nothing comes from the token.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Malformed(why) => why.sentence(),
            Self::Algorithm => "the token's algorithm is not allowed",
            Self::UnknownKey => "the token's key is not known",
            Self::Signature => "the token's signature is wrong",
        }
    }
}

impl From<Malformed> for Unverified {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Malformed {}
impl std::error::Error for Unverified {}

#[cfg(test)]
mod tests;
