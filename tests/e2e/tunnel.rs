//! The tunnel between gateway and agent: each trap of its multiplexer and its connection pool, as a regression test.

use std::{thread::available_parallelism, time::Duration};

use adit_wire::{Stream, limits::STREAMS_PER_LANE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

use crate::harness::{
    Agent, Gateway,
    hand_agent::{HandAgent, spec},
    named::Named,
    soon,
    visitor::{Visitor, Visitor2, visit, whole},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

/// The gateway keeps idle streams for each of its cores.
fn cores() -> usize {
    available_parallelism().unwrap().get().min(8)
}

// === idle streams ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap1_an_idle_stream_is_reused_by_the_next_request() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let _agent = Agent::forward(&gateway, URL, service.address()).await;
    let mut visitor = Visitor::connect(gateway.http()).await;
    for _ in 0..200 {
        assert_eq!(visitor.text(HOST, "/").await.0, 200);
    }
    assert_eq!(service.connections(), 1);
    // Clients that come and go share what they leave behind.
    for _ in 0..50 {
        assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    }
    assert!(service.connections() <= cores());
    // So do answers without a body, whichever way they say so.
    for path in ["/status/200", "/status/204", "/status/304"] {
        for _ in 0..10 {
            visitor.text(HOST, path).await;
        }
    }
    assert!(service.connections() <= cores());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap1_idle_streams_do_not_pile_up() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let agent = Agent::forward(&gateway, URL, service.address()).await;
    let mut burst = JoinSet::new();
    for n in 0..100 {
        let mut visitor = Visitor::connect(gateway.http()).await;
        burst.spawn(async move { visitor.text(HOST, &format!("/hang/{n}")).await });
    }
    soon("all requests at the service", service.hanging(100)).await;
    service.release();
    for (status, _) in soon("all answers", burst.join_all()).await {
        assert_eq!(status, 200);
    }
    assert_eq!(service.connections(), 100);
    let mut visitor = Visitor::connect(gateway.http()).await;
    for _ in 0..200 {
        assert_eq!(visitor.text(HOST, "/").await.0, 200);
    }
    assert_eq!(
        service.connections(),
        100,
        "what the burst left behind is used"
    );
    // A service that closes after each answer leaves nothing behind, and neither does the gateway.
    for _ in 0..200 {
        assert_eq!(visitor.text(HOST, "/close").await.0, 200);
    }
    soon(
        "closed connections",
        service.open_connections(|open| *open <= 100),
    )
    .await;
    agent.close().await;
    soon(
        "every connection's end",
        service.open_connections(|open| *open == 0),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap1_idle_streams_of_some_endpoints_make_room_for_requests_to_others() {
    let gateway = Gateway::with("limits: { http2_streams: 200 }").await;
    let mut agent = HandAgent::connect(&gateway).await;
    let hosts = [
        "a.localhost",
        "b.localhost",
        "c.localhost",
        "d.localhost",
        "e.localhost",
    ];
    for host in hosts {
        agent
            .bind_spec(spec(&format!("http://{host}")))
            .await
            .unwrap();
    }
    let visitor = Visitor2::connect(gateway.http()).await;
    // As many idle streams as a lane has room for.
    for host in hosts.into_iter().take(4) {
        let mut burst = JoinSet::new();
        for _ in 0..STREAMS_PER_LANE / 4 {
            let visitor = visitor.clone();
            burst.spawn(async move { visitor.text(host, "/").await.unwrap().0 });
        }
        let mut streams = Vec::new();
        for _ in 0..STREAMS_PER_LANE / 4 {
            streams.push(agent.accept_open().await);
        }
        for mut stream in streams {
            // The stream lives on in its own task, as a service's connection would.
            tokio::spawn(async move { while answer(&mut stream).await {} });
        }
        for status in soon("all answers", burst.join_all()).await {
            assert_eq!(status, 200);
        }
    }
    let fifth = tokio::spawn(async move { visitor.text(hosts[4], "/").await.unwrap() });
    let mut stream = tokio::select! {
        stream = agent.accept_open() => stream,
        answered = fifth => panic!("{answered:?}"),
    };
    assert!(answer(&mut stream).await);
}

// === full lanes ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap3_more_streams_than_a_lane_carries_are_refused_and_the_session_lives_on() {
    let gateway = Gateway::with("limits: { http2_streams: 1000 }").await;
    let mut agent = HandAgent::connect(&gateway).await;
    agent.bind(URL).await.unwrap();
    let visitor = Visitor2::connect(gateway.http()).await;
    let mut held = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..STREAMS_PER_LANE {
        let visitor = visitor.clone();
        held.spawn(async move { visitor.text(HOST, "/").await.unwrap() });
        streams.push(agent.accept_open().await);
    }
    for _ in 0..100 {
        let (status, page) = soon("a refusal", visitor.text(HOST, "/")).await.unwrap();
        assert_eq!(status, 503);
        assert!(
            page.contains("carries as many requests as it may"),
            "{page}"
        );
    }
    assert!(!agent.lane.is_closed());
    for stream in &mut streams {
        assert!(answer(stream).await);
    }
    for answered in soon("all answers", held.join_all()).await {
        assert_eq!(answered, (200, "ok".into()));
    }
    drop(streams);
    agent.serve("again");
    assert_eq!(
        visitor.text(HOST, "/").await.unwrap(),
        (200, "again /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap4_three_hundred_long_polls_do_not_hold_up_other_requests() {
    let gateway = Gateway::with("limits: { http2_streams: 400 }").await;
    let service = Named::start("app").await;
    let _agent = Agent::forward(&gateway, URL, service.address()).await;
    // On one connection: so they are served by one core, and travel on one lane.
    let poller = Visitor2::connect(gateway.http()).await;
    let mut polls = JoinSet::new();
    for n in 0..300 {
        let poller = poller.clone();
        polls.spawn(async move { poller.text(HOST, &format!("/hang/{n}")).await.unwrap().0 });
    }
    soon("all polls at the service", service.hanging(300)).await;
    for _ in 0..50 {
        let quick = timeout(Duration::from_secs(1), poller.text(HOST, "/"));
        assert_eq!(quick.await.expect("in time").unwrap().0, 200);
        let quick = timeout(Duration::from_secs(1), visit(gateway.http(), HOST, "/"));
        assert_eq!(quick.await.expect("in time").0, 200);
    }
    service.release();
    for status in soon("the polls' answers", polls.join_all()).await {
        assert_eq!(status, 200);
    }
}

// === broken streams ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap5_a_body_that_ends_is_whole_and_one_that_breaks_is_not() {
    let gateway = Gateway::start().await;
    let mut agent = HandAgent::connect(&gateway).await;
    agent.bind(URL).await.unwrap();
    for (breaks, head) in [
        (false, "HTTP/1.1 200 OK\r\n\r\n"),
        (true, "HTTP/1.1 200 OK\r\n\r\n"),
        (true, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (
            true,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n",
        ),
    ] {
        let mut visitor = Visitor::connect(gateway.http()).await;
        let asking = tokio::spawn(async move { visitor.get(HOST, "/").await });
        let mut stream = agent.accept_open().await;
        read_head(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"part").await.unwrap();
        let response = soon("a head", asking).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        if breaks {
            drop(stream);
        } else {
            stream.shutdown().await.unwrap();
        }
        let body = soon("the body's end", whole(response)).await;
        assert_eq!(body.is_err(), breaks, "{head:?}: {body:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap5_the_loss_of_the_connection_breaks_every_body_on_it() {
    let gateway = Gateway::start().await;
    let mut agent = HandAgent::connect(&gateway).await;
    agent.bind(URL).await.unwrap();
    let mut visitor = Visitor::connect(gateway.http()).await;
    let asking = tokio::spawn(async move { visitor.get(HOST, "/").await });
    let mut stream = agent.accept_open().await;
    read_head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\n\r\npart")
        .await
        .unwrap();
    let response = soon("a head", asking).await.unwrap().unwrap();
    agent.cut();
    soon("the body's end", whole(response)).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap5_a_request_on_a_reused_stream_that_breaks_is_repeated_on_a_fresh_one() {
    let gateway = Gateway::with("limits: { http2_streams: 200 }").await;
    let mut agent = HandAgent::connect(&gateway).await;
    agent.bind(URL).await.unwrap();
    let visitor = Visitor2::connect(gateway.http()).await;
    // Streams of a service that is about to be restarted: each takes one more request and breaks.
    let mut burst = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..40 {
        let visitor = visitor.clone();
        burst.spawn(async move { visitor.text(HOST, "/").await.unwrap().0 });
        streams.push(agent.accept_open().await);
    }
    for mut stream in streams {
        tokio::spawn(async move { answer(&mut stream).await && read_head(&mut stream).await });
    }
    for status in soon("all answers", burst.join_all()).await {
        assert_eq!(status, 200);
    }
    let asking = tokio::spawn(async move { visitor.text(HOST, "/").await.unwrap() });
    let mut fresh = agent.accept_open().await;
    assert!(answer(&mut fresh).await);
    assert_eq!(soon("an answer", asking).await.unwrap(), (200, "ok".into()));
}

// === choice ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_serves_by_weight_and_tier() {
    let gateway = Gateway::start().await;
    let names = ["heavy", "light", "resting", "reserve"];
    let mut services = Vec::new();
    let mut agents = Vec::new();
    for (name, weight, tier) in [
        ("heavy", 75, 0),
        ("light", 25, 0),
        ("resting", 0, 0),
        ("reserve", 100, 1),
    ] {
        let service = Named::start(name).await;
        let agent = Agent::builder(&gateway)
            .url(URL)
            .pooling()
            .weight(weight)
            .option(|options| options.tier(tier))
            .upstream(service.address())
            .start()
            .await;
        services.push(service);
        agents.push(agent);
    }
    let count = || services.iter().map(Named::requests).collect::<Vec<_>>();
    let mut visitor = Visitor::connect(gateway.http()).await;
    for _ in 0..400 {
        assert_eq!(visitor.text(HOST, "/").await.0, 200);
    }
    let counts = count();
    // Six standard deviations around 300.
    assert!((248..=352).contains(&counts[0]), "{names:?} {counts:?}");
    assert_eq!(
        (counts[0] + counts[1], counts[2], counts[3]),
        (400, 0, 0),
        "{names:?} {counts:?}"
    );
    // The reserve serves when nobody of the first tier is left.
    agents.remove(0).close().await;
    agents.remove(0).close().await;
    for _ in 0..20 {
        assert_eq!(visitor.text(HOST, "/").await, (200, "reserve /".into()));
    }
    agents.pop().unwrap().close().await;
    assert_eq!(
        visitor.text(HOST, "/").await.0,
        503,
        "a weight of 0 takes nothing, whoever is missing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_agent_cannot_be_reached_is_served_by_another() {
    let gateway = Gateway::start().await;
    let service = Named::start("alive").await;
    let _alive = Agent::builder(&gateway)
        .url(URL)
        .pooling()
        .upstream(service.address())
        .start()
        .await;
    // Its service is not there: a port that was free a moment ago.
    let nobody = Named::start("gone").await.address();
    let _broken = Agent::builder(&gateway)
        .url(URL)
        .pooling()
        .upstream(nobody)
        .start()
        .await;
    let mut visitor = Visitor::connect(gateway.http()).await;
    for _ in 0..20 {
        assert_eq!(visitor.text(HOST, "/").await, (200, "alive /".into()));
    }
}

// === a service by hand ===

async fn read_head(stream: &mut Stream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

/// Reads one request and answers `ok`; `false` if there was none.
async fn answer(stream: &mut Stream) -> bool {
    read_head(stream).await
        && stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .is_ok()
        && stream.flush().await.is_ok()
}
