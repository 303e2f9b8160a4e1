//! `mirror`: what is copied for another endpoint, and what comes of the comparison.

use futures_util::future::join_all;

use crate::harness::{
    Agent, Gateway, RawService, Service, curl,
    mirroring::{counted_until, mirroring, page_until, serve, skipped_until},
    operator::{ask, metric_until},
    raw,
    visitor::visit,
};

const GET: &str = "GET /path?q=1 HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// Answers each request with this body.
async fn json(body: &str) -> RawService {
    let length = body.len();
    RawService::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_is_what_the_service_gets_and_its_answer_goes_to_nobody() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let gateway = mirroring("compare: { ignore: [$.headers] }", "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let url = "http://app.localhost/path?q=1";
        let answer = curl(&gateway, [version, "-H", "x-own: 1", url]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("adit-mirrored"), None);
    }
    counted_until(&gateway, "same", 2).await;
    let (asked, copied) = (service.requests(), next.requests());
    for (asked, copied) in asked.iter().zip(&copied) {
        assert_eq!(
            (&asked.method, &asked.target),
            (&copied.method, &copied.target)
        );
        for name in [
            "host",
            "x-own",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "traceparent",
        ] {
            assert_eq!(asked.all(name), copied.all(name), "{name}");
        }
        assert_eq!(copied.all("adit-mirrored"), ["1"]);
        assert_eq!(asked.header("adit-mirrored"), None);
    }
    assert_eq!((asked.len(), copied.len()), (2, 2));
    let page = ask(gateway.admin(), "/metrics").await.text();
    for side in ["service", "mirror"] {
        let count = format!(
            "adit_mirror_seconds_count{{endpoint=\"http://app.localhost\",mirror=\"next\",side=\"{side}\"}} 2"
        );
        assert!(page.contains(&count), "{page}");
    }
    metric_until(gateway.admin(), "adit_mirror_under_way", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_forge_where_its_copy_comes_from_nor_that_it_is_one() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let policy = "{ on_http_request: [{ expressions: [\"conn.client_ip != '127.0.0.1'\"], actions: [{ type: deny }] }] }";
    let more = format!(
        "  - {{ url: http://next.internal, traffic_policy: {policy} }}\ntrusted_proxies: [127.0.0.0/8]\n"
    );
    let gateway = mirroring("compare: { body: false }", &more).await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let lies = "GET / HTTP/1.1\r\nHost: app.localhost\r\nadit-mirrored: 1\r\nX-Forwarded-For: 127.0.0.1\r\n\
                X-Real-IP: 10.0.0.1\r\n\r\n";
    assert_eq!(raw::send(gateway.http(), lies).await.status, 200);
    counted_until(&gateway, "same", 1).await;
    let copied = next.only_request();
    // Behind trusted proxies the client is whom they name, and the copy says the same.
    assert_eq!(copied.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(copied.header("x-real-ip"), None);
    assert_eq!(copied.all("adit-mirrored"), ["1"]);
    assert_eq!(service.only_request().header("adit-mirrored"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stay_at_home_unless_they_are_wanted() {
    let said = "GET / HTTP/1.1\r\nHost: app.localhost\r\nAuthorization: Bearer x\r\nCookie: a=b\r\nX-Api-Key: x\r\n\
                X-Other: 1\r\n\r\n";
    for (settings, copied) in [
        ("compare: { body: false }", false),
        ("compare: { body: false }, credentials: true", true),
    ] {
        let (service, next) = (Service::echo().await, Service::echo().await);
        let gateway = mirroring(settings, "").await;
        let _agent = serve(&gateway, service.addr(), next.addr()).await;
        assert_eq!(raw::send(gateway.http(), said).await.status, 200);
        counted_until(&gateway, "same", 1).await;
        let request = next.only_request();
        for name in ["authorization", "cookie", "x-api-key"] {
            assert_eq!(request.header(name).is_some(), copied, "{name} {settings}");
            assert!(service.only_request().header(name).is_some());
        }
        assert_eq!(request.header("x-other"), Some("1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_copied_whole_if_its_method_is_named_and_it_is_not_too_long() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let settings = "methods: [GET, POST], max_body: 20KiB, compare: { ignore: [$.headers] }";
    let gateway = mirroring(settings, "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let body = "x".repeat(20 * 1024);
    let post = |framing: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: app.localhost\r\n{framing}\r\n\r\n{body}")
    };
    let sized = |body: &str| post(&format!("Content-Length: {}", body.len()), body);
    assert_eq!(raw::send(gateway.http(), sized(&body)).await.status, 200);
    // Length and hash of the body are in both answers.
    counted_until(&gateway, "same", 1).await;
    let (one, two) = body.split_at(7000);
    let chunks = format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    let chunked = post("Transfer-Encoding: chunked", &chunks);
    assert_eq!(raw::send(gateway.http(), chunked).await.status, 200);
    counted_until(&gateway, "same", 2).await;
    let answer = curl(
        &gateway,
        [
            "--http2-prior-knowledge",
            "-d",
            "body",
            "http://app.localhost/",
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    counted_until(&gateway, "same", 3).await;
    let answer = raw::send(gateway.http(), sized(&format!("{body}x"))).await;
    assert_eq!(answer.json()["body_length"], body.len() + 1);
    let chunks = format!("{:x}\r\n{body}\r\n1\r\nx\r\n0\r\n\r\n", body.len());
    let answer = raw::send(gateway.http(), post("Transfer-Encoding: chunked", &chunks)).await;
    assert_eq!(answer.json()["body_length"], body.len() + 1);
    skipped_until(&gateway, "body", 2).await;
    // A method that is not named is nobody's business.
    let put = "PUT / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(raw::send(gateway.http(), put).await.status, 200);
    assert_eq!((service.counts().requests, next.counts().requests), (6, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_a_policy_has_read_and_changed_is_copied_as_the_service_gets_it() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let mirror = "{ type: mirror, config: { url: 'http://next.internal', id: next, methods: [POST], compare: { ignore: [$.headers] } } }";
    let replace =
        "{ type: request-body-find-replace, config: { replacements: [{ from: a, to: bb }] } }";
    let gateway = Gateway::with(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{replace}, {mirror}] }}] }} }}\n"
    ))
    .await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let answer = curl(&gateway, ["-d", "banana", "http://app.localhost/"]).await;
    assert!(answer.text().contains("\"body_length\":9"), "{answer:?}");
    counted_until(&gateway, "same", 1).await;
    assert_eq!(next.only_request().header("content-length"), Some("9"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_told_apart() {
    let service = json(r#"{"a": 1, "time": 1}"#).await;
    for (answer, result) in [
        (r#"{"time":2,"a":1}"#, "same"),
        (r#"{"a":2,"time":1}"#, "body"),
    ] {
        let next = json(answer).await;
        let gateway = mirroring("compare: { ignore: [$.time] }", "").await;
        let _agent = serve(&gateway, service.addr(), next.addr()).await;
        assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
        counted_until(&gateway, result, 1).await;
    }
    let next = RawService::answering("HTTP/1.1 503 Full\r\ncontent-length: 0\r\n\r\n").await;
    let gateway = mirroring("", "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "status", 1).await;
    let next = json(r#"{"a": 1, "time": 1}"#).await;
    let gateway = mirroring("compare: { headers: [content-type, x-version] }", "").await;
    let versioned = RawService::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-version: 2\r\ncontent-length: 2\r\n\r\n{}",
    )
    .await;
    let _agent = serve(&gateway, versioned.addr(), next.addr()).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "headers", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_the_chosen_share_is_copied() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let gateway = mirroring("percentage: 25, compare: { body: false }", "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    for _ in 0..40 {
        let visits = (0..10).map(|_| visit(gateway.http(), "app.localhost", "/"));
        for (status, _) in join_all(visits).await {
            assert_eq!(status, 200);
        }
    }
    metric_until(gateway.admin(), "adit_mirror_under_way", 0).await;
    // 100 are expected; six standard deviations are 52.
    let copies = next.counts().requests;
    assert!((48..=152).contains(&copies), "{copies}");
    counted_until(&gateway, "same", copies as u64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_of_the_mirror_applies_and_may_know_that_it_looks_at_a_copy() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let policy = "{ on_http_request: [{ expressions: [\"has(req.headers['adit-mirrored'])\"], \
                  actions: [{ type: custom-response, config: { status_code: 418 } }] }] }";
    let more = format!("  - {{ url: http://next.internal, traffic_policy: {policy} }}\n");
    let gateway = mirroring("", &more).await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "status", 1).await;
    assert_eq!(next.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_mirrors_back_ends_with_the_first_copy() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let back = "{ type: mirror, config: { url: 'http://app.localhost', id: back } }";
    let more = format!(
        "  - {{ url: http://next.internal, traffic_policy: {{ on_http_request: [{{ actions: [{back}] }}] }} }}\n"
    );
    let gateway = mirroring("compare: { body: false }", &more).await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "same", 1).await;
    let looped = "adit_mirror_skipped_total{endpoint=\"http://next.internal\",mirror=\"back\",reason=\"loop\"} 1";
    page_until(&gateway, looped).await;
    assert_eq!((service.counts().requests, next.counts().requests), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_of_agents_are_counted_together() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let gateway = Gateway::start().await;
    let own = "on_http_request: [{ actions: [{ type: mirror, config: { url: 'http://next.internal', id: mine, compare: { body: false } } }] }]\n";
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .policy(own)
        .url("http://next.internal")
        .upstream(next.addr())
        .start()
        .await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    let line = "adit_mirror_total{endpoint=\"agents\",mirror=\"agents\",result=\"same\"} 1";
    page_until(&gateway, line).await;
}
