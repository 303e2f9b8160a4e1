//! Keys that sign what the gateway says of a caller, so that a service can verify it: ES256 (RFC 7518 §3.4).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::Serialize;
use serde_json::{Value, json};

use super::BadKey;

/// Bytes of each of the two coordinates of a public key.
const COORDINATE: usize = 32;

/// One key that signs. Its name (`kid`) is the thumbprint of its public half, RFC 7638.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    id: String,
    /// Both coordinates, as they stand in a JWK.
    public: (String, String),
    random: SystemRandom,
}

impl SigningKey {
    /// A new key, as PKCS#8 (DER) for whoever keeps it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Vec<u8>, BadKey> {
        let made = EcdsaKeyPair::generate_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            // What signs takes its randomness from the system and from nobody else: one guessed number gives the key away.
            &SystemRandom::new(),
        );
        let made = made.map_err(|_| BadKey("there is no randomness for a signing key"))?;
        Ok(made.as_ref().to_vec())
    }

    /// A key that was kept.
    ///
    /// # Errors
    /// When it is no P-256 key in PKCS#8.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, BadKey> {
        let bad = BadKey("a signing key is a P-256 key in PKCS#8");
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &random);
        let pair = pair.map_err(|_| bad.clone())?;
        // An uncompressed point: 4, then both coordinates.
        let [4, point @ ..] = pair.public_key().as_ref() else {
            return Err(bad);
        };
        let (x, y) = point.split_at_checked(COORDINATE).ok_or(bad)?;
        let public = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let (x, y) = &public;
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
        Ok(Self {
            pair,
            id,
            public,
            random,
        })
    }

    /// The name under which it is published.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A compact JWS (RFC 7515) of these claims; `None` if there is no randomness.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let header = json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" });
        let claims = serde_json::to_vec(claims).ok()?;
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.pair.sign(&self.random, token.as_bytes()).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }

    /// The public half.
    pub(super) fn jwk(&self) -> Value {
        let (x, y) = &self.public;
        json!({
            "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256", "kid": self.id,
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}
