//! What of `gateway.yaml` besides policies may change while the gateway runs, and that nothing else is touched by it.
//! Policies are in `reload.rs`, certificates in `reload_certificates.rs`.

use adit_agent::Event;
use adit_wire::message::RefusalCode;

use crate::harness::{
    Agent, Deployed, Gateway, Service, event, h2raw, raw,
    regulars::Regulars,
    streams::Streams,
    visitor::{until, visit},
};
use crate::websocket::Echo;

const APP: &str = "endpoints:\n  - url: http://app.localhost\n";

/// A policy, as it stands in `gateway.yaml`, that writes a header onto each response.
fn writing(header: &str, value: &str) -> String {
    format!(
        "{{ on_http_response: [{{ actions: [{{ type: add-headers, config: {{ headers: {{ {header}: \"{value}\" }} }} }}] }}] }}"
    )
}

/// One more answer on the same connection.
async fn next(client: &mut raw::Client, host: &str, lines: &str) -> raw::RawAnswer {
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"))
        .await;
    let answer = client.answer().await;
    assert!(!answer.closed, "{answer:?}");
    answer
}

async fn set(gateway: &Gateway, extra: &str) {
    gateway.rewrite(extra);
    gateway.reload().await.unwrap();
}

// === endpoints ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_come_change_and_go_and_their_agents_and_clients_stay() {
    let service = Service::echo().await;
    let gateway = Gateway::with(APP).await;
    let agent = Agent::builder(&gateway).url("http://app.localhost");
    let agent = agent.upstream(service.addr()).url("http://b.localhost");
    let agent = agent.start().await;
    let mut events = agent.events();
    let regulars = [
        Regulars::of(2, gateway.http(), "app.localhost").await,
        Regulars::of(2, gateway.http(), "b.localhost").await,
    ];
    let mut kept = raw::Client::connect(gateway.http()).await;
    assert_eq!(next(&mut kept, "b.localhost", "").await.header("x-b"), None);
    assert_eq!(visit(gateway.http(), "c.localhost", "/").await.0, 404);

    let b = format!(
        "  - {{ url: http://b.localhost, traffic_policy: {} }}\n",
        writing("x-b", "declared")
    );
    let c = "  - url: http://*.c.localhost\n";
    set(&gateway, &format!("{APP}{b}{c}")).await;
    let answer = next(&mut kept, "b.localhost", "").await;
    assert_eq!(answer.header("x-b"), Some("declared"));
    assert_eq!(visit(gateway.http(), "x.c.localhost", "/").await.0, 503);
    assert_eq!(visit(gateway.http(), "b.localhost", "/a//b").await.0, 400);

    let normal = b.replace("traffic_policy:", "normalize_paths: true, traffic_policy:");
    set(&gateway, &format!("{APP}{normal}")).await;
    assert_eq!(visit(gateway.http(), "b.localhost", "/a//b").await.0, 200);
    assert_eq!(visit(gateway.http(), "x.c.localhost", "/").await.0, 404);

    // Out of the file, it is the agent's own again; with nobody behind it, it is nothing.
    set(&gateway, APP).await;
    let answer = next(&mut kept, "b.localhost", "").await;
    assert_eq!((answer.status, answer.header("x-b")), (200, None));
    assert_eq!(visit(gateway.http(), "b.localhost", "/a//b").await.0, 400);
    for clients in regulars {
        clients.leave().await;
    }
    while let Ok(event) = events.try_recv() {
        assert!(matches!(event, Event::Dialed { .. }), "{event:?}");
    }
    assert_eq!(service.counts().abandoned, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_the_policy_of_an_endpoint_that_is_taken_out_and_others_go_on() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let entry = |host: &str| {
        let policy = writing("x-policy", "1");
        format!(
            "  - {{ url: https://{host}.localhost, traffic_policy: {policy} }}\n  \
             - {{ url: https://ws.{host}.localhost, traffic_policy: {policy} }}\n"
        )
    };
    let gateway = Gateway::with(&format!("endpoints:\n{}{}", entry("app"), entry("other"))).await;
    let agent = ["app", "ws.app", "other", "ws.other"].iter().fold(
        Agent::builder(&gateway),
        |agent, host| {
            let agent = agent.url(&format!("https://{host}.localhost"));
            match host.starts_with("ws.") {
                true => agent.upstream(echo.addr),
                false => agent.upstream(service.addr()),
            }
        },
    );
    let _agent = agent.start().await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    set(&gateway, &format!("endpoints:\n{}", entry("other"))).await;
    streams.break_off().await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_agents_that_shared_a_declared_url_those_stay_who_would_share_it_without() {
    let services = [Service::echo().await, Service::echo().await];
    for pooling in [false, true] {
        let gateway = Gateway::with(APP).await;
        let agent = |name: &str, service: &Service| {
            let agent = Agent::builder(&gateway).token(gateway.token_of(name));
            let agent = agent.url("http://app.localhost").upstream(service.addr());
            agent.option(|options| options.pooling_enabled(pooling))
        };
        let first = agent("tester", &services[0]).start().await;
        let second = agent("other", &services[1]).start().await;
        let mut events = second.events();
        let mut kept = raw::Client::connect(gateway.http()).await;
        set(&gateway, "").await;
        if pooling {
            let before = services[1].counts().requests;
            while services[1].counts().requests == before {
                assert_eq!(next(&mut kept, "app.localhost", "").await.status, 200);
            }
            continue;
        }
        let unbound = event(&mut events, |event| matches!(event, Event::Unbound { .. })).await;
        let Event::Unbound { refused, .. } = unbound else {
            unreachable!()
        };
        let refused = refused.unwrap();
        assert!(refused.retryable && refused.code == RefusalCode::Taken);
        assert!(refused.reason.contains("pooling_enabled"), "{refused}");
        let before = services[1].counts().requests;
        for _ in 0..8 {
            assert_eq!(next(&mut kept, "app.localhost", "").await.status, 200);
        }
        assert_eq!(services[1].counts().requests, before);
        // It has asked again, and the first that goes makes room.
        first.close().await;
        event(&mut events, |event| matches!(event, Event::Bound { .. })).await;
        assert_eq!(next(&mut kept, "app.localhost", "").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mistake_anywhere_changes_nothing_anywhere() {
    let gateway = Gateway::with(APP).await;
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 503);
    for mistake in [
        "limits: { header_count: 3, header_timeout: soon }",
        "fetch: { allow: [api.example.com], ca_files: [missing.pem] }\nlimits: { header_count: 3 }",
        "trusted_proxies: [nowhere]\nlimits: { header_count: 3 }",
    ] {
        gateway.rewrite(&format!(
            "endpoints:\n  - url: http://new.localhost\n{mistake}"
        ));
        assert!(gateway.reload().await.is_err(), "{mistake}");
        let mut client = raw::Client::connect(gateway.http()).await;
        let answer = next(&mut client, "app.localhost", "a: 1\r\nb: 2\r\nc: 3\r\n").await;
        assert_eq!(answer.status, 503, "{mistake}");
        assert_eq!(visit(gateway.http(), "new.localhost", "/").await.0, 404);
    }
}

// === limits and other settings ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_lowered_and_raised_for_what_begins_then() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut events = agent.events();
    let regulars = Regulars::of(2, gateway.http(), "app.localhost").await;
    let four = "a: 1\r\nb: 2\r\nc: 3\r\n";
    for (count, status) in [(3, 431), (100, 200), (2, 431), (4, 200)] {
        set(&gateway, &format!("limits: {{ header_count: {count} }}")).await;
        let answer = raw::send(
            gateway.http(),
            format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{four}\r\n"),
        )
        .await;
        assert_eq!(answer.status, status, "{count}");
    }
    for (time, status) in [("300ms", 504), ("1m", 200)] {
        set(&gateway, &format!("limits: {{ upstream_timeout: {time} }}")).await;
        let mut client = raw::Client::connect(gateway.http()).await;
        client
            .send("GET /slow-head HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
            .await;
        if status == 200 {
            service.release();
        }
        assert_eq!(client.answer().await.status, status, "{time}");
    }
    // Both sides are here: the agent's connections and those of clients are of one address.
    set(&gateway, "limits: { connections_per_ip: 1 }").await;
    let mut refused = raw::Client::connect(gateway.http()).await;
    assert_eq!(refused.rest().await, b"");
    set(&gateway, "").await;
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);

    set(&gateway, "limits: { endpoints_per_session: 1 }").await;
    let second = || {
        let options = adit_agent::EndpointOptions::new("b").url("http://b.localhost");
        let upstream = adit_agent::Upstream::parse(&service.addr().to_string()).unwrap();
        agent.agent.forward(options, upstream)
    };
    let refused = second().await.unwrap_err().to_string();
    assert!(refused.contains("ERR_ADIT_324"), "{refused}");
    set(&gateway, "").await;
    let _second = second().await.unwrap();

    set(&gateway, "limits: { sessions: 1 }").await;
    let other = Agent::builder(&gateway).token(gateway.token_of("other"));
    let other = tokio::spawn(other.start());
    set(&gateway, "limits: { sessions: 2 }").await;
    crate::harness::soon("a session", other).await.unwrap();
    regulars.leave().await;
    while let Ok(event) = events.try_recv() {
        let is_well = !matches!(event, Event::Disconnected { .. } | Event::Unbound { .. });
        assert!(is_well, "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_limit_of_http2_is_told_to_those_who_come() {
    let gateway = Gateway::start().await;
    for streams in [7, 9] {
        set(&gateway, &format!("limits: {{ http2_streams: {streams} }}")).await;
        let mut client = raw::Client::connect(gateway.http()).await;
        client.send(h2raw::PREFACE).await;
        client.send(h2raw::frame(h2raw::SETTINGS, 0, 0, &[])).await;
        // SETTINGS_MAX_CONCURRENT_STREAMS and its value, as RFC 9113 §6.5.1 writes them.
        let wanted = [0, 3, 0, 0, 0, streams];
        let mut heard = Vec::new();
        while !heard.windows(6).any(|setting| setting == wanted) {
            heard.extend(client.piece().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_the_heartbeat_that_it_began_with() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let old = Agent::forward(&gateway, "http://old.localhost", service.addr()).await;
    let mut events = old.events();
    let short = "limits: { heartbeat_interval: 100ms, heartbeat_dead_after: 400ms }";
    set(&gateway, short).await;
    let agent = Agent::builder(&gateway).token(gateway.token_of("other"));
    let agent = agent.url("http://new.localhost").upstream(service.addr());
    let new = agent.start().await;
    let mut latencies = new.events();
    // Each is a heartbeat of the newer session: the older one has been silent for long by then.
    for _ in 0..10 {
        event(&mut latencies, |event| matches!(event, Event::Latency(_))).await;
    }
    assert_eq!(visit(gateway.http(), "old.localhost", "/").await.0, 200);
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Disconnected { .. }), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trusted_proxies_count_from_the_next_request_and_the_region_from_the_next_connection() {
    let service = Service::echo().await;
    let endpoint = format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {} }}\n",
        writing("x-region", "${conn.server_region}")
    );
    let gateway = Gateway::with(&endpoint).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut kept = raw::Client::connect(gateway.http()).await;
    for (proxies, client) in [
        ("[]", "127.0.0.1"),
        ("[127.0.0.0/8]", "192.0.2.7, 127.0.0.1"),
        ("[192.0.2.0/24]", "127.0.0.1"),
    ] {
        set(
            &gateway,
            &format!(
                "{endpoint}trusted_proxies: {proxies}\nregion: r{}",
                proxies.len()
            ),
        )
        .await;
        let answer = next(&mut kept, "app.localhost", "X-Forwarded-For: 192.0.2.7\r\n").await;
        assert_eq!(answer.header("x-region"), Some("default"));
        let request = service.requests().pop().unwrap();
        assert_eq!(request.all("x-forwarded-for").join(", "), client);
        let mut new = raw::Client::connect(gateway.http()).await;
        let answer = next(&mut new, "app.localhost", "").await;
        let region = format!("r{}", proxies.len());
        assert_eq!(answer.header("x-region"), Some(&*region));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_may_ask_whom_the_file_allows_now() {
    let service = Service::echo().await;
    let asked = service.addr();
    let endpoint = format!(
        "endpoints:\n  - url: http://app.localhost\n    traffic_policy:\n      on_http_request:\n        - actions:\n            \
         - {{ type: http-request, config: {{ url: 'http://{asked}/' }} }}\n            \
         - {{ type: custom-response, config: {{ body: '[${{actions.ngrok.http_request.error.code}}]' }} }}\n"
    );
    let gateway = Gateway::with(&endpoint).await;
    let told = || async { visit(gateway.http(), "app.localhost", "/").await.1 };
    for _ in 0..2 {
        assert_ne!(told().await, "[]");
        let fetch = format!("fetch: {{ allow: ['{asked}'], allow_private: true }}");
        set(&gateway, &format!("{endpoint}{fetch}")).await;
        assert_eq!(told().await, "[]");
        set(&gateway, &endpoint).await;
    }
    assert_eq!(service.counts().requests, 2);
}

// === the command ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_of_the_log_tells_all_that_was_applied() {
    let service = Service::echo().await;
    let addr = service.addr();
    let endpoints: [(&str, &dyn std::fmt::Display); 1] = [("http://app.localhost", &addr)];
    let mut deployed = Deployed::start(APP, &endpoints).await;
    let regulars = Regulars::of(4, deployed.http, "app.localhost").await;
    let mut kept = raw::Client::connect(deployed.http).await;
    next(&mut kept, "app.localhost", "").await;
    let policy = writing("x-policy", "1");
    deployed.rewrite(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, normalize_paths: true }}\n  \
         - {{ url: http://new.localhost, traffic_policy: {policy} }}\nlimits: {{ header_count: 7, idle_timeout: 2m }}\n"
    ));
    let reloaded = |line: &str| line.contains("configuration reloaded");
    let line = deployed.gateway.wait_for_line(reloaded).await;
    for part in [
        "lvl=info",
        "policies=1",
        "endpoints_added=http://new.localhost",
        "endpoints_changed=http://app.localhost",
        "settings=\"limits.header_count, limits.idle_timeout\"",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(
        !line.contains("removed") && !line.contains("agents"),
        "{line}"
    );
    until(deployed.http, "new.localhost", 503).await;
    deployed.rewrite(APP);
    deployed.gateway.signal("HUP");
    let line = deployed.gateway.wait_for_line(reloaded).await;
    assert!(
        line.contains("endpoints_removed=http://new.localhost"),
        "{line}"
    );
    regulars.leave().await;
    assert_eq!(service.counts().abandoned, 0);
    let output = deployed.agent.output();
    assert!(!output.contains("lvl=warn"), "{output}");
    // A connection that came before the limits changed hears of the end like all others.
    deployed.gateway.term();
    assert_eq!(kept.rest().await, b"");
    deployed.gateway.wait_exit().await;
}
