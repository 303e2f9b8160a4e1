//! Whose a cookie is, A15: the gateway's own never reach a service, and none can set them.

use crate::harness::{
    RawService, h2raw, raw,
    stage::{Stage, forwarded, forwarded_h2},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a15_a_the_gateways_own_cookies_stay_with_the_gateway() {
    let stage = Stage::new().await;
    let line = "GET / HTTP/1.1";
    for (sent, left) in [
        ("a=1; __Host-adit_session=s; b=2", "a=1; b=2"),
        ("__Host-adit_session=s;__Secure-adit_csrf=c; a=1", "a=1"),
        ("a=1;b=2", "a=1;b=2"),
    ] {
        let expected = |name: &str| format!("{name}: {left}\r\n");
        stage
            .passes(
                sent,
                get(&format!("Cookie: {sent}\r\n")),
                &forwarded(line, &expected("Cookie")),
            )
            .await;
        stage
            .passes_h2(
                sent,
                &h2raw::get_with(&[("cookie", sent)]),
                &forwarded_h2(line, &expected("cookie")),
            )
            .await;
    }
    // Alone, the line goes, and with it the order of the others.
    let mark = stage.mark();
    let own = get("Cookie: __Host-adit_session=s\r\n");
    assert_eq!(raw::send(stage.gateway.http(), own).await.status, 200);
    let arrived = stage.arrived(&mark).concat().to_ascii_lowercase();
    assert!(!arrived.contains("cookie"), "{arrived}");
    assert!(!arrived.contains("session"), "{arrived}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a15_a_cookies_in_crumbs_are_one_line_for_the_service() {
    let stage = Stage::new().await;
    let crumbs = [
        ("cookie", "a=1"),
        ("cookie", "__Host-adit_session=s"),
        ("cookie", "b=2; c=3"),
    ];
    let lines: String = crumbs
        .map(|(_, crumb)| format!("Cookie: {crumb}\r\n"))
        .concat();
    let line = "GET / HTTP/1.1";
    stage
        .passes(
            "crumbs",
            get(&lines),
            &forwarded(line, "Cookie: a=1; b=2; c=3\r\n"),
        )
        .await;
    stage
        .passes_h2(
            "crumbs",
            &h2raw::get_with(&crumbs),
            &forwarded_h2(line, "cookie: a=1; b=2; c=3\r\n"),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a15_b_a_service_cannot_set_the_gateways_cookies_nor_its_neighbours() {
    let set = "Set-Cookie: own=1\r\nSet-Cookie: __Host-adit_session=evil; Path=/; Secure\r\n\
         Set-Cookie: =__Secure-adit_csrf=evil\r\nSet-Cookie: toss=1; Domain=.LOCALHOST\r\n";
    let both = |status: &str| format!("HTTP/1.1 {status}\r\n{set}Content-Length: 2\r\n\r\nok");
    let stage = Stage::before(RawService::answering(both("200 OK")).await, "").await;
    // The operator's own endpoint may speak for the whole domain.
    for (host, left) in [
        ("app.localhost", &["own=1"][..]),
        ("marked.localhost", &["own=1", "toss=1; Domain=.LOCALHOST"]),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = raw::send(stage.gateway.http(), request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(set_cookies(&answer), left, "{host}: {answer:?}");
    }
    let switching = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{set}\r\n"
    );
    let stage = Stage::before(RawService::answering(switching).await, "").await;
    let request = get("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let answer = raw::send(stage.gateway.http(), request).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(set_cookies(&answer), ["own=1"], "{answer:?}");
}

fn set_cookies(answer: &raw::RawAnswer) -> Vec<&str> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value)
        .collect()
}

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{lines}\r\n")
}
