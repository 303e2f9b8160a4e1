//! `openid-connect` and `oauth` against a real provider: what it says of people, and when it changes its mind.

use serde_json::json;

use crate::harness::{
    Browser, Gateway, OidcProvider, Page, browser::with_parameter, provider::CLIENT_SECRET, soon,
};

/// What the page tells of whoever sees it.
const TOLD: &str = "${identity.kind} ${identity.id}|${identity.name}|${identity.email}|${identity.email_verified}|\
                    ${identity.groups.join(' ')}";

/// Both login actions, by what identities call them.
const KINDS: [&str; 2] = ["oidc", "oauth"];

const APP: &str = "https://app.localhost/reports?year=2026";

/// `app.localhost` behind a login.
async fn behind(provider: &OidcProvider, kind: &str, config: &str) -> Gateway {
    let gateway = Gateway::with(&format!(
        "{}endpoints:\n  - url: https://app.localhost\n    traffic_policy:\n      on_http_request:\n        - actions:\n            \
         - {{ type: {kind}, config: {{ client_id: edge, client_secret: {CLIENT_SECRET}, {config} }} }}\n            \
         - {{ type: custom-response, config: {{ body: \"{TOLD}\" }} }}\n",
        provider.allowed()
    ))
    .await;
    provider
        .register(&gateway, "edge", "https://app.localhost")
        .await;
    gateway
}

async fn behind_oidc(provider: &OidcProvider, more: &str) -> Gateway {
    let config = format!("issuer_url: '{}'{more}", provider.issuer());
    behind(provider, "openid-connect", &config).await
}

/// `provider: custom`, with the provider's endpoints by hand.
async fn behind_custom(provider: &OidcProvider, more: &str) -> Gateway {
    let at = |path: &str| format!("'{}{path}'", provider.issuer());
    let config = format!(
        "provider: custom, authorization_url: {}, token_url: {}, userinfo_url: {}, scopes: [openid, email, profile]{more}",
        at("/auth"),
        at("/token"),
        at("/me")
    );
    behind(provider, "oauth", &config).await
}

async fn behind_a(kind: &str, provider: &OidcProvider, more: &str) -> Gateway {
    match kind {
        "oidc" => behind_oidc(provider, more).await,
        _ => behind_custom(provider, more).await,
    }
}

/// Signs in as whom the provider takes for this.
async fn sign_in_as(hint: &str, browser: &mut Browser, gateway: &Gateway) -> Page {
    let away = browser.get(&gateway.url(APP)).await;
    let to = away.location().unwrap_or_else(|| panic!("{away:?}"));
    let page = browser
        .get(&with_parameter(&to, "login_hint", Some(hint)))
        .await;
    browser.follow(page).await
}

/// Opens the page again until the provider has been asked so often at this path: the answer after that.
async fn until_asked(
    times: u64,
    path: &str,
    provider: &OidcProvider,
    browser: &mut Browser,
    gateway: &Gateway,
) -> Page {
    let asked = async {
        loop {
            let page = browser.get(&gateway.url(APP)).await;
            if provider.asked(path).await >= times {
                return page;
            }
        }
    };
    soon("the provider to be asked again", asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_says_who_somebody_is() {
    for kind in KINDS {
        let provider = OidcProvider::start(json!({})).await;
        let gateway = behind_a(kind, &provider, "").await;
        let mut alice = Browser::new(&gateway);
        let page = sign_in_as("alice", &mut alice, &gateway).await;
        assert_eq!(
            (page.status, page.url.as_str()),
            (200, gateway.url(APP).as_str()),
            "{page:?}"
        );
        assert_eq!(
            page.body,
            format!("{kind} alice|Alice|alice@example.test|true|admins dev")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_provider_is_believed_by_its_certificate() {
    let provider = OidcProvider::start_tls(json!({})).await;
    let gateway = behind_oidc(&provider, "").await;
    let mut alice = Browser::new(&gateway).trusting(&provider);
    let page = sign_in_as("alice", &mut alice, &gateway).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.starts_with("oidc alice|"), "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a37_c_an_address_that_is_not_verified_is_nobodys() {
    for kind in KINDS {
        let provider = OidcProvider::start(json!({})).await;
        let gateway = behind_a(kind, &provider, "").await;
        let mut mallory = Browser::new(&gateway);
        let page = sign_in_as("mallory", &mut mallory, &gateway).await;
        assert_eq!(
            page.body,
            format!("{kind} mallory|Mallory||false|guest"),
            "{page:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_at_the_provider_stays_out() {
    for kind in KINDS {
        let provider = OidcProvider::start(json!({})).await;
        let gateway = behind_a(kind, &provider, "").await;
        let mut nobody = Browser::new(&gateway);
        let page = sign_in_as("deny", &mut nobody, &gateway).await;
        assert_eq!(page.status, 403, "{page:?}");
        assert_eq!(
            page.header("adit-error-code"),
            Some("ERR_ADIT_3114"),
            "{page:?}"
        );
        assert_eq!(provider.asked("/token").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a31_a33_d_an_id_token_that_does_not_fit_lets_nobody_in() {
    let provider = OidcProvider::start(json!({})).await;
    let gateway = behind_oidc(&provider, "").await;
    for claims in [
        json!({ "nonce": "of-another-sign-in" }),
        json!({ "nonce": null }),
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "another-client" }),
        json!({ "exp": 1 }),
        json!({ "azp": "another-client" }),
    ] {
        provider.spoil(claims.clone()).await;
        let mut alice = Browser::new(&gateway);
        let page = sign_in_as("alice", &mut alice, &gateway).await;
        assert_eq!(page.status, 400, "{claims}: {page:?}");
        assert_eq!(
            alice.get(&gateway.url(APP)).await.status,
            302,
            "{claims}: no session"
        );
    }
    provider.spoil(json!({})).await;
    let page = sign_in_as("alice", &mut Browser::new(&gateway), &gateway).await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_brings_what_has_changed_with_a_token_that_turns_over() {
    for kind in KINDS {
        let provider = OidcProvider::start(json!({})).await;
        let gateway = behind_a(kind, &provider, ", userinfo_refresh_interval: 1s").await;
        let mut alice = Browser::new(&gateway);
        let page = sign_in_as("alice", &mut alice, &gateway).await;
        assert!(page.body.ends_with("|admins dev"), "{page:?}");
        provider
            .says_of("alice", json!({ "groups": ["dev"] }))
            .await;
        let page = until_asked(2, "/token", &provider, &mut alice, &gateway).await;
        assert!(page.body.ends_with("|dev"), "{page:?}");
        // The second refresh goes with the token that the first one brought: the old one is used up.
        let page = until_asked(3, "/token", &provider, &mut alice, &gateway).await;
        assert_eq!(page.status, 200, "{page:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a36_e_who_is_not_known_any_more_is_out_at_the_next_refresh() {
    for kind in KINDS {
        let provider = OidcProvider::start(json!({})).await;
        let gateway = behind_a(kind, &provider, ", userinfo_refresh_interval: 1s").await;
        let mut alice = Browser::new(&gateway);
        let page = sign_in_as("alice", &mut alice, &gateway).await;
        assert_eq!(page.status, 200, "{page:?}");
        provider.forget("alice").await;
        let page = until_asked(2, "/token", &provider, &mut alice, &gateway).await;
        assert_eq!(page.status, 302, "to sign in again: {page:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_c_a_provider_that_is_away_lets_nobody_in_and_throws_nobody_out() {
    let provider = OidcProvider::start(json!({})).await;
    let gateway = behind_oidc(&provider, ", userinfo_refresh_interval: 1s").await;
    let mut alice = Browser::new(&gateway);
    let page = sign_in_as("alice", &mut alice, &gateway).await;
    assert_eq!(page.status, 200, "{page:?}");
    provider.fail_at("/token", 503).await;
    let page = until_asked(2, "/token", &provider, &mut alice, &gateway).await;
    assert_eq!(page.status, 200, "{page:?}");
    let page = sign_in_as("alice", &mut Browser::new(&gateway), &gateway).await;
    assert_eq!(page.status, 503, "{page:?}");
    provider.recover().await;
    let page = sign_in_as("alice", &mut Browser::new(&gateway), &gateway).await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_of_the_provider_sign_people_in_at_once() {
    let provider = OidcProvider::start(json!({})).await;
    let gateway = behind_oidc(&provider, "").await;
    for _ in 0..2 {
        let page = sign_in_as("alice", &mut Browser::new(&gateway), &gateway).await;
        assert_eq!(page.status, 200, "{page:?}");
    }
    assert_eq!(provider.asked("/jwks").await, 1);
    provider.rotate_keys(0).await;
    let page = sign_in_as("alice", &mut Browser::new(&gateway), &gateway).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(provider.asked("/jwks").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a32_f_an_issuer_that_calls_itself_otherwise_signs_nobody_in() {
    let provider = OidcProvider::start(json!({})).await;
    let config = format!("issuer_url: '{}/'", provider.issuer());
    let gateway = behind(&provider, "openid-connect", &config).await;
    let page = Browser::new(&gateway).get(&gateway.url(APP)).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert!(
        !page.body.contains(provider.issuer()),
        "that is for the operator: {page:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_the_operators_mistake() {
    let provider = OidcProvider::start(json!({})).await;
    let gateway = behind_oidc(&provider, "").await;
    let callback = gateway.url("https://app.localhost/adit/oauth2/callback");
    let client = json!({ "client_id": "edge", "client_secret": "x".repeat(40), "redirect_uris": [callback] });
    provider.register_as(client).await;
    let page = sign_in_as("alice", &mut Browser::new(&gateway), &gateway).await;
    assert_eq!(page.status, 502, "{page:?}");
    assert!(!page.body.contains(CLIENT_SECRET), "{page:?}");
}
