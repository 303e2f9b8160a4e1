//! Webhooks: whether a request really comes from the provider that shares a secret with us.
//!
//! Each provider signs in its own way. Most are rows of one table (`providers.rs`): a header, a keyed hash, and a list of
//! the pieces that were signed. The odd ones have files of their own. All of them fail closed: a header that is missing,
//! malformed or there twice, an old timestamp and an empty secret are never "verified".
#![doc = ""]
#![doc = include_str!("providers.md")]

mod challenge;
mod contentful;
mod form;
mod gitlab;
mod graphcms;
mod hmac;
mod hubspot;
mod linear;
mod mac;
mod mailgun;
mod moment;
mod plivo;
mod providers;
mod scheme;
mod sendgrid;
mod signed_form;
#[cfg(test)]
mod vectors;

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use http::{HeaderMap, Method};
use thiserror::Error;

pub use hmac::Hmac;
pub use providers::{LATER, PROVIDERS};

use crate::action::Reply;

/// A request of which somebody claims that a provider sent it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a Method,
    /// The whole public URL as the provider called it, query included: some providers sign it.
    pub url: &'a str,
    /// The header as it came.
    pub headers: &'a HeaderMap,
    /// The body as it came, byte for byte.
    pub body: &'a [u8],
    /// The time of day, for signed timestamps.
    pub now: SystemTime,
}

/// How one provider signs.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Whether this provider can use such a secret. Told at load where the secret is known then.
    fn accepts(&self, secret: &str) -> Result<(), BadSecret> {
        not_empty(secret)
    }

    /// Whether the request was signed with this secret, and lately.
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified>;

    /// The answer, if the request only asks whether we know the secret, as some providers do before they send anything.
    fn challenge(&self, _secret: &str, _incoming: &Incoming<'_>) -> Option<Reply> {
        None
    }
}

/// Why a request is not verified. For traces and result variables: it never quotes a secret or a signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unverified {
    /// A header that the provider always sends is not there.
    #[error("header `{0}` is missing")]
    Missing(Cow<'static, str>),
    /// Of two headers nobody knows which one the service behind us reads.
    #[error("header `{0}` is there more than once")]
    Repeated(Cow<'static, str>),
    /// A header is not in the form that the provider documents.
    #[error("header `{header}` is malformed, expected {expected}")]
    Malformed {
        /// Which header.
        header: Cow<'static, str>,
        /// What should be in it.
        expected: &'static str,
    },
    /// The body does not hold what the provider always puts into it.
    #[error("the body is malformed, expected {0}")]
    Body(&'static str),
    /// The signed timestamp is too old: a replay, or a clock that is wrong.
    #[error("signed {seconds} s ago, at most {allowed} s are allowed")]
    Stale {
        /// How long ago.
        seconds: u64,
        /// How long ago it may be.
        allowed: u64,
    },
    /// The signed timestamp lies ahead of our clock.
    #[error("signed {seconds} s in the future, at most {allowed} s are allowed")]
    Future {
        /// How far ahead.
        seconds: u64,
        /// How far ahead it may be.
        allowed: u64,
    },
    /// Something was changed on the way, or the secret is another one.
    #[error("the signature differs")]
    Differs,
    /// The secret cannot be one of this provider's.
    #[error(transparent)]
    Secret(#[from] BadSecret),
}

/// Why a secret cannot be one of the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadSecret {
    /// An empty key is one that everybody has.
    #[error("the secret is empty")]
    Empty,
    /// The provider hands its secrets out as base64.
    #[error("the secret is not base64; paste it as the provider shows it")]
    NotBase64,
    /// The provider signs with a key of its own, and the public half is needed here.
    #[error("the secret is not the provider's public key: an ECDSA P-256 key as base64")]
    NotPublicKey,
}

/// The provider of this id, if it is implemented.
pub fn provider(id: &str) -> Option<&'static dyn Provider> {
    let row = PROVIDERS.iter().find(|(name, _)| *name == id);
    row.map(|(_, provider)| *provider)
}

fn not_empty(secret: &str) -> Result<(), BadSecret> {
    if secret.is_empty() {
        return Err(BadSecret::Empty);
    }
    Ok(())
}

/// The only value of a header. Two are refused: the service behind us may read the other one.
fn only<'a>(incoming: &Incoming<'a>, name: &str) -> Result<Option<&'a str>, Unverified> {
    let mut values = incoming.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Unverified::Repeated(name.to_owned().into()));
    }
    let text = value
        .to_str()
        .map_err(|_| malformed(name, "visible ASCII"))?;
    Ok(Some(text))
}

/// The only value of a header that must be there.
fn required<'a>(incoming: &Incoming<'a>, name: &str) -> Result<&'a str, Unverified> {
    only(incoming, name)?.ok_or_else(|| Unverified::Missing(name.to_owned().into()))
}

fn malformed(header: &str, expected: &'static str) -> Unverified {
    Unverified::Malformed {
        header: header.to_owned().into(),
        expected,
    }
}
