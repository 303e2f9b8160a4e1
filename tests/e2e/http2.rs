//! HTTP/2 on the public side: by ALPN, by prior knowledge, many streams, and bodies that end in every way.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::{Request, Response, body::Frame, body::Incoming};

use crate::harness::{Agent, Gateway, RawService, Service, curl, h2, pattern, raw, sha256, soon};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn get(url: &str) -> Request<h2::Body> {
    Request::get(url).body(Empty::new().boxed()).unwrap()
}

/// A body in these frames; the last one carries END_STREAM only if hyper knows it to be the last.
fn frames(pieces: Vec<Bytes>) -> h2::Body {
    let frames = pieces
        .into_iter()
        .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    BodyExt::boxed(StreamBody::new(stream::iter(frames)))
}

async fn bytes(response: Response<Incoming>) -> Bytes {
    soon("a body", response.into_body().collect())
        .await
        .unwrap()
        .to_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_agrees_on_http_2_over_tls() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let answer = curl(
        &gateway,
        ["--http2", "--data", "hello", "https://app.localhost/a?b"],
    )
    .await;
    assert_eq!(
        (answer.code, answer.status, answer.version.as_str()),
        (0, 200, "2"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["body_sha256"], sha256(b"hello"));
    let request = service.only_request();
    assert_eq!(
        (request.version.as_str(), request.target.as_str()),
        ("HTTP/1.1", "/a?b")
    );
    let host = format!("app.localhost:{}", gateway.https().port());
    assert_eq!(request.all("host"), [host.as_str()], "{request:?}");
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_speaks_http_2_on_the_plain_port_by_prior_knowledge() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let answer = curl(
        &gateway,
        ["--http2-prior-knowledge", "http://app.localhost/a"],
    )
    .await;
    assert_eq!(
        (answer.code, answer.status, answer.version.as_str()),
        (0, 200, "2"),
        "{answer:?}"
    );
    assert_eq!(
        service.only_request().header("x-forwarded-proto"),
        Some("http")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_to_h2c_is_not_taken_up() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let answer = curl(&gateway, ["--http2", "http://app.localhost/a"]).await;
    assert_eq!(
        (answer.code, answer.status, answer.version.as_str()),
        (0, 200, "1.1"),
        "{answer:?}"
    );
    let request = service.only_request();
    assert_eq!(
        (request.header("upgrade"), request.header("http2-settings")),
        (None, None),
        "{request:?}"
    );
}

/// Regression: Pingora 0.9.1 writes an empty DATA frame as a chunk of its own, which ends the body twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_ends_with_an_empty_frame_ends_once() {
    let service = RawService::answering(OK).await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    for pieces in [vec!["hello", ""], vec![""], vec!["he", "", "llo", ""]] {
        let length = |_: &_| pieces.concat().len();
        let body = frames(pieces.iter().map(|piece| Bytes::from(*piece)).collect());
        let request = Request::post(gateway.url("https://app.localhost/x"))
            .body(body)
            .unwrap();
        let response = soon("an answer", client.send_request(request))
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{pieces:?} of {}", length(&pieces));
        assert_eq!(bytes(response).await, "ok");
    }
    let response = soon(
        "an answer",
        client.send_request(get(&gateway.url("https://app.localhost/next"))),
    )
    .await
    .unwrap();
    assert_eq!(
        (response.status().as_u16(), bytes(response).await.as_ref()),
        (200, b"ok".as_slice())
    );

    // One connection to the service carried all four, and each body ends exactly once.
    let received = service.received_text();
    assert_eq!(received.len(), 1, "{received:?}");
    let bodies: Vec<_> = received[0].split("\r\n\r\nPOST ").map(|_| ()).collect();
    assert_eq!(bodies.len(), 3, "{}", received[0]);
    assert_eq!(
        received[0].matches("0\r\n\r\n").count(),
        3,
        "{}",
        received[0]
    );
    assert!(
        received[0].contains("\r\n\r\n5\r\nhello\r\n0\r\n\r\nPOST /x "),
        "{}",
        received[0]
    );
    assert!(
        received[0].contains("\r\n\r\n0\r\n\r\nPOST /x "),
        "{}",
        received[0]
    );
    assert!(
        received[0].contains("\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET /next "),
        "{}",
        received[0]
    );
}

/// The same as a user meets it: curl reads its body from a pipe and does not know its length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_uploads_from_a_pipe() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pattern(300_000)).unwrap();
    let pipe = format!(
        "cat {} | curl --silent --show-error --http2 --cacert {} --resolve '*:{}:127.0.0.1' -T - {} {}",
        file.path().display(),
        gateway.ca_pem().display(),
        gateway.https().port(),
        gateway.url("https://app.localhost/up"),
        gateway.url("https://app.localhost/up"),
    );
    let output = tokio::process::Command::new("sh")
        .args(["-c", &pipe])
        .output();
    let output = soon("curl", output).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&sha256(&pattern(300_000))), "{output:?}");
    // The second URL has nothing left to read from the pipe; its empty body must be one, too.
    assert_eq!(text.matches(&sha256(b"")).count(), 1, "{output:?}");
    assert_eq!(service.counts().connections, 1, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_of_one_connection_get_their_own_answers() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let client = h2::connect_tls(&gateway, "app.localhost").await;
    let exchanges = (0..100).map(|n| {
        let mut client = client.clone();
        let (base, body) = (gateway.url("https://app.localhost"), pattern(n * 500));
        async move {
            let expected = sha256(&body);
            let request = Request::post(format!("{base}/{n}"))
                .body(Full::new(body).boxed())
                .unwrap();
            let answer = bytes(client.send_request(request).await.unwrap()).await;
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer["target"], format!("/{n}"));
            assert_eq!(answer["body_sha256"], expected);
        }
    });
    soon("100 exchanges", futures_util::future::join_all(exchanges)).await;
    assert_eq!(service.counts().requests, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_stream_does_not_hold_up_its_neighbours() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    let mut slow = client.clone();
    let slow =
        tokio::spawn(slow.send_request(get(&gateway.url("https://app.localhost/slow-head"))));
    service.wait_for_requests(1).await;
    for _ in 0..5 {
        let response = soon(
            "a neighbour",
            client.send_request(get(&gateway.url("https://app.localhost/"))),
        )
        .await;
        assert_eq!(response.unwrap().status(), 200);
    }
    service.release();
    assert_eq!(
        soon("the slow one", slow).await.unwrap().unwrap().status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_given_up_ends_at_the_service_and_leaves_the_others() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    let mut hanging = client.clone();
    let hanging =
        tokio::spawn(hanging.send_request(get(&gateway.url("https://app.localhost/hang"))));
    service.wait_for_requests(1).await;
    hanging.abort();
    service
        .wait_for("the service to notice", |counts| counts.abandoned == 1)
        .await;
    let response = soon(
        "a neighbour",
        client.send_request(get(&gateway.url("https://app.localhost/"))),
    )
    .await;
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_204_and_304_have_no_body() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    for (method, path, status, length) in [
        ("HEAD", "/bytes/1000", 200, Some("1000")),
        ("GET", "/status/204", 204, None),
        ("GET", "/status/304", 304, None),
    ] {
        let url = gateway.url(&format!("https://app.localhost{path}"));
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Empty::new().boxed())
            .unwrap();
        let response = soon("an answer", client.send_request(request))
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        let said = response
            .headers()
            .get("content-length")
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(said.as_deref(), length, "{method} {path}");
        assert!(bytes(response).await.is_empty(), "{method} {path}");
    }
    assert_eq!(service.counts().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_one_hop_do_not_pass_into_http_2() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\ncontent-length: 2\r\n\r\nok";
    let service = RawService::answering(answer).await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    let response = soon(
        "an answer",
        client.send_request(get(&gateway.url("https://app.localhost/"))),
    )
    .await
    .unwrap();
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        assert_eq!(response.headers().get(name), None, "{response:?}");
    }
    assert_eq!(bytes(response).await, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_speak_http_2_itself() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .protocol_http2();
    let _agent = agent.start().await;
    for version in ["--http1.1", "--http2", "--http2", "--http1.1"] {
        let answer = curl(
            &gateway,
            [version, "--data", "hello", "https://app.localhost/x"],
        )
        .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["version"], "HTTP/2.0");
        assert_eq!(answer.json()["body_sha256"], sha256(b"hello"));
    }
    // Each of the gateway's cores has a connection of its own.
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(
        service.counts().connections <= cores,
        "{:?}",
        service.counts()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_offers_nothing_speaks_http_1() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect_tls(&gateway, "app.localhost", &[]).await;
    client
        .send("GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 200);
}
