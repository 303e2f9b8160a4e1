//! A policy that is exchanged while its endpoint is online.

use super::*;
use crate::UpdateError;

/// What a session agrees on with a gateway from before policies could be exchanged.
fn old_terms() -> Welcome {
    Welcome {
        version: 1,
        ..terms()
    }
}

/// What the agent asks for next: number, endpoint and policy.
async fn update(peer: &mut Peer) -> (u64, u64, Option<String>) {
    match peer.hear().await {
        Some(AgentMessage::Update {
            request,
            endpoint,
            traffic_policy,
        }) => (request, endpoint, traffic_policy),
        other => panic!("update expected, not {other:?}"),
    }
}

async fn updated(peer: &mut Peer) -> Option<String> {
    let (request, endpoint, policy) = update(peer).await;
    assert_eq!(endpoint, 7);
    peer.say(GatewayMessage::Updated { request }).await;
    policy
}

#[tokio::test]
async fn a_new_policy_is_sent_and_bound_again_after_a_reconnect() {
    let (gateway, agent, mut peer, forwarder) = forwarding("127.0.0.1:1").await;
    let mut events = agent.events();
    let (done, sent) = tokio::join!(forwarder.update_policy("a"), updated(&mut peer));
    assert_eq!((done.is_ok(), sent.as_deref()), (true, Some("a")));
    event(&mut events, |event| {
        matches!(event, Event::PolicyUpdated { name, url } if name == "web" && url == "https://web.example.com")
            .then_some(())
    })
    .await;
    // What is so already is not asked for.
    forwarder.update_policy("a").await.unwrap();
    peer.cut();
    let (_, mut peer) = gateway.session().await;
    let spec = peer.grant(8, "https://web.example.com").await;
    assert_eq!(spec.traffic_policy.as_deref(), Some("a"));
    let taken_away = async {
        let (request, endpoint, policy) = update(&mut peer).await;
        assert_eq!((endpoint, policy), (8, None));
        peer.say(GatewayMessage::Updated { request }).await;
    };
    let (done, ()) = tokio::join!(forwarder.update_policy(" "), taken_away);
    done.unwrap();
}

#[tokio::test]
async fn a_refused_policy_leaves_the_old_one_for_every_later_session() {
    let (gateway, _agent, mut peer, forwarder) = forwarding("127.0.0.1:1").await;
    let (done, _) = tokio::join!(forwarder.update_policy("good"), updated(&mut peer));
    done.unwrap();
    let refuse = async {
        let (request, ..) = update(&mut peer).await;
        let refused = refusal(RefusalCode::Policy, false);
        peer.say(GatewayMessage::UpdateRefused { request, refused })
            .await;
    };
    let (done, ()) = tokio::join!(forwarder.update_policy("bad"), refuse);
    assert!(
        matches!(done, Err(UpdateError::Refused(refused)) if refused.code == RefusalCode::Policy)
    );
    peer.cut();
    let (_, mut peer) = gateway.session().await;
    let spec = peer.grant(8, "https://web.example.com").await;
    assert_eq!(spec.traffic_policy.as_deref(), Some("good"));
}

#[tokio::test]
async fn what_was_left_unanswered_is_bound_and_if_it_is_wrong_the_old_policy_is() {
    let (gateway, _agent, mut peer, forwarder) = forwarding("127.0.0.1:1").await;
    let (done, _) = tokio::join!(forwarder.update_policy("good"), updated(&mut peer));
    done.unwrap();
    let lost = async {
        update(&mut peer).await;
        peer.cut();
        let (_, mut peer) = gateway.session().await;
        let (request, spec) = peer.asked().await;
        assert_eq!(spec.traffic_policy.as_deref(), Some("bad"));
        let refused = refusal(RefusalCode::Policy, false);
        peer.say(GatewayMessage::BindRefused { request, refused })
            .await;
        let spec = peer.grant(8, "https://web.example.com").await;
        assert_eq!(spec.traffic_policy.as_deref(), Some("good"));
        peer
    };
    let (done, _peer) = tokio::join!(forwarder.update_policy("bad"), lost);
    assert!(matches!(done, Err(UpdateError::Refused(_))), "{done:?}");
}

#[tokio::test]
async fn only_the_newest_of_several_wishes_is_asked_for() {
    let (_gateway, _agent, mut peer, forwarder) = forwarding("127.0.0.1:1").await;
    let answer = async {
        let (first, _, policy) = update(&mut peer).await;
        assert_eq!(policy.as_deref(), Some("1"));
        peer.say(GatewayMessage::Updated { request: first }).await;
        assert_eq!(updated(&mut peer).await.as_deref(), Some("3"));
    };
    let (one, two, three, ()) = tokio::join!(
        biased;
        forwarder.update_policy("1"),
        forwarder.update_policy("2"),
        forwarder.update_policy("3"),
        answer
    );
    assert!(one.is_ok() && three.is_ok(), "{one:?} {three:?}");
    assert!(matches!(two, Err(UpdateError::Superseded)), "{two:?}");
}

#[tokio::test]
async fn an_older_gateway_is_not_asked_and_the_session_goes_on() {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let mut peer = gateway.greeted().await.welcome(old_terms()).await;
    let upstream = Upstream::parse(&echo().await.to_string()).unwrap();
    let (forwarder, _) = tokio::join!(
        agent.forward(EndpointOptions::new("web"), upstream),
        peer.grant(7, "https://web.example.com")
    );
    let refused = forwarder.unwrap().update_policy("a").await.unwrap_err();
    assert!(refused.to_string().contains("restart"), "{refused}");
    echoes(&peer).await;
    // The next message is about something else.
    let (_, spec) = tokio::join!(
        agent.listen(EndpointOptions::new("other")),
        peer.grant(9, "https://other.example.com")
    );
    assert_eq!(spec.name, "other");
}
