//! The agent as a library: a program serves a URL itself, without a port of its own.

use std::time::Duration;

use adit_agent::{ConnectCas, End, EndpointOptions, Listener};
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use crate::harness::{
    Gateway, soon,
    visitor::{Visitor, until, visit, whole},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

async fn agent(gateway: &Gateway) -> adit_agent::Agent {
    adit_agent::Agent::builder()
        .connect_url(gateway.connect_url())
        .connect_cas(ConnectCas::File(gateway.ca_pem().to_owned()))
        .authtoken(gateway.token())
        .connect()
        .await
        .unwrap()
}

/// Serves each stream with hyper, as a program would.
async fn serve(mut listener: Listener) {
    while let Some(stream) = listener.accept().await {
        let answer = service_fn(|request: Request<Incoming>| async move {
            let text = format!("{} {}", request.method(), request.uri());
            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(text))))
        });
        tokio::spawn(async move {
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), answer).await);
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_yields_streams_that_hyper_serves() {
    let gateway = Gateway::start().await;
    let agent = agent(&gateway).await;
    let listener = agent
        .listen(EndpointOptions::new("web").url(URL))
        .await
        .unwrap();
    assert_eq!(listener.url(), gateway.url(URL));
    tokio::spawn(serve(listener));
    let mut visitor = Visitor::connect(gateway.http()).await;
    for n in 0..100 {
        let answer = visitor.text(HOST, &format!("/{n}?x=1")).await;
        assert_eq!(answer, (200, format!("GET /{n}?x=1")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_dropped_gives_its_url_back() {
    let gateway = Gateway::start().await;
    let agent = agent(&gateway).await;
    let listener = agent
        .listen(EndpointOptions::new("web").url(URL))
        .await
        .unwrap();
    drop(listener);
    until(gateway.http(), HOST, 404).await;
    let again = agent
        .listen(EndpointOptions::new("web").url(URL))
        .await
        .unwrap();
    tokio::spawn(serve(again));
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "GET /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_outlives_a_restart_of_the_gateway() {
    let gateway = Gateway::start().await;
    let agent = agent(&gateway).await;
    let listener = agent
        .listen(EndpointOptions::new("web").url(URL))
        .await
        .unwrap();
    tokio::spawn(serve(listener));
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    let gateway = gateway.restart(Duration::from_secs(1)).await;
    until(gateway.http(), HOST, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_a_program_drops_is_a_break_and_one_it_ends_is_an_end() {
    let gateway = Gateway::start().await;
    let agent = agent(&gateway).await;
    let mut listener = agent
        .listen(EndpointOptions::new("web").url(URL))
        .await
        .unwrap();
    for breaks in [true, false] {
        let mut visitor = Visitor::connect(gateway.http()).await;
        let asking = tokio::spawn(async move { visitor.get(HOST, "/").await });
        let mut stream = soon("a stream", listener.accept()).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\npart")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        let response = soon("a head", asking).await.unwrap().unwrap();
        if breaks {
            drop(stream);
        } else {
            stream.shutdown().await.unwrap();
        }
        assert_eq!(soon("the end", whole(response)).await.is_err(), breaks);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_drains_finishes_what_runs_and_ends_its_listeners() {
    let gateway = Gateway::start().await;
    let agent = agent(&gateway).await;
    let mut listener = agent
        .listen(EndpointOptions::new("web").url(URL))
        .await
        .unwrap();
    let asking = tokio::spawn(visit(gateway.http(), HOST, "/"));
    let mut stream = soon("a stream", listener.accept()).await.unwrap();
    let draining = {
        let agent = agent.clone();
        tokio::spawn(async move { agent.drain(Duration::from_secs(10)).await })
    };
    until(gateway.http(), HOST, 503).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast")
        .await
        .unwrap();
    stream.flush().await.unwrap();
    assert_eq!(
        soon("the answer", asking).await.unwrap(),
        (200, "last".into())
    );
    drop(stream);
    soon("the drain", draining).await.unwrap();
    assert_eq!(agent.done().await, End::Closed);
    assert!(listener.accept().await.is_none());
}
