//! Attacks inside the tunnel: a line that drops everything (A46), and one stream against the others (A47).

use std::time::{Duration, Instant};

use adit_agent::{ConnectCas, EndpointOptions, Event, Upstream};
use adit_wire::limits::STREAMS_PER_LANE;
use tokio::{io::AsyncWriteExt, task::JoinSet, time::timeout};

use crate::harness::{
    Agent, Gateway, RawService, Service,
    hand_agent::HandAgent,
    named::Named,
    raw,
    relay::Relay,
    soon,
    visitor::{Visitor2, until, visit},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

// === A46: a line that drops everything ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a46_a_line_that_drops_everything_is_noticed_at_both_ends_and_nobody_waits_for_long() {
    let limits = "limits: { heartbeat_interval: 200ms, heartbeat_dead_after: 600ms }";
    let gateway = Gateway::with(limits).await;
    let service = Named::start("app").await;
    let relay = Relay::start(gateway.https()).await;
    let agent = adit_agent::Agent::builder()
        .connect_url(format!("localhost:{}", relay.address().port()))
        .connect_cas(ConnectCas::File(gateway.ca_pem().to_owned()))
        .authtoken(gateway.token())
        .connect_timeout(Duration::from_millis(500))
        .connect()
        .await
        .unwrap();
    let upstream = Upstream::parse(&service.address().to_string()).unwrap();
    let _forwarder = agent
        .forward(EndpointOptions::new("web").url(URL), upstream)
        .await
        .unwrap();
    let mut events = agent.events();
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    let mut waiting = JoinSet::new();
    for path in ["/hang/1", "/hang/2"] {
        waiting.spawn(visit(gateway.http(), HOST, path));
    }
    service.hanging(2).await;

    relay.stop();
    let began = Instant::now();
    // These are sent into a line that is dead already.
    for _ in 0..4 {
        waiting.spawn(visit(gateway.http(), HOST, "/"));
    }
    let ended = timeout(Duration::from_secs(3), waiting.join_all()).await;
    for (status, page) in ended.expect("nobody waits for longer") {
        assert!(matches!(status, 502..=504), "{status} {page}");
    }
    until(gateway.http(), HOST, 503).await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let noticed = async {
        loop {
            if let Ok(Event::Disconnected { reason, .. }) = events.recv().await {
                return reason;
            }
        }
    };
    let reason = timeout(Duration::from_secs(3), noticed)
        .await
        .expect("the agent notices");
    assert!(reason.contains("nothing was heard"), "{reason}");
    relay.resume();
    until(gateway.http(), HOST, 200).await;
}

// === A47: one stream against the others ===

/// How fast a body of this size comes through beside whatever else goes on.
async fn fetch(gateway: &Gateway, megabytes: usize) {
    let asking = raw::send(
        gateway.http(),
        format!(
            "GET /bytes/{} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n",
            megabytes << 20
        ),
    );
    let answer = timeout(Duration::from_secs(15), asking)
        .await
        .expect("throughput");
    assert_eq!((answer.status, answer.body.len()), (200, megabytes << 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a47_a_clients_that_never_read_take_nothing_from_those_that_do() {
    let gateway = Gateway::start().await;
    let service = Service::echo().await;
    let _agent = Agent::forward(&gateway, URL, service.addr()).await;
    let mut lazy = Vec::new();
    for _ in 0..20 {
        let mut client = raw::Client::connect(gateway.http()).await;
        client
            .send(format!(
                "GET /bytes/{} HTTP/1.1\r\nhost: {HOST}\r\n\r\n",
                16 << 20
            ))
            .await;
        client.head().await.unwrap();
        lazy.push(client);
    }
    for _ in 0..3 {
        fetch(&gateway, 8).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a47_a_a_service_that_never_reads_takes_nothing_from_those_that_do() {
    let gateway = Gateway::start().await;
    let deaf = RawService::start(|conn| async move {
        let _conn = conn;
        std::future::pending::<()>().await;
    })
    .await;
    let service = Service::echo().await;
    // Both behind one session.
    let _agent = Agent::builder(&gateway)
        .url(URL)
        .upstream(service.addr())
        .url("http://deaf.localhost")
        .upstream(deaf.addr())
        .start()
        .await;
    let mut uploads = Vec::new();
    for _ in 0..20 {
        let mut client = raw::Client::connect(gateway.http()).await;
        let length = 16 << 20;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: deaf.localhost\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
        let uploading =
            tokio::spawn(async move { while client.try_send(vec![7; 64 * 1024]).await.is_ok() {} });
        uploads.push(uploading);
    }
    for _ in 0..3 {
        fetch(&gateway, 8).await;
    }
    uploads.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a47_b_ten_thousand_requests_at_once_are_capped_with_a_clear_refusal() {
    let gateway = Gateway::with("limits: { http2_streams: 1000 }").await;
    let mut agent = HandAgent::connect(&gateway).await;
    agent.bind(URL).await.unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..10 {
        let visitor = Visitor2::connect(gateway.http()).await;
        for _ in 0..1000 {
            let visitor = visitor.clone();
            requests.spawn(async move { visitor.text(HOST, "/").await.unwrap() });
        }
    }
    let mut streams = Vec::new();
    for _ in 0..STREAMS_PER_LANE {
        streams.push(agent.accept_open().await);
    }
    let (mut refused, mut answered) = (0, 0);
    while refused < 10_000 - STREAMS_PER_LANE {
        let (status, page) = soon("a refusal", requests.join_next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(status, 503);
        assert!(
            page.contains("carries as many requests as it may"),
            "{page}"
        );
        refused += 1;
    }
    assert!(!agent.lane.is_closed());
    for stream in &mut streams {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        stream.flush().await.unwrap();
    }
    while let Some(done) = soon("an answer", requests.join_next()).await {
        assert_eq!(done.unwrap(), (200, "ok".into()));
        answered += 1;
    }
    assert_eq!(answered, STREAMS_PER_LANE);
}
