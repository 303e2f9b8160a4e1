//! A service verifies who the caller is, with keys that it gets through the gateway.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use crate::harness::{Agent, Gateway, Service, raw};

const POLICY: &str = "endpoints:
  - url: http://app.localhost
    traffic_policy:
      on_http_request:
        - actions: [{ type: basic-auth, config: { credentials: ['ann:opensesame'] } }]
        - actions: [{ type: assert-identity, config: { audience: orders } }]
";

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n{lines}\r\n")
}

async fn keys(gateway: &Gateway) -> Value {
    let answer = raw::send(gateway.http(), get("/adit/jwks.json", "")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    answer.json()
}

/// What the token says, if one of the keys has signed it.
fn verified(token: &str, keys: &Value) -> Option<Value> {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    let mut keys = keys["keys"].as_array()?.iter();
    let key = keys.find(|key| key["kid"] == header["kid"])?;
    let coordinate = |name: &str| decode(key[name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(signature))
        .ok()?;
    serde_json::from_slice(&decode(claims)).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_verifies_the_caller_with_keys_that_outlive_a_restart() {
    let service = Service::echo().await;
    let gateway = Gateway::with(POLICY).await;
    let agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let lies = "Adit-Assertion: e30.e30.x\r\nadit_assertion: e30.e30.x\r\n";
    let request = get(
        "/",
        &format!("Authorization: Basic YW5uOm9wZW5zZXNhbWU=\r\n{lies}"),
    );
    assert_eq!(raw::send(gateway.http(), request).await.status, 200);
    let received = service.only_request();
    let [token] = received.all("adit-assertion")[..] else {
        panic!("{received:?}");
    };
    assert_eq!(received.header("adit_assertion"), None);
    let claims = verified(token, &keys(&gateway).await).expect("a good signature");
    assert_eq!(claims["iss"], "http://app.localhost");
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&"ann".into(), &"orders".into())
    );
    assert_eq!(claims["exp"], claims["iat"].as_u64().unwrap() + 60);

    // Who is not let in reaches nobody, and gets the keys all the same.
    assert_eq!(raw::send(gateway.http(), get("/", lies)).await.status, 401);
    assert_eq!(service.requests().len(), 1);

    agent.close().await;
    let gateway = gateway.restart(Duration::from_secs(5)).await;
    assert!(verified(token, &keys(&gateway).await).is_some());
    let other = Gateway::with(POLICY).await;
    assert!(verified(token, &keys(&other).await).is_none());
}
