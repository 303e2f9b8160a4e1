//! What the service is told about the client: X-Forwarded-*, by whom it is believed.
//! What a stranger tries with these headers is in `attacks_headers.rs`.

use crate::harness::{Agent, Gateway, Service, curl, raw};

const BEHIND_A_PROXY: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n\
                              X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example.com\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_learns_address_scheme_and_host() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .url("http://app.localhost");
    let _agent = agent.start().await;
    for (url, scheme, port) in [
        ("https://app.localhost", "https", gateway.https().port()),
        ("http://app.localhost", "http", gateway.http().port()),
    ] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            assert_eq!(curl(&gateway, [version, url]).await.status, 200);
            let request = service.requests().pop().unwrap();
            assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
            assert_eq!(request.all("x-forwarded-proto"), [scheme]);
            assert_eq!(
                request.all("x-forwarded-host"),
                [format!("app.localhost:{port}")]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_says_is_dropped() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    assert_eq!(raw::send(gateway.http(), BEHIND_A_PROXY).await.status, 200);
    let request = service.only_request();
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
    assert_eq!(request.all("x-forwarded-host"), ["app.localhost"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_trusted_proxy_says_is_continued() {
    let service = Service::echo().await;
    let gateway = Gateway::with("trusted_proxies: [\"127.0.0.0/8\", \"203.0.113.0/24\"]").await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    assert_eq!(raw::send(gateway.http(), BEHIND_A_PROXY).await.status, 200);
    let request = service.only_request();
    assert_eq!(
        request.all("x-forwarded-for"),
        ["198.51.100.1, 203.0.113.9, 127.0.0.1"]
    );
    assert_eq!(request.all("x-forwarded-proto"), ["https"]);
    assert_eq!(request.all("x-forwarded-host"), ["shop.example.com"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_another_network_is_a_stranger() {
    let service = Service::echo().await;
    let gateway = Gateway::with("trusted_proxies: [\"10.0.0.0/8\", \"::1/128\"]").await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    assert_eq!(raw::send(gateway.http(), BEHIND_A_PROXY).await.status, 200);
    assert_eq!(service.only_request().all("x-forwarded-for"), ["127.0.0.1"]);
}
