//! Gateways that misbehave, and settings that cannot work.

use super::*;

// === gateways that misbehave ===

#[tokio::test]
async fn a46_a_gateway_that_falls_silent_is_given_up() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let mut events = agent.events();
    let mut greeted = gateway.greeted().await;
    let heartbeat = Heartbeat {
        interval_ms: 50,
        dead_after_ms: 200,
    };
    greeted
        .answer(Answer::Welcome(Welcome {
            heartbeat,
            ..terms()
        }))
        .await;
    // The connection stays open and says nothing.
    let reason = event(&mut events, |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.await.starts_with("nothing was heard for"));
    gateway.session().await;
}

#[tokio::test]
async fn garbage_from_the_gateway_ends_the_connection_and_not_the_agent() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let mut events = agent.events();
    let reason = |event: &Event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    for (garbage, says) in [
        (&b"\xff\xff\xff\xff"[..], "4294967295 bytes where at most"),
        (b"\0\0\0\x04nope", "no message"),
        (b"\0\0\0\x08\"joined\"", "not asked for"),
    ] {
        let mut greeted = gateway.greeted().await;
        greeted.io.write_all(garbage).await.unwrap();
        let reason = event(&mut events, reason).await;
        assert!(reason.contains(says), "{reason}");
    }
    let mut greeted = gateway.greeted().await;
    frame::write(&mut greeted.io, &Answer::Welcome(terms()), GREETING_FRAME)
        .await
        .unwrap();
    greeted
        .io
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let reason = event(&mut events, reason).await;
    assert!(reason.contains("broke"), "{reason}");
    gateway.session().await;
}

#[tokio::test]
async fn a_revision_that_was_not_offered_ends_the_agent() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let terms = Welcome {
        version: VERSION + 1,
        ..terms()
    };
    gateway.greeted().await.answer(Answer::Welcome(terms)).await;
    assert!(
        matches!(agent.done().await, End::Refused(refused) if refused.code == RefusalCode::Version)
    );
}

#[tokio::test]
async fn a_gateway_that_is_not_trusted_is_told_nothing() {
    let (trusted, other) = (MiniGateway::start().await, MiniGateway::start().await);
    let url = format!("localhost:{}", other.address().port());
    let agent = trusted.agent().connect_url(url).connect().await.unwrap();
    let mut events = agent.events();
    assert!(other.accept_tls().await.is_err());
    let reason = event(&mut events, |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.await.contains("connect_cas"));
}

// === settings ===

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let refused = Agent::builder().connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::NoConnectUrl));
    let refused = Agent::builder()
        .connect_url("a")
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(refused, ConnectError::NoAuthtoken));
    let named = Agent::builder()
        .connect_url("http://a")
        .authtoken("t")
        .connect()
        .await
        .unwrap_err();
    assert!(named.to_string().contains("without a scheme"), "{named}");
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let long = EndpointOptions::new("a").description("x".repeat(256));
    assert!(matches!(
        agent.listen(long).await,
        Err(BindError::Options(_))
    ));
}

#[tokio::test]
async fn the_token_is_never_shown() {
    let gateway = MiniGateway::start().await;
    let builder = gateway.agent();
    assert!(!format!("{builder:?}").contains("hidden"));
    let agent = builder.connect().await.unwrap();
    assert!(!format!("{agent:?}").contains("hidden"));
    assert_eq!(
        gateway.greeted().await.hello().token.expose(),
        "adit_hidden"
    );
}

#[tokio::test]
async fn an_open_request_larger_than_allowed_resets_its_stream_alone() {
    let (_gateway, _agent, peer, _forwarder) = forwarding(&echo().await.to_string()).await;
    let mut stream = peer.lane.open().await.unwrap();
    stream
        .write_all(&(OPEN_FRAME as u32 + 1).to_be_bytes())
        .await
        .unwrap();
    assert!(stream.read(&mut [0]).await.is_err());
    echoes(&peer).await;
}

// === the protocol's page ===

#[tokio::test]
async fn the_example_in_protocol_md_is_what_is_sent() {
    let page = include_str!("../../wire/PROTOCOL.md");
    let dump = page
        .split("```hex\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let hex = dump
        .lines()
        .flat_map(|line| line[10..58].split_whitespace());
    let shown: Vec<u8> = hex
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let read: Greeting = frame::read(&mut shown.as_slice(), GREETING_FRAME)
        .await
        .unwrap();
    let mut written = Vec::new();
    frame::write(&mut written, &read, GREETING_FRAME)
        .await
        .unwrap();
    assert_eq!(written, shown);
    let Greeting::Hello(hello) = read else {
        panic!("hello expected")
    };
    assert_eq!(
        (hello.versions, hello.client.as_str()),
        ((OLDEST_VERSION, VERSION), "adit/0.1.0")
    );
}
