//! What runs for people who have signed in, and what may not begin without them: A42 a, A25, A20.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::{
    harness::{
        Agent, Browser, CLIENT_SECRET, Gateway, OidcProvider, Service,
        browser::{Ask, with_parameter},
        raw,
        streams::{Streams, web_socket},
    },
    websocket::Echo,
};

/// One host behind a login at the provider, its path `/chat` led to the service of WebSockets.
async fn behind_a_login(
    provider: &OidcProvider,
    max_session: &str,
    (service, echo): (&Service, &Echo),
) -> (Gateway, Agent) {
    let policy = format!(
        "on_http_request:\n\
         - actions: [{{ type: openid-connect, config: {{ issuer_url: '{}', client_id: edge, client_secret: {CLIENT_SECRET}, \
         allow_cors_preflight: true{max_session} }} }}]\n\
         - expressions: [req.url.path == '/chat']\n  \
           actions: [{{ type: forward-internal, config: {{ url: 'https://chat.internal' }} }}]\n",
        provider.issuer()
    );
    let extra = format!(
        "{}endpoints: [{{ url: https://app.localhost, traffic_policy_file: app.yaml }}]\n",
        provider.allowed()
    );
    let gateway = Gateway::with_files(&[("app.yaml", &policy)], &extra).await;
    provider
        .register(&gateway, "edge", "https://app.localhost")
        .await;
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .url("https://chat.internal")
        .upstream(echo.addr);
    let agent = agent.start().await;
    (gateway, agent)
}

/// Signs somebody in, and opens everything that runs.
async fn sign_in(gateway: &Gateway, person: &str) -> (Browser, Streams) {
    let mut browser = Browser::new(gateway);
    let page = browser.get("https://app.localhost/").await;
    let to = with_parameter(&page.location().unwrap(), "login_hint", Some(person));
    let page = browser.open(&to).await;
    assert_eq!(
        (page.status, page.url),
        (200, gateway.url("https://app.localhost/"))
    );
    let cookie = browser.cookies("https://app.localhost/").unwrap();
    let with = [("cookie", cookie.as_str())];
    let socket = web_socket(gateway, "app.localhost", &with).await;
    let socket = socket.unwrap();
    let streams = Streams::beside(socket, gateway, "app", &cookie).await;
    (browser, streams)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_a25_whoever_signs_out_has_nothing_that_runs_and_nobody_else_notices() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    let (mut alice, hers) = sign_in(&gateway, "alice").await;
    let (_, mut others) = sign_in(&gateway, "mallory").await;
    let mut download = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    let cookie = alice.cookies("https://app.localhost/").unwrap();
    let port = gateway.https().port();
    let get = |path| {
        format!("GET {path} HTTP/1.1\r\nHost: app.localhost:{port}\r\nCookie: {cookie}\r\n\r\n")
    };
    download.send(get("/slow-body")).await;
    download.until("begun ").await;

    alice.get("https://app.localhost/adit/logout").await;
    hers.are_ended("session signed out", "16").await;
    // Even what would have come to an end by itself, and the cookie that somebody has kept.
    assert!(!download.rest().await.ends_with(b"done\r\n0\r\n\r\n"));
    let kept = raw::send_tls(&gateway, "app.localhost", get("/api")).await;
    assert_ne!(kept.status, 200);
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_the_provider_may_sign_somebody_out_everywhere() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    let (_, at_home) = sign_in(&gateway, "alice").await;
    let (_, at_work) = sign_in(&gateway, "alice").await;
    let (_, mut others) = sign_in(&gateway, "mallory").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let news = json!({
        "iss": provider.issuer(), "aud": "edge", "sub": "alice", "jti": "once",
        "iat": now.as_secs(), "exp": now.as_secs() + 60,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let token = provider.sign(json!({ "typ": "logout+jwt" }), news).await;
    let told = Ask {
        method: Method::POST,
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        body: format!("logout_token={token}"),
    };
    let url = gateway.url("https://app.localhost/adit/backchannel-logout");
    let heard = Browser::new(&gateway).send(&url, told).await;
    assert_eq!(heard.status, 200, "{heard:?}");
    at_home.are_ended("session signed out", "16").await;
    at_work.are_ended("session signed out", "16").await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_what_runs_ends_with_its_session_at_the_latest() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) =
        behind_a_login(&provider, ", max_session_duration: 5s", (&service, &echo)).await;
    let (_, streams) = sign_in(&gateway, "alice").await;
    streams.are_ended("session over", "16").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_a_b_c_d_a_socket_behind_a_login_is_refused_before_its_service_is_dialled() {
    let (service, mut echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    for cookie in ["", "__Host-adit_session=forged"] {
        let refused = web_socket(&gateway, "app.localhost", &[("cookie", cookie)]).await;
        assert_eq!(refused.err(), Some(StatusCode::UNAUTHORIZED), "{cookie}");
    }
    let (browser, mut streams) = sign_in(&gateway, "alice").await;
    let cookie = browser.cookies("https://app.localhost/").unwrap();
    for origin in [
        "https://evil.localhost",
        "https://app.localhost.evil",
        "null",
    ] {
        let with = [("cookie", cookie.as_str()), ("origin", origin)];
        let refused = web_socket(&gateway, "app.localhost", &with).await;
        assert_eq!(refused.err(), Some(StatusCode::FORBIDDEN), "{origin}");
    }
    streams.go_on(&service).await;
    // The first handshake that the service has seen is the one of somebody who has signed in.
    let seen = echo.handshakes.try_recv().unwrap();
    assert!(
        seen.iter()
            .all(|(name, value)| name != "cookie" || !value.contains("adit"))
    );
    assert!(echo.handshakes.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_whoever_reads_nothing_is_cut_off_too() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    let (mut alice, _unread) = sign_in(&gateway, "alice").await;
    // More than all that lies between can hold.
    for _ in 0..12 {
        service.send_event(&"x".repeat(4 << 20));
    }
    assert_eq!(service.counts().readers, 3);
    alice.get("https://app.localhost/adit/logout").await;
    service
        .wait_for("the service to see its readers leave", |counts| {
            counts.readers == 0
        })
        .await;
}
