//! Internal endpoints: whatever a client says, only policies get there.

use tokio::net::TcpStream;

use crate::{
    harness::{
        Agent, Gateway, Service,
        bytes::{ByteService, Bytes, at, port},
        curl,
        h2raw::{self, H2},
        raw, tls,
        visitor::visit,
    },
    tcp::gateway,
};

/// `inner.internal` in both schemes and `*.wild.internal`, and a service behind all of them.
async fn served(gateway: &Gateway) -> (Service, Agent) {
    let service = Service::echo().await;
    let mut builder = Agent::builder(gateway);
    for url in [
        "http://inner.internal",
        "https://inner.internal",
        "http://*.wild.internal",
        "https://*.wild.internal",
        "https://app.localhost",
    ] {
        builder = builder.url(url).upstream(service.addr());
    }
    let agent = builder.start().await;
    (service, agent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_an_internal_host_leads_there() {
    let gateway = Gateway::start().await;
    let (service, _agent) = served(&gateway).await;
    let (http, https) = (gateway.http().port(), gateway.https().port());
    for host in [
        "inner.internal",
        "INNER.internal",
        "inner.Internal.",
        "inner.internal:80",
        "inner.internal.:80",
        &format!("inner.internal:{http}"),
        "a.wild.internal",
        "a.b.wild.internal.",
        "internal",
    ] {
        assert_eq!(visit(gateway.http(), host, "/").await.0, 404, "{host}");
        let absolute = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            raw::send(gateway.http(), absolute).await.status,
            404,
            "{host}"
        );
        let upgrade = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert_eq!(
            raw::send(gateway.http(), upgrade).await.status,
            404,
            "{host}"
        );
    }
    // What the gateway itself says to the service is nothing that clients can say to it.
    for line in [
        "X-Forwarded-Host: inner.internal",
        "Forwarded: host=inner.internal",
        "adit-hop: 1",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n{line}\r\n\r\n");
        assert_eq!(
            raw::send(gateway.http(), request).await.status,
            404,
            "{line}"
        );
    }
    let two = "GET http://inner.internal/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    assert_eq!(raw::send(gateway.http(), two).await.status, 400);
    for host in [
        "inner.internal",
        "Inner.Internal.",
        &format!("inner.internal:{https}"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let told = raw::send_tls(&gateway, "app.localhost", request).await;
        assert_eq!(told.status, 404, "{host}");
    }
    assert_eq!(service.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tls_name_and_no_authority_of_http2_leads_there() {
    let gateway = Gateway::start().await;
    let (service, _agent) = served(&gateway).await;
    for name in ["inner.internal", "a.wild.internal"] {
        // No certificate is made out to such a name, or nobody is behind it.
        if let Ok(io) = tls::connect(&gateway, name, &["http/1.1"]).await {
            let mut client = raw::Client::over(io);
            client
                .send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"))
                .await;
            assert_ne!(client.answer().await.status, 200, "{name}");
        }
    }
    let mut plain = H2::connect(gateway.http()).await;
    let io = tls::connect(&gateway, "app.localhost", &["h2"])
        .await
        .unwrap();
    let mut secure = H2::hello(raw::Client::over(io), &[]).await;
    for (at, authority) in ["inner.internal", "INNER.internal.:80", "a.wild.internal"]
        .into_iter()
        .enumerate()
    {
        let stream = u32::try_from(at).unwrap() * 2 + 1;
        for (h2, scheme) in [(&mut plain, "http"), (&mut secure, "https")] {
            let fields = [
                (":method", "GET"),
                (":scheme", scheme),
                (":authority", authority),
                (":path", "/"),
            ];
            h2.send(h2raw::headers(stream, &h2raw::block(&fields), true))
                .await;
            let answer = h2.answer(stream).await;
            assert_eq!(answer.status, Some(404), "{scheme} {authority}: {answer:?}");
        }
    }
    let answer = curl(&gateway, ["https://app.localhost/"]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(service.counts().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_tcp_endpoint_opens_no_port_and_has_no_way_in_but_policies() {
    let (inner, open) = (port(), port());
    let forward = format!(
        "{{ on_tcp_connect: [{{ actions: [{{ type: forward-internal, config: {{ url: 'tcp://db.internal:{inner}' }} }}] }}] }}"
    );
    let gateway = gateway(&format!(
        "endpoints: [{{ url: 'tcp://:{open}', traffic_policy: {forward} }}]\n"
    ))
    .await;
    let service = ByteService::echo("db").await;
    let agent = Agent::builder(&gateway)
        .url(&format!("tcp://db.internal:{inner}"))
        .upstream(service.addr)
        .start()
        .await;
    assert_eq!(agent.url(), format!("tcp://db.internal:{inner}"));
    assert!(TcpStream::connect(at(inner)).await.is_err());
    // HTTP finds nothing at its host, with its port or another one.
    for host in ["db.internal", &format!("db.internal:{inner}")] {
        assert_eq!(visit(gateway.http(), host, "/").await.0, 404, "{host}");
    }
    let proxied =
        format!("CONNECT db.internal:{inner} HTTP/1.1\r\nHost: db.internal:{inner}\r\n\r\n");
    assert_eq!(raw::send(gateway.http(), proxied).await.status, 405);
    assert_eq!(service.connections(), 0);
    Bytes::connect(open)
        .await
        .echo_after("db", "select 1")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_http_and_what_does_not_stay_apart() {
    let port = port();
    let forward = |phase: &str, url: &str| {
        format!(
            "{{ {phase}: [{{ actions: [{{ type: forward-internal, config: {{ url: \"{url}\" }} }}] }}] }}"
        )
    };
    // Only the connection itself says which host.
    let to_http = forward(
        "on_tcp_connect",
        "${conn.client_ip != '' ? 'http' : 'tcp'}://web.internal:80",
    );
    let gateway = gateway(&format!(
        "endpoints:\n  - {{ url: 'tcp://:{port}', traffic_policy: {to_http} }}\n  \
         - {{ url: http://app.localhost, traffic_policy: {} }}\n",
        forward("on_tcp_connect", "tcp://db.internal:1"),
    ))
    .await;
    let (web, db) = (Service::echo().await, ByteService::echo("db").await);
    let _agent = Agent::builder(&gateway)
        .url("http://web.internal")
        .upstream(web.addr())
        .url("tcp://db.internal:1")
        .upstream(db.addr)
        .start()
        .await;
    let mut client = Bytes::connect(port).await;
    client
        .say("GET / HTTP/1.1\r\nHost: web.internal\r\n\r\n")
        .await;
    drop(client.end().await);
    assert_eq!(visit_or_close(&gateway).await, 0);
    assert_eq!((web.counts().requests, db.connections()), (0, 0));
}

async fn visit_or_close(gateway: &Gateway) -> u16 {
    raw::send(
        gateway.http(),
        "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    )
    .await
    .status
}
