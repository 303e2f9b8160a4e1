//! The identity providers that the tests start, by themselves: what the other tests lean on holds.

use serde_json::json;

use crate::harness::{
    Browser, Gateway, OidcProvider,
    browser::{parameter, with_parameter},
};

/// An authorization request of the client `edge`, whose verifier nobody knows.
fn authorize(provider: &OidcProvider, gateway: &Gateway) -> String {
    let back = gateway.url("https://app.localhost/adit/oauth2/callback");
    let parameters = [
        ("client_id", "edge"),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("redirect_uri", &back),
        ("state", "s t/a=te"),
        ("nonce", "n"),
        ("code_challenge_method", "S256"),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
    ];
    let url = format!("{}/auth", provider.issuer());
    let add = |url: String, (name, value): &(&str, &str)| with_parameter(&url, name, Some(value));
    parameters.iter().fold(url, add)
}

fn is_back(url: &str) -> bool {
    url.contains("/adit/oauth2/callback")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_signs_people_in_without_asking() {
    for tls in [false, true] {
        let provider = match tls {
            false => OidcProvider::start(json!({})).await,
            true => OidcProvider::start_tls(json!({})).await,
        };
        let gateway = Gateway::start().await;
        provider
            .register(&gateway, "edge", "https://app.localhost")
            .await;
        let mut alice = Browser::new(&gateway).trusting(&provider);
        let page = alice.get(&authorize(&provider, &gateway)).await;
        let back = alice
            .follow_until(page, is_back)
            .await
            .location()
            .expect("a way back");
        assert_eq!(parameter(&back, "state").as_deref(), Some("s t/a=te"));
        assert_eq!(parameter(&back, "iss").as_deref(), Some(provider.issuer()));
        assert!(parameter(&back, "code").is_some(), "{back}");
        // Who refuses comes back, too.
        let asked = with_parameter(&authorize(&provider, &gateway), "login_hint", Some("deny"));
        let mut mallory = Browser::new(&gateway).trusting(&provider);
        let page = mallory.get(&asked).await;
        let back = mallory
            .follow_until(page, is_back)
            .await
            .location()
            .unwrap();
        assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_asks_people_who_they_are() {
    let provider = OidcProvider::start(json!({ "interactive": true })).await;
    let gateway = Gateway::start().await;
    provider
        .register(&gateway, "edge", "https://app.localhost")
        .await;
    let mut alice = Browser::new(&gateway);
    let form = alice.open(&authorize(&provider, &gateway)).await;
    assert!(form.body.contains("<h1>Sign in</h1>"), "{form:?}");
    let wrong = alice
        .submit(
            &form,
            &[("user", "alice"), ("password", "no"), ("answer", "allow")],
        )
        .await;
    assert_eq!(wrong.status, 401, "{wrong:?}");
    let right = [
        ("user", "alice"),
        ("password", "alicepass"),
        ("answer", "allow"),
    ];
    let consent = alice.submit(&wrong, &right).await;
    assert!(
        consent.body.contains("<h1>Allow access</h1>"),
        "{consent:?}"
    );
    // The address it comes back to is nobody's yet.
    let back = alice.submit(&consent, &[("answer", "allow")]).await;
    assert!(
        is_back(&back.url) && back.parameter("code").is_some(),
        "{back:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_does_what_it_is_told() {
    let mut provider = OidcProvider::start(json!({})).await;
    let gateway = Gateway::start().await;
    let mut browser = Browser::new(&gateway);
    let jwks = format!("{}/jwks", provider.issuer());
    let kids = |page: &crate::harness::Page| {
        let keys = page.json()["keys"].as_array().unwrap().clone();
        let kids = keys
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned());
        kids.collect::<Vec<_>>()
    };
    let before = kids(&browser.get(&jwks).await);
    provider.rotate_keys(before.len()).await;
    let both = kids(&browser.get(&jwks).await);
    assert_eq!(both.len(), 2 * before.len());
    assert!(before.iter().all(|kid| both.contains(kid)), "{both:?}");
    assert_eq!(provider.asked("/jwks").await, 2);

    provider.fail_at("/jwks", 503).await;
    assert_eq!(browser.get(&jwks).await.status, 503);
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer());
    assert_eq!(browser.get(&discovery).await.status, 200);
    provider.recover().await;
    assert_eq!(browser.get(&jwks).await.status, 200);

    let token = provider
        .sign(json!({ "typ": "x" }), json!({ "a": 1 }))
        .await;
    assert_eq!(token.split('.').count(), 3, "{token}");

    provider.stop().await;
    provider.start_again().await;
    let after = kids(&browser.get(&jwks).await);
    assert!(both.iter().all(|kid| !after.contains(kid)), "{after:?}");
}
