//! Issuers that sign, and providers that publish, for tests.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::env::{Busy, Env, Fetch, FetchError, Fetched, ToFetch, Work};
use crate::testing::Turned;

/// The key of RFC 7515 appendix A.2, whole.
pub(crate) const RSA_JWK: &str = include_str!("vectors/rfc7515-a2.json");

/// Signs tokens with one key.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    pub(crate) algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    pub(crate) fn new(id: &'static str, algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let pair = match algorithm {
            "ES256" | "ES384" => {
                let how = match algorithm {
                    "ES256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
                Pair::Ec(EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap())
            }
            "EdDSA" => {
                let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
            }
            _ => Pair::Rsa(Box::new(rsa())),
        };
        Self {
            id,
            algorithm,
            pair,
        }
    }

    /// The public key as it is published.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key())})
            }
            Pair::Rsa(_) => {
                let key: Value = serde_json::from_str(RSA_JWK).unwrap();
                json!({"kty": "RSA", "n": key["n"], "e": key["e"]})
            }
        };
        jwk["kid"] = self.id.into();
        jwk
    }

    /// A token with the usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "kid": self.id});
        self.signed(&header.to_string(), &claims.to_string())
    }

    /// A token of exactly these texts.
    pub(crate) fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64(header), base64(claims));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", base64(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let how: &dyn RsaEncoding = match self.algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    other => panic!("nobody signs with {other}"),
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(how, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn rsa() -> RsaKeyPair {
    let key: Value = serde_json::from_str(RSA_JWK).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents {
            n: part("n"),
            e: part("e"),
        },
        d: part("d"),
        p: part("p"),
        q: part("q"),
        dP: part("dp"),
        dQ: part("dq"),
        qInv: part("qi"),
    })
    .unwrap()
}

/// The set of these keys.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// Answers by URL, and counts who asks.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    answers: Mutex<HashMap<String, Result<Answer, FetchError>>>,
    asked: Mutex<Vec<ToFetch>>,
    holds: AtomicBool,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Provider {
    pub(crate) fn publish(&self, url: &str, body: &str) {
        self.answer(url, 200, &[], body);
    }

    pub(crate) fn answer(
        &self,
        url: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: body.to_owned(),
        };
        self.answers
            .lock()
            .unwrap()
            .insert(url.to_owned(), Ok(answer));
    }

    pub(crate) fn fail(&self, url: &str, error: FetchError) {
        self.answers
            .lock()
            .unwrap()
            .insert(url.to_owned(), Err(error));
    }

    /// From now on nobody gets an answer.
    pub(crate) fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// Those who wait get their answers, as they were when they asked.
    pub(crate) fn release(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(crate) fn requests(&self) -> Vec<ToFetch> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Fetch for Provider {
    async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError> {
        let answer = self.answers.lock().unwrap().get(&request.url).cloned();
        self.asked.lock().unwrap().push(request);
        tokio::task::yield_now().await;
        while self.holds.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let answer = answer.unwrap_or(Err(FetchError::Failed("nobody is there".to_owned())))?;
        Ok(Fetched {
            status: answer.status,
            headers: answer.headers,
            body: Bytes::from(answer.body),
            resolved: None,
            took: Duration::ZERO,
        })
    }

    async fn pause(&self, _: Duration) {}
}

/// Keeps tasks until a test runs them.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Tasks {
    pub(crate) async fn run(&self) -> usize {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap());
        let count = tasks.len();
        futures_util::future::join_all(tasks).await;
        count
    }
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

#[async_trait]
impl Work for Tasks {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.lock().unwrap().push(task);
    }

    async fn compute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Busy> {
        job();
        Ok(())
    }
}

/// A provider, and an environment that reaches it and nobody else.
pub(crate) struct World {
    pub(crate) provider: Arc<Provider>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) clock: Arc<Turned>,
    pub(crate) env: Env,
}

impl World {
    pub(crate) fn new() -> Self {
        let (clock, env) = Turned::env();
        let (provider, tasks) = (Arc::<Provider>::default(), Arc::<Tasks>::default());
        let env = env
            .with_fetch(Arc::<Provider>::clone(&provider))
            .with_work(Arc::<Tasks>::clone(&tasks));
        Self {
            provider,
            tasks,
            clock,
            env,
        }
    }
}
