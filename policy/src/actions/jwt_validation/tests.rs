//! Tests of `jwt-validation`: what gets in, and a table of forged tokens.

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::Policy;
use crate::action::{Fault, Refusal};
use crate::body::{BodyFault, BodySource};
use crate::env::FetchError;
use crate::exchange::Exchange;
use crate::jose::testing::{Signer, World, base64, jwks};
use crate::memory::Memory;
use crate::testing::{one, refused, request};
use crate::verdict::Verdict;

use super::*;

const ISSUER: &str = "https://issuer.example";
const URL: &str = "https://issuer.example/jwks";
const NOW: u64 = 1_700_000_000;

/// A config with more beside the usual, and other keys than the usual.
fn config(more: &str, jws: &str) -> String {
    format!(
        "{{issuer: {{allow_list: [{{value: '{ISSUER}'}}]}}, audience: {{allow_list: [{{value: api}}, {{value: other}}]}}, \
          http: {{tokens: [{{type: jwt, method: header, name: Authorization, prefix: 'Bearer '}}]}}, \
          jws: {{{jws}}}{more}}}"
    )
}

fn usual() -> String {
    config(
        "",
        &format!(
            "allowed_algorithms: [ES256, RS256], keys: {{sources: {{additional_jkus: ['{URL}']}}}}"
        ),
    )
}

fn load(config: &str, world: &World) -> Policy {
    let text = one("on_http_request", "jwt-validation", config);
    Policy::load("policy.yaml", &text, &world.env).unwrap()
}

fn claims() -> Json {
    json!({"iss": ISSUER, "aud": "api", "sub": "ada", "exp": NOW + 300})
}

fn but(name: &str, value: Json) -> Json {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Json {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn bearing(token: &str) -> HeaderMap {
    let line = format!("Bearer {token}").parse().unwrap();
    HeaderMap::from_iter([(http::header::AUTHORIZATION, line)])
}

async fn run<'a>(policy: &Policy, world: &'a World, lines: &'a HeaderMap) -> (Verdict, Memory) {
    let mut exchange = Exchange {
        env: &world.env,
        memory: Memory::traced(),
        ..request(lines)
    };
    let verdict = policy.on_http_request(&mut exchange).await;
    (verdict, exchange.memory)
}

/// Status, number and sentence of a refusal.
type Said = (u16, u16, &'static str);

/// What becomes of a request with this token: nothing, or a status and a sentence.
async fn said(policy: &Policy, world: &World, token: &str) -> Result<(), Said> {
    let lines = bearing(token);
    match run(policy, world, &lines).await {
        (Verdict::Continue, memory) => {
            assert!(memory.identity().is_some());
            Ok(())
        }
        (Verdict::Refuse { refusal, .. }, memory) => {
            assert!(memory.identity().is_none());
            Err((refusal.status.as_u16(), refusal.code, refusal.message))
        }
        (other, _) => panic!("{other:?}"),
    }
}

/// A provider that publishes these keys.
fn publishing(signers: &[&Signer]) -> World {
    let world = World::new();
    world.provider.publish(URL, &jwks(signers));
    world
}

async fn refusal(policy: &Policy, world: &World, lines: &HeaderMap) -> Refusal {
    match run(policy, world, lines).await.0 {
        Verdict::Refuse { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    }
}

fn challenge(refusal: &Refusal) -> &str {
    let found = refusal
        .headers
        .iter()
        .find(|(name, _)| name == http::header::WWW_AUTHENTICATE);
    found.map_or("", |(_, value)| value.to_str().unwrap())
}

#[tokio::test]
async fn a_good_token_gets_in_and_says_who_calls() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let policy = load(&usual(), &world);
    let claims = json!({
        "iss": ISSUER, "aud": ["x", "other"], "sub": "ada", "exp": NOW + 300, "name": "Ada", "email": "ada@example.com",
        "email_verified": true, "groups": ["ops"], "n": 1.5,
    });
    let lines = bearing(&signer.token(&claims));
    // Fetched, from what is at hand, and remembered.
    for _ in 0..3 {
        let (verdict, memory) = run(&policy, &world, &lines).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let identity = memory.identity().unwrap();
        assert_eq!(
            (identity.kind, &*identity.id, &*identity.issuer),
            ("jwt", "ada", ISSUER)
        );
        assert_eq!(
            (&*identity.name, &*identity.email, identity.email_verified),
            ("Ada", "ada@example.com", true)
        );
        assert_eq!(identity.groups, ["ops"]);
        assert_eq!(Json::Object((*identity.claims).clone()), claims);
        let (_, result) = memory
            .results()
            .find(|(name, _)| *name == "jwt_validation")
            .unwrap();
        let result: Json = serde_json::from_str(&result.to_text()).unwrap();
        let token = &result["tokens"][0];
        assert_eq!(
            (&token["location"], &token["location_property"]),
            (&json!("header"), &json!("authorization"))
        );
        assert_eq!(
            (
                &token["header"]["alg"],
                &token["payload"],
                &token["verified"]
            ),
            (&json!("ES256"), &claims, &json!(true))
        );
        let line = lines["authorization"].to_str().unwrap();
        assert!(line.ends_with(token["signature"].as_str().unwrap()));
        assert_eq!(result["error"], json!({"code": "", "message": ""}));
    }
    assert_eq!(world.provider.asked(), 1);
}

#[tokio::test]
async fn an_address_that_is_not_verified_is_nobodys() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let policy = load(&usual(), &world);
    for (verified, email) in [
        (json!(false), ""),
        (json!("false"), ""),
        (json!(null), ""),
        (json!(true), "a@b.c"),
    ] {
        let mut claims = but("email", json!("a@b.c"));
        claims["email_verified"] = verified.clone();
        let (_, memory) = run(&policy, &world, &bearing(&signer.token(&claims))).await;
        assert_eq!(memory.identity().unwrap().email, email, "{verified}");
    }
    let (_, memory) = run(
        &policy,
        &world,
        &bearing(&signer.token(&but("email", json!("a@b.c")))),
    )
    .await;
    let identity = memory.identity().unwrap();
    assert_eq!(
        (&*identity.email, identity.email_verified),
        ("a@b.c", false)
    );
}

/// Runs a table: a token, and what it is refused with.
async fn table(rows: &[(String, Option<Said>)], world: &World) {
    let policy = load(&usual(), world);
    for (token, expected) in rows {
        // With nothing at hand, with keys, and once more.
        for _ in 0..3 {
            assert_eq!(
                said(&policy, world, token).await.err(),
                *expected,
                "{token:.200}"
            );
        }
    }
}

const NOT_ALLOWED: Said = (401, 3401, "the token's algorithm is not allowed");
const UNKNOWN: Said = (401, 3401, "the token's key is not known");
const WRONG: Said = (401, 3401, "the token's signature is wrong");
const ISSUER_REFUSED: Said = (403, 3403, "the token's issuer is not allowed");
const AUDIENCE_REFUSED: Said = (403, 3403, "the token is meant for somebody else");

#[tokio::test]
async fn a31_a_an_unsigned_token_is_refused() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let mut rows = Vec::new();
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let message = format!(
            "{}.{}",
            base64(json!({"alg": name, "kid": "a"}).to_string()),
            base64(claims().to_string())
        );
        rows.push((format!("{message}."), Some(NOT_ALLOWED)));
        rows.push((format!("{message}.{}", base64("x")), Some(NOT_ALLOWED)));
    }
    // A good token whose signature was cut off.
    let token = signer.token(&claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    rows.push((format!("{signed}."), Some(WRONG)));
    table(&rows, &world).await;
    assert!(
        refused(&one(
            "on_http_request",
            "jwt-validation",
            &config("", "allowed_algorithms: [none]")
        ))
        .contains("(ERR_ADIT_2222)")
    );
}

#[tokio::test]
async fn a31_b_an_hmac_with_the_public_key_is_refused() {
    let signer = Signer::new("a", "RS256");
    let world = publishing(&[&signer]);
    let jwk = signer.jwk();
    let secrets = [
        jwk.to_string(),
        jwk["n"].as_str().unwrap().to_owned(),
        jwks(&[&signer]),
    ];
    let rows = secrets.iter().map(|secret| {
        let message = format!(
            "{}.{}",
            base64(r#"{"alg":"HS256","kid":"a"}"#),
            base64(claims().to_string())
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = base64(ring::hmac::sign(&key, message.as_bytes()));
        (format!("{message}.{signature}"), Some(NOT_ALLOWED))
    });
    table(&rows.collect::<Vec<_>>(), &world).await;
    for name in ["HS256", "HS384", "HS512"] {
        let config = config("", &format!("allowed_algorithms: [RS256, {name}]"));
        assert!(
            refused(&one("on_http_request", "jwt-validation", &config))
                .contains("keys come from public documents")
        );
    }
    assert_eq!(
        world.provider.asked(),
        0,
        "what has no chance sends nobody to the provider"
    );
}

#[tokio::test]
async fn a31_c_an_algorithm_outside_the_list_is_refused() {
    let (ed, pss) = (Signer::new("a", "EdDSA"), Signer::new("b", "PS256"));
    let world = publishing(&[&ed, &pss]);
    let rows = [
        (ed.token(&claims()), Some(NOT_ALLOWED)),
        (pss.token(&claims()), Some(NOT_ALLOWED)),
    ];
    table(&rows, &world).await;
}

#[tokio::test]
async fn a31_d_the_name_of_a_key_is_only_compared() {
    let (signer, good) = (Signer::new("a", "ES256"), Signer::new("b", "ES256"));
    let world = publishing(&[&good]);
    let names = [
        "../../../../dev/null",
        "a' OR '1'='1",
        "https://evil.example/jwks",
        "a",
        "B",
        "b ",
        "",
        "\u{0}",
        "${secrets.get('a','b')}",
    ];
    let rows = names.map(|name| {
        let header = json!({"alg": "ES256", "kid": name}).to_string();
        (signer.signed(&header, &claims().to_string()), Some(UNKNOWN))
    });
    table(&rows, &world).await;
    let asked = world.provider.requests();
    assert!(asked.len() <= 2 && asked.iter().all(|asked| asked.url == URL));
}

#[tokio::test]
async fn a31_e_keys_that_a_token_brings_along_are_not_looked_at() {
    let (ours, evil) = (Signer::new("a", "ES256"), Signer::new("a", "ES256"));
    let world = publishing(&[&ours]);
    let evil_url = "https://evil.example/jwks";
    world.provider.publish(evil_url, &jwks(&[&evil]));
    let mut rows = Vec::new();
    for (name, value) in [
        ("jku", json!(evil_url)),
        ("x5u", json!(evil_url)),
        ("jwk", evil.jwk()),
        ("x5c", json!(["AA=="])),
    ] {
        let header = json!({"alg": "ES256", "kid": "a", name: value}).to_string();
        rows.push((evil.signed(&header, &claims().to_string()), Some(WRONG)));
        rows.push((ours.signed(&header, &claims().to_string()), None));
    }
    table(&rows, &world).await;
    assert!(
        world
            .provider
            .requests()
            .iter()
            .all(|asked| asked.url == URL)
    );
}

#[tokio::test]
async fn a31_f_another_issuer_is_refused() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let others = [
        json!("https://issuer.example/"),
        json!("HTTPS://ISSUER.EXAMPLE"),
        json!("https://evil.example"),
        json!([ISSUER]),
        json!(null),
        json!(""),
    ];
    let mut rows: Vec<_> = others
        .into_iter()
        .map(|iss| (signer.token(&but("iss", iss)), Some(ISSUER_REFUSED)))
        .collect();
    rows.push((signer.token(&without("iss")), Some(ISSUER_REFUSED)));
    table(&rows, &world).await;
}

#[tokio::test]
async fn a31_g_another_audience_or_none_is_refused() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let others = [
        json!("ap"),
        json!("api/"),
        json!("API"),
        json!(["x", "y"]),
        json!([]),
        json!(null),
        json!({"api": "api"}),
        json!([["api"]]),
    ];
    let mut rows: Vec<_> = others
        .into_iter()
        .map(|aud| (signer.token(&but("aud", aud)), Some(AUDIENCE_REFUSED)))
        .collect();
    rows.push((signer.token(&without("aud")), Some(AUDIENCE_REFUSED)));
    rows.push((signer.token(&but("aud", json!(["x", "other"]))), None));
    table(&rows, &world).await;
}

#[tokio::test]
async fn a31_h_i_a_token_outside_its_time_is_refused() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let rows = [
        (without("exp"), Some((401, 3401, "the token has no `exp`"))),
        (
            but("exp", json!(NOW - 60)),
            Some((401, 3401, "the token has expired")),
        ),
        (but("exp", json!(NOW - 59)), None),
        (
            but("exp", json!("2099-01-01")),
            Some((401, 3401, "a time of the token is not a number of seconds")),
        ),
        (
            but("nbf", json!(NOW + 61)),
            Some((401, 3401, "the token is not valid yet")),
        ),
        (but("nbf", json!(NOW + 60)), None),
        (
            but("iat", json!(NOW + 601)),
            Some((401, 3401, "the token was issued in the future")),
        ),
    ];
    let rows = rows.map(|(claims, said)| (signer.token(&claims), said));
    table(&rows, &world).await;
    let endless = config(
        ", allow_missing_exp: true",
        &format!("allowed_algorithms: [ES256], keys: {{sources: {{additional_jkus: ['{URL}']}}}}"),
    );
    let policy = load(&endless, &world);
    assert_eq!(
        said(&policy, &world, &signer.token(&without("exp"))).await,
        Ok(())
    );
}

#[tokio::test]
async fn a31_j_k_what_can_be_read_in_two_ways_or_is_huge_is_refused() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let header = r#"{"alg":"ES256","kid":"a"}"#;
    let twice = format!(
        r#"{{"iss":"https://evil.example","iss":"{ISSUER}","aud":"api","exp":{}}}"#,
        NOW + 300
    );
    let json = Some((
        401,
        3416,
        "a part of the token is not a JSON object, or a name stands twice in it",
    ));
    let rows = [
        (signer.signed(header, &twice), json),
        (
            signer.token(&but("x", json!("y".repeat(16 << 10)))),
            Some((401, 3416, "the token is longer than 16 KiB")),
        ),
        (
            signer.signed(
                r#"{"alg":"ES256","kid":"a","crit":["x"],"x":1}"#,
                &claims().to_string(),
            ),
            Some((
                401,
                3416,
                "the token's header has `crit`, which nothing here understands",
            )),
        ),
        (
            "a.b.c".to_owned(),
            Some((
                401,
                3416,
                "a part of the token is not base64url without padding",
            )),
        ),
        (
            "x".to_owned(),
            Some((401, 3416, "the token has not three parts between dots")),
        ),
    ];
    table(&rows, &world).await;
}

#[tokio::test]
async fn a31_l_a_storm_of_unknown_keys_is_throttled_and_holds_nobody_up() {
    let (good, evil) = (Signer::new("a", "ES256"), Signer::new("evil", "ES256"));
    let world = publishing(&[&good]);
    let policy = load(&usual(), &world);
    let token = good.token(&claims());
    assert_eq!(said(&policy, &world, &token).await, Ok(()));
    for number in 0..500 {
        let header = json!({"alg": "ES256", "kid": number.to_string()}).to_string();
        let forged = evil.signed(&header, &claims().to_string());
        assert_eq!(said(&policy, &world, &forged).await, Err(UNKNOWN));
        assert_eq!(said(&policy, &world, &token).await, Ok(()));
    }
    assert_eq!(world.provider.asked(), 2);
}

#[tokio::test]
async fn each_way_to_show_nothing_has_its_number_and_its_challenge() {
    let world = World::new();
    let policy = load(&usual(), &world);
    let line =
        |text: &str| HeaderMap::from_iter([(http::header::AUTHORIZATION, text.parse().unwrap())]);
    let mut two = line("Bearer a.b.c");
    two.append("authorization", "Bearer d.e.f".parse().unwrap());
    let mut odd = HeaderMap::new();
    odd.append(
        "authorization",
        http::HeaderValue::from_bytes(b"Bearer \xff").unwrap(),
    );
    for (lines, code, challenged) in [
        (HeaderMap::new(), 3408, "Bearer"),
        (
            line(""),
            3413,
            r#"Bearer error="invalid_token", error_description="what stands in front of the token is missing""#,
        ),
        (
            line("Basic YTpi"),
            3413,
            r#"Bearer error="invalid_token", error_description="what stands in front of the token is missing""#,
        ),
        (line("Bearer"), 3406, "Bearer"),
        (line("bearer   "), 3406, "Bearer"),
        (
            line("bEARER x"),
            3416,
            r#"Bearer error="invalid_token", error_description="the token has not three parts between dots""#,
        ),
        (
            two,
            3416,
            r#"Bearer error="invalid_token", error_description="the header that holds the token has several lines""#,
        ),
        (
            odd,
            3416,
            r#"Bearer error="invalid_token", error_description="the header that holds the token is no text""#,
        ),
    ] {
        let refusal = refusal(&policy, &world, &lines).await;
        assert_eq!(
            (refusal.status, refusal.code),
            (StatusCode::UNAUTHORIZED, code),
            "{lines:?}"
        );
        assert_eq!(challenge(&refusal), challenged, "{lines:?}");
    }
    assert_eq!(
        world.provider.asked(),
        0,
        "nobody is asked for what was not shown"
    );
}

#[tokio::test]
async fn a_wrong_audience_is_challenged_as_a_lack_of_scope() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let policy = load(&usual(), &world);
    let refusal = refusal(
        &policy,
        &world,
        &bearing(&signer.token(&but("aud", json!("x")))),
    )
    .await;
    assert_eq!(
        challenge(&refusal),
        r#"Bearer error="insufficient_scope", error_description="the token is meant for somebody else""#
    );
}

#[tokio::test]
async fn a41_c_without_any_key_nobody_gets_in() {
    let signer = Signer::new("a", "ES256");
    let world = World::new();
    let policy = load(&usual(), &world);
    let token = signer.token(&claims());
    for error in [
        FetchError::Timeout,
        FetchError::TooLarge,
        FetchError::Refused("no".to_owned()),
        FetchError::Failed("no".to_owned()),
    ] {
        world.provider.fail(URL, error);
        let refusal = refusal(&policy, &world, &bearing(&token)).await;
        assert_eq!(
            (refusal.status, refusal.code),
            (StatusCode::SERVICE_UNAVAILABLE, 3422)
        );
        assert_eq!(
            refusal.headers,
            [(http::header::RETRY_AFTER, "5".parse().unwrap())]
        );
        world.clock.turn(std::time::Duration::from_secs(60));
    }
    world.provider.publish(URL, &jwks(&[&signer]));
    assert_eq!(said(&policy, &world, &token).await, Ok(()));
}

#[tokio::test]
async fn rotation_fails_no_request_and_ends_what_the_old_key_signed() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let world = publishing(&[&old]);
    let policy = load(&usual(), &world);
    let (first, second) = (old.token(&claims()), new.token(&claims()));
    assert_eq!(said(&policy, &world, &first).await, Ok(()));
    world.provider.publish(URL, &jwks(&[&new, &old]));
    assert_eq!(said(&policy, &world, &second).await, Ok(()));
    assert_eq!(said(&policy, &world, &first).await, Ok(()));
    world.provider.publish(URL, &jwks(&[&new]));
    world.clock.turn(std::time::Duration::from_secs(13 * 60));
    let (first, second) = (
        old.token(&but("exp", json!(NOW + 9_000))),
        new.token(&but("exp", json!(NOW + 9_000))),
    );
    assert_eq!(
        said(&policy, &world, &first).await,
        Ok(()),
        "the keys are still good, and are renewed"
    );
    world.tasks.run().await;
    assert_eq!(
        said(&policy, &world, &first).await,
        Err(UNKNOWN),
        "though it was remembered"
    );
    assert_eq!(said(&policy, &world, &second).await, Ok(()));
}

#[tokio::test]
async fn a_token_that_is_remembered_ends_at_its_time() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let policy = load(&usual(), &world);
    let token = signer.token(&claims());
    assert_eq!(said(&policy, &world, &token).await, Ok(()));
    world.clock.turn(std::time::Duration::from_secs(359));
    assert_eq!(said(&policy, &world, &token).await, Ok(()));
    world.clock.turn(std::time::Duration::from_secs(1));
    assert_eq!(
        said(&policy, &world, &token).await,
        Err((401, 3401, "the token has expired"))
    );
}

#[tokio::test]
async fn keys_are_found_through_the_issuer_and_verify_its_tokens_only() {
    let (ours, theirs) = (Signer::new("a", "ES256"), Signer::new("a", "ES256"));
    let world = World::new();
    let other = "https://other.example/";
    for (issuer, base, signer) in [
        (ISSUER, ISSUER, &ours),
        (other, "https://other.example", &theirs),
    ] {
        let json = json!({"issuer": issuer, "jwks_uri": format!("{base}/keys")});
        world.provider.publish(
            &format!("{base}/.well-known/openid-configuration"),
            &json.to_string(),
        );
        world
            .provider
            .publish(&format!("{base}/keys"), &jwks(&[signer]));
    }
    let config = format!(
        "{{issuer: {{allow_list: [{{value: '{ISSUER}'}}, {{value: '{other}'}}]}}, jws: {{allowed_algorithms: [ES256]}}, \
          http: {{tokens: [{{type: jwt, method: header, name: authorization, prefix: 'Bearer '}}]}}}}"
    );
    let policy = load(&config, &world);
    let from = |issuer: &str| but("iss", json!(issuer));
    for _ in 0..2 {
        assert_eq!(
            said(&policy, &world, &ours.token(&from(ISSUER))).await,
            Ok(())
        );
        assert_eq!(
            said(&policy, &world, &theirs.token(&from(other))).await,
            Ok(())
        );
        assert_eq!(
            said(&policy, &world, &ours.token(&from(other))).await,
            Err(ISSUER_REFUSED)
        );
        assert_eq!(
            said(&policy, &world, &theirs.token(&from(ISSUER))).await,
            Err(ISSUER_REFUSED)
        );
    }
    assert_eq!(world.provider.asked(), 4);
}

#[tokio::test]
async fn a32_f_an_issuer_that_calls_itself_otherwise_has_no_keys() {
    let signer = Signer::new("a", "ES256");
    let world = World::new();
    let json = json!({"issuer": "https://issuer.example/", "jwks_uri": URL});
    world.provider.publish(
        "https://issuer.example/.well-known/openid-configuration",
        &json.to_string(),
    );
    world.provider.publish(URL, &jwks(&[&signer]));
    let policy = load(&config("", "allowed_algorithms: [ES256]"), &world);
    let unavailable = (503, 3422, "the keys that verify tokens are not available");
    assert_eq!(
        said(&policy, &world, &signer.token(&claims())).await,
        Err(unavailable)
    );
}

#[tokio::test]
async fn the_type_of_a_token_is_demanded_where_it_has_one() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let wrong = (401, 3401, "the token's `typ` is not the one that is wanted");
    for (kind, typ, fits) in [
        ("at+jwt", "at+jwt", true),
        ("at+jwt", "application/AT+JWT", true),
        ("at+jwt", "JWT", false),
        ("it+jwt", "it+jwt", true),
        ("it+jwt", "at+jwt", false),
        ("access_token", "JWT", true),
        ("id_token", "whatever", true),
    ] {
        let policy = load(
            &usual().replace("type: jwt", &format!("type: {kind}")),
            &world,
        );
        let header = json!({"alg": "ES256", "kid": "a", "typ": typ}).to_string();
        let token = signer.signed(&header, &claims().to_string());
        let expected = if fits { Ok(()) } else { Err(wrong) };
        assert_eq!(
            said(&policy, &world, &token).await,
            expected,
            "{kind}: {typ}"
        );
    }
    let policy = load(&usual().replace("type: jwt", "type: at+jwt"), &world);
    assert_eq!(
        said(&policy, &world, &signer.token(&claims())).await,
        Err(wrong)
    );
}

#[tokio::test]
async fn every_token_of_the_list_must_be_good() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let both = usual().replace(
        "tokens: [",
        "tokens: [{type: jwt, method: header, name: X-Second}, ",
    );
    let policy = load(&both, &world);
    let (good, bad) = (
        signer.token(&claims()),
        signer.token(&but("aud", json!("x"))),
    );
    for (first, second, refused) in [
        (&good, &good, None),
        (&bad, &good, Some(3403)),
        (&good, &bad, Some(3403)),
    ] {
        let mut lines = bearing(first);
        lines.insert("x-second", second.parse().unwrap());
        match (run(&policy, &world, &lines).await.0, refused) {
            (Verdict::Continue, None) => {}
            (Verdict::Refuse { refusal, .. }, Some(code)) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refusal(&policy, &world, &bearing(&good)).await.code, 3408);
}

#[tokio::test]
async fn without_enforcement_it_only_tells() {
    let world = World::new();
    let policy = load(&usual().replace("jws:", "enforce: false, jws:"), &world);
    let lines = HeaderMap::new();
    let (verdict, memory) = run(&policy, &world, &lines).await;
    assert!(matches!(verdict, Verdict::Continue));
    assert!(memory.identity().is_none());
    let (_, result) = memory.results().next().unwrap();
    let result: Json = serde_json::from_str(&result.to_text()).unwrap();
    assert_eq!(result["error"]["code"], "ERR_ADIT_3408");
    assert_eq!(result["tokens"][0]["verified"], false);
}

#[tokio::test]
async fn a_rule_that_is_only_tried_makes_nobody_wait() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let text = format!(
        "on_http_request:\n  - mode: shadow\n    actions:\n      - type: jwt-validation\n        config: {}\n",
        usual()
    );
    let policy = Policy::load("policy.yaml", &text, &world.env).unwrap();
    let lines = bearing(&signer.token(&claims()));
    world.provider.hold();
    let (verdict, memory) = run(&policy, &world, &lines).await;
    assert!(matches!(verdict, Verdict::Continue));
    assert!(
        format!("{:?}", memory.shadow()).contains("3422"),
        "{:?}",
        memory.shadow()
    );
    world.provider.release();
    assert_eq!(world.tasks.run().await, 1);
    let (_, memory) = run(&policy, &world, &lines).await;
    assert!(
        !format!("{:?}", memory.shadow()).contains("Refuse"),
        "{:?}",
        memory.shadow()
    );
    assert!(memory.identity().is_none());
}

#[derive(Debug)]
struct Lent(String);

#[async_trait]
impl BodySource for Lent {
    async fn read(&mut self, max: usize) -> Result<Bytes, BodyFault> {
        match self.0.len() > max {
            true => Err(BodyFault::TooLarge),
            false => Ok(Bytes::from(self.0.clone())),
        }
    }
}

#[tokio::test]
async fn a_token_may_stand_in_a_body() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let config = usual().replace(
        "method: header, name: Authorization, prefix: 'Bearer '",
        "method: body, name: Token",
    );
    let policy = load(&config, &world);
    assert!(policy.reads_request_body("/") && !load(&usual(), &world).reads_request_body("/"));
    let token = signer.token(&claims());
    let (json, form) = (
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
    );
    for (method, kind, body, code) in [
        (Method::POST, json, format!(r#"{{"token":"{token}"}}"#), 0),
        (
            Method::PUT,
            "application/vnd.a+json",
            format!(r#"{{"TOKEN":"{token}"}}"#),
            0,
        ),
        (Method::PATCH, form, format!("a=b&token={token}"), 0),
        (Method::POST, json, r#"{"a":1}"#.to_owned(), 3406),
        (Method::POST, json, r#"{"token":""}"#.to_owned(), 3406),
        (Method::POST, json, r#"{"token":1}"#.to_owned(), 3411),
        (Method::POST, json, "{".to_owned(), 3411),
        (Method::POST, json, String::new(), 3411),
        (
            Method::POST,
            json,
            format!(r#"{{"token":"{token}","token":"a.b.c"}}"#),
            3411,
        ),
        (
            Method::POST,
            json,
            format!(r#"{{"token":"{token}","Token":"a.b.c"}}"#),
            3411,
        ),
        (Method::POST, form, format!("token={token}&token=x"), 3412),
        (Method::POST, form, "a=b".to_owned(), 3406),
        (Method::POST, "text/plain", token.clone(), 3414),
        (Method::POST, "", token.clone(), 3414),
        (Method::GET, json, format!(r#"{{"token":"{token}"}}"#), 3415),
        (Method::DELETE, json, String::new(), 3415),
    ] {
        let lines = HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind.parse().unwrap())]);
        let mut lent = Lent(body.clone());
        let mut exchange = Exchange {
            env: &world.env,
            ..request(&lines)
        };
        let asked = exchange.request.as_mut().unwrap();
        asked.method = &method;
        asked.has_body = true;
        asked.body = Some(&mut lent);
        match policy.on_http_request(&mut exchange).await {
            Verdict::Continue => assert_eq!(code, 0, "{kind} {body}"),
            Verdict::Refuse { refusal, .. } => {
                assert_eq!(refusal.code, code, "{kind} {body}");
                let bad = matches!(code, 3411 | 3412 | 3414 | 3415);
                assert_eq!(
                    refusal.status == StatusCode::BAD_REQUEST,
                    bad,
                    "{kind} {body}"
                );
                assert_eq!(
                    challenge(&refusal).contains("invalid_request"),
                    bad,
                    "{kind} {body}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read() {
    let world = World::new();
    let config = usual().replace(
        "method: header, name: Authorization, prefix: 'Bearer '",
        "method: body, name: token",
    );
    let policy = load(&config, &world);
    let lines = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        "application/json".parse().unwrap(),
    )]);
    let mut lent = Lent("x".repeat(BODY_MAX + 1));
    let mut exchange = request(&lines);
    let asked = exchange.request.as_mut().unwrap();
    asked.method = &Method::POST;
    asked.has_body = true;
    asked.body = Some(&mut lent);
    let verdict = policy.on_http_request(&mut exchange).await;
    let Verdict::Fault {
        fault: Fault::Body(fault),
        ..
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(fault, BodyFault::TooLarge);
}

#[tokio::test]
async fn texts_are_filled_in_for_each_exchange() {
    let signer = Signer::new("a", "ES256");
    let world = publishing(&[&signer]);
    let config = usual()
        .replace("{value: api}", "{value: '${req.host}'}")
        .replace("name: Authorization", "name: \"${'Author' + 'ization'}\"")
        .replace(URL, "https://${\"issuer\"}.example/jwks");
    let policy = load(&config, &world);
    assert_eq!(
        said(
            &policy,
            &world,
            &signer.token(&but("aud", json!("app.example.com")))
        )
        .await,
        Ok(())
    );
    assert_eq!(
        said(&policy, &world, &signer.token(&but("aud", json!("api")))).await,
        Err(AUDIENCE_REFUSED)
    );
    // What is left empty allows nothing, not even an empty claim.
    let empty = usual().replace(&format!("value: '{ISSUER}'"), "value: \"${''}\"");
    let policy = load(&empty, &world);
    assert_eq!(
        said(&policy, &world, &signer.token(&but("iss", json!("")))).await,
        Err(ISSUER_REFUSED)
    );
}

#[test]
fn keys_may_be_maps_or_lists_and_identification_changes_nothing() {
    let world = World::new();
    for keys in [
        "{sources: {additional_jkus: ['https://a.example/']}, identification: {token_claims: [kid]}}",
        "[{sources: [{additional_jkus: ['https://a.example/', 'https://b.example/']}], identification: [{token_claims: [kid]}]}]",
        "{sources: {additional_jkus: []}}",
        "{}",
        "[]",
    ] {
        let jws = format!(
            "allowed_algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA], keys: {keys}"
        );
        load(&config("", &jws), &world);
    }
}

#[test]
fn mistakes_are_told_at_their_place() {
    let with = |from: &str, to: &str| {
        let config = usual();
        assert!(config.contains(from), "{from}");
        refused(&one(
            "on_http_request",
            "jwt-validation",
            &config.replace(from, to),
        ))
    };
    for (from, to, message) in [
        (
            "ES256, RS256",
            "",
            "`allowed_algorithms` needs at least one item (ERR_ADIT_2223)",
        ),
        (
            "ES256, RS256",
            "none",
            "algorithm `none` leaves tokens unsigned",
        ),
        (
            "ES256, RS256",
            "HS256",
            "keys come from public documents; use one with a key pair, like `ES256` (ERR_ADIT_2222)",
        ),
        (
            "ES256, RS256",
            "ES512",
            "algorithm `ES512` (P-521) is not built into this version; use `ES384` (ERR_ADIT_2222)",
        ),
        (
            "ES256, RS256",
            "es256",
            "unknown algorithm `es256`, expected one of `RS256`, ",
        ),
        (
            "{value: api}, {value: other}",
            "",
            "`allow_list` needs at least one item (ERR_ADIT_2223)",
        ),
        (
            "{value: api}",
            "{value: ''}",
            "`value` must not be empty (ERR_ADIT_2223)",
        ),
        ("{value: api}", "{vale: api}", "unknown field `vale`"),
        (
            "type: jwt",
            "type: opaque",
            "`type` is `jwt`, `id_token`, `access_token`, `at+jwt`, `it+jwt` or `plain`, not `opaque` (ERR_ADIT_2222)",
        ),
        (
            "method: header",
            "method: cookie",
            "`method` is `header` or `body`, not `cookie` (ERR_ADIT_2222)",
        ),
        (
            "name: Authorization",
            "name: 'a b'",
            "\"a b\" is not a header name (ERR_ADIT_2210)",
        ),
        (
            URL,
            "http://issuer.example/jwks",
            "http://issuer.example/jwks cannot be used: it must begin with https:// (ERR_ADIT_2226)",
        ),
        (
            URL,
            "jwks",
            "jwks cannot be used: it does not begin with http:// or https:// (ERR_ADIT_2226)",
        ),
        (
            "sources:",
            "identification: {token_claims: [x5t]}, sources:",
            "a token names its key with `kid`, not with `x5t` (ERR_ADIT_2222)",
        ),
    ] {
        let text = with(from, to);
        assert!(
            text.contains("policy.yaml:4:") && text.contains(message),
            "{text}"
        );
    }
    let many = vec!["'https://a.example/'"; 101].join(", ");
    assert!(
        with(&format!("'{URL}'"), &many)
            .contains("more than 100 items in `additional_jkus` (ERR_ADIT_7193)")
    );
    let discovered = config("", "allowed_algorithms: [ES256]").replace(ISSUER, "issuer");
    let text = refused(&one("on_http_request", "jwt-validation", &discovered));
    assert!(text.contains("issuer issuer cannot be used"), "{text}");
}
