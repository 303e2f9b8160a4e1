//! No request ever reaches another agent than the one of its host, however streams are reused.

use std::net::{IpAddr, SocketAddr};

use crate::harness::{
    Agent, Gateway,
    hand_agent::{HandAgent, hello},
    named::Named,
    soon,
    visitor::{Visitor, Visitor2, visit},
};

const CLIENTS: usize = 8;
const EACH: usize = 125;

/// Two services with the same port number, as two machines have them.
async fn twins() -> (Named, Named) {
    let one = Named::start("one").await;
    let other = SocketAddr::new(IpAddr::from([127, 0, 0, 2]), one.address().port());
    (one, Named::start_on("two", other).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_interleaved_requests_over_reused_streams_are_never_misrouted() {
    let gateway = Gateway::start().await;
    let (one, two) = twins().await;
    let _one = Agent::forward(&gateway, "http://one.localhost", one.address()).await;
    let _two = Agent::forward(&gateway, "http://two.localhost", two.address()).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let address = gateway.http();
        clients.spawn(async move {
            // Both hosts on one connection, so that they also share whatever belongs to it.
            let mut visitor = Visitor::connect(address).await;
            for turn in 0..EACH {
                let name = if (client + turn) % 2 == 0 {
                    "one"
                } else {
                    "two"
                };
                let path = format!("/{client}/{turn}");
                let answer = visitor.text(&format!("{name}.localhost"), &path).await;
                assert_eq!(answer, (200, format!("{name} {path}")));
            }
        });
    }
    soon("a thousand requests", clients.join_all()).await;
    assert_eq!((one.requests(), two.requests()), (500, 500));
    // Streams were reused, or this test would prove nothing.
    assert!(one.connections() <= CLIENTS && two.connections() <= CLIENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_interleaved_requests_over_shared_http2_connections_are_never_misrouted() {
    let gateway = Gateway::start().await;
    let (one, two) = twins().await;
    let _one = Agent::builder(&gateway)
        .url("http://one.localhost")
        .protocol_http2()
        .upstream(one.address())
        .start()
        .await;
    let _two = Agent::builder(&gateway)
        .url("http://two.localhost")
        .protocol_http2()
        .upstream(two.address())
        .start()
        .await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let visitor = Visitor2::connect(gateway.http()).await;
        clients.spawn(async move {
            for turn in 0..EACH {
                let name = if (client + turn) % 2 == 0 {
                    "one"
                } else {
                    "two"
                };
                let path = format!("/{client}/{turn}");
                let answer = visitor
                    .text(&format!("{name}.localhost"), &path)
                    .await
                    .unwrap();
                assert_eq!(answer, (200, format!("{name} {path}")));
            }
        });
    }
    soon("a thousand requests", clients.join_all()).await;
    assert_eq!((one.requests(), two.requests()), (500, 500));
    assert!(one.connections() <= CLIENTS && two.connections() <= CLIENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_comes_back_gets_none_of_its_old_streams() {
    let gateway = Gateway::start().await;
    let mut first = HandAgent::begin(&gateway, hello(&gateway.token(), "same", 1))
        .await
        .unwrap();
    first.bind("http://app.localhost").await.unwrap();
    first.serve("first");
    let mut visitor = Visitor::connect(gateway.http()).await;
    for _ in 0..10 {
        assert_eq!(
            visitor.text("app.localhost", "/").await,
            (200, "first /".into())
        );
    }
    let mut second = HandAgent::begin(&gateway, hello(&gateway.token(), "same", 2))
        .await
        .unwrap();
    soon("the older session ends", first.lane.closed()).await;
    second.bind("http://app.localhost").await.unwrap();
    second.serve("second");
    for _ in 0..10 {
        assert_eq!(
            visitor.text("app.localhost", "/").await,
            (200, "second /".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_session_leaves_503_behind_until_the_newer_one_has_bound() {
    let gateway = Gateway::start().await;
    let mut first = HandAgent::begin(&gateway, hello(&gateway.token(), "same", 1))
        .await
        .unwrap();
    first.bind("http://app.localhost").await.unwrap();
    let _second = HandAgent::begin(&gateway, hello(&gateway.token(), "same", 2))
        .await
        .unwrap();
    soon("the older session ends", first.lane.closed()).await;
    let (status, page) = visit(gateway.http(), "app.localhost", "/").await;
    assert_eq!(status, 503, "{page}");
}
