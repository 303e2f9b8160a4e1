//! What a token costs: verified for the first time, and seen before.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use adit_policy::env::{Env, Fetch, FetchError, Fetched, ToFetch};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use criterion::Criterion;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use super::World;

/// More than are remembered, so that each is forgotten before it comes again.
const TOKENS: usize = 4_500;

const RSA_JWK: &str = include_str!("../policy/src/jose/vectors/rfc7515-a2.json");

/// Publishes one key.
#[derive(Debug)]
struct Published(String);

#[async_trait]
impl Fetch for Published {
    async fn fetch(&self, _: ToFetch) -> Result<Fetched, FetchError> {
        Ok(Fetched {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(self.0.clone()),
            resolved: None,
            took: Duration::ZERO,
        })
    }

    async fn pause(&self, _: Duration) {}
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn es256() -> (Value, Sign) {
    let (random, how) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let document = EcdsaKeyPair::generate_pkcs8(how, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).expect("a key");
    let (x, y) = pair.public_key().as_ref().split_at(33);
    let x = x.get(1..).expect("a point");
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": base64(x), "y": base64(y)});
    let sign = move |message: &[u8]| {
        let signature = pair.sign(&random, message).expect("a signature");
        signature.as_ref().to_vec()
    };
    (jwk, Box::new(sign))
}

fn eddsa() -> (Value, Sign) {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": base64(pair.public_key().as_ref())});
    (
        jwk,
        Box::new(move |message| pair.sign(message).as_ref().to_vec()),
    )
}

fn rs256() -> (Value, Sign) {
    let key: Value = serde_json::from_str(RSA_JWK).expect("a key");
    let text = |name: &str| key.get(name).and_then(Value::as_str).expect("a member");
    let part = |name: &str| URL_SAFE_NO_PAD.decode(text(name)).expect("base64");
    let pair = RsaKeyPair::from_components(&KeyPairComponents {
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
    });
    let pair = pair.expect("a key");
    let jwk = json!({"kty": "RSA", "kid": "1", "n": text("n"), "e": text("e")});
    let sign = move |message: &[u8]| {
        let mut signature = vec![0; pair.public().modulus_len()];
        let signed = pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        );
        signed.expect("a signature");
        signature
    };
    (jwk, Box::new(sign))
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A request's header with a token such as issuers make, for a caller of its own.
fn bearing(env: &Env, algorithm: &str, sign: &Sign, caller: usize) -> HeaderMap {
    let now = env
        .clock()
        .now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let header = json!({"alg": algorithm, "kid": "1", "typ": "at+jwt"});
    let claims = json!({
        "iss": "https://issuer.example/", "aud": ["https://api.example", "https://issuer.example/userinfo"],
        "sub": format!("auth0|{caller:024}"), "azp": "0123456789abcdefghijklmnopqrstuv", "scope": "openid profile orders:read",
        "iat": now.as_secs(), "exp": now.as_secs() + 86_400, "jti": format!("{caller:032}"),
    });
    let message = format!(
        "{}.{}",
        base64(header.to_string()),
        base64(claims.to_string())
    );
    let token = format!("Bearer {message}.{}", base64(sign(message.as_bytes())));
    let line = HeaderValue::try_from(token).expect("a header value");
    HeaderMap::from_iter([(AUTHORIZATION, line)])
}

fn policy(algorithm: &str) -> String {
    format!(
        "on_http_request:
  - actions:
      - type: jwt-validation
        config:
          issuer: {{ allow_list: [{{ value: 'https://issuer.example/' }}] }}
          audience: {{ allow_list: [{{ value: 'https://api.example' }}] }}
          http: {{ tokens: [{{ type: jwt, method: header, name: Authorization, prefix: 'Bearer ' }}] }}
          jws:
            allowed_algorithms: [{algorithm}]
            keys: {{ sources: {{ additional_jkus: ['https://issuer.example/jwks'] }} }}
"
    )
}

pub(crate) fn bench(criterion: &mut Criterion) {
    for (algorithm, (jwk, sign)) in [("ES256", es256()), ("EdDSA", eddsa()), ("RS256", rs256())] {
        let published = Published(json!({ "keys": [jwk] }).to_string());
        let env = Env::system().with_fetch(Arc::new(published));
        let world = World {
            env,
            ..World::new()
        };
        let policy = world.policy(&policy(algorithm));
        let tokens: Vec<_> = (0..TOKENS)
            .map(|n| bearing(&world.env, algorithm, &sign, n))
            .collect();
        let run = |lines: &HeaderMap| {
            let said = world.verdict_of(&policy, &world.conn, lines);
            assert_eq!(black_box(said), "continue");
        };
        let mut next = 0;
        let name = format!("jwt-validation {algorithm}, a token for the first time");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % tokens.len();
                run(tokens.get(next).expect("the index is within"));
            });
        });
        let token = tokens.first().expect("there are tokens");
        let name = format!("jwt-validation {algorithm}, a token seen before");
        criterion.bench_function(&name, |bencher| bencher.iter(|| run(token)));
    }
}
