//! What services are told, and what they can verify.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::*;
use crate::Policy;
use crate::identity::Identity;
use crate::testing::{Turned, get, lines, one, policy, refused, request};
use crate::verdict::Verdict;

fn alice() -> Identity {
    let claims = json!({ "department": "mines", "secret_thing": 1, "iss": "https://evil.example" });
    Identity {
        kind: "oidc",
        id: "u1".to_owned(),
        name: "Zoë".to_owned(),
        email: "zoe@example.com".to_owned(),
        email_verified: true,
        issuer: "https://id.example".to_owned(),
        groups: vec!["ops".to_owned()],
        claims: Arc::new(claims.as_object().unwrap().clone()),
        ..Identity::default()
    }
}

fn built(config: &str, env: &Env) -> Policy {
    Policy::load(
        "policy.yaml",
        &one("on_http_request", "assert-identity", config),
        env,
    )
    .unwrap()
}

/// What the service gets in a header.
async fn header_of(
    policy: &Policy,
    env: &Env,
    who: Option<Identity>,
    sent: &HeaderMap,
    name: &str,
) -> Option<String> {
    let mut exchange = request(sent);
    exchange.env = env;
    if let Some(who) = who {
        exchange.memory.set_identity(Arc::new(who));
    }
    let verdict = policy.on_http_request(&mut exchange).await;
    assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
    let lines = exchange.request().unwrap().head.lines();
    assert!(lines.get_all(name).iter().count() <= 1);
    Some(lines.get(name)?.to_str().unwrap().to_owned())
}

async fn token(policy: &Policy, env: &Env, who: Identity) -> String {
    let sent = HeaderMap::new();
    let token = header_of(policy, env, Some(who), &sent, "adit-assertion").await;
    token.unwrap()
}

async fn published(policy: &Policy, env: &Env, method: &Method) -> Reply {
    let sent = HeaderMap::new();
    let mut exchange = get("/adit/jwks.json", &sent);
    exchange.env = env;
    exchange.request.as_mut().unwrap().method = method;
    match policy.on_http_request(&mut exchange).await {
        Verdict::Answer { reply, .. } => reply,
        other => panic!("{other:?}"),
    }
}

/// As a service does it: the key by its name, then signature, issuer and audience.
async fn verified(policy: &Policy, env: &Env, token: &str, audience: &str) -> Option<Value> {
    let reply = published(policy, env, &Method::GET).await;
    let set: Value = serde_json::from_slice(reply.body()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    let mut keys = set["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["kid"] == header["kid"])?;
    assert_eq!(
        (&header["alg"], &key["alg"]),
        (&json!("ES256"), &json!("ES256"))
    );
    let coordinate = |name: &str| decode(key[name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(signature))
        .ok()?;
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    let expected = claims["iss"] == "https://app.example.com" && claims["aud"] == audience;
    expected.then_some(claims)
}

#[tokio::test]
async fn a_service_verifies_who_the_caller_is() {
    let (_, env) = Turned::env();
    let policy = built("{claims: [department, absent]}", &env);
    let token = token(&policy, &env, alice()).await;
    let claims = verified(&policy, &env, &token, "app.example.com")
        .await
        .unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": "https://app.example.com", "sub": "u1", "aud": "app.example.com", "idp": "https://id.example",
            "iat": 1_700_000_000, "exp": 1_700_000_060, "email": "zoe@example.com", "email_verified": true,
            "name": "Zoë", "groups": ["ops"], "department": "mines",
        })
    );
    assert!(
        verified(&policy, &env, &token, "other.example.com")
            .await
            .is_none()
    );
    // Another gateway has other keys.
    let (_, stranger) = Turned::env();
    let other = built("{}", &stranger);
    assert!(
        verified(&other, &stranger, &token, "app.example.com")
            .await
            .is_none()
    );
    let altered = token.replacen('.', ".e30", 1);
    assert!(
        verified(&policy, &env, &altered, "app.example.com")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn what_is_not_known_is_not_said() {
    let (_, env) = Turned::env();
    let policy = built("{audience: '${req.method}-service', lifetime: 10m}", &env);
    let who = Identity {
        kind: "basic-auth",
        id: "ann".to_owned(),
        ..Identity::default()
    };
    let token = token(&policy, &env, who).await;
    let claims = verified(&policy, &env, &token, "GET-service")
        .await
        .unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": "https://app.example.com", "sub": "ann", "aud": "GET-service", "idp": "basic-auth",
            "iat": 1_700_000_000, "exp": 1_700_000_600,
        })
    );
}

#[tokio::test]
async fn a12_d_without_an_identity_there_is_no_header_whatever_the_client_says() {
    let (_, env) = Turned::env();
    let lies = lines(&[
        ("adit-assertion", "x.y.z"),
        ("x-identity", "x.y.z"),
        ("x_identity", "x.y.z"),
    ]);
    let usual = built("{}", &env);
    assert_eq!(
        header_of(&usual, &env, None, &lies, "adit-assertion").await,
        None
    );
    let own = built("{header: X-Identity}", &env);
    for name in ["x-identity", "x_identity"] {
        assert_eq!(header_of(&own, &env, None, &lies, name).await, None);
    }
    let said = header_of(&own, &env, Some(alice()), &lies, "x-identity").await;
    assert_ne!(said.unwrap(), "x.y.z");
    assert_eq!(
        header_of(&own, &env, Some(alice()), &lies, "x_identity").await,
        None
    );
}

#[tokio::test]
async fn an_assertion_is_signed_once_for_half_of_its_time_and_for_one_caller() {
    let (clock, env) = Turned::env();
    let policy = built("{}", &env);
    let first = token(&policy, &env, alice()).await;
    clock.turn(Duration::from_secs(29));
    assert_eq!(token(&policy, &env, alice()).await, first);
    let promoted = Identity {
        groups: vec!["ops".to_owned(), "admin".to_owned()],
        ..alice()
    };
    assert_ne!(token(&policy, &env, promoted).await, first);
    clock.turn(Duration::from_secs(1));
    let next = token(&policy, &env, alice()).await;
    assert_ne!(next, first);
    let claims = verified(&policy, &env, &next, "app.example.com")
        .await
        .unwrap();
    assert_eq!(claims["exp"], 1_700_000_090);
}

#[tokio::test]
async fn an_assertion_ends_with_the_session_that_it_is_about() {
    let (clock, env) = Turned::env();
    let policy = built("{}", &env);
    let ends = |seconds| Identity {
        until: Some(env.clock().now() + Duration::from_secs(seconds)),
        ..alice()
    };
    let exp = async |who| {
        let token = token(&policy, &env, who).await;
        verified(&policy, &env, &token, "app.example.com")
            .await
            .unwrap()["exp"]
            .clone()
    };
    assert_eq!(exp(ends(20)).await, 1_700_000_020);
    let longer = ends(3600);
    clock.turn(Duration::from_secs(20));
    assert_eq!(exp(longer).await, 1_700_000_080);
}

#[test]
fn what_is_kept_is_bounded() {
    let (_, env) = Turned::env();
    let signed = Signed::new(Duration::from_secs(60), Vec::new());
    for n in 0..1100 {
        let who = Identity {
            id: n.to_string(),
            ..Identity::default()
        };
        assert!(
            signed
                .token(&who, "a".to_owned(), "b".to_owned(), &env)
                .is_some()
        );
    }
    assert!(signed.len() <= 1024);
}

#[tokio::test]
async fn everybody_may_read_the_keys_whatever_other_rules_say() {
    let (_, env) = Turned::env();
    let text = "on_http_request:
  - expressions: [\"req.method != 'PUT'\"]
    actions: [{type: deny}]
  - expressions: [\"req.method == 'PUT'\"]
    actions: [{type: assert-identity}]
";
    let policy = Policy::load("policy.yaml", text, &env).unwrap();
    let reply = published(&policy, &env, &Method::GET).await;
    assert_eq!(reply.headers()[CONTENT_TYPE], "application/jwk-set+json");
    assert_eq!(reply.headers()[CACHE_CONTROL], "public, max-age=3600");
    let head = published(&policy, &env, &Method::HEAD).await;
    assert_eq!(head.status(), 200);
    let post = published(&policy, &env, &Method::POST).await;
    assert_eq!(
        (post.status(), &post.headers()[ALLOW]),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            &HeaderValue::from_static("GET, HEAD")
        )
    );
    // Any other path is the rules' matter, and so is this one in a rule that is only tried.
    for (path, text) in [
        ("/adit/jwks.json.bak", text.to_owned()),
        (
            "/adit/jwks.json",
            text.replace("expressions: [\"req.method == 'PUT'\"]", "mode: shadow"),
        ),
    ] {
        let policy = Policy::load("policy.yaml", &text, &env).unwrap();
        let sent = HeaderMap::new();
        let verdict = policy.on_http_request(&mut get(path, &sent)).await;
        assert!(matches!(verdict, Verdict::Deny { .. }), "{verdict:?}");
    }
}

#[test]
fn a_wrong_config_is_refused() {
    for (config, said) in [
        ("{lifetime: 9s}", "10s to 10m"),
        ("{lifetime: 601s}", "10s to 10m"),
        ("{claims: [sub]}", "an assertion says `sub` itself"),
        (
            "{claims: [department, exp]}",
            "an assertion says `exp` itself",
        ),
        ("{header: connection}", "belongs to the connection"),
        ("{header: authorization}", "a meaning of its own"),
        ("{header: adit-hop}", "is set by the gateway only"),
        ("{header: 'a b'}", "is not a header name"),
        ("{audience: '${req.nothing}'}", "unknown variable"),
        ("{audiences: a}", "audiences"),
    ] {
        let message = refused(&one("on_http_request", "assert-identity", config));
        assert!(message.contains(said), "{config}: {message}");
    }
    assert!(
        !policy(&one(
            "on_http_request",
            "assert-identity",
            "{header: Adit-Assertion}"
        ))
        .is_empty()
    );
}
