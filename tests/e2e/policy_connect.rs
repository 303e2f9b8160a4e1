//! `on_tcp_connect`: policies that look at connections before there is a request.

use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{
    Agent, Gateway, Service, curl,
    h2raw::{self, END_HEADERS, H2},
    operator::metric,
    raw, soon, tls,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// An endpoint on both ports with this action for its connections.
fn connecting(action: &str) -> String {
    let policy = format!("{{ on_tcp_connect: [{{ actions: [{action}] }}] }}");
    format!(
        "endpoints:\n  - {{ url: https://app.localhost, traffic_policy: {policy} }}\n  \
         - {{ url: http://app.localhost, traffic_policy: {policy} }}\n"
    )
}

/// What a client sees that sends a request to the plain port: nothing at all, and how it ends.
async fn seen(gateway: &Gateway) -> Result<Vec<u8>, ErrorKind> {
    let mut tcp = TcpStream::connect(gateway.http()).await.unwrap();
    tcp.write_all(GET.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let ended = soon("the end of the connection", tcp.read_to_end(&mut bytes)).await;
    ended.map(|_| bytes).map_err(|error| error.kind())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_connection_ends_before_its_handshake_and_in_order() {
    let service = Service::echo().await;
    let gateway = Gateway::with(&connecting("{ type: deny }")).await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let refused = soon("an end", tls::connect(&gateway, "app.localhost", &[])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    // On the plain port nobody knows the endpoint before a request names it, and there is no answer even so.
    assert_eq!(seen(&gateway).await, Ok(Vec::new()));
    assert_eq!(service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_connection_resets_where_deny_does_not() {
    let gateway = Gateway::with(&connecting("{ type: close-connection }")).await;
    let refused = soon("an end", tls::connect(&gateway, "app.localhost", &[])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(seen(&gateway).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_close_its_connection_too() {
    let rule =
        "{ expressions: [\"req.url.path == '/close'\"], actions: [{ type: close-connection }] }";
    let gateway = Gateway::with(&format!(
        "endpoints: [{{ url: http://app.localhost, traffic_policy: {{ on_http_request: [{rule}] }} }}]\n"
    ))
    .await;
    let service = Service::echo().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status, 200);
    client.send(GET.replace("/ ", "/close ")).await;
    assert_eq!(client.rest().await, b"");

    // The second stream ends all of them: with HTTP/2 it is the connection that is closed.
    let mut h2 = H2::connect(gateway.http()).await;
    for (stream, path) in [(1, "/hang"), (3, "/close")] {
        let block = h2raw::block(&h2raw::get(path));
        h2.send(h2raw::headers(stream, &block, true)).await;
        if stream == 1 {
            service.wait_for_requests(2).await;
        }
    }
    assert_eq!(h2.goodbye().await, Some(0));
    service
        .wait_for("the other stream's end", |counts| counts.abandoned == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_left_is_read_by_each_of_its_requests_and_asked_once() {
    let policy = "
on_tcp_connect:
  - name: ask once
    expressions: [\"conn.tls.sni == '' || conn.tls.version == ''\"]
    actions: [{ type: restrict-ips, config: { enforce: false, allow: [192.0.2.0/24] } }]
on_http_request:
  - expressions: [\"actions.ngrok.restrict_ips.action == 'deny'\"]
    actions: [{ type: add-headers, config: { headers: { x-seen: '${actions.ngrok.restrict_ips.action}' } } }]
";
    let files = [("app.yaml", policy)];
    let gateway = Gateway::with_files(
        &files,
        "endpoints:\n  - { url: http://app.localhost, traffic_policy_file: app.yaml }\n  \
         - { url: https://app.localhost, traffic_policy_file: app.yaml }\n",
    )
    .await;
    let service = Service::echo().await;
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .url("https://app.localhost")
        .start()
        .await;
    let mut client = raw::Client::connect(gateway.http()).await;
    for _ in 0..2 {
        client.send(GET).await;
        assert_eq!(client.answer().await.status, 200);
    }
    // TP-08: the name is known, the handshake has yet to be made.
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&gateway, [version, "https://app.localhost/"]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let requests = service.requests();
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert_eq!(request.header("x-seen"), Some("deny"), "{request:?}");
    }
    // TP-13 the other way round: what another connection left is not read.
    let asked =
        "adit_policy_verdicts_total{endpoint=\"http://app.localhost\",verdict=\"continue\"}";
    // Once for the connection, twice for its requests.
    assert_eq!(metric(gateway.admin(), asked).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_policy_looks_at_the_connection_when_the_agent_is_chosen() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .policy("on_tcp_connect: [{ actions: [{ type: deny }] }]\n")
        .start()
        .await;
    let mut client = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    client.send(GET).await;
    assert_eq!(client.rest().await, b"");

    let io = tls::connect(&gateway, "app.localhost", &["h2"])
        .await
        .unwrap();
    let mut h2 = H2::hello(raw::Client::over(io), &[]).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "app.localhost"),
        (":path", "/"),
    ];
    let head = h2raw::block(&fields);
    h2.send(h2raw::frame(1, END_HEADERS | 1, 1, &head)).await;
    assert_eq!(h2.goodbye().await, Some(0));
    assert_eq!(service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a27_the_connection_of_one_endpoint_never_gets_to_another_with_its_own_rules() {
    let service = Service::echo().await;
    let gateway = Gateway::with(
        "endpoints:\n  - { url: https://open.localhost }\n  - { url: https://guarded.localhost, traffic_policy: { on_tcp_connect: [{ actions: [{ type: deny }] }] } }\n",
    )
    .await;
    let _agent = Agent::builder(&gateway)
        .url("https://open.localhost")
        .upstream(service.addr())
        .url("https://guarded.localhost")
        .start()
        .await;
    let mut client = raw::Client::connect_tls(&gateway, "open.localhost", &["http/1.1"]).await;
    for (host, status) in [("open", 200), ("guarded", 421), ("guarded", 421)] {
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {host}.localhost\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.status, status, "{host}");
    }
    // Without a name, the policy runs when the request names the endpoint.
    let answer = curl(&gateway, ["https://guarded.localhost/"]).await;
    assert_eq!(answer.status, 0, "{answer:?}");
    assert_eq!(service.counts().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reload_a_connection_meets_the_new_policy() {
    let open = "on_tcp_connect: [{ actions: [{ type: restrict-ips, config: { allow: [127.0.0.0/8] } }] }]\n";
    let shut = "on_tcp_connect: [{ actions: [{ type: restrict-ips, config: { allow: [192.0.2.0/24] } }] }]\n";
    let gateway = Gateway::with_files(
        &[("app.yaml", open)],
        "endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]\n",
    )
    .await;
    let service = Service::echo().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status, 200);
    gateway.put("app.yaml", shut);
    assert_eq!(gateway.reload().await.unwrap().changed, 1);
    client.send(GET).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(service.counts().requests, 1);
}
