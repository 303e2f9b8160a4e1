//! Policies of the operator and of agents, on requests and responses, in their order.

use crate::harness::{Agent, Gateway, RawService, Service, curl, raw};

const OPERATOR: &str = "
endpoints:
  - url: https://app.localhost
    traffic_policy:
      on_http_request:
        - actions: [{ type: add-headers, config: { headers: { x-order: operator } } }]
      on_http_response:
        - actions: [{ type: add-headers, config: { headers: { x-order: operator } } }]
";

const AGENT: &str = "
on_http_request:
  - name: first
    actions:
      - { type: add-headers, config: { headers: { x-order: agent one } } }
      - { type: add-headers, config: { headers: { x-order: agent two } } }
on_http_response:
  - actions: [{ type: add-headers, config: { headers: { x-order: agent } } }]
";

fn request_rule(action: &str) -> String {
    format!("on_http_request: [{{ actions: [{action}] }}]\n")
}

fn declared(policy: &str) -> String {
    format!("endpoints: [{{ url: \"https://app.localhost\", traffic_policy: {{ {policy} }} }}]\n")
}

/// What the client got as `x-order`, in order.
fn order(head: &str) -> Vec<&str> {
    head.lines()
        .filter_map(|line| line.strip_prefix("x-order: "))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_policy_is_outside_the_agents() {
    let service = Service::echo().await;
    let gateway = Gateway::with(OPERATOR).await;
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .policy(AGENT);
    let _agent = agent.start().await;
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&gateway, [version, "https://app.localhost/"]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let request = service.requests().pop().unwrap();
        assert_eq!(
            request.all("x-order"),
            ["operator", "agent one", "agent two"],
            "{version}"
        );
        assert_eq!(order(&answer.head), ["agent", "operator"], "{version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_denies_before_any_agent_is_asked() {
    let service = Service::echo().await;
    let gateway = Gateway::with(&declared(
        "on_http_request: [{ actions: [{ type: deny }] }]",
    ))
    .await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let answer = curl(&gateway, ["https://app.localhost/"]).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, ""),
        "{answer:?}"
    );
    assert_eq!(service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_answers_even_while_no_agent_is_there() {
    let action = "{ type: custom-response, config: { status_code: 418, body: down for today, headers: { x-why: tea } } }";
    let gateway = Gateway::with(&declared(&format!(
        "on_http_request: [{{ actions: [{action}] }}]"
    )))
    .await;
    let answer = curl(&gateway, ["https://app.localhost/"]).await;
    assert_eq!(
        (
            answer.status,
            answer.text().as_str(),
            answer.header("x-why")
        ),
        (418, "down for today", Some("tea"))
    );
    assert_eq!(answer.header("content-length"), Some("14"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_denies_with_its_own_status() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let policy = request_rule("{ type: deny, config: { status_code: 451 } }");
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .policy(&policy);
    let _agent = agent.start().await;
    let answer = curl(&gateway, ["https://app.localhost/"]).await;
    assert_eq!((answer.status, answer.body.len()), (451, 0), "{answer:?}");
    assert_eq!(service.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_response_phase_runs_for_an_answer_but_not_for_a_refusal() {
    let service = Service::echo().await;
    let gateway = Gateway::with(OPERATOR).await;
    for (action, status, expected) in [
        (
            "{ type: custom-response, config: { body: hello } }",
            200,
            vec!["agent", "operator"],
        ),
        ("{ type: deny }", 403, vec![]),
    ] {
        let policy = format!(
            "{}on_http_response: [{{ actions: [{{ type: add-headers, config: {{ headers: {{ x-order: agent }} }} }}] }}]\n",
            request_rule(action)
        );
        let agent = Agent::builder(&gateway)
            .url("https://app.localhost")
            .upstream(service.addr())
            .policy(&policy);
        let agent = agent.start().await;
        let answer = curl(&gateway, ["https://app.localhost/"]).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(order(&answer.head), expected, "{answer:?}");
        let mut events = agent.events();
        agent.forwarders[0].close().await;
        crate::harness::event(&mut events, |event| {
            matches!(event, adit_agent::Event::Unbound { .. })
        })
        .await;
    }
    assert_eq!(service.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_service_may_be_replaced_and_passes_the_policy_outside() {
    let service = Service::echo().await;
    let gateway = Gateway::with(OPERATOR).await;
    let policy = "on_http_response: [{ actions: [{ type: custom-response, config: { status_code: 203, body: replaced } }] }]\n";
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .policy(policy);
    let _agent = agent.start().await;
    for version in ["--http1.1", "--http2"] {
        for path in ["/bytes/100000", "/status/204", "/chunks/5"] {
            let answer = curl(&gateway, [version, &format!("https://app.localhost{path}")]).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (203, "replaced"),
                "{path}: {answer:?}"
            );
            assert_eq!(order(&answer.head), ["operator"], "{path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_upload_leaves_the_client_with_its_answer() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let policy = request_rule("{ type: deny }");
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .policy(&policy);
    let _agent = agent.start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 3_000_000]).unwrap();
    let upload = format!("@{}", file.path().display());
    for version in ["--http1.1", "--http2"] {
        let answer = curl(
            &gateway,
            [version, "--data-binary", &upload, "https://app.localhost/"],
        )
        .await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_refused_body_is_no_request() {
    let service = RawService::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let gateway = Gateway::start().await;
    let policy = request_rule("{ type: deny }");
    let agent = Agent::builder(&gateway)
        .url("http://no.localhost")
        .upstream(service.addr())
        .policy(&policy)
        .url("http://yes.localhost");
    let _agent = agent.start().await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: yes.localhost\r\n\r\n";
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: no.localhost\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ))
        .await;
    assert_eq!(client.answer().await.status, 403);
    client
        .send("GET /honest HTTP/1.1\r\nHost: yes.localhost\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert!(answer.status == 200 || answer.closed, "{answer:?}");
    let received = service.received_text().concat();
    assert!(!received.contains("/hidden"), "{received}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_with_a_mistake_is_refused_with_its_place() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let policy = "on_http_request:\n  - actions:\n      - type: denny\n";
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .policy(policy);
    let refusal = agent.try_start().await.err().expect("a refusal");
    assert!(
        refusal.contains(":3:") && refusal.contains("denny") && refusal.contains("deny"),
        "{refusal}"
    );
    assert_eq!(curl(&gateway, ["https://app.localhost/"]).await.status, 404);
}
