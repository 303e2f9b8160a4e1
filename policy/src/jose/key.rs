//! One public key of a provider (RFC 7517, RFC 7518 §6, RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use thiserror::Error;

use super::algorithm::{Algorithm, named};
use super::crypto;

/// RSA keys are this long in bits; shorter ones can be broken (RFC 7518 §3.3), longer ones `ring` does not take.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Members that only a private or a secret key has.
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that can verify signatures.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    id: Option<Box<str>>,
    algorithms: &'static [Algorithm],
    /// The one algorithm that its provider means it for, if it says so.
    only: Option<Algorithm>,
    key: DecodingKey,
}

/// Why a key is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unusable {
    #[error("it is private or secret, and was published")]
    Private,
    #[error("it is not meant for signatures")]
    Use,
    #[error("its type or its curve cannot verify here")]
    Kind,
    #[error("its `alg` does not fit its type")]
    Algorithm,
    #[error("a member is missing or malformed")]
    Malformed,
    #[error("it has fewer than 2048 or more than 8192 bits")]
    Size,
}

impl Key {
    /// Reads a key as it stands in a set.
    pub(crate) fn read(json: &Map<String, Value>) -> Result<Self, Unusable> {
        if PRIVATE.iter().any(|name| json.contains_key(*name)) {
            return Err(Unusable::Private);
        }
        if !is_for_signatures(json)? {
            return Err(Unusable::Use);
        }
        let (algorithms, key) = match (text(json, "kty")?, optional(json, "crv")?) {
            (Some("RSA"), _) => (RSA, rsa(json)?),
            (Some("EC"), Some("P-256")) => (P256, point(json, 32)?),
            (Some("EC"), Some("P-384")) => (P384, point(json, 48)?),
            (Some("OKP"), Some("Ed25519")) => {
                (ED25519, DecodingKey::from_ed_der(&bytes(json, "x", 32)?))
            }
            _ => return Err(Unusable::Kind),
        };
        let only = match optional(json, "alg")? {
            None => None,
            Some(name) => {
                let meant = named(name).filter(|algorithm| algorithms.contains(algorithm));
                Some(meant.ok_or(Unusable::Algorithm)?)
            }
        };
        crypto::install();
        Ok(Self {
            id: optional(json, "kid")?.map(Into::into),
            algorithms,
            only,
            key,
        })
    }

    /// Its name in its set.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it can verify with this algorithm, and is meant for it.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether the signature, in base64url, is this key's for these bytes.
    pub(crate) fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &str) -> bool {
        self.fits(algorithm)
            && jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, algorithm)
                .unwrap_or(false)
    }
}

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

fn is_for_signatures(json: &Map<String, Value>) -> Result<bool, Unusable> {
    let verifies = match json.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|name| name == "verify"),
        Some(_) => return Err(Unusable::Malformed),
    };
    Ok(verifies && optional(json, "use")?.is_none_or(|purpose| purpose == "sig"))
}

fn rsa(json: &Map<String, Value>) -> Result<DecodingKey, Unusable> {
    let number = |name| {
        let bytes = decoded(json, name)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        // Some providers write leading zeros, which `ring` does not take.
        Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
    };
    let (modulus, exponent) = (number("n")?, number("e")?);
    let first = modulus.first().ok_or(Unusable::Malformed)?;
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    if !RSA_BITS.contains(&bits) {
        return Err(Unusable::Size);
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

/// An uncompressed point: RFC 7518 §6.2.1 wants both coordinates at full length.
fn point(json: &Map<String, Value>, length: usize) -> Result<DecodingKey, Unusable> {
    let (x, y) = (bytes(json, "x", length)?, bytes(json, "y", length)?);
    Ok(DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat()))
}

fn bytes(json: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, Unusable> {
    let bytes = decoded(json, name)?;
    match bytes.len() == length {
        true => Ok(bytes),
        false => Err(Unusable::Malformed),
    }
}

fn decoded(json: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    let text = text(json, name)?.ok_or(Unusable::Malformed)?;
    let bytes = URL_SAFE_NO_PAD.decode(text);
    bytes.map_err(|_| Unusable::Malformed)
}

fn text<'a>(json: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Unusable> {
    match json.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(Unusable::Malformed),
    }
}

/// Some providers write null where they mean nothing.
fn optional<'a>(json: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Unusable> {
    match json.get(name) {
        Some(Value::Null) => Ok(None),
        _ => text(json, name),
    }
}
