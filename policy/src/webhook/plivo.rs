//! Plivo: the URL with its sorted query, the sorted fields of the form, and a nonce.

use super::form::{self, Pair};
use super::mac::{Encoding, Hash, Mac};
use super::{Incoming, Provider, Unverified, malformed, not_empty, required};

/// Plivo's `X-Plivo-Signature-V3`. Version 2, which leaves the body out, is not accepted.
#[derive(Debug)]
pub(super) struct Plivo;

const SIGNATURE: &str = "x-plivo-signature-v3";

impl Provider for Plivo {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        not_empty(secret)?;
        // One signature for each token of the account, while tokens are rotated.
        let signatures = required(incoming, SIGNATURE)?.split(',');
        let nonce = required(incoming, "x-plivo-signature-v3-nonce")?;
        let (base, query) = incoming.url.split_once('?').unwrap_or((incoming.url, ""));
        let query = sorted(form::pairs(query.as_bytes()));
        let fields = sorted(form::body(incoming)?);

        let mut mac = Mac::new(Hash::Sha256, secret.as_bytes());
        mac.add(base);
        if !query.is_empty() || !fields.is_empty() {
            mac.add("?");
        }
        for (place, (name, value)) in query.iter().enumerate() {
            mac.add(if place == 0 { "" } else { "&" });
            mac.add(name);
            mac.add("=");
            mac.add(value);
        }
        if !query.is_empty() && !fields.is_empty() {
            mac.add(".");
        }
        for (name, value) in &fields {
            mac.add(name);
            mac.add(value);
        }
        mac.add(".");
        mac.add(nonce);
        let tag = mac.finish();
        let said: Vec<_> = signatures
            .filter_map(|text| tag.is(text.trim(), Encoding::Base64))
            .collect();
        if said.is_empty() {
            return Err(malformed(SIGNATURE, "signatures in base64"));
        }
        said.contains(&true)
            .then_some(())
            .ok_or(Unverified::Differs)
    }
}

fn sorted(mut pairs: Vec<Pair<'_>>) -> Vec<Pair<'_>> {
    pairs.sort_unstable();
    pairs
}
