//! The `limits:` of `gateway.yaml`, each set low and met.

use std::time::Duration;

use adit_agent::Event;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::harness::{Agent, Gateway, RawService, Service, event, h2, pattern, raw, soon};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

async fn with(limits: &str, service: std::net::SocketAddr) -> (Gateway, Agent) {
    let gateway = Gateway::with(&format!("limits: {{ {limits} }}")).await;
    let agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service)
        .url("https://app.localhost");
    let agent = agent.start().await;
    (gateway, agent)
}

/// The connection ends by itself, with nothing said.
async fn ends_silently(mut tcp: TcpStream) {
    let mut said = Vec::new();
    // A reset is an end, too.
    drop(soon("the end of a connection", tcp.read_to_end(&mut said)).await);
    assert!(said.is_empty(), "{:?}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_connections_and_no_more() {
    let service = Service::echo().await;
    // The agent's lanes are connections of this address, too: one for each core.
    let lanes = std::thread::available_parallelism().unwrap().get().min(4) as u32;
    let (gateway, _agent) = with(
        &format!("connections_per_ip: {}", lanes + 3),
        service.addr(),
    )
    .await;
    let mut inside = Vec::new();
    let mut refused = None;
    for _ in 0..20 {
        let mut client = raw::Client::connect(gateway.http()).await;
        client.send(GET).await;
        match client.answer().await.status {
            200 => inside.push(client),
            _ => {
                refused = Some(client);
                break;
            }
        }
    }
    assert!(
        refused.is_some() && (3..=lanes as usize + 3).contains(&inside.len()),
        "{} got in",
        inside.len()
    );
    // Whoever leaves makes room.
    drop(inside.pop());
    soon("room for one", async {
        while raw::send(gateway.http(), GET).await.status != 200 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_is_given_up() {
    let service = Service::echo().await;
    let (gateway, _agent) = with("header_timeout: 400ms", service.addr()).await;
    for fresh in [true, false] {
        let mut client = raw::Client::connect(gateway.http()).await;
        if !fresh {
            client.send(GET).await;
            assert_eq!(client.answer().await.status, 200);
        }
        client
            .send("GET / HTTP/1.1\r\nHost: app.localhost\r\n")
            .await;
        let began = tokio::time::Instant::now();
        // A byte now and then does not help: each time-out here is the wait for the next byte.
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        let answer = soon("the gateway's patience to end", async {
            loop {
                beat.tick().await;
                if client.try_send("x").await.is_err() {
                    break client.answer().await;
                }
                if let Ok(piece) = timeout(Duration::from_millis(1), client.piece()).await {
                    client.unread = piece;
                    break client.answer().await;
                }
            }
        })
        .await;
        assert_eq!(answer.status, 408, "fresh {fresh}: {answer:?}");
        assert!(
            began.elapsed() >= Duration::from_millis(350),
            "{:?}",
            began.elapsed()
        );
        assert!(client.rest().await.is_empty());
    }
    assert_eq!(service.counts().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_is_closed() {
    let service = Service::echo().await;
    let (gateway, _agent) = with(
        "idle_timeout: 1s, handshake_timeout: 300ms, header_timeout: 300ms",
        service.addr(),
    )
    .await;
    // Before the handshake, and before the first request.
    ends_silently(TcpStream::connect(gateway.https()).await.unwrap()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    let said = String::from_utf8_lossy(&client.rest().await).into_owned();
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
    let mut client = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    let said = String::from_utf8_lossy(&client.rest().await).into_owned();
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
    // And between requests.
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stops_half_way_is_closed() {
    use tokio::io::AsyncWriteExt;
    let gateway = Gateway::with("limits: { handshake_timeout: 300ms }").await;
    for beginning in [
        &b"\x16\x03\x01"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut tcp = TcpStream::connect(gateway.https()).await.unwrap();
        tcp.write_all(beginning).await.unwrap();
        let mut said = Vec::new();
        drop(soon("the end of a connection", tcp.read_to_end(&mut said)).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_http_2_connection_is_closed() {
    let service = Service::echo().await;
    let (gateway, _agent) = with("idle_timeout: 1s", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    let request = Request::get(gateway.url("https://app.localhost/"))
        .body(Empty::new().boxed())
        .unwrap();
    assert_eq!(
        soon("an answer", client.send_request(request))
            .await
            .unwrap()
            .status(),
        200
    );
    soon("the connection to be closed", async {
        while client.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stalls_is_given_up() {
    let service = Service::echo().await;
    let (gateway, _agent) = with("body_read_timeout: 300ms", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(client.rest().await.is_empty());
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_take_its_answer_is_given_up() {
    let (give_up, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let service = RawService::start(move |mut conn| {
        let give_up = give_up.clone();
        async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .await;
            let megabyte = pattern(1 << 20);
            for _ in 0..200 {
                conn.write(&megabyte).await;
            }
            give_up.send(()).unwrap();
        }
    })
    .await;
    let (gateway, _agent) = with("body_write_timeout: 300ms", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    client.head().await.unwrap();
    // It stops reading. What still comes in the end is what was on its way then, and not the 200 MiB.
    soon("the gateway to give up", given_up.recv())
        .await
        .unwrap();
    let rest = client.rest().await.len();
    assert!(rest < 100 << 20, "{rest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_falls_silent_in_the_middle_is_given_up() {
    let service = Service::echo().await;
    let (gateway, _agent) = with("upstream_timeout: 300ms", service.addr()).await;
    let answer = raw::send(
        gateway.http(),
        "GET /slow-body HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    )
    .await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.closed),
        (200, "begun ", true),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_http_2_connection_has_so_many_streams_and_no_more() {
    let service = Service::echo().await;
    let (gateway, _agent) = with("http2_streams: 3", service.addr()).await;
    let mut client = h2::connect_tls(&gateway, "app.localhost").await;
    // After an answer the client has been told the limit.
    let first = Request::get(gateway.url("https://app.localhost/"))
        .body(Empty::new().boxed())
        .unwrap();
    assert_eq!(
        soon("an answer", client.send_request(first))
            .await
            .unwrap()
            .status(),
        200
    );
    let url = gateway.url("https://app.localhost/slow-head");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let request = Request::get(&url).body(Empty::new().boxed()).unwrap();
        calls.spawn(client.send_request(request));
    }
    for done in 0..8 {
        service.wait_for_requests(1 + (done + 3).min(8)).await;
        assert!(
            service.counts().requests <= 1 + done + 3,
            "{:?} after {done}",
            service.counts()
        );
        service.release();
        let response = soon("an answer", calls.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_limited_in_size_count_and_target() {
    let service = Service::echo().await;
    let (gateway, _agent) = with(
        "header_size: 4KiB, header_count: 10, target_size: 1KiB",
        service.addr(),
    )
    .await;
    let head = |target: &str, lines: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n{lines}\r\n")
    };
    for (what, request, status) in [
        (
            "a long line",
            head("/", &format!("x: {}\r\n", "x".repeat(5000))),
            431,
        ),
        ("many lines", head("/", &"x: y\r\n".repeat(10)), 431),
        (
            "a long target",
            head(&format!("/{}", "x".repeat(1024)), ""),
            414,
        ),
        (
            "just below",
            head(&format!("/{}", "x".repeat(1000)), &"x: y\r\n".repeat(9)),
            200,
        ),
    ] {
        let answer = raw::send(gateway.http(), request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert_eq!(service.counts().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_session_binds_so_many_endpoints_and_no_more() {
    let gateway = Gateway::with("limits: { endpoints_per_session: 2 }").await;
    let agent = |third: bool| {
        let agent = Agent::builder(&gateway)
            .url("https://a.localhost")
            .upstream(1)
            .url("https://b.localhost");
        if third {
            agent.url("https://c.localhost")
        } else {
            agent
        }
    };
    drop(agent(false).start().await);
    let refusal = agent(true).try_start().await.err().expect("a refusal");
    assert!(refusal.contains('2'), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_unfinished_handshakes_and_no_more() {
    let gateway = Gateway::with("limits: { handshakes_per_ip: 2 }").await;
    let mut unfinished = Vec::new();
    for _ in 0..2 {
        unfinished.push(TcpStream::connect(gateway.https()).await.unwrap());
    }
    // Which of the three comes last is for the gateway's cores to say; one of them has to go.
    let third = TcpStream::connect(gateway.https()).await.unwrap();
    unfinished.push(third);
    let ends = unfinished
        .into_iter()
        .map(|mut tcp| Box::pin(async move { (tcp.read_u8().await.is_err(), tcp) }));
    let ((ended, _), _, others) =
        soon("one to be closed", futures_util::future::select_all(ends)).await;
    assert!(ended);
    // Those that are left take all places, until one of them leaves.
    let refused = crate::harness::tls::connect(&gateway, "app.localhost", &[]).await;
    assert!(refused.is_err());
    drop(others);
    soon("room for a handshake", async {
        while crate::harness::tls::connect(&gateway, "app.localhost", &[])
            .await
            .is_err()
        {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_so_many_sessions_and_no_more() {
    let service = Service::echo().await;
    let gateway = Gateway::with("limits: { sessions: 1 }").await;
    let first = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let second = adit_agent::Agent::builder()
        .connect_url(gateway.connect_url())
        .authtoken(gateway.token())
        .connect_cas(adit_agent::ConnectCas::File(gateway.ca_pem().to_owned()))
        .wait_for_first(false)
        .connect()
        .await
        .unwrap();
    let mut events = second.events();
    let refused = event(&mut events, |event| {
        matches!(event, Event::Disconnected { .. })
    })
    .await;
    let Event::Disconnected { reason, .. } = refused else {
        unreachable!()
    };
    assert!(reason.contains("as many agents as it may"), "{reason}");
    // It goes on asking, and is let in when there is room.
    first.close().await;
    event(&mut events, |event| {
        matches!(event, Event::Connected { .. })
    })
    .await;
}
