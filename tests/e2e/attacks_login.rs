//! Attacks on people who sign in, and on what they are let into, with a real OpenID provider (group 5).

use hyper::Method;
use serde_json::json;

use crate::harness::{
    Agent, Browser, Gateway, OidcProvider, Page, Service,
    browser::{Ask, with_parameter},
    provider::CLIENT_SECRET,
    soon,
};

const APP: &str = "https://app.localhost";

/// An app behind a login, and who uses it.
struct Stage {
    provider: OidcProvider,
    gateway: Gateway,
    service: Service,
    _agent: Agent,
}

impl Stage {
    async fn of(settings: serde_json::Value, more: &str) -> Self {
        let provider = OidcProvider::start(settings).await;
        let headers = "{ x-user: '${actions.ngrok.oidc.identity.email}' }";
        let action = |more: &str| {
            format!(
                "{{ type: openid-connect, config: {{ issuer_url: '{}', client_id: edge, client_secret: {CLIENT_SECRET}{more} }} }}",
                provider.issuer()
            )
        };
        let policy = |more: &str| {
            format!(
                "{{ on_http_request: [{{ actions: [{}, {{ type: add-headers, config: {{ headers: {headers} }} }}] }}] }}",
                action(more)
            )
        };
        let gateway = Gateway::with(&format!(
            "{}endpoints:\n  - {{ url: '{APP}', traffic_policy: {} }}\n  - {{ url: 'https://other.localhost', traffic_policy: {} }}\n",
            provider.allowed(),
            policy(more),
            policy(more),
        ))
        .await;
        provider.register(&gateway, "edge", APP).await;
        let service = Service::echo().await;
        let agent = Agent::forward(&gateway, APP, service.addr()).await;
        Self {
            provider,
            gateway,
            service,
            _agent: agent,
        }
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.gateway)
    }

    /// A browser that comes back from the provider, not yet in.
    async fn before_the_callback(&self, browser: &mut Browser, path: &str) -> String {
        let page = browser.get(&format!("{APP}{path}")).await;
        assert_eq!(page.status, 302, "{page:?}");
        let page = browser.follow_until(page, is_back).await;
        page.location().expect("a way back")
    }

    async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let page = browser.open(&format!("{APP}/")).await;
        assert_eq!(page.status, 200, "{page:?}");
        browser
    }
}

fn is_back(url: &str) -> bool {
    url.contains("/adit/oauth2/callback")
}

async fn program(browser: &mut Browser, url: &str) -> Page {
    let headers = [("accept", "application/json"), ("sec-fetch-mode", "cors")];
    browser
        .send(
            url,
            Ask {
                headers: &headers,
                ..Ask::default()
            },
        )
        .await
}

fn has_session(browser: &Browser) -> bool {
    browser
        .jar
        .iter()
        .any(|cookie| cookie.name.starts_with("__Host-adit_session"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a15_a_the_service_hears_who_it_is_and_sees_no_cookie_of_the_login() {
    let stage = Stage::of(json!({}), "").await;
    let mut browser = stage.browser();
    let page = browser.open(&format!("{APP}/reports?year=2026")).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(
        page.url,
        stage.gateway.url(&format!("{APP}/reports?year=2026"))
    );
    let request = stage.service.only_request();
    assert_eq!(request.header("x-user"), Some("alice@example.test"));
    let cookies = request.header("cookie").unwrap_or_default().to_owned();
    assert!(!cookies.contains("adit_"), "a15: {cookies}");
    let session = browser
        .jar
        .iter()
        .find(|cookie| cookie.name == "__Host-adit_session")
        .unwrap();
    assert!(
        session.secure && session.http_only && session.host_only,
        "{session:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a33_a_callback_is_believed_from_the_browser_that_was_sent() {
    let stage = Stage::of(json!({}), "").await;
    let mut attacker = stage.browser();
    let callback = stage.before_the_callback(&mut attacker, "/").await;
    let mut victim = stage.browser();
    stage.before_the_callback(&mut victim, "/").await;
    let own = stage.before_the_callback(&mut victim, "/").await;
    let code = crate::harness::browser::parameter(&callback, "code").unwrap();
    let cases = [
        ("a", with_parameter(&own, "state", None), "ERR_ADIT_3120"),
        ("c", callback.clone(), "ERR_ADIT_3121"),
        ("f", with_parameter(&own, "code", Some(&code)), "ERR_ADIT_"),
    ];
    for (case, url, number) in cases {
        let page = victim.get(&url).await;
        assert_eq!(page.status, 400, "{case}: {page:?}");
        assert!(
            page.header("adit-error-code").unwrap().starts_with(number),
            "{case}: {page:?}"
        );
        assert!(!has_session(&victim), "{case}");
    }
    let own = stage.before_the_callback(&mut victim, "/").await;
    let page = victim
        .get(&with_parameter(&own, "iss", Some("https://evil.example")))
        .await;
    assert_eq!(page.status, 400, "h: {page:?}");
    assert!(!has_session(&victim), "h");
    let own = stage.before_the_callback(&mut victim, "/").await;
    let before = victim.clone();
    assert_eq!(victim.get(&own).await.status, 302);
    let mut again = before;
    assert_eq!(again.get(&own).await.status, 400, "b");
    assert!(!has_session(&again), "b");
    assert_eq!(
        stage.service.requests().len(),
        0,
        "nothing of it came to the service"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a33_d_an_id_token_for_another_sign_in_is_refused() {
    let stage = Stage::of(json!({}), "").await;
    stage.provider.spoil(json!({ "nonce": "other" })).await;
    let mut browser = stage.browser();
    let page = browser.open(&format!("{APP}/")).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert_eq!(page.header("adit-error-code"), Some("ERR_ADIT_3126"));
    assert!(!has_session(&browser));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a34_two_tabs_and_programs() {
    let stage = Stage::of(json!({}), "").await;
    let mut browser = stage.browser();
    let one = stage.before_the_callback(&mut browser, "/one").await;
    let two = stage.before_the_callback(&mut browser, "/two").await;
    for (back, path) in [(two, "/two"), (one, "/one")] {
        let page = browser.open(&back).await;
        assert_eq!(
            (page.status, page.url),
            (200, stage.gateway.url(&format!("{APP}{path}")))
        );
    }
    let mut abandoned = stage.browser();
    for _ in 0..30 {
        abandoned.get(&format!("{APP}/")).await;
    }
    let open = abandoned
        .jar
        .iter()
        .filter(|cookie| cookie.name.contains("adit_nonce"));
    assert_eq!(open.count(), 5, "b");
    let page = program(&mut stage.browser(), &format!("{APP}/api?a=1")).await;
    assert_eq!(page.status, 401, "c");
    assert_eq!(
        page.json()["details"]["login_url"],
        "/adit/login?redirect_path=%2Fapi%3Fa%3D1"
    );
    assert!(
        page.header("www-authenticate")
            .unwrap()
            .starts_with("Cookie ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a36_a_session_is_worth_nothing_elsewhere_altered_or_after_its_end() {
    let stage = Stage::of(json!({}), ", userinfo_refresh_interval: 1s").await;
    let mut browser = stage.signed_in().await;
    let mut elsewhere = browser.clone();
    for cookie in elsewhere.jar.edit() {
        cookie.domain = "other.localhost".to_owned();
    }
    assert_eq!(
        program(&mut elsewhere, "https://other.localhost/")
            .await
            .status,
        401,
        "a"
    );
    let mut altered = browser.clone();
    for cookie in altered.jar.edit() {
        if cookie.name.starts_with("__Host-adit_session") {
            let last = cookie.value.pop().unwrap();
            cookie.value.push(if last == 'A' { 'B' } else { 'A' });
        }
    }
    assert_eq!(
        program(&mut altered, &format!("{APP}/")).await.status,
        401,
        "b"
    );
    let mut kept = browser.clone();
    assert_eq!(program(&mut kept, &format!("{APP}/")).await.status, 200);
    browser.get(&format!("{APP}/adit/logout")).await;
    assert_eq!(
        program(&mut kept, &format!("{APP}/")).await.status,
        401,
        "d"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a36_e_the_provider_ends_a_session() {
    let stage = Stage::of(json!({}), "").await;
    let mut browser = stage.signed_in().await;
    let answer = stage.provider.sign(json!({ "typ": "logout+jwt" }), json!({
        "iss": stage.provider.issuer(),
        "aud": "edge",
        "sub": "alice",
        "jti": "once",
        "iat": std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
        "exp": std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 60,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })).await;
    let mut server = stage.browser();
    let tell = Ask {
        method: Method::POST,
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        body: format!("logout_token={answer}"),
    };
    let url = format!("{APP}/adit/backchannel-logout");
    assert_eq!(program(&mut browser, &format!("{APP}/")).await.status, 200);
    assert_eq!(server.send(&url, tell.clone()).await.status, 200);
    assert_eq!(program(&mut browser, &format!("{APP}/")).await.status, 401);
    assert_eq!(
        server.send(&url, tell).await.status,
        400,
        "a token is good once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_c_a_provider_that_is_down_keeps_nobody_out_who_is_in() {
    let mut stage = Stage::of(json!({}), ", userinfo_refresh_interval: 1s").await;
    let mut browser = stage.signed_in().await;
    stage.provider.stop().await;
    let session = |browser: &Browser| {
        let mut cookies = browser.jar.iter();
        let cookie = cookies.find(|cookie| cookie.name.starts_with("__Host-adit_session"));
        cookie.unwrap().value.clone()
    };
    let before = session(&browser);
    // Until the provider was asked in vain, and the session goes on all the same.
    soon("the next asking", async {
        while session(&browser) == before {
            let page = program(&mut browser, &format!("{APP}/")).await;
            assert_eq!(page.status, 200);
        }
    })
    .await;
    let page = program(&mut browser, &format!("{APP}/")).await;
    assert_eq!(page.status, 200);
}
