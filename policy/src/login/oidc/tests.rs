//! Sign-in at a scripted OpenID Connect provider: what is believed, and what is not.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::*;
use crate::env::FetchError;
use crate::login::testing::{ISSUER, Net, Signer, answer, client, redirect};
use crate::testing::{Turned, now};

const DISCOVERY: &str = "GET https://id.example/.well-known/openid-configuration";
const JWKS: &str = "GET https://id.example/jwks";
const TOKEN: &str = "POST https://id.example/token";
const USER_INFO: &str = "GET https://id.example/me";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

struct Scene {
    net: Arc<Net>,
    clock: Arc<Turned>,
    env: Env,
    key: Signer,
    oidc: Oidc,
}

impl Scene {
    fn new() -> Self {
        Self::asking(&["email", "profile"], &[])
    }

    fn asking(scopes: &[&str], more: &[(&str, &str)]) -> Self {
        let (net, clock, env) = Net::env();
        let key = Signer::new("k1");
        net.says(DISCOVERY, 200, &description());
        net.says(JWKS, 200, &key.jwks());
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let more = more.iter();
        let more = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let issuer = Issuer::parse(ISSUER).unwrap();
        let oidc = Oidc::new(issuer, scopes, more.collect(), &env).unwrap();
        Self {
            net,
            clock,
            env,
            key,
            oidc,
        }
    }

    /// The token endpoint answers with this ID token.
    fn gives(&self, id_token: &str) {
        let tokens = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 60,
            "refresh_token": "rt", "id_token": id_token});
        self.net.says(TOKEN, 200, &tokens);
    }

    async fn redeem(&self) -> Result<SignedIn, Failed> {
        self.redeem_with(Some(ISSUER)).await
    }

    async fn redeem_with(&self, iss: Option<&str>) -> Result<SignedIn, Failed> {
        let answer = Answer {
            code: "c/1",
            iss,
            redirect_uri: "https://app.example.com/adit/oauth2/callback",
            nonce: "n1",
            verifier: VERIFIER,
        };
        self.oidc.redeem(&answer, &client(), &self.env).await
    }

    /// Why an ID token of these claims is not believed.
    async fn unbelievable(&self, change: Value) -> String {
        self.gives(&self.key.sign(&changed(claims(), change)));
        self.doubt().await
    }

    async fn doubt(&self) -> String {
        match self.redeem().await {
            Err(Failed::Unbelievable(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    async fn refresh(&self, tokens: &Tokens) -> Result<SignedIn, Failed> {
        self.oidc
            .refresh(tokens, "alice", &client(), &self.env)
            .await
    }

    async fn logout(&self, token: &str) -> Result<LogoutToken, Failed> {
        self.oidc.logout_token(token, &client(), &self.env).await
    }
}

fn description() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.example/auth",
        "token_endpoint": "https://id.example/token",
        "userinfo_endpoint": "https://id.example/me",
        "end_session_endpoint": "https://id.example/bye",
        "jwks_uri": "https://id.example/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn seconds(from_now: i64) -> i64 {
    let now = now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + from_now
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": "edge", "exp": seconds(300), "iat": seconds(-5),
        "nonce": "n1", "name": "Alice", "email": "alice@example.test", "email_verified": true,
        "groups": ["dev"], "sid": "s1",
    })
}

/// The same with these members, those that are null left out.
fn changed(mut value: Value, change: Value) -> Value {
    let all = value.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => all.remove(name),
            value => all.insert(name.clone(), value.clone()),
        };
    }
    value
}

fn tokens(id: &str) -> Tokens {
    Tokens {
        access: "at".to_owned(),
        refresh: Some("rt".to_owned()),
        id: Some(id.to_owned()),
        expires: None,
    }
}

fn query(url: &str) -> Vec<(String, String)> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().into_owned().collect()
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    query(&format!(
        "https://a/?{}",
        std::str::from_utf8(body).unwrap()
    ))
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    expected.iter().map(own).collect()
}

#[tokio::test]
async fn a_browser_takes_along_all_that_the_flow_needs() {
    let more = [
        ("login_hint", "alice"),
        ("state", "evil"),
        ("prompt", "none"),
    ];
    let scene = Scene::asking(&["email"], &more);
    let mut ask = Ask {
        redirect_uri: "https://app.example.com/adit/oauth2/callback",
        state: "st",
        nonce: "n1",
        challenge: "ch",
        again: false,
    };
    let url = scene
        .oidc
        .authorize(&ask, &client(), &scene.env)
        .await
        .unwrap();
    assert!(url.starts_with("https://id.example/auth?"), "{url}");
    let mut expected = pairs(&[
        ("response_type", "code"),
        ("client_id", "edge"),
        ("state", "st"),
        (
            "redirect_uri",
            "https://app.example.com/adit/oauth2/callback",
        ),
        ("scope", "openid email"),
        ("nonce", "n1"),
        ("code_challenge", "ch"),
        ("code_challenge_method", "S256"),
        ("login_hint", "alice"),
        ("prompt", "none"),
    ]);
    assert_eq!(query(&url), expected);
    ask.again = true;
    let url = scene
        .oidc
        .authorize(&ask, &client(), &scene.env)
        .await
        .unwrap();
    expected.truncate(8);
    expected.extend(pairs(&[("prompt", "login"), ("login_hint", "alice")]));
    assert_eq!(query(&url), expected);
}

#[tokio::test]
async fn somebody_signs_in() {
    let scene = Scene::new();
    scene.gives(&scene.key.sign(&claims()));
    let signed_in = scene.redeem().await.unwrap();
    let person = signed_in.person;
    assert_eq!(person.subject, "alice");
    assert_eq!(person.name, "Alice");
    assert_eq!(
        (person.email.as_str(), person.email_verified),
        ("alice@example.test", Some(true))
    );
    assert_eq!(person.provider_session.as_deref(), Some("s1"));
    assert_eq!(person.claims["groups"], json!(["dev"]));
    assert_eq!(signed_in.tokens.refresh.as_deref(), Some("rt"));
    assert_eq!(
        signed_in.tokens.expires,
        Some(now() + Duration::from_secs(60))
    );

    let asked = scene.net.asked(TOKEN).remove(0);
    let basic = STANDARD.encode("edge:s+e%3Acret");
    assert_eq!(asked.headers[AUTHORIZATION], format!("Basic {basic}"));
    let mut sent = form(&asked.body);
    sent.sort();
    let expected = pairs(&[
        ("code", "c/1"),
        ("code_verifier", VERIFIER),
        ("grant_type", "authorization_code"),
        (
            "redirect_uri",
            "https://app.example.com/adit/oauth2/callback",
        ),
    ]);
    assert_eq!(sent, expected);
    assert!(scene.net.asked(USER_INFO).is_empty());
}

#[tokio::test]
async fn the_secret_goes_into_the_body_if_the_provider_wants_it_there() {
    let scene = Scene::new();
    let methods =
        json!({"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]});
    scene
        .net
        .says(DISCOVERY, 200, &changed(description(), methods));
    scene.gives(&scene.key.sign(&claims()));
    scene.redeem().await.unwrap();
    let asked = scene.net.asked(TOKEN).remove(0);
    assert!(!asked.headers.contains_key(AUTHORIZATION));
    assert!(form(&asked.body).contains(&("client_secret".to_owned(), "s e:cret".to_owned())));
}

#[tokio::test]
async fn a33_d_a_token_with_another_nonce_or_none_is_refused() {
    let scene = Scene::new();
    let why = scene.unbelievable(json!({"nonce": "n2"})).await;
    assert!(why.contains("nonce"), "{why}");
    let why = scene.unbelievable(json!({"nonce": null})).await;
    assert!(why.contains("nonce"), "{why}");
}

#[tokio::test]
async fn a33_h_a_code_of_another_issuer_is_never_sent() {
    let scene = Scene::new();
    scene.gives(&scene.key.sign(&claims()));
    for iss in [
        Some("https://evil.example"),
        Some("https://id.example/"),
        None,
    ] {
        let answered = scene.redeem_with(iss).await;
        assert!(
            matches!(answered, Err(Failed::Unbelievable(_))),
            "{iss:?}: {answered:?}"
        );
    }
    assert!(scene.net.asked(TOKEN).is_empty());
}

#[tokio::test]
async fn an_issuer_that_never_says_its_name_need_not() {
    let scene = Scene::new();
    let silent = json!({"authorization_response_iss_parameter_supported": null});
    scene
        .net
        .says(DISCOVERY, 200, &changed(description(), silent));
    scene.gives(&scene.key.sign(&claims()));
    assert!(scene.redeem_with(None).await.is_ok());
    let mixed_up = scene.redeem_with(Some("https://evil.example")).await;
    assert!(
        matches!(mixed_up, Err(Failed::Unbelievable(_))),
        "{mixed_up:?}"
    );
}

#[tokio::test]
async fn a31_f_g_h_claims_that_do_not_fit_are_refused() {
    let scene = Scene::new();
    for (change, words) in [
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"iss": "https://id.example/"}), "issuer"),
        (json!({"iss": null}), "none"),
        (json!({"aud": "other"}), "audience"),
        (json!({"aud": []}), "audience"),
        (json!({"aud": null}), "audience"),
        (json!({"aud": ["edge", "other"]}), "azp"),
        (json!({"aud": ["edge", "other"], "azp": "other"}), "azp"),
        (json!({"azp": "other"}), "azp"),
        (json!({"exp": seconds(-61)}), "xpired"),
        (json!({"exp": null}), "none"),
        (json!({"iat": seconds(3_600)}), "future"),
        (json!({"nbf": seconds(3_600)}), "not valid yet"),
        (json!({"sub": null}), "none"),
        (json!({"sub": ""}), "id"),
        (json!({"at_hash": "bm90IGl0"}), "at_hash"),
    ] {
        let why = scene.unbelievable(change.clone()).await;
        assert!(why.contains(words), "{change}: {why}");
    }
    let hash = digest(&SHA256, b"at");
    for change in [
        json!({"exp": seconds(-59)}),
        json!({"aud": ["edge", "other"], "azp": "edge"}),
        json!({"at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])}),
    ] {
        scene.gives(&scene.key.sign(&changed(claims(), change.clone())));
        assert!(scene.redeem().await.is_ok(), "{change}");
    }
}

#[tokio::test]
async fn a31_a_b_c_only_the_listed_algorithms_with_public_keys_are_believed() {
    let scene = Scene::new();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(json!({"alg": "none"})), part(claims()));
    let signed = format!(
        "{}.{}",
        part(json!({"alg": "HS256", "kid": "k1"})),
        part(claims())
    );
    let secrets = [
        scene.key.jwk().to_string(),
        scene.key.jwks().to_string(),
        "s e:cret".to_owned(),
    ];
    let mut forged = vec![unsigned];
    for secret in secrets {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, signed.as_bytes());
        forged.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)));
    }
    for header in [
        json!({"alg": "ES384", "kid": "k1"}),
        json!({"alg": "RS256", "kid": "k1"}),
        json!({"alg": "ES256", "kid": "k1", "crit": ["x"]}),
        json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}),
        json!({"kid": "k1"}),
    ] {
        forged.push(scene.key.sign_as(&header, &claims()));
    }
    let other = Signer::new("k1");
    forged.push(other.sign(&claims()));
    forged.push(other.sign_as(
        &json!({"alg": "ES256", "kid": "k1", "jwk": other.jwk()}),
        &claims(),
    ));
    forged.push("no token".to_owned());
    for token in forged {
        scene.gives(&token);
        assert!(
            scene.doubt().await.starts_with("the ID token of"),
            "{token}"
        );
    }
    let unlisted = json!({"id_token_signing_alg_values_supported": ["RS256"]});
    let scene = Scene::new();
    scene
        .net
        .says(DISCOVERY, 200, &changed(description(), unlisted));
    let why = scene.unbelievable(json!({})).await;
    assert!(why.contains("alg"), "{why}");
}

#[tokio::test]
async fn a31_l_an_unknown_key_has_the_keys_fetched_once() {
    let scene = Scene::new();
    let next = Signer::new("k2");
    scene.net.answers(
        JWKS,
        vec![answer(200, &scene.key.jwks()), answer(200, &next.jwks())],
    );
    scene.gives(&scene.key.sign(&claims()));
    scene.redeem().await.unwrap();
    scene.gives(&next.sign(&claims()));
    scene.redeem().await.unwrap();
    assert_eq!(scene.net.asked(JWKS).len(), 2);
    scene.gives(&Signer::new("k3").sign(&claims()));
    for _ in 0..5 {
        scene.doubt().await;
    }
    assert_eq!(scene.net.asked(JWKS).len(), 2, "within a minute");
    scene.clock.turn(Duration::from_secs(61));
    scene.doubt().await;
    assert_eq!(scene.net.asked(JWKS).len(), 3);
}

#[tokio::test]
async fn a32_f_discovery_that_names_another_issuer_is_refused() {
    for (named, words) in [
        ("https://evil.example", "https://evil.example"),
        ("https://id.example/", "slash"),
    ] {
        let scene = Scene::new();
        scene.net.says(
            DISCOVERY,
            200,
            &changed(description(), json!({"issuer": named})),
        );
        let failed = scene.redeem().await.unwrap_err();
        assert!(
            matches!(&failed, Failed::Unreachable(why) if why.contains(words)),
            "{failed}"
        );
    }
}

#[tokio::test]
async fn a32_a_discovery_that_names_endpoints_without_tls_is_refused() {
    for (endpoint, url) in [
        ("authorization_endpoint", "http://id.example/auth"),
        ("token_endpoint", "http://127.0.0.1/token"),
        ("userinfo_endpoint", "http://169.254.169.254/latest"),
        ("end_session_endpoint", "javascript:alert(1)"),
        ("jwks_uri", "http://id.example/jwks"),
    ] {
        let scene = Scene::new();
        scene.net.says(
            DISCOVERY,
            200,
            &changed(description(), json!({endpoint: url})),
        );
        scene.gives(&scene.key.sign(&claims()));
        let failed = scene.redeem().await.unwrap_err();
        let refused = matches!(failed, Failed::Misconfigured(_) | Failed::Unreachable(_));
        assert!(
            refused && scene.net.asked(TOKEN).is_empty(),
            "{endpoint}: {failed}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_does_not_fit_is_told_apart_from_one_that_is_down() {
    for change in [
        json!({"id_token_signing_alg_values_supported": ["none", "HS256"]}),
        json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
        json!({"token_endpoint": null}),
    ] {
        let scene = Scene::new();
        scene
            .net
            .says(DISCOVERY, 200, &changed(description(), change.clone()));
        let failed = scene.redeem().await.unwrap_err();
        assert!(
            matches!(failed, Failed::Misconfigured(_)),
            "{change}: {failed}"
        );
    }
}

#[tokio::test]
async fn a32_d_e_a_provider_that_is_slow_endless_or_failing_is_unreachable() {
    for broken in [
        Err(FetchError::Timeout),
        Err(FetchError::TooLarge),
        Err(FetchError::Refused("10.0.0.1 is not allowed".to_owned())),
        answer(503, &json!({"error": "invalid_grant"})),
        answer(429, &json!({})),
    ] {
        for place in [DISCOVERY, JWKS, TOKEN, USER_INFO] {
            let scene = Scene::new();
            scene.gives(&scene.key.sign(&changed(claims(), json!({"groups": null}))));
            scene.net.answers(place, vec![broken.clone()]);
            let failed = scene.redeem().await.unwrap_err();
            assert!(
                matches!(failed, Failed::Unreachable(_)),
                "{place}: {failed}"
            );
        }
    }
}

#[tokio::test]
async fn a32_b_nobody_is_followed_to_another_host() {
    for place in [DISCOVERY, JWKS, USER_INFO, TOKEN] {
        let scene = Scene::new();
        scene.gives(&scene.key.sign(&changed(claims(), json!({"groups": null}))));
        scene
            .net
            .answers(place, vec![redirect("https://evil.example/x")]);
        let failed = scene.redeem().await.unwrap_err();
        assert!(
            matches!(failed, Failed::Unreachable(_)),
            "{place}: {failed}"
        );
        assert!(scene.net.asked("GET https://evil.example/x").is_empty());
    }
    let scene = Scene::new();
    scene.gives(&scene.key.sign(&claims()));
    scene.net.answers(TOKEN, vec![redirect("/token2")]);
    assert!(matches!(scene.redeem().await, Err(Failed::Unreachable(_))));
    assert!(
        scene.net.asked("POST https://id.example/token2").is_empty(),
        "with the secret"
    );
}

#[tokio::test]
async fn user_info_may_move_on_the_same_host() {
    let scene = Scene::new();
    let lacking = changed(claims(), json!({ "groups": null }));
    scene.gives(&scene.key.sign(&lacking));
    scene.net.answers(USER_INFO, vec![redirect("/me2")]);
    let moved = "GET https://id.example/me2";
    scene
        .net
        .says(moved, 200, &json!({"sub": "alice", "groups": ["x"]}));
    let person = scene.redeem().await.unwrap().person;
    assert_eq!(person.claims["groups"], json!(["x"]));
    scene.net.answers(moved, vec![redirect("/me2")]);
    let circle = scene.redeem().await;
    assert!(matches!(circle, Err(Failed::Unreachable(_))), "{circle:?}");
    assert_eq!(scene.net.asked(moved).len(), 4);
}

#[tokio::test]
async fn what_the_token_endpoint_refuses_has_its_reason() {
    let scene = Scene::new();
    let failed = async |status: u16, body: Value| {
        scene.net.says(TOKEN, status, &body);
        scene.redeem().await.unwrap_err()
    };
    for code in ["invalid_grant", "access_denied", "something_new"] {
        let failed = failed(400, json!({"error": code, "error_description": "so"})).await;
        assert!(
            matches!(&failed, Failed::Refused(why) if why.contains("so")),
            "{code}: {failed}"
        );
    }
    for code in [
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "invalid_request",
    ] {
        let failed = failed(401, json!({ "error": code })).await;
        assert!(
            matches!(failed, Failed::Misconfigured(_)),
            "{code}: {failed}"
        );
    }
    let failed_now = failed(400, json!({"error": "temporarily_unavailable"})).await;
    assert!(matches!(failed_now, Failed::Unreachable(_)), "{failed_now}");
    for body in [
        json!({"token_type": "Bearer"}),
        json!([]),
        json!({"access_token": "a", "token_type": "DPoP"}),
    ] {
        let failed = failed(200, body.clone()).await;
        assert!(
            matches!(failed, Failed::Unbelievable(_)),
            "{body}: {failed}"
        );
    }
    let long = format!("a\nb\u{1b}{}", "x".repeat(10_000));
    let failed = failed(
        400,
        json!({"error": "invalid_grant", "error_description": long}),
    )
    .await;
    assert!(failed.to_string().len() < 300 && !failed.to_string().contains(char::is_control));
}

#[tokio::test]
async fn user_info_adds_what_the_token_leaves_out() {
    let scene = Scene::new();
    let sparse = json!({"email": null, "email_verified": null, "name": null, "groups": null});
    scene.gives(&scene.key.sign(&changed(claims(), sparse)));
    scene.net.says(
        USER_INFO,
        200,
        &json!({"sub": "alice", "email": "a@b.test", "email_verified": false,
        "groups": ["x"], "iss": "https://evil.example"}),
    );
    let person = scene.redeem().await.unwrap().person;
    assert_eq!(
        (person.email.as_str(), person.email_verified),
        ("a@b.test", Some(false))
    );
    assert_eq!(person.claims["groups"], json!(["x"]));
    assert_eq!(person.claims["iss"], ISSUER, "what is signed stays");
    assert_eq!(
        scene.net.asked(USER_INFO)[0].headers[AUTHORIZATION],
        "Bearer at"
    );

    scene.net.says(USER_INFO, 200, &json!({"sub": "mallory"}));
    assert!(scene.doubt().await.contains("somebody else"));
    scene.net.says(USER_INFO, 401, &json!({}));
    assert!(matches!(scene.redeem().await, Err(Failed::Refused(_))));
}

#[tokio::test]
async fn a_refresh_token_is_used_and_turns_over() {
    let scene = Scene::new();
    let renewed = changed(
        claims(),
        json!({"nonce": null, "name": "Alice B", "groups": ["ops"]}),
    );
    scene.net.says(
        TOKEN,
        200,
        &json!({"access_token": "at2", "token_type": "Bearer",
        "refresh_token": "rt2", "id_token": scene.key.sign(&renewed)}),
    );
    let before = tokens(&scene.key.sign(&claims()));
    let signed_in = scene.refresh(&before).await.unwrap();
    assert_eq!(signed_in.person.name, "Alice B");
    assert_eq!(signed_in.person.claims["groups"], json!(["ops"]));
    assert_eq!(signed_in.tokens.refresh.as_deref(), Some("rt2"));
    assert_eq!(signed_in.tokens.access, "at2");
    let sent = form(&scene.net.asked(TOKEN)[0].body);
    assert_eq!(
        sent,
        pairs(&[("grant_type", "refresh_token"), ("refresh_token", "rt")])
    );

    scene
        .net
        .says(TOKEN, 400, &json!({"error": "invalid_grant"}));
    assert!(matches!(
        scene.refresh(&before).await,
        Err(Failed::Refused(_))
    ));
    scene.net.answers(TOKEN, vec![Err(FetchError::Timeout)]);
    assert!(matches!(
        scene.refresh(&before).await,
        Err(Failed::Unreachable(_))
    ));
    let other = scene
        .key
        .sign(&changed(claims(), json!({"sub": "mallory"})));
    scene.gives(&other);
    assert!(matches!(
        scene.refresh(&before).await,
        Err(Failed::Unbelievable(_))
    ));
}

#[tokio::test]
async fn without_a_new_id_token_user_info_says_what_has_changed() {
    let scene = Scene::new();
    scene.net.says(
        TOKEN,
        200,
        &json!({"access_token": "at2", "token_type": "Bearer"}),
    );
    scene
        .net
        .says(USER_INFO, 200, &json!({"sub": "alice", "groups": ["ops"]}));
    let before = tokens(&scene.key.sign(&claims()));
    let signed_in = scene.refresh(&before).await.unwrap();
    assert_eq!(signed_in.person.claims["groups"], json!(["ops"]));
    assert_eq!(signed_in.person.name, "Alice");
    assert_eq!(
        signed_in.tokens.refresh.as_deref(),
        Some("rt"),
        "the old one stays"
    );
    assert_eq!(signed_in.tokens.id, before.id);

    let no_refresh = Tokens {
        refresh: None,
        ..before
    };
    assert!(scene.refresh(&no_refresh).await.is_ok());
    scene.net.says(USER_INFO, 401, &json!({}));
    assert!(matches!(
        scene.refresh(&no_refresh).await,
        Err(Failed::Refused(_))
    ));
    scene.net.says(USER_INFO, 500, &json!({}));
    assert!(matches!(
        scene.refresh(&no_refresh).await,
        Err(Failed::Unreachable(_))
    ));
}

#[tokio::test]
async fn a_browser_is_sent_to_sign_out_at_the_provider() {
    let scene = Scene::new();
    let back = "https://app.example.com/";
    let url = scene
        .oidc
        .sign_out(&tokens("a.b.c"), back, &client(), &scene.env)
        .await
        .unwrap();
    assert!(url.starts_with("https://id.example/bye?"), "{url}");
    let expected = [
        ("id_token_hint", "a.b.c"),
        ("client_id", "edge"),
        ("post_logout_redirect_uri", back),
    ];
    assert_eq!(query(&url), pairs(&expected));
    let scene = Scene::new();
    scene.net.says(
        DISCOVERY,
        200,
        &changed(description(), json!({"end_session_endpoint": null})),
    );
    assert_eq!(
        scene
            .oidc
            .sign_out(&tokens("a.b.c"), back, &client(), &scene.env)
            .await,
        None
    );
}

fn logout_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "edge", "iat": seconds(-1), "exp": seconds(120), "jti": "j1", "sid": "s1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

#[tokio::test]
async fn a_logout_token_says_whose_sessions_end() {
    let scene = Scene::new();
    let read = scene
        .logout(&scene.key.sign(&logout_claims()))
        .await
        .unwrap();
    assert_eq!((read.session.as_deref(), read.subject), (Some("s1"), None));
    assert_eq!(
        (read.id.as_str(), read.expires),
        ("j1", now() + Duration::from_secs(180))
    );
    let header = json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"});
    let person = changed(logout_claims(), json!({"sub": "alice", "sid": null}));
    let read = scene
        .logout(&scene.key.sign_as(&header, &person))
        .await
        .unwrap();
    assert_eq!(
        (read.session, read.subject.as_deref()),
        (None, Some("alice"))
    );
}

#[tokio::test]
async fn a_logout_token_that_does_not_fit_ends_nothing() {
    let scene = Scene::new();
    for (change, words) in [
        (json!({"iss": "https://evil.example"}), "iss"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": null}), "aud"),
        (json!({"exp": seconds(-61)}), "expired"),
        (json!({"exp": null}), "exp"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": seconds(-700)}), "iat"),
        (json!({"iat": seconds(700)}), "future"),
        (json!({"jti": null}), "jti"),
        (json!({"jti": ""}), "jti"),
        (json!({"nonce": "n1"}), "nonce"),
        (json!({"events": null}), "events"),
        (json!({"events": {"other": {}}}), "events"),
        (
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": 1}}),
            "events",
        ),
        (json!({"sid": null}), "sub"),
        (json!({"sid": 1}), "sid"),
    ] {
        let token = scene.key.sign(&changed(logout_claims(), change.clone()));
        match scene.logout(&token).await {
            Err(Failed::Unbelievable(why)) => assert!(why.contains(words), "{change}: {why}"),
            other => panic!("{change}: {other:?}"),
        }
    }
    let id_token = json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"});
    for token in [
        scene.key.sign(&claims()),
        scene.key.sign_as(&id_token, &logout_claims()),
        Signer::new("k1").sign(&logout_claims()),
        scene.key.sign_as(&json!({"alg": "none"}), &logout_claims()),
        "a.b".to_owned(),
    ] {
        let refused = scene.logout(&token).await;
        assert!(
            matches!(refused, Err(Failed::Unbelievable(_))),
            "{token}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn sign_ins_go_on_while_discovery_is_down() {
    let scene = Scene::new();
    scene.gives(&scene.key.sign(&claims()));
    scene.redeem().await.unwrap();
    for place in [DISCOVERY, JWKS] {
        scene.net.answers(place, vec![Err(FetchError::Timeout)]);
    }
    scene.clock.turn(Duration::from_secs(3 * 3_600));
    let later = changed(
        claims(),
        json!({"iat": seconds(3 * 3_600), "exp": seconds(4 * 3_600)}),
    );
    scene.gives(&scene.key.sign(&later));
    scene.redeem().await.unwrap();
    scene.clock.turn(Duration::from_secs(24 * 3_600));
    assert!(matches!(scene.redeem().await, Err(Failed::Unreachable(_))));
}
