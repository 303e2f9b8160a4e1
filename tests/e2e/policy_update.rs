//! The policy of an endpoint that is online is exchanged by its agent, and nothing that runs notices.

use adit_wire::message::{EndpointSpec, RefusalCode};

use crate::harness::{
    Agent, Gateway, Service,
    hand_agent::{HandAgent, hello, spec},
    raw,
    visitor::visit,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// A policy that writes its version onto each response.
fn version(version: &str) -> String {
    format!(
        "on_http_response: [{{ actions: [{{ type: add-headers, config: {{ headers: {{ x-version: \"{version}\" }} }} }}] }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_ends_under_the_agents_policy_that_it_began_with() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .policy(&version("1"))
        .start()
        .await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET.replace("/ ", "/slow-head ")).await;
    service.wait_for_requests(1).await;
    agent.forwarders[0]
        .update_policy(version("2"))
        .await
        .unwrap();
    service.release();
    assert_eq!(client.answer().await.header("x-version"), Some("1"));
    client.send(GET).await;
    assert_eq!(client.answer().await.header("x-version"), Some("2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_of_an_action_that_stays_are_kept() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let limited = |more: &str| {
        format!(
            "on_http_request: [{{ actions: [{{ type: rate-limit, config: {{ name: two, algorithm: sliding_window, \
             capacity: 2, rate: 1h, bucket_key: [req.host] }} }}{more}] }}]\n"
        )
    };
    let agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .policy(&limited(""))
        .start()
        .await;
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
    let more = ", { type: add-headers, config: { headers: { x-new: \"1\" } } }";
    agent.forwarders[0]
        .update_policy(limited(more))
        .await
        .unwrap();
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_can_name_no_endpoint_of_another_session() {
    let gateway = Gateway::start().await;
    let policed = |url| EndpointSpec {
        traffic_policy: Some(version("1")),
        ..spec(url)
    };
    let mut alice = HandAgent::connect(&gateway).await;
    let (hers, _) = alice
        .bind_spec(policed("http://app.localhost"))
        .await
        .unwrap();
    alice.serve("alice");
    // Even of the same credential: the number is the session's.
    let mallory = hello(&gateway.token(), "another", 1);
    let mut mallory = HandAgent::begin(&gateway, mallory).await.unwrap();
    let refused = mallory.update(hers, &version("9")).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::Protocol, "{refused}");
    let answer = raw::send(gateway.http(), GET).await;
    assert_eq!(answer.header("x-version"), Some("1"));

    // Nor with a mistake, nor with something of which only the gateway knows that it cannot be.
    let refused = alice.update(hers, "on_http_request: [{ actions: [{ type: dney }] }]");
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::Policy);
    assert!(refused.reason.contains("did you mean `deny`"), "{refused}");
    let answer = raw::send(gateway.http(), GET).await;
    assert_eq!(answer.header("x-version"), Some("1"));
    alice.update(hers, &version("2")).await.unwrap();
    let answer = raw::send(gateway.http(), GET).await;
    assert_eq!(answer.header("x-version"), Some("2"));
}
