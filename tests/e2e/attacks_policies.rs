//! Ways around a policy: paths, header lines and protocols in disguise.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;

use crate::harness::{Agent, Gateway, RawService, SWITCHING, Service, h2, raw, soon};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const SIGN_IN: &str = "{ type: basic-auth, config: { credentials: ['alice:correct horse'] } }";
/// `alice:correct horse`
const ALICE: &str = "Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==";
const UPGRADE: &str = "GET /socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A gateway whose `app.localhost` has these rules for requests, from a file.
async fn gateway(rules: &str) -> Gateway {
    let policy = format!("on_http_request:\n{rules}");
    Gateway::with_files(
        &[("app.yaml", &policy)],
        "endpoints:\n  - { url: http://app.localhost, traffic_policy_file: app.yaml }\n  \
         - { url: https://app.localhost, traffic_policy_file: app.yaml }\n",
    )
    .await
}

/// The status of a request, and what of it arrived at the service if it did.
async fn asked(gateway: &Gateway, service: &RawService, head: &str) -> (u16, Option<String>) {
    let known: Vec<_> = service.received().iter().map(Vec::len).collect();
    let answer = raw::send(
        gateway.http(),
        format!("{head}\r\nHost: app.localhost\r\nConnection: close\r\n\r\n"),
    )
    .await;
    // Any of the connections may have carried it: the gateway keeps them.
    let arrived = service
        .received()
        .into_iter()
        .enumerate()
        .map(|(at, bytes)| {
            let fresh = bytes[known.get(at).copied().unwrap_or(0)..].to_vec();
            String::from_utf8(fresh).unwrap()
        });
    let arrived: String = arrived.collect();
    (answer.status, arrived.lines().next().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a03_a04_a_prefix_that_is_cut_off_leads_to_no_protected_path() {
    let gateway = gateway(&format!(
        "  - expressions: [\"req.url.path.startsWith('/admin')\"]\n    actions: [{{ type: deny }}]\n  \
         - expressions: [\"req.url.path.startsWith('/api/')\"]\n    actions:\n      \
         - {{ type: url-rewrite, config: {{ from: '/api/', to: '/' }} }}\n  \
         - expressions: [\"req.url.path.startsWith('/admin')\"]\n    actions: [{SIGN_IN}]\n"
    ))
    .await;
    let service = RawService::answering(OK).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for (target, status, arrives) in [
        ("/api/x", 200, Some("GET /x HTTP/1.1")),
        ("/%61pi/x", 200, Some("GET /x HTTP/1.1")),
        ("/admin", 403, None),
        ("/api/admin", 401, None),
        ("/api/%61dmin", 401, None),
        ("/api../admin", 200, Some("GET /api../admin HTTP/1.1")),
        ("/api%2e%2e/admin", 200, Some("GET /api../admin HTTP/1.1")),
        ("/api/../admin", 403, None),
        // An encoded slash is no separator: the service gets it as it is, and not `/admin`.
        ("/api%2fadmin", 200, Some("GET /api%2Fadmin HTTP/1.1")),
    ] {
        let (answered, arrived) =
            asked(&gateway, &service, &format!("GET {target} HTTP/1.1")).await;
        let arrived = arrived.as_deref();
        // What cannot be read in one way only may be refused as well as read in the right way.
        assert!(
            answered == status || answered == 400 && arrived.is_none(),
            "{target}: {answered} {arrived:?}"
        );
        if answered == status {
            assert_eq!(arrived, arrives, "{target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a09_no_spelling_of_an_open_path_opens_another() {
    let gateway = gateway(&format!(
        "  - expressions: [\"!(req.url.path == '/healthz')\"]\n    actions: [{SIGN_IN}]\n"
    ))
    .await;
    let service = RawService::answering(OK).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    assert_eq!(
        asked(&gateway, &service, "GET /healthz?a=1 HTTP/1.1")
            .await
            .0,
        200
    );
    for target in [
        "/admin?x=/healthz",
        "/admin#/healthz",
        "/admin/healthz",
        "/healthz/../admin",
        "/healthz/",
        "/healthz;/admin",
    ] {
        let (status, arrived) = asked(&gateway, &service, &format!("GET {target} HTTP/1.1")).await;
        assert!(matches!(status, 400 | 401), "{target}: {status}");
        assert_eq!(arrived, None, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a14_a_rule_that_denies_on_any_line_sees_each() {
    let gateway = gateway(
        "  - expressions: [\"'x-role' in req.headers && req.headers['x-role'].exists(role, role.contains('admin'))\"]\n    \
         actions: [{ type: deny }]\n",
    )
    .await;
    let service = RawService::answering(OK).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for lines in [
        "X-Role: user\r\nX-Role: admin",
        "X-Role: admin\r\nX-Role: user",
        "X-Role: user, admin",
        "x-ROLE: admin",
    ] {
        let (status, arrived) =
            asked(&gateway, &service, &format!("GET / HTTP/1.1\r\n{lines}")).await;
        assert_eq!((status, arrived), (403, None), "{lines}");
    }
    assert_eq!(
        asked(&gateway, &service, "GET / HTTP/1.1\r\nX-Role: user")
            .await
            .0,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a05_d_what_a_rewrite_makes_is_one_line() {
    let gateway = gateway(
        "  - actions: [{ type: url-rewrite, config: { from: '.*', to: \"/${'YQ0KeC1ldmlsOiAx'.decodeBase64()}\" } }]\n",
    )
    .await;
    let service = RawService::answering(OK).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let (status, arrived) = asked(&gateway, &service, "GET / HTTP/1.1").await;
    assert!(matches!(status, 400 | 500), "{status}");
    assert_eq!(arrived, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_a_websocket_is_refused_before_anybody_is_dialled() {
    let gateway = gateway(&format!("  - actions: [{SIGN_IN}]\n")).await;
    let service = RawService::start(|mut conn| async move {
        conn.head().await;
        conn.write(SWITCHING).await;
    })
    .await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for wrong in ["", "Authorization: Basic YWxpY2U6d3Jvbmcgb25l\r\n"] {
        let answer = raw::send(gateway.http(), format!("{UPGRADE}{wrong}\r\n")).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    assert_eq!(service.received_text().concat(), "");
    let answer = raw::send(
        gateway.http(),
        format!("{UPGRADE}Authorization: {ALICE}\r\n\r\n"),
    )
    .await;
    assert_eq!(answer.status, 101, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a25_grpc_is_refused_in_its_own_words() {
    let service = Service::echo().await;
    let not_read = "'x-read' in req.headers";
    let gateway = gateway(&format!(
        "  - expressions: [\"{not_read}\"]\n    actions: [{{ type: deny }}]\n  - actions: [{SIGN_IN}]\n"
    ))
    .await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    for (name, status) in [("x-read", "7"), ("x-other", "16")] {
        let call = Request::post("https://app.localhost/a.B/C")
            .header("content-type", "application/grpc")
            .header(name, "1")
            .body(Full::new(Bytes::from_static(&[0; 5])).boxed())
            .unwrap();
        let answer = soon("an answer", client.send_request(call)).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(answer.headers()["grpc-status"], status, "{answer:?}");
    }
    assert_eq!(service.counts().connections, 0);
}
