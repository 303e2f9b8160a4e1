//! HTTP/1.1 through gateway and agent: what the service receives and what the client gets, byte for byte.

use crate::harness::{Agent, Gateway, RawService, Service, curl, pattern, raw, sha256, soon};

/// A gateway with a plain endpoint `app.localhost`, where a raw service answers.
async fn in_front_of(service: &RawService) -> (Gateway, Agent) {
    let gateway = Gateway::start().await;
    let agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    (gateway, agent)
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_reaches_the_service_and_its_answer_the_client() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    assert_eq!(agent.url(), gateway.url("https://app.localhost"));

    let answer = curl(&gateway, ["--http1.1", "https://app.localhost/a?b=c"]).await;

    assert_eq!(
        (answer.code, answer.status, answer.version.as_str()),
        (0, 200, "1.1"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["target"], "/a?b=c");
    let request = service.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("GET", "/a?b=c")
    );
    let host = format!("app.localhost:{}", gateway.https().port());
    assert_eq!(request.header("host"), Some(host.as_str()));
    agent.close().await;
    soon("the URL to be nobody's", async {
        while curl(&gateway, ["https://app.localhost/"]).await.status != 404 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_receives_the_request_as_it_was_sent_and_four_headers_more() {
    let service = RawService::answering(OK).await;
    let (gateway, _agent) = in_front_of(&service).await;
    let sent = "POST /a%20b/../c?q=1&q=2 HTTP/1.1\r\nHost: App.localhost:1\r\nX-Case: Kept\r\nx-twice: 1\r\nx-twice: 2\r\n\
                cookie: a=b; c=d\r\nAccept-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(raw::send(gateway.http(), sent).await.status, 200);
    // Only host and path come in the one spelling that the gateway routed on.
    let received = service.received_text().remove(0);
    let (begin, trace) = received.split_once("traceparent: 00-").unwrap();
    let (_, end) = trace.split_once("\r\n").unwrap();
    assert_eq!(
        format!("{begin}{end}"),
        "POST /c?q=1&q=2 HTTP/1.1\r\nHost: app.localhost:1\r\nX-Case: Kept\r\nx-twice: 1\r\nx-twice: 2\r\n\
         cookie: a=b; c=d\r\nAccept-Encoding: gzip\r\nContent-Length: 4\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: app.localhost:1\r\n\r\nbody"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_receives_the_answer_as_it_was_sent() {
    let answer = "HTTP/1.1 299 Fine By Me\r\nServer: mine\r\nX-Case: Kept\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 2\r\n\r\nok";
    let service = RawService::answering(answer).await;
    let (gateway, _agent) = in_front_of(&service).await;
    let answer = raw::send(gateway.http(), GET).await;
    let lines: Vec<_> = answer
        .head
        .lines()
        .filter(|line| !line.starts_with("Date: "))
        .collect();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 299 Fine By Me",
            "Server: mine",
            "X-Case: Kept",
            "set-cookie: a=b",
            "set-cookie: c=d",
            "content-length: 2",
            "Connection: keep-alive"
        ]
    );
    assert_eq!(answer.text(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_is_carried() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE",
    ] {
        let answer = curl(&gateway, ["--request", method, "https://app.localhost/"]).await;
        assert_eq!(answer.json()["method"], method, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_has_the_answers_headers_and_no_body() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    for _ in 0..2 {
        client
            .send("HEAD /bytes/1000 HTTP/1.1\r\nhost: app.localhost\r\n\r\n")
            .await;
        let answer = client.answer_to("HEAD").await;
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("1000")),
            "{answer:?}"
        );
    }
    client.send(GET).await;
    assert_eq!(client.answer().await.json()["target"], "/x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_leave_the_connection_in_order() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    for status in [204, 304, 200, 304, 204] {
        client
            .send(format!(
                "GET /status/{status} HTTP/1.1\r\nhost: app.localhost\r\n\r\n"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
        assert_eq!(answer.body.is_empty(), status != 200, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_are_handed_on() {
    let service = RawService::answering(format!(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n{OK}"
    ))
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    let hints = client.answer().await;
    assert_eq!(
        (hints.status, hints.header("link")),
        (103, Some("</a.css>")),
        "{hints:?}"
    );
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_bodies_pass_in_both_directions() {
    let service = RawService::start(|mut conn| async move {
        while let Some((head, body)) = conn.request().await {
            assert!(
                head.to_lowercase().contains("transfer-encoding: chunked"),
                "{head}"
            );
            let half = body.len() / 2;
            conn.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await;
            for piece in [&body[..half], &body[half..], b""] {
                conn.write(format!("{:x}\r\n", piece.len())).await;
                conn.write(piece).await;
                conn.write("\r\n").await;
            }
        }
    })
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    for _ in 0..2 {
        client
            .send("POST / HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        client
            .send("5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\n\r\n")
            .await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello world"),
            "{answer:?}"
        );
    }
    assert_eq!(service.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let service = RawService::start(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            .await;
        conn.write(pattern(100_000)).await;
    })
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    for _ in 0..2 {
        let answer = raw::send(gateway.http(), GET).await;
        assert_eq!(
            (answer.status, sha256(&answer.body)),
            (200, sha256(&pattern(100_000))),
            "{}",
            answer.head
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_short_is_seen_to_be() {
    let service = RawService::start(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
            .await;
    })
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    let answer = raw::send(gateway.http(), GET).await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.closed),
        (200, "only this", true),
        "{answer:?}"
    );

    let service = RawService::start(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n")
            .await;
    })
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    let answer = raw::send(gateway.http(), GET).await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.closed),
        (200, "only this", true),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_carries_many_requests() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    for n in 0..50 {
        client
            .send(format!("GET /{n} HTTP/1.1\r\nhost: app.localhost\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.json()["target"], format!("/{n}"));
    }
    assert_eq!(service.counts().connections, 1);
    client
        .send("GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n")
        .await;
    let last = client.answer().await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close")),
        "{last:?}"
    );
    assert!(client.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http_1_0_is_answered_and_closed() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let answer = raw::send(
        gateway.http(),
        "GET /chunks/1000 HTTP/1.0\r\nhost: app.localhost\r\n\r\n",
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("transfer-encoding")),
        (200, None),
        "{answer:?}"
    );
    assert_eq!(sha256(&answer.body), sha256(&pattern(1000)));
    assert!(answer.closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_is_known_to_the_service() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /hang HTTP/1.1\r\nhost: app.localhost\r\n\r\n")
        .await;
    service.wait_for_requests(1).await;
    drop(client);
    service
        .wait_for("the service to notice", |counts| counts.abandoned == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_at_once_get_their_own_answers() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let addr = gateway.http();
    let clients = (0..16).map(|who| async move {
        let mut client = raw::Client::connect(addr).await;
        for n in 0..30 {
            client
                .send(format!(
                    "GET /{who}/{n} HTTP/1.1\r\nhost: app.localhost\r\n\r\n"
                ))
                .await;
            assert_eq!(
                client.answer().await.json()["target"],
                format!("/{who}/{n}")
            );
        }
    });
    soon("480 requests", futures_util::future::join_all(clients)).await;
    assert_eq!(service.counts().requests, 480);
    assert!(service.counts().connections <= 16, "{:?}", service.counts());
}
