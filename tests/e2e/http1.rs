//! HTTP/1.1 through gateway and agent.

use crate::harness::{Agent, Gateway, Service, curl, raw};

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
    assert_eq!(curl(&gateway, ["https://app.localhost/"]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plain_port_serves_http_endpoints() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://plain.localhost", service.addr()).await;
    let answer = raw::send(
        gateway.http(),
        "GET /x HTTP/1.1\r\nhost: plain.localhost\r\n\r\n",
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()["headers"][0],
        serde_json::json!(["host", "plain.localhost"])
    );
}
