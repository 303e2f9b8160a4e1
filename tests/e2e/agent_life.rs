//! What clients see when an agent or the gateway is killed, stopped, restarted or sent home.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::harness::{
    AditProcess, Agent, Gateway, RawService, command,
    command::GatewayProcess,
    named::Named,
    raw, soon, token_of,
    visitor::{Visitor, until, visit, whole},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";
const GET: &str = "GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n";

// === killed ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_killed_before_the_head_is_a_fast_502() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let mut agent = command::online(&gateway, URL, service.address()).await;
    for method in ["GET", "POST"] {
        let mut client = raw::Client::connect(gateway.http()).await;
        let length = if method == "POST" {
            "content-length: 0\r\n"
        } else {
            ""
        };
        client
            .send(format!(
                "{method} /hang HTTP/1.1\r\nhost: {HOST}\r\n{length}\r\n"
            ))
            .await;
        service.hanging(if method == "GET" { 1 } else { 2 }).await;
        agent.kill9();
        let answer = timeout(Duration::from_secs(2), client.answer())
            .await
            .expect("a fast answer");
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(
            answer.text().contains("was lost before it answered"),
            "{answer:?}"
        );
        let (status, page) = visit(gateway.http(), HOST, "/").await;
        assert_eq!(status, 503, "{page}");
        agent.wait_exit().await;
        agent = command::online(&gateway, URL, service.address()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_killed_inside_a_body_leaves_the_part_and_a_broken_connection() {
    let gateway = Gateway::start().await;
    for head in [
        "content-length: 1000\r\n",
        "transfer-encoding: chunked\r\n",
        "",
    ] {
        let chunk = if head.starts_with("transfer") {
            "4\r\npart\r\n"
        } else {
            "part"
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n{chunk}");
        let service = RawService::answering(answer).await;
        let mut agent = command::online(&gateway, URL, service.addr()).await;
        let mut visitor = raw::Client::connect(gateway.http()).await;
        visitor.send(GET).await;
        let head_got = visitor.head().await.unwrap();
        assert!(head_got.starts_with("HTTP/1.1 200"), "{head_got}");
        visitor.until("part").await;
        agent.kill9();
        let rest = visitor.rest().await;
        let rest = String::from_utf8_lossy(&rest);
        assert!(
            !rest.contains("0\r\n"),
            "a body that broke has no last chunk: {rest:?}"
        );
        agent.wait_exit().await;
    }
}

// === stopped ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_stopped_is_noticed_and_comes_back_at_the_same_url() {
    let limits =
        "limits: { heartbeat_interval: 200ms, heartbeat_dead_after: 1s, dial_timeout: 500ms }";
    let gateway = Gateway::with(limits).await;
    let service = Named::start("app").await;
    let agent = command::online(&gateway, URL, service.address()).await;
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    agent.stop();
    // Some find an idle stream, some have to open one; nobody waits for long.
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        waiting.spawn(visit(gateway.http(), HOST, "/"));
    }
    for (status, page) in timeout(Duration::from_secs(4), waiting.join_all())
        .await
        .expect("in time")
    {
        assert!(matches!(status, 502..=504), "{status} {page}");
    }
    until(gateway.http(), HOST, 503).await;
    let (status, page) = timeout(Duration::from_millis(500), visit(gateway.http(), HOST, "/"))
        .await
        .unwrap();
    assert_eq!(status, 503, "known to be gone, and said at once: {page}");
    agent.cont();
    until(gateway.http(), HOST, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_at_a_stopped_agent_ends_when_the_agent_is_given_up() {
    let gateway =
        Gateway::with("limits: { heartbeat_interval: 100ms, heartbeat_dead_after: 1s }").await;
    let service = Named::start("app").await;
    let agent = command::online(&gateway, URL, service.address()).await;
    let asking = tokio::spawn(visit(gateway.http(), HOST, "/hang"));
    service.hanging(1).await;
    agent.stop();
    let (status, page) = timeout(Duration::from_secs(4), asking)
        .await
        .expect("in time")
        .unwrap();
    assert!(matches!(status, 502..=504), "{status} {page}");
    agent.cont();
}

// === taken over ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_session_is_replaced_and_a_live_one_is_not() {
    let gateway =
        Gateway::with("limits: { heartbeat_interval: 100ms, heartbeat_dead_after: 60s }").await;
    let (old, new) = (Named::start("old").await, Named::start("new").await);
    let mut first = command::online(&gateway, URL, old.address()).await;
    let mut refused = command::agent(&gateway, ["http", &new.address().to_string(), "--url", URL]);
    assert_eq!(refused.wait_exit().await.code(), Some(2));
    let said = refused.output();
    assert!(
        said.contains("the agent `tester` serves this URL") && said.contains("ERR_ADIT_334"),
        "{said}"
    );
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "old /".into())
    );

    first.stop();
    let taking_over = async {
        loop {
            let next = Agent::builder(&gateway).url(URL).upstream(new.address());
            if let Ok(agent) = next.try_start().await {
                return agent;
            }
        }
    };
    let _second = soon("the take-over", taking_over).await;
    for _ in 0..10 {
        assert_eq!(
            visit(gateway.http(), HOST, "/").await,
            (200, "new /".into())
        );
    }
    // The old one wakes, finds its session gone and its URL taken, and changes nothing.
    first.cont();
    first
        .wait_for_line(|line| line.contains("failed to start tunnel"))
        .await;
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "new /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_crashed_is_started_again_at_the_same_url_at_once() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    for _ in 0..3 {
        let mut agent = command::online(&gateway, URL, service.address()).await;
        assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
        agent.kill9();
        agent.wait_exit().await;
    }
}

// === sent home ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_agent_finishes_what_runs_takes_nothing_new_and_exits_with_0() {
    for signal in ["INT", "TERM"] {
        let gateway = Gateway::start().await;
        let service = Named::start("app").await;
        let mut agent = command::online(&gateway, URL, service.address()).await;
        let running = tokio::spawn(visit(gateway.http(), HOST, "/hang"));
        service.hanging(1).await;
        agent.signal(signal);
        until(gateway.http(), HOST, 503).await;
        service.release();
        assert_eq!(
            soon("the running request", running).await.unwrap(),
            (200, "app /hang".into())
        );
        assert_eq!(
            agent.wait_exit().await.code(),
            Some(0),
            "{}",
            agent.output()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_interrupt_ends_an_agent_at_once() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let mut agent = command::online(&gateway, URL, service.address()).await;
    let running = tokio::spawn(visit(gateway.http(), HOST, "/hang"));
    service.hanging(1).await;
    agent.signal("INT");
    agent.wait_for_line(|line| line.contains("stopping")).await;
    agent.signal("INT");
    let ended = timeout(Duration::from_secs(3), agent.wait_exit());
    assert_eq!(ended.await.expect("at once").code(), Some(0));
    assert!(matches!(
        soon("an answer", running).await.unwrap().0,
        502 | 503
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_agent_does_not_wait_for_connections_that_nobody_uses() {
    for protocol in ["http1", "http2"] {
        let gateway = Gateway::start().await;
        let service = Named::start("app").await;
        let address = service.address().to_string();
        let args = [
            "http",
            &address,
            "--url",
            URL,
            "--upstream-protocol",
            protocol,
        ];
        let mut agent = command::agent(&gateway, args);
        agent
            .wait_for_line(|line| line.contains("started tunnel"))
            .await;
        let mut kept = Visitor::connect(gateway.http()).await;
        assert_eq!(kept.text(HOST, "/").await, (200, "app /".into()));
        agent.term();
        // Far less than a request that ran could take.
        let ended = timeout(Duration::from_secs(5), agent.wait_exit());
        assert_eq!(ended.await.expect(protocol).code(), Some(0));
        // Given back in order, the URL is nobody's.
        assert_eq!(kept.text(HOST, "/").await.0, 404);
    }
}

// === the gateway restarted ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_restarted_under_load_is_found_again_by_its_agent_at_the_same_url() {
    let gateway = GatewayProcess::start("").await;
    let service = Named::start("app").await;
    let home = gateway.home(&token_of("tester"));
    let endpoints = format!(
        "endpoints:\n- {{ name: web, url: \"http://\", upstream: {{ url: \"{}\" }} }}\n",
        service.address()
    );
    let file = command::config_file(&home);
    let text = std::fs::read_to_string(&file).unwrap() + &endpoints;
    std::fs::write(file, text).unwrap();
    let mut agent = AditProcess::spawn_in(home, ["start", "web"], &[]);
    let line = agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    let url = line.split_once(" url=http://").unwrap().1;
    let host = url.split(':').next().unwrap().to_owned();

    let load = Load::start(gateway.http(), &host);
    load.successes(50).await;
    let running = {
        let (address, host) = (gateway.http(), host.clone());
        tokio::spawn(async move { visit(address, &host, "/hang").await })
    };
    service.hanging(1).await;
    gateway.process.term();
    service.release();
    assert_eq!(soon("the running request", running).await.unwrap().0, 200);
    let before = load.so_far();
    let gateway = gateway.again().await;
    until(gateway.http(), &host, 200).await;
    load.successes(before + 50).await;
    let others = load.stop().await;
    assert!(others.is_subset(&BTreeSet::from([404, 503])), "{others:?}");
    assert!(!agent.output().contains("failed"), "{}", agent.output());
    drop(agent);
}

/// Clients that ask without end and bear with a server that is not there.
struct Load {
    stopped: Arc<AtomicBool>,
    good: watch::Sender<usize>,
    clients: JoinSet<BTreeSet<u16>>,
}

impl Load {
    fn start(to: SocketAddr, host: &str) -> Self {
        let (stopped, good) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (stopped, good, host) = (Arc::clone(&stopped), good.clone(), host.to_owned());
            clients.spawn(async move {
                let mut others = BTreeSet::new();
                while !stopped.load(Ordering::Relaxed) {
                    // Nobody listens between the two.
                    let Ok(mut visitor) = Visitor::try_connect(to).await else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    // A connection that is closed instead of answered is not counted as either.
                    while let Ok(response) = visitor.get(&host, "/").await {
                        match whole(response).await {
                            Ok((200, body)) => {
                                assert_eq!(body, "app /");
                                good.send_modify(|good| *good += 1);
                            }
                            Ok((status, _)) => drop(others.insert(status)),
                            Err(error) => panic!("an answer that began was cut: {error}"),
                        }
                        if stopped.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
                others
            });
        }
        Self {
            stopped,
            good,
            clients,
        }
    }

    fn so_far(&self) -> usize {
        *self.good.borrow()
    }

    async fn successes(&self, wanted: usize) {
        let mut good = self.good.subscribe();
        drop(
            soon(
                "requests that succeed",
                good.wait_for(|good| *good >= wanted),
            )
            .await,
        );
    }

    /// Every other status that was seen.
    async fn stop(self) -> BTreeSet<u16> {
        self.stopped.store(true, Ordering::Relaxed);
        soon("the clients", self.clients.join_all())
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}
