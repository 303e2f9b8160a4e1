//! `tcp://` endpoints: bytes both ways, what policies say of connections, and who of a pool gets them.

use std::fmt::Display;

use crate::harness::{
    Agent, Gateway,
    bytes::{ByteService, Bytes, Ended, port, turned_away},
    mebibyte, soon,
};

/// Who may bind any tcp port.
pub(crate) const ALL: [(&str, &[&str]); 2] = [
    ("tester", &["bind:*", "bind:tcp://*"]),
    ("other", &["bind:*", "bind:tcp://*"]),
];

pub(crate) async fn gateway(extra: &str) -> Gateway {
    Gateway::with_agents(&ALL, extra).await
}

/// An agent that serves a port.
pub(crate) async fn agent(gateway: &Gateway, port: u16, service: impl Display) -> Agent {
    Agent::forward(gateway, &format!("tcp://:{port}"), service).await
}

/// One of a pool.
async fn one_of_many(gateway: &Gateway, port: u16, service: impl Display) -> Agent {
    Agent::builder(gateway)
        .url(&format!("tcp://:{port}"))
        .upstream(service)
        .pooling()
        .start()
        .await
}

/// A policy for connections, as one value of YAML.
fn on_connect(actions: &str) -> String {
    format!("{{ on_tcp_connect: [{{ actions: [{actions}] }}] }}")
}

fn forward(url: &str, on_error: &str) -> String {
    format!("{{ type: forward-internal, config: {{ url: '{url}', on_error: {on_error} }} }}")
}

const STRANGERS: &str = "{ type: restrict-ips, config: { allow: [192.0.2.0/24] } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_and_each_half_ends_by_itself() {
    let gateway = gateway("").await;
    let port = port();
    // It hears everything, and only then answers.
    let service = ByteService::start(|mut conn| async move {
        conn.say("hello").await;
        let Ended::Properly(heard) = conn.end().await else {
            panic!("broken");
        };
        conn.say(heard.len().to_string()).await;
    })
    .await;
    let agent = agent(&gateway, port, service.addr).await;
    assert_eq!(agent.url(), format!("tcp://localhost:{port}"));
    let mut client = Bytes::connect(port).await;
    // Who listens first speaks first: nothing waits for the client.
    assert_eq!(client.hear(5).await, b"hello");
    client.say("some ").await;
    client.say("words").await;
    client.finish().await;
    assert_eq!(client.end().await, Ended::Properly(b"10".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_has_said_everything_goes_on_listening() {
    let gateway = gateway("").await;
    let port = port();
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let service = ByteService::start(move |mut conn| {
        let told = told.clone();
        async move {
            conn.say("all").await;
            conn.finish().await;
            told.send(conn.end().await).unwrap();
        }
    })
    .await;
    let _agent = agent(&gateway, port, service.addr).await;
    let mut client = Bytes::connect(port).await;
    assert_eq!(client.end().await, Ended::Properly(b"all".into()));
    client.say("and still ").await;
    client.say("heard").await;
    drop(client);
    let heard = soon("what the service heard", tells.recv()).await.unwrap();
    assert_eq!(heard, Ended::Properly(b"and still heard".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_stays_a_reset() {
    let gateway = gateway("").await;
    let port = port();
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let service = ByteService::start(move |mut conn| {
        let told = told.clone();
        async move {
            match &conn.hear(4).await[..] {
                b"yours" | b"mine" => conn.reset(),
                _ => told.send(conn.end().await).unwrap(),
            }
        }
    })
    .await;
    let _agent = agent(&gateway, port, service.addr).await;
    let mut broken = Bytes::connect(port).await;
    broken.say("mine").await;
    assert_eq!(broken.end().await, Ended::Broken);
    let mut breaking = Bytes::connect(port).await;
    breaking.say("wait").await;
    let mut service = service;
    service.connected(2).await;
    breaking.reset();
    let seen = soon("the service to see it", tells.recv()).await.unwrap();
    assert_eq!(seen, Ended::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_wait_for_who_reads_them_and_arrive_whole() {
    const TIMES: usize = 24;
    let gateway = gateway("").await;
    let port = port();
    let (go, gate) = tokio::sync::watch::channel(false);
    let service = ByteService::start(move |mut conn| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            let (mut read, mut write) = conn.io.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        }
    })
    .await;
    let _agent = agent(&gateway, port, service.addr).await;
    let client = Bytes::connect(port).await;
    let (mut read, mut write) = client.io.into_split();
    let (count, counted) = tokio::sync::watch::channel(0);
    let writing = tokio::spawn(async move {
        for _ in 0..TIMES {
            tokio::io::AsyncWriteExt::write_all(&mut write, &mebibyte())
                .await
                .unwrap();
            count.send_modify(|count| *count += 1);
        }
    });
    // Nobody reads: what lies between them is full before everything was taken.
    let mut quiet = counted.clone();
    while tokio::time::timeout(std::time::Duration::from_secs(1), quiet.changed())
        .await
        .is_ok()
    {}
    let taken = *counted.borrow();
    assert!((1..TIMES).contains(&taken), "{taken} MiB were taken");
    go.send_replace(true);
    let mut back = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut back);
    soon("all of it back", reading).await.unwrap();
    writing.await.unwrap();
    assert_eq!(back.len(), TIMES * mebibyte().len());
    for piece in back.chunks(mebibyte().len()) {
        assert!(piece == mebibyte(), "a piece is another one");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_say_who_may_connect() {
    let (denied, closed, agents_own) = (port(), port(), port());
    let gateway = gateway(&format!(
        "endpoints:\n  - {{ url: 'tcp://:{denied}', traffic_policy: {} }}\n  \
         - {{ url: 'tcp://localhost:{closed}', traffic_policy: {} }}\n",
        on_connect(STRANGERS),
        on_connect("{ type: close-connection }")
    ))
    .await;
    let service = ByteService::echo("in").await;
    let _agent = Agent::builder(&gateway)
        .url(&format!("tcp://:{denied}"))
        .upstream(service.addr)
        .url(&format!("tcp://:{closed}"))
        .url(&format!("tcp://:{agents_own}"))
        .policy(&on_connect(STRANGERS))
        .start()
        .await;
    for (port, ended) in [
        (denied, Ended::Properly(Vec::new())),
        (closed, Ended::Broken),
        (agents_own, Ended::Properly(Vec::new())),
    ] {
        assert_eq!(turned_away(port).await, ended, "{port}");
    }
    assert_eq!(service.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_port_leads_to_an_internal_endpoint_of_an_agent() {
    let port = port();
    let gateway = gateway(&format!(
        "endpoints: [{{ url: 'tcp://:{port}', traffic_policy: {} }}]\n",
        on_connect(&forward("tcp://db.internal:5432", "halt"))
    ))
    .await;
    // Open, and nobody there.
    assert_eq!(turned_away(port).await, Ended::Broken);
    let service = ByteService::echo("db").await;
    let agent = Agent::forward(&gateway, "tcp://DB.internal.:5432", service.addr).await;
    assert_eq!(agent.url(), "tcp://db.internal:5432");
    let mut client = Bytes::connect(port).await;
    assert_eq!(client.hear(2).await, b"db");
    client.echo("select 1").await;
    client.finish().await;
    assert_eq!(client.end().await, Ended::Properly(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_goes_on_when_the_endpoint_fails_that_it_forwards_to() {
    let port = port();
    let next = "tcp://${actions.ngrok.forward_internal.error.code == \"ERR_ADIT_8012\" ? \"spare\" : \"none\"}.internal:7";
    let actions = [
        forward("tcp://nobody.internal:7", "continue"),
        forward("tcp://dead.internal:7", "continue"),
        forward(next, "halt"),
    ];
    let gateway = gateway(&format!(
        "endpoints: [{{ url: 'tcp://:{port}', traffic_policy: {} }}]\n",
        on_connect(&actions.join(", "))
    ))
    .await;
    let dead = ByteService::echo("dead").await.addr;
    let service = ByteService::echo("spare").await;
    let _agent = Agent::builder(&gateway)
        .url("tcp://dead.internal:7")
        .upstream(dead)
        .url("tcp://spare.internal:7")
        .upstream(service.addr)
        .start()
        .await;
    assert_eq!(Bytes::connect(port).await.hear(5).await, b"spare");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_forwarded_in_a_circle_ends() {
    let port = port();
    let _gateway = gateway(&format!(
        "endpoints:\n  - {{ url: 'tcp://:{port}', traffic_policy: {0} }}\n  \
         - {{ url: 'tcp://a.internal:1', traffic_policy: {1} }}\n  - {{ url: 'tcp://b.internal:1', traffic_policy: {0} }}\n",
        on_connect(&forward("tcp://a.internal:1", "halt")),
        on_connect(&forward("tcp://b.internal:1", "halt")),
    ))
    .await;
    assert_eq!(turned_away(port).await, Ended::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_reached_costs_no_connection_while_others_are() {
    let gateway = gateway("").await;
    let port = port();
    let dead = ByteService::echo("dead").await.addr;
    let service = ByteService::echo("alive").await;
    let _dead = one_of_many(&gateway, port, dead).await;
    let _alive = one_of_many(&gateway, port, service.addr).await;
    for _ in 0..20 {
        assert_eq!(Bytes::connect(port).await.hear(5).await, b"alive");
    }
    assert_eq!(service.connections(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooded_port_leaves_room_for_http() {
    const FLOOD: usize = 900;
    let gateway = gateway("limits: { connections_per_ip: 1000 }\n").await;
    let port = port();
    let mut service = ByteService::echo("in").await;
    let web = crate::harness::named::Named::start("web").await;
    let _agent = Agent::builder(&gateway)
        .url(&format!("tcp://:{port}"))
        .upstream(service.addr)
        .url("http://app.localhost")
        .upstream(web.address())
        .start()
        .await;
    let mut held = Vec::new();
    for host in 1..=2 {
        for _ in 0..FLOOD {
            // The operating system may be out of patience first.
            held.extend(Bytes::connect_from([127, 0, 1, host], port).await.ok());
        }
    }
    service.connected(100).await;
    for _ in 0..20 {
        let answer = crate::harness::visitor::visit(gateway.http(), "app.localhost", "/").await;
        assert_eq!(answer, (200, "web /".into()));
    }
}
