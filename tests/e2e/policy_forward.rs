//! `forward-internal`: endpoints that only policies get to.

use crate::harness::{Agent, Gateway, RawService, Service, curl, raw, visitor::visit};

/// Adds its name to `x-order` of requests and responses.
fn marked(name: &str, request_actions: &str) -> String {
    let mark = format!("{{ type: add-headers, config: {{ headers: {{ x-order: {name} }} }} }}");
    format!(
        "{{ on_http_request: [{{ actions: [{mark}{request_actions}] }}], on_http_response: [{{ actions: [{mark}] }}] }}"
    )
}

/// `app.localhost` with these actions for requests.
fn app(actions: &str) -> String {
    format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{actions}] }}] }} }}\n"
    )
}

fn forward(url: &str, on_error: &str) -> String {
    format!("{{ type: forward-internal, config: {{ url: '{url}', on_error: {on_error} }} }}")
}

const FELL_BACK: &str = "{ type: custom-response, config: { status_code: 218, \
     body: '${actions.ngrok.forward_internal.url} ${actions.ngrok.forward_internal.error.code}' } }";

fn order(lines: &[&str]) -> String {
    lines.join(",")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_through_both_policies_and_its_response_back() {
    let service = Service::echo().await;
    let outer = marked(
        "outer",
        &format!(", {}", forward("http://inner.internal", "halt")),
    );
    let inner = marked("inner", "");
    let gateway = Gateway::with(&format!(
        "endpoints:\n  - {{ url: https://app.localhost, traffic_policy: {outer} }}\n  \
         - {{ url: http://inner.internal, traffic_policy: {inner} }}\n"
    ))
    .await;
    let own = "on_http_request: [{ actions: [{ type: add-headers, config: { headers: { x-order: agent } } }] }]\n\
               on_http_response: [{ actions: [{ type: add-headers, config: { headers: { x-order: agent } } }] }]\n";
    let _agent = Agent::builder(&gateway)
        .url("http://inner.internal")
        .upstream(service.addr())
        .policy(own)
        .start()
        .await;
    for version in ["--http1.1", "--http2"] {
        let answer = curl(
            &gateway,
            [version, "-d", "body", "https://app.localhost/a?b"],
        )
        .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let request = service.requests().pop().unwrap();
        assert_eq!(order(&request.all("x-order")), "outer,inner,agent");
        // TP-63 and "Host unchanged": the service sees what it would see behind the first endpoint.
        assert_eq!(request.target, "/a?b");
        let host = request.header("host").unwrap();
        assert!(host.starts_with("app.localhost"), "{host}");
        assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
        let back: Vec<_> = answer
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("x-order: "))
            .collect();
        assert_eq!(order(&back), "agent,inner,outer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_endpoint_is_nobodys_address() {
    let service = Service::echo().await;
    let gateway = Gateway::with(&app(&forward("http://inner.internal", "halt"))).await;
    let _agent = Agent::builder(&gateway)
        .url("http://inner.internal")
        .upstream(service.addr())
        .url("https://inner.internal")
        .upstream(service.addr())
        .start()
        .await;
    assert_eq!(visit(gateway.http(), "inner.internal", "/").await.0, 404);
    assert_eq!(visit(gateway.http(), "inner.internal.", "/").await.0, 404);
    assert_eq!(visit(gateway.http(), "INNER.INTERNAL:80", "/").await.0, 404);
    let mut client = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    client
        .send("GET / HTTP/1.1\r\nHost: inner.internal\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 404);
    assert_eq!(service.counts().requests, 0);
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_binds_an_internal_name_only_if_its_list_says_so() {
    let service = Service::echo().await;
    let agents: [(&str, &[&str]); 1] = [("tester", &["bind:*.localhost"])];
    let gateway = Gateway::with_agents(&agents, "").await;
    let refused = Agent::builder(&gateway)
        .url("http://inner.internal")
        .upstream(service.addr())
        .try_start()
        .await;
    let reason = refused.err().expect("a refusal");
    assert!(
        reason.contains("may not bind http://inner.internal"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_answered_with_its_own_status() {
    let dead = Service::echo().await.addr();
    let gateway = Gateway::with(&format!(
        "{}  - {{ url: http://idle.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{}] }}] }} }}\n  \
         - {{ url: http://loop.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{}] }}] }} }}\n  \
         - {{ url: http://idle.internal }}\n  \
         - {{ url: http://loop.internal, traffic_policy: {{ on_http_request: [{{ actions: [{}] }}] }} }}\n",
        app(&forward("http://dead.internal", "halt")),
        forward("http://idle.internal", "halt"),
        forward("http://loop.internal", "halt"),
        forward("http://loop.internal", "halt"),
    ))
    .await;
    let _agent = Agent::builder(&gateway)
        .url("http://dead.internal")
        .upstream(dead)
        .start()
        .await;
    for (host, status, code) in [
        ("app", 502, "8012"),
        ("idle", 404, "3200"),
        ("loop", 508, "3501"),
    ] {
        let (answered, text) = visit(gateway.http(), &format!("{host}.localhost"), "/").await;
        assert_eq!(answered, status, "{host}: {text}");
        assert!(text.contains(&format!("ERR_ADIT_{code}")), "{host}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_continue_the_policy_goes_on_whenever_the_other_endpoint_fails() {
    let dead = Service::echo().await.addr();
    let gateway = Gateway::with(&app(&format!(
        "{}, {FELL_BACK}",
        forward("http://${req.headers[\"x-to\"][0]}.internal", "continue")
    )))
    .await;
    let silent = RawService::start(|mut conn| async move {
        conn.head().await;
    })
    .await;
    let _agent = Agent::builder(&gateway)
        .url("http://dead.internal")
        .upstream(dead)
        .url("http://silent.internal")
        .upstream(silent.addr())
        .start()
        .await;
    for (to, code) in [("nobody", 3200), ("dead", 8012), ("silent", 3210)] {
        // Also a POST: nothing of an answer has come, so the policy decides.
        let answer = raw::send(
            gateway.http(),
            format!("POST / HTTP/1.1\r\nHost: app.localhost\r\nX-To: {to}\r\nContent-Length: 4\r\n\r\nbody"),
        )
        .await;
        assert_eq!(answer.status, 218, "{to}: {answer:?}");
        assert_eq!(
            answer.text(),
            format!("http://{to}.internal:80 ERR_ADIT_{code}")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failure_the_request_is_as_it_was_and_its_own_pool_serves_it() {
    let inner = marked("inner", "");
    let service = Service::echo().await;
    let dead = Service::echo().await.addr();
    let gateway = Gateway::with(&format!(
        "{}  - {{ url: http://dead.internal, traffic_policy: {inner} }}\n",
        app(&forward("http://dead.internal", "continue"))
    ))
    .await;
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .url("http://dead.internal")
        .upstream(dead)
        .start()
        .await;
    let answer = curl(&gateway, ["-d", "all of it", "http://app.localhost/"]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-order"), None);
    let request = service.only_request();
    assert_eq!(request.all("x-order"), [""; 0]);
    assert!(answer.text().contains("\"body_length\":9"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_of_the_other_endpoint_is_its_answer_and_no_failure() {
    let service = Service::echo().await;
    let gateway = Gateway::with(&app(&format!(
        "{}, {FELL_BACK}",
        forward("http://inner.internal", "continue")
    )))
    .await;
    let _agent = Agent::forward(&gateway, "http://inner.internal", service.addr()).await;
    assert_eq!(
        visit(gateway.http(), "app.localhost", "/status/503")
            .await
            .0,
        503
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_endpoint_has_no_connections_to_look_at() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let refused = Agent::builder(&gateway)
        .url("http://inner.internal")
        .upstream(service.addr())
        .policy("on_tcp_connect: [{ actions: [{ type: deny }] }]\n")
        .try_start()
        .await;
    let reason = refused.err().expect("a refusal");
    assert!(reason.contains("ERR_ADIT_2262"), "{reason}");
}
