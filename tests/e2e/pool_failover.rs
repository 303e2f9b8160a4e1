//! A pool of three agents, one of which dies, stands still, is cut off, comes and goes: what clients see of it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::harness::{
    AditProcess, Agent, Gateway, RawService, command,
    crowd::{Crowd, Seen},
    named::Named,
    namespace::Namespace,
    raw,
    relay::Relay,
    soon,
    visitor::{until, visit},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";
const CLIENTS: usize = 16;

/// The `gateway.yaml` of a pool at [`URL`].
fn pool(settings: &str, limits: &str) -> String {
    format!("limits: {{ {limits} }}\nendpoints: [{{ url: {URL}, pool: {{ {settings} }} }}]")
}

/// A gateway with three agents, each a process of its own with a service of its own.
struct Three {
    gateway: Gateway,
    services: [Named; 3],
    agents: Vec<AditProcess>,
}

impl Three {
    async fn start(settings: &str, limits: &str) -> Self {
        let gateway = Gateway::with(&pool(settings, limits)).await;
        let services = services().await;
        let mut agents = Vec::new();
        for service in &services {
            agents.push(command::online(&gateway, URL, service.address()).await);
        }
        Self {
            gateway,
            services,
            agents,
        }
    }

    fn crowd(&self) -> Crowd {
        Crowd::start(CLIENTS, self.gateway.http(), HOST)
    }

    async fn restart(&mut self, which: usize) {
        let service = self.services[which].address();
        self.agents[which] = command::online(&self.gateway, URL, service).await;
    }
}

async fn services() -> [Named; 3] {
    let start = Named::start;
    [start("one").await, start("two").await, start("three").await]
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Waits until a service is asked again.
async fn is_asked_again(crowd: &Crowd, service: &Named) {
    let before = service.requests();
    soon("the service to be asked again", async {
        while service.requests() == before {
            crowd.answers(50).await;
        }
    })
    .await;
}

// === death ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_an_agent_is_killed() {
    let three = Three::start("", "").await;
    let crowd = three.crowd();
    crowd.answers(500).await;
    three.agents[0].kill9();
    crowd.answers(1000).await;
    let seen = crowd.stop().await;
    seen.all_were_served();
    for name in ["one", "two", "three"] {
        assert!(seen.by(name) > 50, "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_an_agent_that_is_killed_and_comes_back_over_and_over() {
    let mut three = Three::start("", "").await;
    let crowd = three.crowd();
    for _ in 0..4 {
        crowd.answers(200).await;
        three.agents[1].kill9();
        crowd.answers(200).await;
        three.restart(1).await;
    }
    is_asked_again(&crowd, &three.services[1]).await;
    crowd.stop().await.all_were_served();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_are_gone_that_is_said_and_the_first_one_back_serves_at_once() {
    let mut three = Three::start("", "").await;
    until(three.gateway.http(), HOST, 200).await;
    three.agents.iter().for_each(AditProcess::kill9);
    until(three.gateway.http(), HOST, 503).await;
    let answer = raw::send(
        three.gateway.http(),
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
    )
    .await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    three.restart(2).await;
    let back = Instant::now();
    until(three.gateway.http(), HOST, 200).await;
    assert!(back.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_ends_with_its_agent_and_its_client_is_told() {
    let gateway = Gateway::with(&pool("", "")).await;
    let echo = RawService::web_socket_echo().await;
    let agent = command::online(&gateway, URL, echo.addr()).await;
    let hello = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut first = raw::Client::connect(gateway.http()).await;
    first.send(&hello).await;
    let head = first.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let other = RawService::web_socket_echo().await;
    let _other = command::online(&gateway, URL, other.addr()).await;
    agent.kill9();
    let rest = first.rest().await;
    assert_eq!(rest.get(..4), Some(&[0x88, 21, 0x03, 0xe9][..]), "{rest:?}");
    let mut second = raw::Client::connect(gateway.http()).await;
    second.send(&hello).await;
    let head = second.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(other.connections(), 1);
}

// === standing still ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_agent_that_stands_still_only_those_notice_who_are_there() {
    // Heartbeats play no part: they come after ten seconds.
    let three = Three::start("try_timeout: 500ms", "").await;
    let crowd = three.crowd();
    crowd.answers(500).await;
    let stopped = Instant::now();
    three.agents[0].stop();
    crowd.answers(2000).await;
    let asked = three.services[0].requests();
    crowd.answers(500).await;
    assert_eq!(three.services[0].requests(), asked);
    three.agents[0].cont();
    is_asked_again(&crowd, &three.services[0]).await;
    let seen = crowd.stop().await;
    seen.all_were_served();
    few_waited(&seen, stopped);
}

/// Each client has one request at a time, and after the first time-out none goes to the member that fails.
fn few_waited(seen: &Seen, since: Instant) {
    let slow = seen.slow_after(since);
    assert!(slow.len() <= CLIENTS + CLIENTS / 2, "{slow:?}");
    let longest = slow.iter().max();
    assert!(longest <= Some(&Duration::from_secs(3)), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_time_outs_an_agent_that_stands_still_is_known_by_its_heartbeats() {
    let limits = "heartbeat_interval: 300ms, heartbeat_dead_after: 900ms";
    let three = Three::start("retry_budget: { per_second: 100 }", limits).await;
    let crowd = three.crowd();
    crowd.answers(500).await;
    let stopped = Instant::now();
    three.agents[0].stop();
    crowd.answers(2000).await;
    let seen = crowd.stop().await;
    seen.all_were_served();
    few_waited(&seen, stopped);
    three.agents[0].cont();
}

// === cut off ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_agent_that_is_cut_off_only_those_notice_who_are_there() {
    let limits = "heartbeat_interval: 300ms, heartbeat_dead_after: 900ms";
    let gateway = Gateway::everywhere(&pool("retry_budget: { per_second: 100 }", limits)).await;
    let [one, two, three] = services().await;
    let port = gateway.https().port();
    let joined = async |before: &[&str], connect_url: String, service: &Named| {
        let home = command::home(&connect_url, gateway.ca_pem(), &gateway.token());
        let args = ["http", &service.address().to_string(), "--url", URL];
        let mut agent = AditProcess::spawn_within(before, home, args, &[]);
        let online = |line: &str| line.contains("started tunnel");
        agent.wait_for_line(online).await;
        agent
    };
    let _one = joined(&[], format!("127.0.0.1:{port}"), &one).await;
    let _two = joined(&[], format!("127.0.0.1:{port}"), &two).await;
    match Namespace::new() {
        Ok(network) => {
            let three = Named::start_on("three", (network.here(), 0).into()).await;
            let _three = joined(&network.enter(), format!("gate.test:{port}"), &three).await;
            is_cut_off(&gateway, &three, || network.cut(), || network.mend()).await;
        }
        Err(why) => {
            // Said, so that nobody takes this for the real thing.
            eprintln!("no network namespace ({why}): a relay that swallows everything stands in");
            let line = Relay::start(([127, 0, 0, 1], port).into()).await;
            let _three = joined(&[], line.address().to_string(), &three).await;
            is_cut_off(&gateway, &three, || line.stop(), || line.resume()).await;
        }
    }
}

async fn is_cut_off(gateway: &Gateway, third: &Named, cut: impl Fn(), mend: impl Fn()) {
    let crowd = Crowd::start(CLIENTS, gateway.http(), HOST);
    is_asked_again(&crowd, third).await;
    crowd.answers(500).await;
    let since = Instant::now();
    cut();
    crowd.answers(2000).await;
    let asked = third.requests();
    crowd.answers(500).await;
    assert_eq!(third.requests(), asked, "a cable that is cut");
    mend();
    is_asked_again(&crowd, third).await;
    let seen = crowd.stop().await;
    seen.all_were_served();
    few_waited(&seen, since);
}

// === services ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_passed_over_whatever_the_method() {
    let gateway = Gateway::with(&pool("retries: 0", "")).await;
    let [one, two, _] = services().await;
    let _one = Agent::forward(&gateway, URL, one.address()).await;
    let _two = Agent::forward(&gateway, URL, two.address()).await;
    let _dead = Agent::forward(&gateway, URL, nobody().await).await;
    let post = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\n\r\nbody");
    for _ in 0..60 {
        assert_eq!(raw::send(gateway.http(), &post).await.status, 200);
    }
    assert_eq!(one.requests() + two.requests(), 60);
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_service_keeps_nobody_waiting_for_long() {
    let gateway = Gateway::with(&pool(
        "try_timeout: 400ms, retry_budget: { per_second: 100 }",
        "",
    ))
    .await;
    let [one, two, _] = services().await;
    let hung = RawService::start(|mut conn| async move { conn.closed().await }).await;
    let _one = Agent::forward(&gateway, URL, one.address()).await;
    let _two = Agent::forward(&gateway, URL, two.address()).await;
    let _hung = Agent::forward(&gateway, URL, hung.addr()).await;
    let crowd = Crowd::start(CLIENTS, gateway.http(), HOST);
    crowd.answers(3000).await;
    let seen = crowd.stop().await;
    seen.all_were_served();
    // Those who were there when it was found out, and one a second that tries it again later.
    assert!(
        (1..=3 * CLIENTS).contains(&seen.slow.len()),
        "{:?}",
        seen.slow
    );
}
