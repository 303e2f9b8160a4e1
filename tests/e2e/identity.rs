//! The identity providers that the tests start, by themselves: what the other tests lean on holds.

use serde_json::json;

use crate::harness::{
    Browser, Gateway, OidcProvider,
    browser::{parameter, with_parameter},
    chromium::Chromium,
    glewlwyd::{self, Glewlwyd},
};

/// An authorization request of the client `edge`, whose verifier nobody knows.
fn authorize(provider: &OidcProvider, gateway: &Gateway) -> String {
    authorize_at(
        &format!("{}/auth", provider.issuer()),
        gateway,
        "openid email profile",
    )
}

fn authorize_at(endpoint: &str, gateway: &Gateway, scope: &str) -> String {
    let back = gateway.url("https://app.localhost/adit/oauth2/callback");
    let parameters = [
        ("client_id", "edge"),
        ("response_type", "code"),
        ("scope", scope),
        ("redirect_uri", &back),
        ("state", "s t/a=te"),
        ("nonce", "n"),
        ("code_challenge_method", "S256"),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
    ];
    let add = |url: String, (name, value): &(&str, &str)| with_parameter(&url, name, Some(value));
    parameters.iter().fold(endpoint.to_owned(), add)
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_provider_signs_alice_in() {
    if !glewlwyd::is_here() {
        eprintln!("not run: glewlwyd has a package on Debian and its kin only");
        return;
    }
    let gateway = Gateway::start().await;
    let provider = Glewlwyd::start(&gateway).await;
    provider
        .register(&gateway, "edge", "https://app.localhost")
        .await;
    let mut alice = Browser::new(&gateway);
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer());
    let discovery = alice.get(&discovery).await.json();
    assert_eq!(discovery["issuer"], provider.issuer());
    let endpoint = discovery["authorization_endpoint"].as_str().unwrap();
    let page = alice
        .open(&authorize_at(endpoint, &gateway, "openid"))
        .await;
    let back = provider.sign_in(&mut alice, &page, "edge").await;
    let back = back.location().expect("a way back");
    assert!(
        is_back(&back) && parameter(&back, "code").is_some(),
        "{back}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_signs_in_at_the_provider() {
    let provider = OidcProvider::start(json!({ "interactive": true })).await;
    let gateway = Gateway::start().await;
    provider
        .register(&gateway, "edge", "https://app.localhost")
        .await;
    let mut chromium = Chromium::start().await;
    let mut tab = chromium.tab(0);
    assert_eq!(tab.goto(&authorize(&provider, &gateway)).await, 200);
    tab.fill("User", "alice").await;
    tab.fill("Password", "alicepass").await;
    tab.screenshot("provider-sign-in").await;
    tab.click("Sign in").await;
    assert_eq!(tab.heading().await, "Allow access");
    tab.click("Allow").await;
    let back = tab
        .arrive(&gateway.url("https://app.localhost/adit/oauth2/callback"))
        .await;
    assert!(parameter(&back, "code").is_some(), "{back}");
}
