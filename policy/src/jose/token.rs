//! A signed token in its compact form (RFC 7515 §3.1), taken apart and verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::algorithm::{Algorithm, named};
use super::key_set::KeySet;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    #[error("the token is longer than 16 KiB")]
    TooLong,
    #[error("the token has not three parts between dots")]
    Parts,
    #[error("a part of the token is not base64url without padding")]
    Base64,
    #[error("a part of the token is not a JSON object, or a name stands twice in it")]
    Json,
    #[error("the token's header has no `alg`, or a member of the wrong type")]
    Header,
    #[error("the token's header has `crit`, which nothing here understands")]
    Critical,
}

/// Why a token is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unverified {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
}

/// What a token says, if one of these keys has signed it with one of these algorithms. Its claims are still to be looked at:
/// issuer, audience, times.
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    allowed: &[Algorithm],
) -> Result<Verified, Unverified> {
    let token = Token::parse(token)?;
    token.verify(keys, allowed)?;
    Ok(token.believed()?)
}

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
        let algorithm = self.algorithm(allowed).ok_or(Unverified::Algorithm)?;
        let mut candidates = keys.candidates(self.key_id(), algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Unverified::UnknownKey);
        }
        match candidates.any(|key| key.verifies(algorithm, self.signed, self.signature)) {
            true => Ok(()),
            false => Err(Unverified::Signature),
        }
    }

    /// What it says. Only for a token that was verified.
    pub(crate) fn believed(self) -> Result<Verified, Malformed> {
        Ok(Verified {
            claims: object(self.payload)?,
            header: self.header,
        })
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Malformed> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| Malformed::Base64)?;
    strict_json::object(&bytes).map_err(|_| Malformed::Json)
}
