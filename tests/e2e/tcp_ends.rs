//! What ends connections of tcp endpoints before their time, and what is told of them.

use std::time::Duration;

use adit_agent::{End, EndpointOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    harness::{
        Agent, Deployed, Gateway,
        bytes::{ByteService, Bytes, Ended, closed, port, turned_away},
        command,
        lines::started,
        operator::{metric, metric_until},
        soon,
    },
    tcp::{ALL, agent, gateway},
};

/// A connection that has said something.
async fn running(port: u16) -> Bytes {
    let mut client = Bytes::connect(port).await;
    client.echo_after("in", "hello").await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_takes_its_connections_along_and_others_get_the_new_ones() {
    let gateway = gateway("").await;
    let port = port();
    let service = ByteService::start(|mut conn| async move {
        conn.say("in").await;
        let text = conn.hear(5).await;
        conn.say(text).await;
        // It never comes to the end of its answer.
        conn.end().await;
        std::future::pending().await
    })
    .await;
    let url = format!("tcp://:{port}");
    let args = [
        "tcp",
        &service.addr.to_string(),
        "--url",
        &url,
        "--pooling-enabled",
    ];
    let mut killed = command::agent(&gateway, args);
    started(&mut killed, "tcp").await;
    let mut mine = running(port).await;
    // What it gets from now on must not look whole.
    let mut half = running(port).await;
    half.finish().await;
    let mut stays = command::agent(&gateway, args);
    started(&mut stays, "tcp").await;
    killed.kill9();
    assert_eq!(mine.end().await, Ended::Broken);
    assert_eq!(half.end().await, Ended::Broken);
    for _ in 0..10 {
        running(port).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_carries_nothing_ends() {
    let gateway = gateway("limits: { tcp_idle_timeout: 500ms }\n").await;
    let port = port();
    let service = ByteService::echo("in").await;
    let _agent = agent(&gateway, port, service.addr).await;
    let began = std::time::Instant::now();
    let mut client = running(port).await;
    // What passes either way keeps it.
    while began.elapsed() < Duration::from_secs(1) {
        client.echo("x").await;
        tokio::task::yield_now().await;
    }
    let quiet = std::time::Instant::now();
    assert_eq!(client.end().await, Ended::Broken);
    assert!(quiet.elapsed() > Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_d_a_changed_rule_ends_the_connections_that_it_let_in_and_nothing_else() {
    let (changed, other) = (port(), port());
    let rule = |network: &str| {
        format!(
            "{{ on_tcp_connect: [{{ actions: [{{ type: restrict-ips, config: {{ allow: [{network}] }} }}] }}] }}"
        )
    };
    let extra = |network: &str| {
        format!(
            "endpoints:\n  - {{ url: 'tcp://:{changed}', traffic_policy: {} }}\n  - {{ url: 'tcp://:{other}' }}\n",
            rule(network)
        )
    };
    let gateway = gateway(&extra("127.0.0.0/8")).await;
    let service = ByteService::echo("in").await;
    let agent = Agent::builder(&gateway)
        .url(&format!("tcp://:{changed}"))
        .upstream(service.addr)
        .url(&format!("tcp://:{other}"))
        .start()
        .await;
    let mut ended = running(changed).await;
    let mut goes_on = running(other).await;
    gateway.rewrite(&extra("192.0.2.0/24"));
    gateway.reload().await.unwrap();
    assert_eq!(ended.end().await, Ended::Broken);
    assert_eq!(turned_away(changed).await, Ended::Properly(Vec::new()));
    goes_on.echo("still here").await;
    // An agent's own policy, too.
    let policy = rule("192.0.2.0/24");
    agent.forwarders[1].update_policy(policy).await.unwrap();
    assert_eq!(goes_on.end().await, Ended::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_b_a_removed_token_or_port_ends_its_connections() {
    let (first, second) = (port(), port());
    let gateway = gateway("").await;
    let service = ByteService::echo("in").await;
    let agent = Agent::builder(&gateway)
        .url(&format!("tcp://:{first}"))
        .upstream(service.addr)
        .url(&format!("tcp://:{second}"))
        .start()
        .await;
    let (mut lost, mut kept) = (running(first).await, running(second).await);
    let narrow = format!("bind:tcp://:{second}");
    gateway.rewrite_agents(&[("tester", &[&narrow])]);
    gateway.reload().await.unwrap();
    assert_eq!(lost.end().await, Ended::Broken);
    closed(first).await;
    kept.echo("still here").await;
    gateway.rewrite_agents(&ALL[1..]);
    gateway.reload().await.unwrap();
    assert_eq!(kept.end().await, Ended::Broken);
    closed(second).await;
    let end = soon("the agent's end", agent.agent.done()).await;
    assert!(matches!(end, End::Refused(_)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_asked_to_end_finishes_connections_and_takes_none() {
    let port = port();
    let extra = format!("endpoints: [{{ url: 'tcp://:{port}' }}]\n");
    let service = ByteService::echo("in").await;
    let url = format!("tcp://:{port}");
    let mut deployed = Deployed::start(&extra, &[(&url, &service.addr)]).await;
    let mut client = running(port).await;
    deployed.gateway.term();
    closed(port).await;
    client.echo("still here").await;
    client.finish().await;
    assert_eq!(client.end().await, Ended::Properly(Vec::new()));
    let ended = deployed.gateway.wait_exit().await;
    assert_eq!(ended.code(), Some(0), "{}", deployed.gateway.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_done_by_the_deadline_is_broken_off() {
    let port = port();
    let extra = format!(
        "endpoints: [{{ url: 'tcp://:{port}' }}]\nlimits: {{ shutdown_deadline: 500ms }}\n"
    );
    let service = ByteService::echo("in").await;
    let url = format!("tcp://:{port}");
    let mut deployed = Deployed::start(&extra, &[(&url, &service.addr)]).await;
    let mut client = running(port).await;
    deployed.gateway.term();
    assert_eq!(client.end().await, Ended::Broken);
    assert_eq!(deployed.gateway.wait_exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_takes_connections_itself() {
    let gateway = gateway("").await;
    let port = port();
    let agent = adit_agent::Agent::builder()
        .connect_url(gateway.connect_url())
        .connect_cas(adit_agent::ConnectCas::File(gateway.ca_pem().to_owned()))
        .authtoken(gateway.token())
        .connect()
        .await
        .unwrap();
    let options = EndpointOptions::new("own").url(format!("tcp://:{port}"));
    let mut listener = agent.listen(options).await.unwrap();
    assert_eq!(listener.url(), format!("tcp://localhost:{port}"));
    let mut client = Bytes::connect(port).await;
    client.say("ping").await;
    let mut stream = soon("a stream", listener.accept()).await.unwrap();
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).await.unwrap();
    stream.write_all(b"pong").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(client.end().await, Ended::Properly(b"pong".into()));
    // Dropped in the middle, it is broken.
    let mut client = Bytes::connect(port).await;
    drop(soon("a stream", listener.accept()).await.unwrap());
    assert_eq!(client.end().await, Ended::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_counted_and_written_down_when_it_has_ended() {
    let (open, shut) = (port(), port());
    let refuse = "{ on_tcp_connect: [{ actions: [{ type: deny }] }] }";
    let gateway = Gateway::with_agents(
        &ALL,
        &format!(
            "endpoints:\n  - {{ url: 'tcp://:{open}' }}\n  - {{ url: 'tcp://:{shut}', traffic_policy: {refuse} }}\n\
             log: {{ access: {{ to: access.log, fields: [scheme, endpoint, agent, bytes_in, bytes_out, tries, ended] }} }}\n"
        ),
    )
    .await;
    let count = |port: u16, end: &str| {
        format!("adit_tcp_connections_total{{endpoint=\"tcp://localhost:{port}\",end=\"{end}\"}}")
    };
    turned_away(shut).await;
    metric_until(gateway.admin(), &count(shut, "refused"), 1).await;
    turned_away(open).await;
    metric_until(gateway.admin(), &count(open, "unserved"), 1).await;
    let service = ByteService::echo("in").await;
    let _agent = agent(&gateway, open, service.addr).await;
    let mut client = running(open).await;
    client.finish().await;
    client.end().await;
    metric_until(gateway.admin(), &count(open, "done"), 1).await;
    running(open).await.reset();
    metric_until(gateway.admin(), &count(open, "broken"), 1).await;
    let bytes = |direction: &str| {
        format!(
            "adit_tcp_bytes_total{{endpoint=\"tcp://localhost:{open}\",direction=\"{direction}\"}}"
        )
    };
    assert_eq!(metric(gateway.admin(), &bytes("in")).await, 10);
    assert_eq!(metric(gateway.admin(), &bytes("out")).await, 14);
    let lines = soon("the lines", async {
        loop {
            let text = std::fs::read_to_string(gateway.folder().join("access.log"));
            let text = text.unwrap_or_default();
            if text.lines().count() >= 4 {
                let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
                return lines.collect::<Vec<Value>>();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(lines[0]["ended"], "refused", "{lines:?}");
    assert_eq!(
        (&lines[1]["ended"], &lines[1]["tries"]),
        (&"unserved".into(), &0.into())
    );
    let done = &lines[2];
    assert_eq!(
        (
            done["scheme"].as_str(),
            done["agent"].as_str(),
            done["bytes_in"].as_u64(),
            done["bytes_out"].as_u64()
        ),
        (Some("tcp"), Some("tester"), Some(5), Some(7)),
        "{done}"
    );
    assert!(done.get("ended").is_none(), "{done}");
    assert_eq!(lines[3]["ended"], "broken", "{lines:?}");
}
