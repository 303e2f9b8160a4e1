//! Providers for tests: a network that is a map, and tokens that somebody signed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::provider::Client;
use crate::env::{Env, Fetch, FetchError, Fetched, Purpose, ToFetch};
use crate::secret::Secret;
use crate::testing::Turned;

pub(super) const ISSUER: &str = "https://id.example";

pub(super) fn client() -> Client {
    Client {
        id: "edge".to_owned(),
        secret: Secret::new("s e:cret"),
    }
}

/// Each `METHOD url` has its answers; the last one stays.
#[derive(Debug, Default)]
pub(super) struct Net {
    answers: Mutex<HashMap<String, Vec<Result<Fetched, FetchError>>>>,
    asked: Mutex<Vec<ToFetch>>,
}

impl Net {
    /// A network, an environment that uses it, and its clock.
    pub(super) fn env() -> (Arc<Self>, Arc<Turned>, Env) {
        let net = Arc::<Self>::default();
        let (clock, env) = Turned::env();
        (Arc::clone(&net), clock, env.with_fetch(net))
    }

    pub(super) fn answers(&self, to: &str, answers: Vec<Result<Fetched, FetchError>>) {
        self.answers.lock().unwrap().insert(to.to_owned(), answers);
    }

    pub(super) fn says(&self, to: &str, status: u16, body: &Value) {
        self.answers(to, vec![answer(status, body)]);
    }

    /// The requests to a URL.
    pub(super) fn asked(&self, to: &str) -> Vec<ToFetch> {
        let asked = self.asked.lock().unwrap();
        let those = asked
            .iter()
            .filter(|one| format!("{} {}", one.method, one.url) == to);
        those.cloned().collect()
    }
}

pub(super) fn answer(status: u16, body: &Value) -> Result<Fetched, FetchError> {
    let headers = HeaderMap::new();
    let body = Bytes::from(body.to_string());
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Fetched {
        status,
        headers,
        body,
        resolved: None,
        took: Duration::ZERO,
    })
}

pub(super) fn redirect(location: &str) -> Result<Fetched, FetchError> {
    answer(307, &json!({})).map(|mut answer| {
        let name = http::header::LOCATION;
        answer.headers.insert(name, location.parse().unwrap());
        answer
    })
}

#[async_trait]
impl Fetch for Net {
    async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError> {
        assert_eq!(request.purpose, Purpose::Identity);
        let to = format!("{} {}", request.method, request.url);
        self.asked.lock().unwrap().push(request);
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(&to) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Err(FetchError::Refused(format!("nobody may ask {to}"))),
        }
    }

    async fn pause(&self, _: Duration) {}
}

/// A key pair on P-256.
pub(super) struct Signer {
    pub(super) id: &'static str,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    pub(super) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        Self { id, pair, random }
    }

    pub(super) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y})
    }

    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "ES256", "kid": self.id}), claims)
    }

    /// The same with another header.
    pub(super) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
