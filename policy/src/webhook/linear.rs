//! Linear: the body is signed, and the time stands in the body.

use std::time::Duration;

use serde::Deserialize;

use super::mac::{Encoding, Hash};
use super::moment;
use super::scheme::{Headers, Key, Layout, Piece, Scheme};
use super::{Incoming, Provider, Unverified};

/// Linear's `Linear-Signature` and `webhookTimestamp`, which it asks to be within a minute.
#[derive(Debug)]
pub(super) struct Linear;

static SCHEME: Scheme<'static> = Scheme {
    headers: Headers::One("linear-signature"),
    layout: Layout::Whole(""),
    hash: Hash::Sha256,
    encoding: Encoding::Hex,
    key: Key::Text,
    timestamp: None,
    signed: &[Piece::Body],
};

const TOLERANCE: Duration = Duration::from_secs(60);

impl Provider for Linear {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Event {
            webhook_timestamp: i64,
        }

        SCHEME.verify(secret, incoming)?;
        let event: Event = serde_json::from_slice(incoming.body)
            .map_err(|_| Unverified::Body("JSON with `webhookTimestamp`"))?;
        moment::check(event.webhook_timestamp, incoming.now, TOLERANCE)
    }
}
