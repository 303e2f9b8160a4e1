//! `Expect: 100-continue`: the client asks whether its body is wanted, and the service answers.

use crate::harness::{Agent, Gateway, RawService, Service, curl, pattern, raw, sha256};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A gateway with a plain endpoint `app.localhost`, where a raw service answers.
async fn in_front_of(service: &RawService) -> (Gateway, Agent) {
    let gateway = Gateway::start().await;
    let agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    (gateway, agent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_expects_100_sends_its_body_when_the_service_wants_it() {
    let service = RawService::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.write("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(conn.exactly(4).await.unwrap(), b"body");
        conn.write(OK).await;
        conn.closed().await;
    })
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send("PUT /x HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 100);
    client.send("body").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "ok"),
        "{answer:?}"
    );
    assert!(service.received_text()[0].contains("\r\nExpect: 100-continue\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_refuse_instead_of_100() {
    let service = RawService::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.write("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")
            .await;
        conn.closed().await;
    })
    .await;
    let (gateway, _agent) = in_front_of(&service).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send("PUT /x HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (401, "no"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_uploads_with_expect_100() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pattern(300_000)).unwrap();
    let upload = format!("@{}", file.path().display());
    let args = [
        "--http1.1",
        "-H",
        "expect: 100-continue",
        "--data-binary",
        &upload,
        "https://app.localhost/",
    ];
    let answer = curl(&gateway, args).await;
    assert_eq!(
        answer.json()["body_sha256"],
        sha256(&pattern(300_000)),
        "{answer:?}"
    );
    assert!(
        answer.head.starts_with("HTTP/1.1 100 Continue"),
        "{answer:?}"
    );
}
