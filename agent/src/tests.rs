//! The agent against a gateway in miniature, over real sockets.

use std::{sync::Arc, time::Duration};

use adit_wire::{
    frame,
    limits::{GREETING_FRAME, OPEN_FRAME},
    message::{
        AgentMessage, Answer, DialErrorKind, GatewayMessage, Greeting, Heartbeat, OpenResult,
        Protocol, RefusalCode, Welcome,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Agent, BindError, ConnectError, End, EndpointOptions, Event, Forwarder, Upstream,
    testing::{MiniGateway, Peer, certificate, echo, event, refusal, result, terms},
};

/// An agent with one endpoint, id 7, that is forwarded to `upstream`.
async fn forwarding(upstream: &str) -> (MiniGateway, Agent, Peer, Forwarder) {
    forwarding_to(Upstream::parse(upstream).unwrap()).await
}

async fn forwarding_to(upstream: Upstream) -> (MiniGateway, Agent, Peer, Forwarder) {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let (_, mut peer) = gateway.session().await;
    let options = EndpointOptions::new("web");
    let (forwarder, _) = tokio::join!(
        agent.forward(options, upstream),
        peer.grant(7, "https://web.example.com")
    );
    (gateway, agent, peer, forwarder.unwrap())
}

async fn echoes(peer: &Peer) {
    let mut stream = peer.open(7).await;
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"hello");
}

// === forwarding ===

#[tokio::test]
async fn forwards_both_ways_and_passes_the_end_of_each_half() {
    let (_gateway, _agent, peer, forwarder) = forwarding(&echo().await.to_string()).await;
    assert_eq!(forwarder.url(), "https://web.example.com");
    echoes(&peer).await;
}

#[tokio::test]
async fn carries_a_megabyte_whole() {
    let (_gateway, _agent, peer, _forwarder) = forwarding(&echo().await.to_string()).await;
    let mut stream = peer.open(7).await;
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    let sent: Vec<u8> = (0..1_000_000u32)
        .map(|n| n.to_le_bytes()[n as usize % 3])
        .collect();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert!(all == sent);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_typed_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_gateway, agent, peer, _forwarder) = forwarding(&address.to_string()).await;
    let mut events = agent.events();
    let OpenResult::Failed(error) = result(&mut peer.open(7).await).await else {
        panic!("open")
    };
    assert_eq!(error.kind, DialErrorKind::Refused);
    assert_eq!(error.upstream, format!("http://{address}"));
    let told = event(&mut events, |event| match event {
        Event::DialFailed { name, error, .. } => Some((name.clone(), error.clone())),
        _ => None,
    });
    assert_eq!(told.await, ("web".into(), error));
}

#[tokio::test]
async fn a43_e_an_endpoint_that_was_never_configured_is_refused() {
    let (_gateway, _agent, peer, _forwarder) = forwarding("1").await;
    let OpenResult::Failed(error) = result(&mut peer.open(8).await).await else {
        panic!("open")
    };
    assert_eq!(error.kind, DialErrorKind::UnknownEndpoint);
}

#[tokio::test]
async fn a_stream_that_overtakes_the_answer_to_its_bind_waits_for_it() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let (_, mut peer) = gateway.session().await;
    let upstream = Upstream::parse(&echo().await.to_string()).unwrap();
    let serve = async {
        let (request, _) = peer.asked().await;
        let mut stream = peer.open(7).await;
        peer.say(GatewayMessage::Bound {
            request,
            endpoint: 7,
            url: "https://a".into(),
        })
        .await;
        assert_eq!(result(&mut stream).await, OpenResult::Open);
    };
    let (forwarder, ()) = tokio::join!(agent.forward(EndpointOptions::new("a"), upstream), serve);
    forwarder.unwrap();
}

#[tokio::test]
async fn a_reset_from_the_gateway_resets_the_connection_to_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_gateway, _agent, peer, _forwarder) =
        forwarding(&listener.local_addr().unwrap().to_string()).await;
    let mut stream = peer.open(7).await;
    let (mut tcp, _) = listener.accept().await.unwrap();
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    drop(stream);
    assert!(tcp.read(&mut [0]).await.is_err());
}

#[tokio::test]
async fn a_break_of_the_service_resets_the_stream_and_an_end_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_gateway, _agent, peer, _forwarder) =
        forwarding(&listener.local_addr().unwrap().to_string()).await;
    let mut stream = peer.open(7).await;
    let (tcp, _) = listener.accept().await.unwrap();
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    tcp.set_zero_linger().unwrap();
    drop(tcp);
    assert!(stream.read(&mut [0]).await.is_err());

    let mut stream = peer.open(7).await;
    let (tcp, _) = listener.accept().await.unwrap();
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    drop(tcp);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn forwards_to_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("adit-agent-{}.sock", std::process::id()));
    drop(std::fs::remove_file(&path));
    let (_gateway, _agent, peer, _forwarder) =
        forwarding(&format!("unix:{}", path.display())).await;
    let OpenResult::Failed(error) = result(&mut peer.open(7).await).await else {
        panic!("open")
    };
    assert_eq!(error.kind, DialErrorKind::Refused);

    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut stream = peer.open(7).await;
    let (mut unix, _) = listener.accept().await.unwrap();
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    unix.write_all(b"hi").await.unwrap();
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"hi");
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_tls_service_is_taken_as_it_is_unless_it_must_be_verified() {
    let (authority, config) = certificate(&[b"http/1.1", b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            // A client that does not trust us goes away.
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let spoken = tls.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
            tls.write_all(&spoken).await.unwrap();
            tls.shutdown().await.unwrap();
        }
    });
    let upstream = Upstream::parse(&url).unwrap();
    let pem = std::env::temp_dir().join(format!("adit-agent-ca-{}.pem", std::process::id()));
    std::fs::write(&pem, &authority.pem).unwrap();
    for trusting in [upstream.clone(), upstream.clone().tls_verify_cas(&pem)] {
        let (_gateway, _agent, peer, _forwarder) = forwarding_to(trusting).await;
        for (protocol, name) in [(Protocol::Http1, "http/1.1"), (Protocol::Http2, "h2")] {
            let mut stream = peer.open_as(7, protocol).await;
            assert_eq!(result(&mut stream).await, OpenResult::Open);
            let mut spoken = String::new();
            stream.read_to_string(&mut spoken).await.unwrap();
            assert_eq!(spoken, name);
        }
    }
    std::fs::remove_file(pem).unwrap();

    let (other, _) = certificate(&[]);
    let wrong = std::env::temp_dir().join(format!("adit-agent-other-{}.pem", std::process::id()));
    std::fs::write(&wrong, &other.pem).unwrap();
    let (_gateway, _agent, peer, _forwarder) = forwarding_to(upstream.tls_verify_cas(&wrong)).await;
    let OpenResult::Failed(error) = result(&mut peer.open(7).await).await else {
        panic!("open")
    };
    assert_eq!(error.kind, DialErrorKind::Tls);
    std::fs::remove_file(wrong).unwrap();
}

// === listening ===

#[tokio::test]
async fn a_listener_yields_streams_and_gives_its_url_back_when_dropped() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let (_, mut peer) = gateway.session().await;
    let options = EndpointOptions::new("own")
        .url("https://own.example.com")
        .weight(3);
    let (listener, spec) = tokio::join!(
        agent.listen(options),
        peer.grant(9, "https://own.example.com")
    );
    assert_eq!(
        (spec.url.as_str(), spec.weight),
        ("https://own.example.com", 3)
    );
    let mut listener = listener.unwrap();
    let mut stream = peer.open(9).await;
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    let mut accepted = listener.accept().await.unwrap();
    stream.write_all(b"question").await.unwrap();
    let mut question = [0; 8];
    accepted.read_exact(&mut question).await.unwrap();
    accepted.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!((&question, &answer), (b"question", b"answer"));

    drop(listener);
    assert!(matches!(
        peer.hear().await,
        Some(AgentMessage::Unbind { endpoint: 9 })
    ));
    let OpenResult::Failed(error) = result(&mut peer.open(9).await).await else {
        panic!("open")
    };
    assert_eq!(error.kind, DialErrorKind::UnknownEndpoint);
}

#[tokio::test]
async fn a_refused_endpoint_is_an_error_and_the_agent_goes_on() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let (_, mut peer) = gateway.session().await;
    let refuse = async {
        let (request, _) = peer.asked().await;
        let refused = refusal(RefusalCode::Acl, false);
        peer.say(GatewayMessage::BindRefused { request, refused })
            .await;
    };
    let (refused, ()) = tokio::join!(agent.listen(EndpointOptions::new("a")), refuse);
    assert!(
        matches!(refused, Err(BindError::Refused(refused)) if refused.code == RefusalCode::Acl)
    );
    let (second, _) = tokio::join!(
        agent.listen(EndpointOptions::new("b")),
        peer.grant(1, "https://b")
    );
    second.unwrap();
}

// === the life of an agent ===

#[tokio::test]
async fn a_lost_connection_is_made_again_with_a_newer_epoch_and_the_same_url() {
    let (gateway, _agent, peer, forwarder) = forwarding(&echo().await.to_string()).await;
    peer.cut();
    let (second, mut peer) = gateway.session().await;
    let spec = peer.grant(7, "https://web.example.com").await;
    assert_eq!(spec.url, "https://web.example.com");
    echoes(&peer).await;
    peer.cut();
    let (third, _peer) = gateway.session().await;
    assert!(third.epoch > second.epoch && third.agent_id == second.agent_id);
    assert_eq!(forwarder.url(), "https://web.example.com");
}

#[tokio::test]
async fn an_endpoint_that_is_taken_for_now_is_asked_for_again() {
    let (gateway, _agent, peer, forwarder) = forwarding(&echo().await.to_string()).await;
    peer.cut();
    let (_, mut peer) = gateway.session().await;
    let (request, _) = peer.asked().await;
    let refused = refusal(RefusalCode::Taken, true);
    peer.say(GatewayMessage::BindRefused { request, refused })
        .await;
    peer.grant(7, "https://web.example.com").await;
    echoes(&peer).await;

    let refused = refusal(RefusalCode::Unavailable, true);
    peer.say(GatewayMessage::Unbound {
        endpoint: 7,
        refused,
    })
    .await;
    peer.grant(7, "https://web.example.com").await;
    echoes(&peer).await;

    let refused = refusal(RefusalCode::Acl, false);
    peer.say(GatewayMessage::Unbound {
        endpoint: 7,
        refused: refused.clone(),
    })
    .await;
    assert_eq!(forwarder.done().await, End::Refused(refused));
}

#[tokio::test]
async fn a_granted_url_that_is_refused_for_good_gives_way_to_the_wish() {
    let (gateway, _agent, peer, forwarder) = forwarding(&echo().await.to_string()).await;
    peer.cut();
    let (_, mut peer) = gateway.session().await;
    let (request, spec) = peer.asked().await;
    assert_eq!(spec.url, "https://web.example.com");
    let refused = refusal(RefusalCode::Url, false);
    peer.say(GatewayMessage::BindRefused { request, refused })
        .await;
    assert_eq!(peer.grant(7, "https://new.example.com").await.url, "");
    echoes(&peer).await;
    assert_eq!(forwarder.url(), "https://new.example.com");
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_agent_and_any_other_does_not() {
    let gateway = MiniGateway::start().await;
    let refuse = async {
        for retryable in [true, false] {
            let refused = refusal(RefusalCode::Token, retryable);
            gateway
                .greeted()
                .await
                .answer(Answer::Refused(refused))
                .await;
        }
    };
    let connecting = gateway.agent().wait_for_first(true).connect();
    let (connected, ()) = tokio::join!(connecting, refuse);
    assert!(
        matches!(connected, Err(ConnectError::Refused(refused)) if refused.code == RefusalCode::Token)
    );
}

#[tokio::test]
async fn a_refusal_for_good_after_a_session_ends_the_endpoints() {
    let (gateway, agent, peer, forwarder) = forwarding("1").await;
    peer.cut();
    let refused = refusal(RefusalCode::Token, false);
    gateway
        .greeted()
        .await
        .answer(Answer::Refused(refused.clone()))
        .await;
    assert_eq!(agent.done().await, End::Refused(refused.clone()));
    assert_eq!(forwarder.done().await, End::Refused(refused));
    let late = agent.listen(EndpointOptions::new("late")).await;
    assert!(matches!(late, Err(BindError::Ended(End::Refused(_)))));
}

#[tokio::test]
async fn drain_takes_no_more_streams_and_waits_for_those_that_run() {
    let (_gateway, agent, mut peer, forwarder) = forwarding(&echo().await.to_string()).await;
    let mut running = peer.open(7).await;
    assert_eq!(result(&mut running).await, OpenResult::Open);
    let draining = tokio::spawn({
        let agent = agent.clone();
        async move { agent.drain(Duration::from_secs(60)).await }
    });
    assert!(matches!(peer.hear().await, Some(AgentMessage::Drain)));
    let OpenResult::Failed(error) = result(&mut peer.open(7).await).await else {
        panic!("open")
    };
    assert_eq!(error.kind, DialErrorKind::Draining);
    assert!(!draining.is_finished());
    running.write_all(b"last").await.unwrap();
    running.shutdown().await.unwrap();
    let mut all = Vec::new();
    running.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last");
    draining.await.unwrap();
    assert_eq!(forwarder.done().await, End::Closed);
    peer.lane.closed().await;
}

#[tokio::test]
async fn a_drain_without_patience_resets_what_runs() {
    let (_gateway, agent, peer, _forwarder) = forwarding(&echo().await.to_string()).await;
    let mut running = peer.open(7).await;
    assert_eq!(result(&mut running).await, OpenResult::Open);
    agent.close().await;
    assert!(running.read(&mut [0]).await.is_err());
    assert_eq!(agent.done().await, End::Closed);
}

#[tokio::test]
async fn a_gateway_that_is_going_is_left_at_once_and_finishes_its_streams() {
    let (gateway, _agent, old, _forwarder) = forwarding(&echo().await.to_string()).await;
    let mut running = old.open(7).await;
    assert_eq!(result(&mut running).await, OpenResult::Open);
    old.say(GatewayMessage::Drain {
        deadline_ms: 60_000,
    })
    .await;
    let (_, mut new) = gateway.session().await;
    new.grant(7, "https://web.example.com").await;
    echoes(&new).await;
    echoes(&old).await;
    running.write_all(b"last").await.unwrap();
    running.shutdown().await.unwrap();
    let mut all = Vec::new();
    running.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last");
}

#[tokio::test]
async fn an_agent_that_nobody_holds_ends() {
    let (_gateway, agent, peer, forwarder) = forwarding("1").await;
    drop((agent, forwarder));
    peer.lane.closed().await;
}

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
        version: 2,
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

// === lanes ===

#[tokio::test]
async fn further_lanes_are_joined_serve_streams_and_are_joined_again() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let greeted = gateway.greeted().await;
    let mut first = greeted
        .welcome(Welcome {
            lanes: 2,
            ..terms()
        })
        .await;
    let upstream = Upstream::parse(&echo().await.to_string()).unwrap();
    let (forwarder, _) = tokio::join!(
        agent.forward(EndpointOptions::new("web"), upstream),
        first.grant(7, "https://web.example.com")
    );
    forwarder.unwrap();
    for _ in 0..2 {
        let greeted = gateway.greeted().await;
        let Greeting::Join(join) = &greeted.greeting else {
            panic!("join expected")
        };
        assert_eq!(
            (join.session, join.lane, join.key.expose()),
            (42, 1, "join")
        );
        let side = greeted.joined().await;
        echoes(&side).await;
        side.cut();
    }
    echoes(&first).await;

    let side = gateway.greeted().await.joined().await;
    first.cut();
    side.lane.closed().await;
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
