//! One stream after the other: forwarded, handed over, refused, reset.

use super::*;

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
    let (_held, address) = nobody();
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
