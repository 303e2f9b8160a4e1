//! Agents check their services, and the gateway sends traffic only where a service is well.

use std::{collections::BTreeMap, fs, net::SocketAddr, process::Stdio, time::Duration};

use adit_agent::{Event, HealthCheck};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin},
    sync::broadcast,
};

use crate::{
    grpc::python,
    harness::{
        AditProcess, Agent, Gateway, command, event,
        gateway::put,
        named::Named,
        soon,
        visitor::{until, visit},
    },
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";
const INTERVAL: Duration = Duration::from_millis(200);

fn healthz() -> HealthCheck {
    let check = HealthCheck::http("/healthz").unwrap();
    check.interval(INTERVAL).timeout(INTERVAL)
}

/// An agent of the pool that checks its service.
async fn member(gateway: &Gateway, service: SocketAddr) -> Agent {
    let agent = Agent::builder(gateway).url(URL).upstream(service).pooling();
    agent.health_check(healthz()).start().await
}

/// Waits until an agent has found its service up or down, and answers why.
async fn found(events: &mut broadcast::Receiver<Event>, wanted: bool) -> String {
    let found = event(
        events,
        |event| matches!(event, Event::Health { up, .. } if *up == wanted),
    );
    match found.await {
        Event::Health { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// How many of some requests each service has answered.
async fn shares(to: SocketAddr, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let (status, page) = visit(to, HOST, "/").await;
        assert_eq!(status, 200, "{page}");
        *shares.entry(page).or_default() += 1;
    }
    shares
}

/// Waits until these services, and no others, answer.
async fn served_by(to: SocketAddr, names: &[&str]) {
    let wanted: Vec<_> = names.iter().map(|name| format!("{name} /")).collect();
    let serving = async { while !shares(to, 30).await.keys().eq(&wanted) {} };
    soon(&format!("traffic for {names:?} alone"), serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_gets_nothing_until_it_is_up_again() {
    let gateway = Gateway::start().await;
    let (a, b) = (Named::start("a").await, Named::start("b").await);
    let first = member(&gateway, a.address()).await;
    let second = member(&gateway, b.address()).await;
    let (mut of_a, mut of_b) = (first.events(), second.events());
    served_by(gateway.http(), &["a", "b"]).await;

    let before = a.checks();
    a.set_health(503);
    assert_eq!(found(&mut of_a, false).await, "GET /healthz: status 503");
    // Two that failed; one may have been on its way.
    assert!(a.checks() <= before + 3, "{} {before}", a.checks());
    served_by(gateway.http(), &["b"]).await;

    b.set_health(500);
    found(&mut of_b, false).await;
    until(gateway.http(), HOST, 503).await;
    let served = (a.requests(), b.requests());
    for _ in 0..10 {
        let (status, page) = visit(gateway.http(), HOST, "/").await;
        assert_eq!(status, 503, "{page}");
    }
    assert_eq!(served, (a.requests(), b.requests()));

    a.set_health(200);
    found(&mut of_a, true).await;
    until(gateway.http(), HOST, 200).await;
    served_by(gateway.http(), &["a"]).await;
    b.set_health(204);
    served_by(gateway.http(), &["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_before_the_first_check() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    service.set_health(0);
    let slow = healthz().timeout(Duration::from_secs(3));
    let agent = Agent::builder(&gateway)
        .url(URL)
        .upstream(service.address());
    let agent = agent.health_check(slow).start().await;
    let mut events = agent.events();
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 503);
    assert_eq!(found(&mut events, false).await, "no answer within 3s");
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 503);
    assert_eq!(service.requests(), 0);
    service.set_health(200);
    until(gateway.http(), HOST, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_checks_what_it_is_told_to_and_says_what_it_finds() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    service.set_health(503);
    let address = service.address().to_string();
    let args = ["http", &address, "--url", URL, "--health-check", "/healthz"];
    let mut agent = command::agent(&gateway, args);
    let said = agent
        .wait_for_line(|line| line.contains("service is down"))
        .await;
    assert!(said.contains("GET /healthz: status 503"), "{said}");
    until(gateway.http(), HOST, 503).await;
    service.set_health(200);
    agent
        .wait_for_line(|line| line.contains("service is up"))
        .await;
    until(gateway.http(), HOST, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_start_takes_over_weights_while_its_endpoints_are_online() {
    let gateway = Gateway::start().await;
    let (a, b) = (Named::start("a").await, Named::start("b").await);
    let other = Agent::builder(&gateway).url(URL).upstream(a.address());
    let _other = other.pooling().start().await;
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    let file = command::config_file(&home);
    let head = fs::read_to_string(&file).unwrap();
    let write = |place: &str| {
        let endpoint = format!(
            "endpoints: [{{ name: b, url: {URL}, pooling_enabled: true, {place}, upstream: {{ url: \"{}\" }} }}]\n",
            b.address()
        );
        put(
            file.parent().unwrap(),
            "adit.yml",
            &(head.clone() + &endpoint),
        );
    };
    write("weight: 0");
    let mut agent = AditProcess::spawn_in(home.clone(), ["start", "--all"], &[]);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    assert_eq!(shares(gateway.http(), 50).await["a /"], 50);

    write("weight: 300");
    agent
        .wait_for_line(|line| line.contains("weight updated") && line.contains("weight=300"))
        .await;
    served_by(gateway.http(), &["a", "b"]).await;
    let shares_now = shares(gateway.http(), 400).await;
    // Three of four; were each drawn by lot, one run in a million would be outside.
    assert!((255..=345).contains(&shares_now["b /"]), "{shares_now:?}");

    // A tier that only serves when nobody else can.
    write("weight: 300, tier: 1");
    agent
        .wait_for_line(|line| line.contains("weight updated") && line.contains("tier=1"))
        .await;
    served_by(gateway.http(), &["a"]).await;
    assert!(!agent.output().contains("restart"), "{}", agent.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_endpoints_of_one_file_come_online_together_and_each_is_told() {
    const ENDPOINTS: usize = 2000;
    let gateway = Gateway::with("limits: { endpoints_per_session: 2000 }").await;
    let service = Named::start("app").await;
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    let file = command::config_file(&home);
    let mut text = fs::read_to_string(&file).unwrap() + "endpoints:\n";
    for n in 0..ENDPOINTS {
        text.push_str(&format!(
            "- {{ name: e{n}, url: http://e{n}.localhost, upstream: {{ url: \"{}\" }} }}\n",
            service.address()
        ));
    }
    fs::write(&file, text).unwrap();
    let mut agent = AditProcess::spawn_in(home, ["start", "--all"], &[]);
    for _ in 0..ENDPOINTS {
        agent
            .wait_for_line(|line| line.contains("started tunnel"))
            .await;
    }
    let last = format!("e{}.localhost", ENDPOINTS - 1);
    assert_eq!(visit(gateway.http(), &last, "/").await.0, 200);
}

// === gRPC ===

/// grpcio's own health service.
struct GrpcHealth {
    port: u16,
    input: ChildStdin,
    _process: Child,
}

impl GrpcHealth {
    async fn start() -> Self {
        let mut process = python("health.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = soon("the gRPC service", lines.next_line()).await.unwrap();
        let line = line.expect("it says ready");
        Self {
            port: line.strip_prefix("ready ").unwrap().parse().unwrap(),
            input: process.stdin.take().unwrap(),
            _process: process,
        }
    }

    async fn set(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_services_are_asked_in_their_own_protocol() {
    let mut service = GrpcHealth::start().await;
    let gateway = Gateway::start().await;
    let of = |name: &str| HealthCheck::grpc(name).unwrap().interval(INTERVAL);
    let agent = Agent::builder(&gateway)
        .url("http://one.localhost")
        .upstream(service.port)
        .protocol_http2()
        .health_check(of("my.Service"))
        .start()
        .await;
    let mut events = agent.events();
    service.set("my.Service SERVING").await;
    found(&mut events, true).await;
    service.set("my.Service NOT_SERVING").await;
    let said = found(&mut events, false).await;
    assert_eq!(said, "gRPC health: the service is NOT_SERVING");

    // The whole server, behind an endpoint of HTTP/1.1.
    let whole = Agent::builder(&gateway)
        .url("http://two.localhost")
        .upstream(service.port)
        .health_check(of(""))
        .start()
        .await;
    let mut events = whole.events();
    service.set(" NOT_SERVING").await;
    found(&mut events, false).await;
    service.set(" SERVING").await;
    found(&mut events, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_http_2_are_asked_over_http_2() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let agent = Agent::builder(&gateway)
        .url(URL)
        .upstream(service.address())
        .protocol_http2();
    let agent = agent.health_check(healthz()).start().await;
    until(gateway.http(), HOST, 200).await;
    let mut events = agent.events();
    service.set_health(418);
    assert_eq!(found(&mut events, false).await, "GET /healthz: status 418");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_asked_by_grpc_is_told_as_such() {
    let gateway = Gateway::start().await;
    let (page, grpc) = (Named::start("app").await, GrpcHealth::start().await);
    for (port, check, says) in [
        (
            page.address().port(),
            "grpc",
            "the answer has no grpc-status",
        ),
        (
            grpc.port,
            "grpc:no.Service",
            "the server does not know this service",
        ),
    ] {
        let args = [
            "http",
            &port.to_string(),
            "--health-check",
            check,
            "--url",
            URL,
        ];
        let mut agent = command::agent(&gateway, args);
        let said = agent
            .wait_for_line(|line| line.contains("service is down"))
            .await;
        assert!(said.contains(says), "{said}");
    }
}
