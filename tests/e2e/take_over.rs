//! Which session may take the place of another (A45), and which lane a session's.

use adit_wire::{
    frame,
    limits::GREETING_FRAME,
    message::{Answer, EndpointSpec, Greeting, Join, RefusalCode, Token},
};
use tokio::io::AsyncWriteExt;

use crate::harness::{
    Gateway,
    hand_agent::{HandAgent, dial, greet, hello, spec},
    soon,
    visitor::{until, visit},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a45_a_a_registration_that_is_sent_again_is_refused_while_it_lives_and_after() {
    let gateway = Gateway::start().await;
    let mut recorded = Vec::new();
    let greeting = Greeting::Hello(hello(&gateway.token(), "victim", 1000));
    frame::write(&mut recorded, &greeting, GREETING_FRAME)
        .await
        .unwrap();
    let mut victim = HandAgent::begin(&gateway, hello(&gateway.token(), "victim", 1000))
        .await
        .unwrap();
    victim.bind(URL).await.unwrap();
    victim.serve("victim");
    let replay = async || {
        let mut line = dial(&gateway).await;
        line.write_all(&recorded).await.unwrap();
        let answer: Answer = soon("an answer", frame::read(&mut line, GREETING_FRAME))
            .await
            .unwrap();
        match answer {
            Answer::Refused(refused) => assert_eq!(refused.code, RefusalCode::Stale, "{refused}"),
            other => panic!("{other:?}"),
        }
    };
    replay().await;
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "victim /".into())
    );
    victim.cut();
    until(gateway.http(), HOST, 503).await;
    replay().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a45_b_an_older_epoch_is_refused_and_a_newer_one_takes_over() {
    let gateway = Gateway::start().await;
    let mut first = HandAgent::begin(&gateway, hello(&gateway.token(), "a", 1000))
        .await
        .unwrap();
    first.bind(URL).await.unwrap();
    first.serve("first");
    for epoch in [0, 1, 999, 1000] {
        let Err(refused) = HandAgent::begin(&gateway, hello(&gateway.token(), "a", epoch)).await
        else {
            panic!("epoch {epoch} took over");
        };
        assert_eq!(refused.code, RefusalCode::Stale, "{refused}");
    }
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "first /".into())
    );
    let mut newer = HandAgent::begin(&gateway, hello(&gateway.token(), "a", 1001))
        .await
        .unwrap();
    newer.bind(URL).await.unwrap();
    newer.serve("newer");
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "newer /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a45_c_another_credential_takes_over_neither_session_nor_url() {
    let gateway = Gateway::start().await;
    let mut owner = HandAgent::begin(&gateway, hello(&gateway.token(), "same", 1))
        .await
        .unwrap();
    owner.bind(URL).await.unwrap();
    owner.serve("owner");
    let thief = hello(&gateway.token_of("other"), "same", u64::MAX);
    let mut thief = HandAgent::begin(&gateway, thief).await.unwrap();
    assert_eq!(thief.bind(URL).await.unwrap_err().code, RefusalCode::Taken);
    let pooling = EndpointSpec {
        pooling_enabled: true,
        ..spec(URL)
    };
    assert_eq!(
        thief.bind_spec(pooling).await.unwrap_err().code,
        RefusalCode::Taken
    );
    assert!(!owner.lane.is_closed());
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "owner /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_joins_only_with_its_sessions_key_and_number() {
    let gateway = Gateway::start().await;
    let agent = HandAgent::connect(&gateway).await;
    let (session, key) = (agent.welcome.session, agent.welcome.join_key.clone());
    let beyond = agent.welcome.lanes;
    for join in [
        Join {
            session,
            key: Token::new("adit_guess"),
            lane: 1,
        },
        Join {
            session,
            key: Token::new(""),
            lane: 1,
        },
        Join {
            session: session + 1000,
            key: key.clone(),
            lane: 1,
        },
        Join {
            session,
            key: key.clone(),
            lane: 0,
        },
        Join {
            session,
            key,
            lane: beyond,
        },
    ] {
        let answer = greet(&mut dial(&gateway).await, &Greeting::Join(join.clone())).await;
        assert!(matches!(answer, Answer::Refused(_)), "{join:?}: {answer:?}");
    }
    assert!(!agent.lane.is_closed());
}
