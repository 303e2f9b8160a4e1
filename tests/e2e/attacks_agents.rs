//! Attacks on the door that agents come through (A44), and garbage on every port.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use adit_wire::{
    Side, frame, lane,
    limits::{GREETING_DEADLINE, GREETING_FRAME},
    message::{Answer, Greeting},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{interval, timeout},
};

use crate::harness::{
    Agent, Gateway,
    hand_agent::{HandAgent, Line, dial, dial_from, greet, hello},
    named::Named,
    raw, soon,
    visitor::visit,
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

/// An agent that comes now is let in and served.
async fn registers(gateway: &Gateway, name: &str) {
    let entering = async {
        let mut agent = HandAgent::begin(gateway, hello(&gateway.token(), name, 1))
            .await
            .unwrap();
        let host = format!("{name}.localhost");
        agent.bind(&format!("http://{host}")).await.unwrap();
        agent.serve("good");
        assert_eq!(
            visit(gateway.http(), &host, "/").await,
            (200, "good /".into())
        );
    };
    timeout(Duration::from_secs(5), entering)
        .await
        .expect("an agent gets in");
}

/// Everything until the other end closes; a reset is an end, too.
async fn until_closed(line: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut got = Vec::new();
    drop(soon("the connection's end", line.read_to_end(&mut got)).await);
    got
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

// === before authentication ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a44_a_b_e_a_greeting_that_is_none_is_closed_at_once_and_unanswered() {
    let gateway = Gateway::start().await;
    let too_large = vec![b' '; GREETING_FRAME + 1];
    let deep = "[".repeat(GREETING_FRAME - 2);
    for (case, bytes) in [
        ("a: a frame over the cap", framed(&too_large)),
        (
            "a: only its length",
            (GREETING_FRAME as u32 + 1).to_be_bytes().to_vec(),
        ),
        (
            "b: an unknown type",
            framed(br#"{"goodbye":{"token":"x"}}"#),
        ),
        ("b: no JSON", framed(b"\xff\xfe\x00\x01")),
        ("b: deeper than any stack", framed(deep.as_bytes())),
        ("b: nothing", framed(b"")),
        (
            "b: numbers that are none",
            framed(br#"{"hello":{"versions":[1e999,-1]}}"#),
        ),
        ("e: a declared length of 4 GiB", vec![0xff; 4]),
        ("e: the same with something behind", vec![0xff; 4096]),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "a multiplexer that begins before the greeting",
            vec![0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        ),
    ] {
        let mut line = dial(&gateway).await;
        line.write_all(&bytes).await.unwrap();
        let got = timeout(Duration::from_secs(2), until_closed(&mut line)).await;
        assert_eq!(got.expect(case), b"", "{case}");
    }
    registers(&gateway, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a44_c_a_greeting_of_a_byte_a_second_is_closed_at_its_deadline_and_others_register_meanwhile()
 {
    let gateway = Gateway::start().await;
    let mut greeting = Vec::new();
    let right = Greeting::Hello(hello(&gateway.token(), "slow", 1));
    frame::write(&mut greeting, &right, GREETING_FRAME)
        .await
        .unwrap();
    let (mut reading, mut writing) = tokio::io::split(dial(&gateway).await);
    let mut silent = dial(&gateway).await;
    let began = Instant::now();
    let trickle = tokio::spawn(async move {
        let mut tick = interval(Duration::from_secs(1));
        for byte in greeting {
            tick.tick().await;
            if writing.write_all(&[byte]).await.is_err() || writing.flush().await.is_err() {
                return;
            }
        }
    });
    registers(&gateway, "meanwhile").await;
    assert_eq!(until_closed(&mut reading).await, b"");
    assert_eq!(until_closed(&mut silent).await, b"");
    let lasted = began.elapsed();
    let allowed = GREETING_DEADLINE.saturating_sub(Duration::from_millis(100))
        ..GREETING_DEADLINE + Duration::from_secs(2);
    assert!(allowed.contains(&lasted), "{lasted:?}");
    trickle.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a44_d_half_open_connections_take_no_more_than_their_share() {
    let limits = "limits: { handshakes_per_ip: 32, connections_per_ip: 64, handshake_timeout: 2s }";
    let gateway = Gateway::with(limits).await;
    // No TLS at all.
    let mute = Ipv4Addr::new(127, 0, 0, 2);
    let mut connections = JoinSet::new();
    for _ in 0..500 {
        let mut tcp = connect_from(mute.into(), gateway.https()).await;
        connections.spawn(async move {
            drop(tcp.read_to_end(&mut Vec::new()).await);
        });
    }
    for _ in 0..500 - 32 {
        soon("the ones too many to be closed", connections.join_next()).await;
    }
    // TLS, and then no greeting.
    let quiet = Ipv4Addr::new(127, 0, 0, 3);
    let mut lines: Vec<Line> = Vec::new();
    for _ in 0..200 {
        lines.extend(dial_from(&gateway, quiet.into()).await.ok());
    }
    assert!(lines.len() <= 64, "{}", lines.len());
    registers(&gateway, "meanwhile").await;
    let one_more = dial_from(&gateway, quiet.into()).await;
    assert!(one_more.is_err(), "its share is used up");
    // What did not go on is closed, and makes room.
    while soon("the rest to be closed", connections.join_next())
        .await
        .is_some()
    {}
    lines.clear();
    let again = async { while dial_from(&gateway, quiet.into()).await.is_err() {} };
    soon("room for the quiet address", again).await;
}

async fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_public_ports_is_closed_and_harms_nobody() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let _agent = Agent::forward(&gateway, URL, service.address()).await;
    let noise: Vec<u8> = (0..64 * 1024_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let tls_alike = [
        &[0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff][..],
        &noise[..40_000],
    ]
    .concat();
    for (address, bytes) in [
        (gateway.http(), &noise[..]),
        (gateway.http(), &[0; 1000][..]),
        (gateway.http(), b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n"),
        (gateway.https(), &noise[..]),
        (gateway.https(), &tls_alike),
        (
            gateway.https(),
            b"GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n",
        ),
    ] {
        let mut client = raw::Client::connect(address).await;
        client.send(bytes).await;
        client.finish().await;
        let said = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(!said.contains("200 OK"), "{said}");
        assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    }
    let mut client = raw::Client::connect_tls(&gateway, HOST, &["http/1.1"]).await;
    client.send(&noise).await;
    client.finish().await;
    client.rest().await;
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    assert!(service.requests() >= 7);
}

// === after authentication ===

/// A line that has just been welcomed, before its multiplexer.
async fn welcomed(gateway: &Gateway, agent_id: &str) -> Line {
    let mut line = dial(gateway).await;
    let greeting = Greeting::Hello(hello(&gateway.token(), agent_id, 1));
    let answer = greet(&mut line, &greeting).await;
    assert!(matches!(answer, Answer::Welcome(_)), "{answer:?}");
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_the_multiplexer_closes_that_session_and_no_other() {
    let gateway = Gateway::start().await;
    let mut bystander = HandAgent::begin(&gateway, hello(&gateway.token(), "bystander", 1))
        .await
        .unwrap();
    bystander.bind(URL).await.unwrap();
    bystander.serve("good");
    let header = |version: u8, kind: u8, flags: u16, stream: u32, length: u32| {
        let mut header = vec![version, kind];
        header.extend(flags.to_be_bytes());
        header.extend(stream.to_be_bytes());
        header.extend(length.to_be_bytes());
        header
    };
    const SYN: u16 = 1;
    let mut closing = JoinSet::new();
    for (case, bytes) in [
        ("no control stream", Vec::new()),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("an unknown version", header(7, 0, 0, 0, 0)),
        ("an unknown kind", header(0, 9, 0, 0, 0)),
        ("a body of 4 GiB", header(0, 0, SYN, 1, u32::MAX)),
        (
            "a body over the window",
            [header(0, 0, SYN, 1, 1 << 20), vec![0; 1 << 20]].concat(),
        ),
        (
            "a stream of the other side's number",
            header(0, 1, SYN, 2, 0),
        ),
        ("the stream that cannot be", header(0, 0, SYN, 0, 4)),
        ("its own end", header(0, 3, 0, 0, 0)),
    ] {
        let mut line = welcomed(&gateway, &case.replace(' ', "-")).await;
        // It may be closed before all of it is taken.
        drop(line.write_all(&bytes).await);
        drop(line.flush().await);
        assert_eq!(
            visit(gateway.http(), HOST, "/").await,
            (200, "good /".into()),
            "{case}"
        );
        closing.spawn(async move { until_closed(&mut line).await });
    }
    // What is well-formed but against the rules is told so, and closed as a session without a
    // control stream at the latest.
    let patience = GREETING_DEADLINE + Duration::from_secs(3);
    timeout(patience, closing.join_all())
        .await
        .expect("every end");
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "good /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_control_stream_closes_that_session_and_no_other() {
    let gateway = Gateway::start().await;
    let mut bystander = HandAgent::begin(&gateway, hello(&gateway.token(), "bystander", 1))
        .await
        .unwrap();
    bystander.bind(URL).await.unwrap();
    bystander.serve("good");
    for (case, bytes) in [
        (
            "over the cap",
            (2 * 1024 * 1024_u32 + 1).to_be_bytes().to_vec(),
        ),
        ("4 GiB", vec![0xff; 4]),
        (
            "an unknown message",
            framed(br#"{"say":{"self_destruct":{}}}"#),
        ),
        ("no message", framed(b"null")),
        ("no JSON", framed(b"\0\0\0\0")),
    ] {
        let line = welcomed(&gateway, &case.replace(' ', "-")).await;
        let (lane, _incoming, driver) = lane(line, Side::Agent);
        tokio::spawn(driver);
        let mut stream = lane.open().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        timeout(Duration::from_secs(3), lane.closed())
            .await
            .expect(case);
        assert_eq!(
            visit(gateway.http(), HOST, "/").await,
            (200, "good /".into()),
            "{case}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_opens_streams_of_its_own_loses_its_session() {
    let gateway = Gateway::start().await;
    let agent = HandAgent::connect(&gateway).await;
    let mut stream = agent.lane.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    timeout(Duration::from_secs(3), agent.lane.closed())
        .await
        .expect("its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_binds_without_end_is_held_to_its_share() {
    let gateway = Gateway::with("limits: { endpoints_per_session: 50 }").await;
    let mut agent = HandAgent::connect(&gateway).await;
    let mut granted = 0;
    for n in 0..500 {
        granted += usize::from(agent.bind(&format!("http://n{n}.localhost")).await.is_ok());
    }
    assert_eq!(granted, 50);
    registers(&gateway, "other").await;
}
