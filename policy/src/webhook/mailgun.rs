//! Mailgun: the signature stands in the body, over a timestamp and a token. The event beside it is not signed.

use serde::Deserialize;

use super::mac::{Encoding, Hash, Mac};
use super::moment::{self, FIVE_MINUTES, Unit};
use super::{Incoming, Provider, Unverified, form, not_empty};

/// Mailgun's webhooks, as JSON or, the older ones, as a form.
#[derive(Debug)]
pub(super) struct Mailgun;

#[derive(Deserialize)]
struct Signature {
    timestamp: String,
    token: String,
    signature: String,
}

const EXPECTED: Unverified =
    Unverified::Body("one `signature`, `timestamp` and `token`, as JSON or as a form");

impl Provider for Mailgun {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        not_empty(secret)?;
        let said = if form::is_form(incoming)? {
            from_form(incoming.body)
        } else {
            from_json(incoming.body)
        };
        let said = said.ok_or(EXPECTED)?;
        let signed = moment::read(&said.timestamp, Unit::Seconds).ok_or(EXPECTED)?;
        moment::check(signed, incoming.now, FIVE_MINUTES)?;
        let mut mac = Mac::new(Hash::Sha256, secret.as_bytes());
        mac.add(&said.timestamp);
        mac.add(&said.token);
        mac.finish()
            .check(&said.signature, Encoding::Hex, || EXPECTED)
    }
}

fn from_json(body: &[u8]) -> Option<Signature> {
    #[derive(Deserialize)]
    struct Event {
        signature: Signature,
    }

    let event: Event = serde_json::from_slice(body).ok()?;
    Some(event.signature)
}

fn from_form(body: &[u8]) -> Option<Signature> {
    let pairs = form::pairs(body);
    let only = |wanted: &[u8]| {
        let mut values = pairs.iter().filter(|(name, _)| &**name == wanted);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => String::from_utf8(value.to_vec()).ok(),
            _ => None,
        }
    };
    Some(Signature {
        timestamp: only(b"timestamp")?,
        token: only(b"token")?,
        signature: only(b"signature")?,
    })
}
