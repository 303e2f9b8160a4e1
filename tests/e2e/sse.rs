//! Server-sent events: each one is there before the next is made, over every way there is.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;

use crate::harness::{Agent, Gateway, RawService, Service, h2, raw, soon};

const EVENTS: &str = "GET /events HTTP/1.1\r\nhost: app.localhost\r\naccept: text/event-stream\r\ncache-control: no-cache\r\n\r\n";

/// Reads a stream as a browser does; the service makes an event only after the one before has arrived.
async fn reads_each_event_at_once(service: &Service, mut client: raw::Client) {
    client.send(EVENTS).await;
    let head = client.head().await.expect("a head before any event");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(
        raw::header(&head, "content-type"),
        Some("text/event-stream")
    );
    assert_eq!(raw::header(&head, "content-length"), None);
    for n in 0..50 {
        service.send_event(&format!("event {n}"));
        client.until(&format!("data: event {n}\n\n")).await;
    }
    drop(client);
    service
        .wait_for("the service to see the reader leave", |counts| {
            counts.readers == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_arrives_before_the_next_is_sent_over_http_1() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .url("http://app.localhost")
        .start()
        .await;
    let client = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    reads_each_event_at_once(&service, client).await;
    let client = raw::Client::connect(gateway.http()).await;
    reads_each_event_at_once(&service, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_arrives_before_the_next_is_sent_over_http_2() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    let request = Request::get(gateway.url("https://app.localhost/events"));
    let request = request
        .header("accept", "text/event-stream")
        .body(Empty::new().boxed())
        .unwrap();
    let mut response = soon("a head before any event", client.send_request(request))
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    for n in 0..50 {
        service.send_event(&format!("event {n}"));
        let frame = soon("the event", response.frame()).await.unwrap().unwrap();
        assert_eq!(
            frame.into_data().unwrap(),
            Bytes::from(format!("data: event {n}\n\n"))
        );
    }
    drop(response);
    service
        .wait_for("the service to see the reader leave", |counts| {
            counts.readers == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_known_length_is_not_held_back_either() {
    let more = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let wanted = std::sync::Arc::clone(&more);
    let service = RawService::start(move |mut conn| {
        let wanted = std::sync::Arc::clone(&wanted);
        async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
                .await;
            for byte in ["a", "b", "c"] {
                wanted.acquire().await.unwrap().forget();
                conn.write(byte).await;
            }
        }
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n")
        .await;
    client
        .head()
        .await
        .expect("a head before any byte of the body");
    for byte in ["a", "b", "c"] {
        more.add_permits(1);
        client.until(byte).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_get_every_event() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = raw::Client::connect(gateway.http()).await;
        client.send(EVENTS).await;
        client.head().await.unwrap();
        clients.push(client);
    }
    for n in 0..20 {
        service.send_event(&n.to_string());
        for client in &mut clients {
            client.until(&format!("data: {n}\n\n")).await;
        }
    }
}
