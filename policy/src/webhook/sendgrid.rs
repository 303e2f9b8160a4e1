//! SendGrid: an ECDSA signature over timestamp and body, so the "secret" here is SendGrid's public key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::moment::{self, FIVE_MINUTES, Unit};
use super::{BadSecret, Incoming, Provider, Unverified, malformed, not_empty, required};

/// SendGrid's signed event webhook. The secret is the verification key that its dashboard shows.
#[derive(Debug)]
pub(super) struct SendGrid;

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// What stands before the point in a P-256 key's SubjectPublicKeyInfo (RFC 5480), which is always the same.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl Provider for SendGrid {
    fn accepts(&self, secret: &str) -> Result<(), BadSecret> {
        point(secret).map(drop)
    }

    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let point = point(secret)?;
        let signature = required(incoming, SIGNATURE)?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| malformed(SIGNATURE, "a signature in base64"))?;
        let timestamp = required(incoming, TIMESTAMP)?;
        let signed = moment::read(timestamp, Unit::Seconds)
            .ok_or_else(|| malformed(TIMESTAMP, "a timestamp"))?;
        moment::check(signed, incoming.now, FIVE_MINUTES)?;
        // The verifier hashes one slice only.
        let message = [timestamp.as_bytes(), incoming.body].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(&message, &signature)
            .map_err(|_| Unverified::Differs)
    }
}

/// The public key's point, uncompressed.
fn point(secret: &str) -> Result<[u8; 65], BadSecret> {
    not_empty(secret)?;
    let key = STANDARD
        .decode(secret)
        .map_err(|_| BadSecret::NotPublicKey)?;
    let point = key.strip_prefix(&P256).ok_or(BadSecret::NotPublicKey)?;
    let point = <[u8; 65]>::try_from(point).map_err(|_| BadSecret::NotPublicKey)?;
    (point.first() == Some(&4))
        .then_some(point)
        .ok_or(BadSecret::NotPublicKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_p256_key_is_a_secret() {
        let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
        assert_eq!(SendGrid.accepts(key), Ok(()));
        assert_eq!(SendGrid.accepts(""), Err(BadSecret::Empty));
        for wrong in [
            "hunter2",
            &key[4..],
            &key[..120],
            &key.replace("AE8", "AA8"),
        ] {
            assert_eq!(
                SendGrid.accepts(wrong),
                Err(BadSecret::NotPublicKey),
                "{wrong}"
            );
        }
    }
}
