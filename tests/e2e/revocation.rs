//! What runs is ended when its permission ends: A42, and the second half of A25.

use adit_agent::{End, Event};
use adit_wire::message::RefusalCode;
use http_body_util::{BodyExt, Full};

use crate::{
    harness::{
        Agent, Gateway, Service, event, h2, raw, soon,
        streams::{Streams, call, grpc_request},
    },
    websocket::Echo,
};

/// Two endpoints that have their policies from files.
const FROM_FILES: &str = "
endpoints:
  - { url: https://app.localhost, traffic_policy_file: app.yaml }
  - { url: https://ws.app.localhost, traffic_policy_file: app.yaml }
  - { url: https://other.localhost, traffic_policy_file: other.yaml }
  - { url: https://ws.other.localhost, traffic_policy_file: other.yaml }
";

const DENY: &str = "on_http_request: [{ actions: [{ type: deny }] }]\n";

/// A policy that writes its version onto each response.
fn version(version: u8) -> String {
    format!(
        "on_http_response: [{{ actions: [{{ type: add-headers, config: {{ headers: {{ x-version: \"{version}\" }} }} }}] }}]\n"
    )
}

async fn status(gateway: &Gateway, host: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    raw::send_tls(gateway, host, request).await.status
}

/// An agent of this name that serves `HOST.localhost` and `ws.HOST.localhost`.
async fn agent(
    gateway: &Gateway,
    name: &str,
    host: &str,
    (service, echo): (&Service, &Echo),
) -> Agent {
    let agent = Agent::builder(gateway)
        .token(gateway.token_of(name))
        .url(&format!("https://{host}.localhost"))
        .upstream(service.addr())
        .url(&format!("https://ws.{host}.localhost"))
        .upstream(echo.addr);
    agent.start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_d_a_changed_rule_ends_the_streams_that_it_let_in_and_nothing_else() {
    let service = Service::echo().await;
    let echo = Echo::start().await;
    let files = [("app.yaml", &*version(1)), ("other.yaml", &version(1))];
    let gateway = Gateway::with_files(&files, FROM_FILES).await;
    let behind = (&service, &echo);
    let _agents = [
        agent(&gateway, "tester", "app", behind).await,
        agent(&gateway, "tester", "other", behind).await,
    ];
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    // A download and a short call of gRPC that have begun.
    let mut download = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    download
        .send("GET /slow-body HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    download.until("begun ").await;
    let mut http2 = h2::connect_tls(&gateway, "app.localhost").await;
    let url = gateway.url("https://app.localhost/slow-head");
    let short = grpc_request(&url)
        .body(Full::from(&[0; 5][..]).boxed())
        .unwrap();
    let short = tokio::spawn(http2.send_request(short));
    service.wait_for_requests(8).await;

    gateway.put("app.yaml", DENY);
    gateway.reload().await.unwrap();
    streams.are_ended("policy changed", "14").await;
    service
        .wait_for("the service to see its readers leave", |counts| {
            counts.readers == 3
        })
        .await;
    others.go_on(&service).await;
    service.release();
    download.until("done").await;
    service.release();
    let short = soon("the short call", short).await.unwrap().unwrap();
    assert_eq!(short.status(), 200);
    assert!(short.headers().get("grpc-status").is_none());
    // Whoever comes again is let in, or not, by the new rule.
    let again = call(&mut http2, &url, "").await;
    assert_eq!(again.headers()["grpc-status"], "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_b_a_removed_token_ends_its_agents_and_their_streams_and_nobody_elses() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let revoked = agent(&gateway, "tester", "app", behind).await;
    let _other = agent(&gateway, "other", "other", behind).await;
    let mut others = Streams::open(&gateway, "other").await;
    // A mistake elsewhere in the file keeps everything as it was.
    gateway.put("gateway.yaml", "agents: []\nlistne: {}\n");
    assert!(gateway.reload().await.is_err());
    others.go_on(&service).await;
    let streams = Streams::open(&gateway, "app").await;

    gateway.rewrite_agents(&[("other", &["bind:*"])]);
    let reloaded = gateway.reload().await;
    // Whoever was first, the file system or we.
    assert!(reloaded.unwrap().waiting.is_empty());
    streams.break_off().await;
    let End::Refused(why) = soon("the agent's end", revoked.agent.done()).await else {
        panic!("it has not been refused");
    };
    assert!(
        why.reason.contains("ERR_ADIT_300") && !why.retryable,
        "{why}"
    );
    assert_eq!(status(&gateway, "app.localhost").await, 404);
    // Nor does it come in again.
    let again = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(1);
    let told = again.try_start().await.err().unwrap();
    assert!(told.contains("ERR_ADIT_107"), "{told}");
    service
        .wait_for("the service to see its readers leave", |counts| {
            counts.readers == 3
        })
        .await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_b_a_narrowed_access_list_ends_what_it_no_longer_allows() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let narrowed = agent(&gateway, "tester", "app", behind).await;
    let kept = agent(&gateway, "tester", "other", behind).await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    let mut events = narrowed.events();

    gateway.rewrite_agents(&[(
        "tester",
        &["bind:other.localhost", "bind:ws.other.localhost"],
    )]);
    gateway.reload().await.unwrap();
    let taken = event(&mut events, |event| matches!(event, Event::Unbound { .. })).await;
    let Event::Unbound {
        refused: Some(why), ..
    } = taken
    else {
        panic!("{taken:?}");
    };
    assert_eq!(why.code, RefusalCode::Acl, "{why}");
    streams
        .are_ended("agent may not serve this url any more", "14")
        .await;
    assert_eq!(status(&gateway, "app.localhost").await, 404);
    others.go_on(&service).await;
    assert!(kept.agent.is_connected() && narrowed.agent.is_connected());

    // What is allowed again can be had again, without a restart of anything.
    gateway.rewrite_agents(&[("tester", &["bind:*"])]);
    gateway.reload().await.unwrap();
    let _again = agent(&gateway, "tester", "app", behind).await;
    Streams::open(&gateway, "app").await.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_is_let_in_without_a_restart() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::with_agents(&[("tester", &["bind:*"])], "").await;
    gateway.rewrite_agents(&[("tester", &["bind:*"]), ("new", &["bind:*"])]);
    gateway.reload().await.unwrap();
    let _agent = agent(&gateway, "new", "app", (&service, &echo)).await;
    assert_eq!(status(&gateway, "app.localhost").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_c_an_agent_that_goes_takes_its_streams_along() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let gone = agent(&gateway, "tester", "app", behind).await;
    let _other = agent(&gateway, "tester", "other", behind).await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    gone.close().await;
    streams.break_off().await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_c_an_agents_new_policy_ends_the_streams_that_its_old_one_let_in() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let updating = agent(&gateway, "tester", "app", behind).await;
    let _other = agent(&gateway, "tester", "other", behind).await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    // Where none was, one comes: who was let in without it may not stay either.
    for forwarder in &updating.forwarders {
        forwarder.update_policy(DENY).await.unwrap();
    }
    streams.are_ended("policy changed", "14").await;
    assert_eq!(status(&gateway, "app.localhost").await, 403);
    others.go_on(&service).await;
}
