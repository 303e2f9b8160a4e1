//! Paths in disguise, A01, A02, A04, A06: one reading, the same for routing, policies, logs and the service.

use crate::harness::{
    AditProcess,
    command::GatewayProcess,
    h2raw,
    named::Named,
    raw,
    stage::{Stage, forwarded, forwarded_h2},
    token_of,
};

/// How `/admin` is asked for, and what else than 400 becomes of it where the operator normalizes.
const DOUBTFUL: [(&str, &str); 22] = [
    ("/public/..%2fadmin", "/admin"),
    ("/public/..%2Fadmin", "/admin"),
    ("/public/%2e%2e/admin", "/admin"),
    ("/public/.%2E/admin", "/admin"),
    ("/public%2f../admin", "/admin"),
    ("/public/..;/admin", "/admin"),
    ("/public/..;a=b/admin", "/admin"),
    ("/public/..%3b/admin", "/admin"),
    ("/;a/admin", "/admin"),
    ("/public/..\\admin", "/admin"),
    ("/public\\..\\admin", "/admin"),
    ("/public/..%5cadmin", "/admin"),
    ("/public/%2e%2e%5cadmin", "/admin"),
    ("/%5Cadmin", "/admin"),
    ("//admin", "/admin"),
    ("///admin", "/admin"),
    ("//admin?//x", "/admin?//x"),
    ("/public//..//admin", "/admin"),
    ("/../admin", "/admin"),
    ("/public/../../admin", "/admin"),
    ("/%2e/admin", "/admin"),
    ("/admin/x%2f..", "/admin/"),
];

/// What every service reads alike.
const RESPELLED: [(&str, &str); 8] = [
    ("/public/../admin", "/admin"),
    ("/%61dmi%6E", "/admin"),
    ("/./admin/.", "/admin/"),
    ("/admin/x/..?../..", "/admin/?../.."),
    ("/a%2fb", "/a%2Fb"),
    ("/a%2Fb/../admin", "/admin"),
    ("/%c3%bc?%c3%bc", "/%C3%BC?%c3%bc"),
    ("/%7Euser", "/~user"),
];

/// What stays, because it is data.
const UNCHANGED: [&str; 10] = [
    "/%252e%252e%252fadmin",
    "/public/%252e%252e/admin",
    "/a%2Fb",
    "/proxy/https%3A%2F%2Fexample.com%2Fx",
    "/admin;jsessionid=1",
    "/a;b/c",
    "/.well-known/..x/...",
    "/?next=//evil.example/..\\x&%zz",
    "/a%20b%25",
    "/admin/",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a01_a02_a_path_that_services_read_differently_is_refused() {
    let stage = Stage::new().await;
    for (target, _) in DOUBTFUL {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        stage.refuses(target, &request, &[400]).await;
        stage.refuses_h2(target, &h2raw::get(target), &[400]).await;
        let answer = raw::send(stage.gateway.http(), request).await;
        assert_eq!(
            answer.header("adit-error-code"),
            Some("ERR_ADIT_50003"),
            "{answer:?}"
        );
    }
    for target in ["/%", "/%4", "/%zz", "/%%32e"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        stage.refuses(target, request, &[400]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a01_a02_or_normalized_for_routing_and_service_if_the_operator_says_so() {
    let stage = Stage::normalizing().await;
    for (target, canonical) in DOUBTFUL.into_iter().chain(RESPELLED) {
        arrives_as(&stage, target, canonical).await;
    }
    for target in UNCHANGED {
        arrives_as(&stage, target, target).await;
    }
    // There is nothing that these could be normalized to.
    for target in ["/%00", "/a%0d%0ab", "/%", "/%zz"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        stage.refuses(target, request, &[400]).await;
        stage.refuses_h2(target, &h2raw::get(target), &[400]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a04_a_path_reaches_the_service_in_its_one_spelling() {
    let stage = Stage::new().await;
    for (target, canonical) in RESPELLED {
        arrives_as(&stage, target, canonical).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a01_the_logs_of_both_sides_tell_the_path_that_was_routed() {
    let endpoint = "endpoints: [{ url: http://app.localhost, normalize_paths: true }]";
    let mut gateway = GatewayProcess::start(endpoint).await;
    let service = Named::start("app").await;
    let upstream = service.address().to_string();
    let url = "http://app.localhost";
    let args = [
        "http",
        &upstream,
        "--url",
        url,
        "--log=stdout",
        "--log-level=debug",
    ];
    let mut agent = AditProcess::spawn_in(gateway.home(&token_of("tester")), args, &[]);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    let request = "GET /public/..%2f%73ecret/x?y HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    raw::send(gateway.http(), request).await;
    for (process, message) in [(&mut gateway.process, "exchange"), (&mut agent, "request")] {
        let said = format!("msg={message}");
        let line = process.wait_for_line(|line| line.contains(&said)).await;
        assert!(line.contains("path=/secret/x "), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a06_what_is_encoded_twice_is_decoded_by_nobody() {
    let stage = Stage::new().await;
    for target in UNCHANGED {
        arrives_as(&stage, target, target).await;
    }
}

/// On HTTP/1.1, on HTTP/2 and in the handshake of a WebSocket.
async fn arrives_as(stage: &Stage, target: &str, canonical: &str) {
    let line = format!("GET {canonical} HTTP/1.1");
    let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    stage.passes(target, request, &forwarded(&line, "")).await;
    stage
        .passes_h2(target, &h2raw::get(target), &forwarded_h2(&line, ""))
        .await;
    let mark = stage.mark();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n{upgrade}\r\n");
    assert_eq!(raw::send(stage.gateway.http(), request).await.status, 200);
    let arrived = stage.arrived(&mark).concat();
    assert!(arrived.starts_with(&line), "{target}: {arrived}");
}
