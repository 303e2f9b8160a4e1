//! The end of the real processes: what runs may finish, what idles is closed, and who is left comes back.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use tokio::net::TcpStream;

use crate::harness::{Deployed, Public, Service, curl, h2, raw, soon};

const SLOW: &str = "GET /slow-head HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const HANG: &str = "GET /hang HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

async fn deployed(service: &Service, extra: &str) -> Deployed {
    let addr = service.addr();
    Deployed::start(
        extra,
        &[
            ("http://app.localhost", &addr),
            ("https://app.localhost", &addr),
        ],
    )
    .await
}

async fn refuses_connections(deployed: &Deployed) {
    soon("the listeners to be closed", async {
        for addr in [deployed.http, deployed.https] {
            while TcpStream::connect(addr).await.is_ok() {}
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_asked_to_end_finishes_what_runs_and_takes_nothing_new() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "").await;
    let mut idle = raw::Client::connect(deployed.http).await;
    idle.send(GET).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut reused = raw::Client::connect(deployed.http).await;
    reused.send(GET).await;
    assert_eq!(reused.answer().await.status, 200);
    let mut running = raw::Client::connect(deployed.http).await;
    running.send(SLOW).await;
    let mut http2 = h2::connect_tls(&deployed, "app.localhost").await;
    let request = |path: &str| {
        let url = deployed.url(&format!("https://app.localhost{path}"));
        Request::get(url).body(Empty::new().boxed()).unwrap()
    };
    let mut other = http2.clone();
    let running_on_http2 = tokio::spawn(other.send_request(request("/slow-head")));
    service.wait_for_requests(4).await;

    deployed.gateway.term();

    refuses_connections(&deployed).await;
    // A request that was on its way is served, as the last one; who says nothing is let go.
    reused.send(GET).await;
    let last = reused.answer().await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    assert!(idle.rest().await.is_empty());
    service.release();
    service.release();
    let answer = running.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close")),
        "{answer:?}"
    );
    assert_eq!(
        soon("the other answer", running_on_http2)
            .await
            .unwrap()
            .unwrap()
            .status(),
        200
    );
    soon("the HTTP/2 connection to be closed", async {
        while http2.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        deployed.gateway.wait_exit().await.code(),
        Some(0),
        "{}",
        deployed.gateway.output()
    );
    assert_eq!(service.counts().abandoned, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_runs_is_finished_too() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "").await;
    let mut client = raw::Client::connect(deployed.http).await;
    client
        .send("GET /slow-body HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    client.until("begun ").await;
    deployed.gateway.term();
    refuses_connections(&deployed).await;
    service.release();
    client.until("done").await;
    assert_eq!(deployed.gateway.wait_exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_done_by_the_deadline_is_cut_off() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "limits: { shutdown_deadline: 500ms }").await;
    let mut client = raw::Client::connect(deployed.http).await;
    client.send(HANG).await;
    service.wait_for_requests(1).await;
    deployed.gateway.term();
    assert_eq!(
        deployed.gateway.wait_exit().await.code(),
        Some(0),
        "{}",
        deployed.gateway.output()
    );
    client.rest().await;
    service
        .wait_for("the service to see it", |counts| counts.abandoned == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "limits: { shutdown_deadline: 10m }").await;
    let mut client = raw::Client::connect(deployed.http).await;
    client.send(HANG).await;
    service.wait_for_requests(1).await;
    deployed.gateway.signal("INT");
    refuses_connections(&deployed).await;
    deployed.gateway.signal("INT");
    deployed.gateway.wait_exit().await;
    client.rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_come_back_to_a_gateway_that_comes_back() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "").await;
    for _ in 0..2 {
        deployed.gateway.term();
        assert_eq!(deployed.gateway.wait_exit().await.code(), Some(0));
        deployed.start_gateway_again().await;
        deployed
            .agent
            .wait_for_line(|line| line.contains("client session established"))
            .await;
        soon("the same URL to answer", async {
            while curl(&deployed, ["https://app.localhost/"]).await.status != 200 {}
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_asked_to_end_finishes_what_runs() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "").await;
    let mut running = raw::Client::connect(deployed.http).await;
    running.send(SLOW).await;
    service.wait_for_requests(1).await;
    deployed.agent.term();
    deployed
        .agent
        .wait_for_line(|line| line.contains("stopping"))
        .await;
    soon("its URL to be free", async {
        while curl(&deployed, ["http://app.localhost/"]).await.status == 200 {}
    })
    .await;
    service.release();
    assert_eq!(running.answer().await.status, 200);
    assert_eq!(
        deployed.agent.wait_exit().await.code(),
        Some(0),
        "{}",
        deployed.agent.output()
    );
    soon("404", async {
        while curl(&deployed, ["http://app.localhost/"]).await.status != 404 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_gateway_ends_at_once() {
    let service = Service::echo().await;
    let mut deployed = deployed(&service, "limits: { shutdown_deadline: 10m }").await;
    assert_eq!(
        curl(&deployed, ["https://app.localhost/"]).await.status,
        200
    );
    let began = std::time::Instant::now();
    deployed.gateway.term();
    assert_eq!(deployed.gateway.wait_exit().await.code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}
