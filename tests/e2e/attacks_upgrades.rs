//! What a request turns into, A19–A21: only a WebSocket, only when both ends agree, and never around a policy.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::harness::{
    RawConn, RawService, SWITCHING, h2raw,
    stage::{OK, Stage, forwarded},
};

/// The bytes that hide.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a19_a_b_c_only_a_websocket_is_an_upgrade() {
    let stage = Stage::new().await;
    let plain = forwarded("GET / HTTP/1.1", "");
    for lines in [
        "Connection: Upgrade\r\nUpgrade: x\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, x\r\n",
        "Upgrade: x\r\n",
        "Upgrade: websocket\r\n",
        "Connection: X-Other\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{lines}\r\n");
        let mut client = stage.client(true).await;
        let mark = stage.mark();
        client.send(request).await;
        assert_eq!(client.answer().await.status, 200, "{lines}");
        let arrived = stage.arrived(&mark).concat();
        assert_eq!(sorted(&arrived), sorted(&plain), "{lines}");
    }
    for field in [
        ("upgrade", "h2c"),
        ("connection", "upgrade"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ] {
        let fields = h2raw::get_with(&[field]);
        let block = h2raw::block(&fields);
        let mut client = stage.h2(true).await;
        let mark = stage.mark();
        client.send(h2raw::headers(3, &block, true)).await;
        let answer = client.answer(3).await;
        let arrived = stage.arrived(&mark).concat();
        assert!(
            answer.status == Some(200) || arrived.is_empty(),
            "{answer:?}"
        );
        assert!(
            !arrived.contains("h2c") && !arrived.contains("2-settings"),
            "{arrived}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a19_d_nothing_behind_an_upgrade_request_is_forwarded_before_a_101() {
    for (answer, passes) in [
        (OK, false),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false),
        (SWITCHING, true),
    ] {
        let go = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&go);
        let service =
            RawService::start(move |conn| upgrade(conn, answer, Arc::clone(&waits))).await;
        let stage = Stage::before(service, "").await;
        let mut client = stage.client(true).await;
        let mark = stage.mark();
        client
            .send(format!(
                "GET /ws HTTP/1.1\r\nHost: app.localhost\r\n{WEBSOCKET}\r\n{SMUGGLED}"
            ))
            .await;
        while stage.arrived(&mark).is_empty() {
            tokio::task::yield_now().await;
        }
        // Somebody else's exchange takes longer than bytes that are on their way.
        for _ in 0..3 {
            stage.client(false).await;
        }
        let before: Vec<_> = stage
            .arrived(&mark)
            .into_iter()
            .filter(|bytes| bytes.contains("/ws"))
            .collect();
        assert!(
            before[0].ends_with("\r\n\r\n") && !before[0].contains("smuggled"),
            "{before:?}"
        );
        go.add_permits(1);
        let status = client.answer().await.status;
        assert_eq!(
            status,
            if passes {
                101
            } else {
                answer[9..12].parse().unwrap()
            }
        );
        if passes {
            assert_eq!(client.until("smuggled").await, "GET /smuggled");
        } else {
            client.finish().await;
            client.rest().await;
            stage.client(false).await;
            assert!(!stage.arrived(&mark).concat().contains("smuggled"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_policy_runs_for_a_websocket_handshake_as_for_any_request() {
    let service =
        RawService::start(|conn| upgrade(conn, SWITCHING, Arc::new(Semaphore::new(9)))).await;
    let stage = Stage::before(service, "").await;
    for (host, status) in [("denied.localhost", 401), ("barred.localhost", 403)] {
        for fresh in [true, false] {
            let mut client = stage.client(fresh).await;
            let mark = stage.mark();
            client
                .send(format!(
                    "GET /ws HTTP/1.1\r\nHost: {host}\r\n{WEBSOCKET}\r\n"
                ))
                .await;
            assert_eq!(client.answer().await.status, status);
            client.send("tunnelled?").await;
            stage.nothing_arrived(host, &mark).await;
        }
    }
    let mut client = stage.client(true).await;
    let mark = stage.mark();
    client
        .send(format!("GET /ws HTTP/1.1\r\nHost: marked.localhost\r\nX-Forwarded-User: root\r\n{WEBSOCKET}\r\n"))
        .await;
    assert_eq!(client.answer().await.status, 101);
    let handshake = stage.arrived(&mark).concat().to_ascii_lowercase();
    assert!(handshake.contains("\r\nx-user: alice\r\n"), "{handshake}");
    assert!(!handshake.contains("root"), "{handshake}");
    client.send("tunnelled").await;
    assert_eq!(client.until("tunnelled").await, "tunnelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a21_a_a_200_to_an_upgrade_is_a_plain_response() {
    let stage = Stage::new().await;
    let mut client = stage.client(true).await;
    let mark = stage.mark();
    client
        .send(format!(
            "GET /ws HTTP/1.1\r\nHost: app.localhost\r\n{WEBSOCKET}\r\n"
        ))
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    // What comes now is a request or nothing, in no case bytes for a tunnel.
    client.send("tunnelled?\r\n\r\n").await;
    client.finish().await;
    client.rest().await;
    stage.client(false).await;
    assert!(!stage.arrived(&mark).concat().contains("tunnelled"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a21_b_c_a_101_that_nobody_asked_for_is_a_bad_gateway() {
    let other = SWITCHING.replace("websocket", "other");
    let bare = "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned();
    let plain = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n".to_owned();
    let upgrade = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{WEBSOCKET}\r\n");
    let cases = [
        ("b", &plain, SWITCHING.to_owned()),
        ("b, bare", &plain, bare.clone()),
        ("c", &upgrade, other),
        ("c, bare", &upgrade, bare),
    ];
    for (case, request, switching) in cases {
        let service = RawService::start(move |mut conn: RawConn| {
            let switching = switching.clone();
            async move {
                conn.head().await;
                conn.write(format!("{switching}{OK}")).await;
                conn.closed().await;
            }
        })
        .await;
        let stage = Stage::before(service, "").await;
        for _ in 0..2 {
            let mut client = stage.client(true).await;
            client.send(request).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 502, "{case}: {answer:?}");
            client.send("tunnelled?").await;
            assert_eq!(client.rest().await, b"", "{case}");
        }
        if case.starts_with('b') {
            let mut client = stage.h2(true).await;
            client
                .send(h2raw::headers(3, &h2raw::block(&h2raw::get("/")), true))
                .await;
            assert_eq!(client.answer(3).await.status, Some(502), "{case}");
        }
        // Each on a connection of its own, none of them used again.
        let received = stage.service.received_text();
        assert!(
            received
                .iter()
                .all(|bytes| bytes.matches("GET").count() == 1),
            "{case}: {received:?}"
        );
        assert!(
            !received.concat().contains("tunnelled"),
            "{case}: {received:?}"
        );
    }
}

/// Answers a websocket's handshake when told to, then sends back what comes; other requests are answered at once.
async fn upgrade(mut conn: RawConn, answer: &'static str, go: Arc<Semaphore>) {
    while let Some(head) = conn.head().await {
        if !head.starts_with("GET /ws") {
            conn.write(OK).await;
            continue;
        }
        go.acquire().await.unwrap().forget();
        conn.write(answer).await;
        if answer == SWITCHING {
            while let Some(byte) = conn.exactly(1).await {
                conn.write(byte).await;
            }
        }
    }
}

/// A head with its header lines in a fixed order.
fn sorted(head: &str) -> Vec<&str> {
    let mut lines: Vec<_> = head.split("\r\n").collect();
    lines.sort_unstable();
    lines
}
