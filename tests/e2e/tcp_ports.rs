//! Which ports tcp endpoints have, who gets them, and when they are open.

use std::{collections::HashSet, sync::Arc};

use tempfile::TempDir;

use crate::{
    harness::{
        AditProcess, Agent, Gateway,
        bytes::{ByteService, Bytes, Ended, closed, drawn, port, port_of, port_range, turned_away},
        command,
        lines::started,
    },
    tcp::{agent, gateway},
};

/// Why an agent does not get a URL.
async fn refused(gateway: &Gateway, url: &str) -> String {
    let wanted = Agent::builder(gateway).url(url).upstream(22).try_start();
    wanted.await.err().expect("a refusal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gets_the_ports_that_its_list_allows_and_no_others() {
    let (mine, other) = (port(), port());
    let acl = [format!("bind:tcp://:{mine}"), "bind:*".to_owned()];
    let acl: Vec<_> = acl.iter().map(String::as_str).collect();
    let gateway = Gateway::with_agents(&[("tester", &acl), ("web", &["bind:*"])], "").await;
    let service = ByteService::echo("in").await;
    let held = agent(&gateway, mine, service.addr).await;
    for (url, code) in [
        (format!("tcp://:{other}"), 308),
        (format!("tcp://localhost:{other}"), 308),
        (format!("tcp://elsewhere.example:{mine}"), 307),
        ("tcp://db.internal".into(), 301),
        ("tls://app.localhost".into(), 332),
        ("tcp://".into(), 307),
    ] {
        let told = refused(&gateway, &url).await;
        assert!(
            told.contains(&format!("(ERR_ADIT_{code})")),
            "{url}: {told}"
        );
    }
    let web = Agent::builder(&gateway)
        .token(gateway.token_of("web"))
        .url("tcp://")
        .upstream(22);
    let told = web.try_start().await.err().unwrap();
    assert!(told.contains("ERR_ADIT_356"), "{told}");
    held.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_has_one_holder_unless_both_share_it() {
    let gateway = gateway("").await;
    let port = port();
    let service = ByteService::echo("in").await;
    let _holder = agent(&gateway, port, service.addr).await;
    let url = format!("tcp://:{port}");
    let other = Agent::builder(&gateway)
        .token(gateway.token_of("other"))
        .url(&url)
        .upstream(service.addr);
    let told = other.try_start().await.err().unwrap();
    assert!(
        told.contains("`tester` serves this URL") && told.contains("ERR_ADIT_334"),
        "{told}"
    );
    // Nor does a port of another program become ours.
    let outside = crate::harness::bytes::port();
    let _program = std::net::TcpListener::bind(("127.0.0.1", outside)).unwrap();
    let told = refused(&gateway, &format!("tcp://:{outside}")).await;
    assert!(told.contains("ERR_ADIT_307"), "{told}");
    let (_, last) = port_range();
    let told = refused(&gateway, &format!("tcp://:{}", last + 1)).await;
    assert!(told.contains("not "), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_port_is_one_of_those_that_the_list_allows_and_a_free_one() {
    let drawn = drawn();
    let gateway = Gateway::with_agents(&[("tester", &[&drawn])], "").await;
    let service = ByteService::echo("in").await;
    let mut builder = Agent::builder(&gateway);
    for _ in 0..5 {
        builder = builder.url("tcp://").upstream(service.addr);
    }
    let agent = builder.start().await;
    let ports: HashSet<_> = agent
        .forwarders
        .iter()
        .map(|one| port_of(&one.url()))
        .collect();
    assert_eq!(ports.len(), 5, "{ports:?}");
    for port in ports {
        assert_eq!(Bytes::connect(port).await.hear(2).await, b"in");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_is_open_while_somebody_serves_it() {
    let declared = port();
    let gateway = gateway(&format!("endpoints: [{{ url: 'tcp://:{declared}' }}]\n")).await;
    let port = port();
    closed(port).await;
    let service = ByteService::echo("in").await;
    for _ in 0..3 {
        let agent = agent(&gateway, port, service.addr).await;
        let mut running = Bytes::connect(port).await;
        running.echo_after("in", "a").await;
        agent.forwarders[0].close().await;
        closed(port).await;
        // What runs may finish.
        running.echo("b").await;
        agent.close().await;
        assert_eq!(running.end().await, Ended::Broken);
    }
    // The operator's is open whoever serves it.
    assert_eq!(turned_away(declared).await, Ended::Broken);
    let agent = agent(&gateway, declared, service.addr).await;
    assert_eq!(Bytes::connect(declared).await.hear(2).await, b"in");
    agent.close().await;
    assert_eq!(turned_away(declared).await, Ended::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_opens_and_closes_the_operators_ports() {
    let (before, after) = (port(), port());
    let one = |port: u16| format!("endpoints: [{{ url: 'tcp://:{port}' }}]\n");
    let gateway = gateway(&one(before)).await;
    let taken = std::net::TcpListener::bind(("127.0.0.1", after)).unwrap();
    gateway.rewrite(&one(after));
    let refused = gateway.reload().await.unwrap_err().to_string();
    assert!(refused.contains("ERR_ADIT_307"), "{refused}");
    assert_eq!(turned_away(before).await, Ended::Broken);
    drop(taken);
    gateway.rewrite(&format!("{}# again\n", one(after)));
    gateway.reload().await.unwrap();
    closed(before).await;
    assert_eq!(turned_away(after).await, Ended::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_for_requests_has_no_place_at_a_tcp_endpoint() {
    let policy = "on_http_request: [{ actions: [{ type: deny }] }]\n";
    let gateway = gateway("").await;
    let wanted = Agent::builder(&gateway)
        .url(&format!("tcp://:{}", port()))
        .upstream(22)
        .policy(policy);
    let told = wanted.try_start().await.err().unwrap();
    assert!(told.contains("ERR_ADIT_2230"), "{told}");
    let home = Arc::new(TempDir::new().unwrap());
    for (endpoint, says) in [
        (
            "{ url: 'tcp://:22', traffic_policy: { on_http_request: [{ actions: [{ type: deny }] }] } }",
            "ERR_ADIT_2230",
        ),
        (
            "{ url: 'tls://app.example.com' }",
            "tls endpoints are not available",
        ),
        ("{ url: 'tcp://' }", "needs a port"),
        ("{ url: 'tcp://other.example:22' }", "leave the host out"),
        (
            "{ url: 'tcp://:22' }\n  - { url: 'tcp://example.com:22' }",
            "stands twice",
        ),
    ] {
        let text =
            format!("domain: example.com\ntls: {{ local_ca: true }}\nendpoints:\n  - {endpoint}\n");
        std::fs::write(home.path().join("gateway.yaml"), text).unwrap();
        let told = command::run(&home, ["gateway", "check", "gateway.yaml"]).await;
        assert_eq!(told.code, 1, "{endpoint}: {told:?}");
        assert!(told.stderr.contains(says), "{endpoint}: {told:?}");
    }
}

// === adit tcp, adit start ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_tcp_needs_nothing_else() {
    let service = ByteService::echo("mine").await;
    let port = service.addr.port().to_string();
    let mut adit = AditProcess::spawn(["tcp", &port], &[]);
    let url = started(&mut adit, "tcp").await;
    assert!(url.starts_with("tcp://localhost:20"), "{url}");
    let mut client = Bytes::connect(port_of(&url)).await;
    client.echo_after("mine", "hello").await;
    adit.term();
    assert_eq!(adit.wait_exit().await.code(), Some(0), "{}", adit.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_tcp_and_adit_start_serve_ports_of_a_gateway() {
    let gateway = gateway("").await;
    let service = ByteService::echo("mine").await;
    let (typed, written) = (port(), port());
    let upstream = service.addr.to_string();
    let mut tcp = command::agent(&gateway, ["tcp", &upstream, "--url", &format!(":{typed}")]);
    assert_eq!(
        started(&mut tcp, "tcp").await,
        format!("tcp://localhost:{typed}")
    );
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    let file = command::config_file(&home);
    let agent = std::fs::read_to_string(&file).unwrap();
    let endpoint = format!(
        "endpoints: [{{ name: ssh, url: 'tcp://:{written}', upstream: {{ url: {} }} }}]\n",
        service.addr.port()
    );
    std::fs::write(&file, agent + &endpoint).unwrap();
    let mut start = AditProcess::spawn_in(home, ["start", "ssh"], &[]);
    started(&mut start, "tcp").await;
    for port in [typed, written] {
        Bytes::connect(port).await.echo_after("mine", "hello").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_tcp_says_what_it_cannot_do() {
    let home = TempDir::new().unwrap();
    for (args, says) in [
        (&["tcp", "http://localhost:80"][..], "carries bytes"),
        (&["tcp", "db"], "has no port"),
        (&["tcp", "tls://db:1"], "tls:// upstreams are not available"),
        (
            &["tcp", "22", "--url", "https://app.example.com"],
            "there is `adit http`",
        ),
        (
            &["http", "3000", "--url", "tcp://:22"],
            "there is `adit tcp`",
        ),
        (
            &["http", "tcp://localhost:22"],
            "give the endpoint a tcp:// url",
        ),
    ] {
        let told = command::run(&home, args).await;
        assert!(
            told.code != 0 && told.stderr.contains(says),
            "{args:?}: {told:?}"
        );
    }
}
