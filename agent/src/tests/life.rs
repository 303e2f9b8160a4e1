//! The life of an agent: lost, back, refused, drained, on several lanes.

use super::*;

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
async fn a_gateway_that_is_being_replaced_is_asked_until_the_new_one_answers() {
    let gateway = MiniGateway::start().await;
    // The usual waits would be longer than any test.
    let (least, most) = (Duration::from_secs(600), Duration::from_secs(600));
    let agent = gateway
        .agent()
        .backoff(least, most)
        .connect()
        .await
        .unwrap();
    let mut events = agent.events();
    let (_, mut old) = gateway.session().await;
    let upstream = Upstream::parse(&echo().await.to_string()).unwrap();
    let (forwarder, _) = tokio::join!(
        agent.forward(EndpointOptions::new("web"), upstream),
        old.grant(7, "https://web.example.com")
    );
    let drain = || GatewayMessage::Drain {
        deadline_ms: 60_000,
    };
    old.say(drain()).await;
    // The old process again, which lets nobody in any more.
    let refused = refusal(RefusalCode::Unavailable, true);
    gateway
        .greeted()
        .await
        .answer(Answer::Refused(refused))
        .await;
    // A listener that is closed before anybody was let in.
    drop(gateway.accept_tls().await);
    // The old process, which learns at this moment that it is to go.
    let (_, other) = gateway.session().await;
    other.say(drain()).await;
    let (_, mut new) = gateway.session().await;
    new.grant(7, "https://web.example.com").await;
    echoes(&new).await;
    echoes(&old).await;
    assert_eq!(forwarder.unwrap().url(), "https://web.example.com");
    // Nobody was told of a loss, because there was none.
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Disconnected { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn an_agent_that_nobody_holds_ends() {
    let (_gateway, agent, peer, forwarder) = forwarding("1").await;
    drop((agent, forwarder));
    peer.lane.closed().await;
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
