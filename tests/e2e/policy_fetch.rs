//! Requests that policies send: to endpoints of the gateway, and to servers that its operator allows.

use std::net::SocketAddr;

use crate::harness::{Agent, Gateway, RawService, Service, visitor::visit};

/// `app.localhost`, whose policy asks this and tells what came of it.
fn asking(config: &str, more: &str) -> String {
    let told = "${actions.ngrok.http_request.res.status_code} ${actions.ngrok.http_request.error.code}|\
                ${actions.ngrok.http_request.res.body}";
    format!(
        "{more}\nendpoints:\n  - url: http://app.localhost\n    traffic_policy:\n      on_http_request:\n        - actions:\n            \
         - {{ type: http-request, config: {config} }}\n            \
         - {{ type: custom-response, config: {{ body: '{told}' }} }}\n"
    )
}

async fn told(gateway: &Gateway) -> (u16, String) {
    visit(gateway.http(), "app.localhost", "/").await
}

/// What a policy is told that asks this address, with these lines in `gateway.yaml`.
async fn outside(to: SocketAddr, path: &str, more: &str) -> (u16, String) {
    let config = format!("{{ url: 'http://{to}{path}', on_error: halt, timeout: 1s }}");
    let gateway = Gateway::with(&asking(&config, more)).await;
    told(&gateway).await
}

fn allowing(allowed: SocketAddr) -> String {
    format!("fetch: {{ allow: ['{allowed}'], allow_private: true }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_of_the_gateway_is_asked_within_the_process() {
    let service = Service::echo().await;
    let config = "{ url: 'https://inner.internal/a?b', method: POST, body: all of it }";
    let inner = "  - { url: https://inner.internal, traffic_policy: { on_http_request: [{ actions: [{ type: add-headers, \
                 config: { headers: { x-policy: '${conn.client_ip} ${req.url}' } } }] }] } }\n";
    let gateway = Gateway::with(&format!("{}{inner}", asking(config, ""))).await;
    let _agent = Agent::forward(&gateway, "https://inner.internal", service.addr()).await;
    let (status, text) = told(&gateway).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.starts_with("200 |{\"body_length\":9"), "{text}");
    let request = service.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/a?b")
    );
    assert_eq!(request.header("host"), Some("inner.internal"));
    // Its own policy ran, and took the asker for nobody.
    let seen = request.header("x-policy");
    assert_eq!(seen, Some("0.0.0.0 https://inner.internal/a?b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_himself_is_stopped_at_the_third_time() {
    let service = Service::echo().await;
    let policy = "{ on_http_request: [{ actions: [{ type: http-request, config: { url: 'http://loop.internal/' } }, \
                  { type: add-headers, config: { headers: { x-error: '[${actions.ngrok.http_request.error.code}]' } } }] }] }";
    let inner = format!("  - {{ url: http://loop.internal, traffic_policy: {policy} }}\n");
    let gateway = Gateway::with(&format!(
        "{}{inner}",
        asking("{ url: 'http://loop.internal/' }", "")
    ))
    .await;
    let _agent = Agent::forward(&gateway, "http://loop.internal", service.addr()).await;
    assert_eq!(told(&gateway).await.0, 200);
    let errors: Vec<_> = service
        .requests()
        .iter()
        .map(|request| request.header("x-error").unwrap().to_owned())
        .collect();
    assert_eq!(
        errors,
        ["[ERR_ADIT_3603]", "[]", "[]"],
        "the innermost arrives first"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a32_a_only_what_the_operator_allows_is_asked() {
    let service = Service::echo().await;
    let to = service.addr();
    let refused = [
        String::new(),
        format!("fetch: {{ allow: ['{to}'] }}"),
        format!(
            "fetch: {{ allow: ['127.0.0.1:{}'], allow_private: true }}",
            to.port() ^ 1
        ),
    ];
    for more in refused {
        let (status, text) = outside(to, "/", &more).await;
        assert_eq!(status, 502, "{more}: {text}");
        assert!(
            !text.contains("127.0.0.1"),
            "nobody is told who was asked: {text}"
        );
    }
    assert_eq!(service.counts().connections, 0);
    let (status, text) = outside(to, "/", &allowing(to)).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.starts_with("200 |{"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a32_b_a_redirect_leads_nowhere_else() {
    let hidden = Service::echo().await;
    let location = format!("http://{}/", hidden.addr());
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let service = RawService::answering(&*answer).await;
    let (status, text) = outside(service.addr(), "/", &allowing(service.addr())).await;
    assert_eq!(status, 502, "{text}");
    assert_eq!(hidden.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a32_d_e_slow_and_endless_answers_are_given_up() {
    let service = Service::echo().await;
    let more = allowing(service.addr());
    for (path, status, code) in [("/hang", 504, "3602"), ("/mebibytes/1000", 502, "3601")] {
        let (answered, text) = outside(service.addr(), path, &more).await;
        assert_eq!(answered, status, "{path}: {text}");
        assert!(text.contains(&format!("ERR_ADIT_{code}")), "{path}: {text}");
    }
    service
        .wait_for("both to be given up", |counts| counts.abandoned >= 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_name_that_is_nobodys_is_not_looked_up() {
    let more = "fetch: { allow: ['*.internal'], allow_private: true }";
    let config = "{ url: 'http://metadata.internal/', on_error: halt }";
    let gateway = Gateway::with(&asking(config, more)).await;
    assert_eq!(told(&gateway).await.0, 502);
}
