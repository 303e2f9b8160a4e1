//! A weight that is changed while its endpoint is online.

use super::*;
use crate::{PoolPlace, UpdateError};

/// What the agent says next of endpoint 7.
async fn reweighed(peer: &mut Peer) -> (u32, u32, String) {
    match peer.hear().await {
        Some(AgentMessage::Reweigh {
            endpoint: 7,
            weight,
            tier,
            metadata,
        }) => (weight, tier, metadata),
        other => panic!("reweigh of 7 expected, not {other:?}"),
    }
}

#[tokio::test]
async fn another_weight_is_said_at_once_and_bound_after_a_reconnect() {
    let (gateway, agent, mut peer, forwarder) = forwarding("127.0.0.1:1").await;
    let mut events = agent.events();
    forwarder.set_weight(5).await.unwrap();
    assert_eq!(reweighed(&mut peer).await, (5, 0, String::new()));
    event(&mut events, |event| {
        matches!(event, Event::Reweighed { weight: 5, .. }).then_some(())
    })
    .await;
    let place = PoolPlace {
        weight: 5,
        tier: 2,
        metadata: "canary".into(),
    };
    forwarder.set_place(place.clone()).await.unwrap();
    assert_eq!(reweighed(&mut peer).await, (5, 2, "canary".into()));
    // What is so already is not said.
    forwarder.set_place(place).await.unwrap();
    forwarder.set_weight(0).await.unwrap();
    assert_eq!(reweighed(&mut peer).await, (0, 2, "canary".into()));
    let long = PoolPlace {
        weight: 1,
        tier: 0,
        metadata: "x".repeat(5000),
    };
    let refused = forwarder.set_place(long).await;
    assert!(
        matches!(refused, Err(UpdateError::Options(_))),
        "{refused:?}"
    );

    peer.cut();
    let (_, mut peer) = gateway.session().await;
    let (request, spec) = peer.asked().await;
    assert_eq!((spec.weight, spec.tier, &*spec.metadata), (0, 2, "canary"));
    // Changed while the question is on its way.
    forwarder.set_weight(7).await.unwrap();
    peer.say(GatewayMessage::Bound {
        request,
        endpoint: 7,
        url: "https://web.example.com".into(),
    })
    .await;
    assert_eq!(reweighed(&mut peer).await, (7, 2, "canary".into()));
}

#[tokio::test]
async fn an_older_gateway_is_told_with_the_next_session() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let mut events = agent.events();
    let old = Welcome {
        version: 3,
        ..terms()
    };
    let mut peer = gateway.greeted().await.welcome(old).await;
    let (listener, _) = tokio::join!(
        agent.listen(EndpointOptions::new("web")),
        peer.grant(7, "https://web.example.com")
    );
    let listener = listener.unwrap();
    let refused = listener.set_weight(5).await.unwrap_err();
    assert!(refused.to_string().contains("restart"), "{refused}");
    event(&mut events, |event| {
        matches!(event, Event::NotReweighed { .. }).then_some(())
    })
    .await;
    peer.cut();
    let (_, mut peer) = gateway.session().await;
    assert_eq!(peer.grant(7, "https://web.example.com").await.weight, 5);
}
