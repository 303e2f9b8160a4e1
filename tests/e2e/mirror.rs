//! `mirror`: copies of requests for another endpoint, of which the client never notices anything.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::join_all;

use crate::harness::{
    Agent, Gateway, LONGEST, RawConn, RawService, SWITCHING, Service, curl, mebibyte,
    operator::{ask, metric, metric_until},
    raw, soon,
    visitor::visit,
};

const GET: &str = "GET /path?q=1 HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// A gateway whose `http://app.localhost` mirrors to `http://next.internal`, with these settings and more endpoints.
async fn mirroring(settings: &str, more: &str) -> Gateway {
    let mirror = format!(
        "{{ type: mirror, config: {{ url: 'http://next.internal', id: next, {settings} }} }}"
    );
    Gateway::with(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{mirror}] }}] }} }}\n{more}"
    ))
    .await
}

/// Agents for both endpoints.
async fn serve(gateway: &Gateway, service: SocketAddr, next: SocketAddr) -> Agent {
    Agent::builder(gateway)
        .url("http://app.localhost")
        .upstream(service)
        .url("http://next.internal")
        .upstream(next)
        .start()
        .await
}

/// What came of the copies of the mirror of these tests.
async fn counted_until(gateway: &Gateway, result: &str, wanted: u64) {
    page_until(gateway, &format!("{} {wanted}", sample(result))).await;
}

/// Copies that were not sent, or not compared.
async fn skipped_until(gateway: &Gateway, reason: &str, wanted: u64) {
    let labels = format!("endpoint=\"http://app.localhost\",mirror=\"next\",reason=\"{reason}\"");
    let sample = format!("adit_mirror_skipped_total{{{labels}}} {wanted}");
    page_until(gateway, &sample).await;
}

fn sample(result: &str) -> String {
    format!(
        "adit_mirror_total{{endpoint=\"http://app.localhost\",mirror=\"next\",result=\"{result}\"}}"
    )
}

/// Asks again until the page of metrics has this line: a mirror is on it once it has had something to copy.
async fn page_until(gateway: &Gateway, line: &str) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            let page = ask(gateway.admin(), "/metrics").await.text();
            if page.lines().any(|one| one == line) {
                return;
            }
            tick.tick().await;
        }
    };
    soon(line, asking).await;
}

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
    // 100 are expected; six standard deviations are 52.
    let copies = next
        .wait_for("copies", |counts| counts.requests >= 48)
        .await;
    counted_until(&gateway, "same", next.counts().requests as u64).await;
    assert!((48..=152).contains(&next.counts().requests), "{copies:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_is_not_there_or_dead_costs_the_client_nothing() {
    let service = Service::echo().await;
    let dead = Service::echo().await.addr();
    let gateway = mirroring("", "").await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "unanswered", 1).await;
    let next = Agent::forward(&gateway, "http://next.internal", dead).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "unanswered", 2).await;
    next.close().await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "unanswered", 3).await;
    assert_eq!(service.counts().requests, 3);
}

/// Requests are answered while their copies hang at a mirror with this script; then the mirror is given up.
async fn answered_while_the_mirror<F>(script: impl Fn(RawConn) -> F + Send + 'static, method: &str)
where
    F: Future<Output = ()> + Send + 'static,
{
    let service = Service::echo().await;
    let next = RawService::start(script).await;
    let settings = "timeout: 1s, methods: [GET, POST], max_body: 1MiB";
    let gateway = mirroring(settings, "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    let body = "x".repeat(512 * 1024);
    for number in 1..=5 {
        let request = match method {
            "POST" => format!(
                "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            _ => GET.to_owned(),
        };
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().starts_with('{'), "{number}: {answer:?}");
    }
    counted_until(&gateway, "unanswered", 5).await;
    metric_until(gateway.admin(), "adit_mirror_under_way", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_answered_while_the_mirror_still_thinks() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let rewrite =
        |to: &str| format!("{{ type: url-rewrite, config: {{ from: '.*', to: '{to}' }} }}");
    let mirror = "{ type: mirror, config: { url: 'http://next.internal', id: next, timeout: 60s, compare: { body: false } } }";
    let gateway = Gateway::with(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: \
         [{{ actions: [{}, {mirror}, {}] }}] }} }}\n",
        rewrite("/slow-head"),
        rewrite("/"),
    ))
    .await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    for _ in 0..5 {
        assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
    }
    next.wait_for_requests(5).await;
    assert_eq!(metric(gateway.admin(), "adit_mirror_under_way").await, 5);
    for _ in 0..5 {
        next.release();
    }
    counted_until(&gateway, "same", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_never_answers_is_given_up() {
    answered_while_the_mirror(
        |mut conn| async move {
            conn.closed().await;
        },
        "GET",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_stops_in_the_middle_is_given_up() {
    answered_while_the_mirror(
        |mut conn| async move {
            conn.head().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
                .await;
            conn.closed().await;
        },
        "GET",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_does_not_read_is_given_up() {
    answered_while_the_mirror(
        |conn| async move {
            // Held, and never read.
            std::future::pending::<()>().await;
            drop(conn);
        },
        "POST",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_floods_is_read_no_further_than_the_bound() {
    let service = Service::echo().await;
    let next = Service::echo().await;
    let gateway = mirroring("compare: { status: true }, max_body: 64KiB", "").await;
    // The service answers this path, too, with as much.
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let get = "GET /mebibytes/64 HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    let answer = raw::send(gateway.http(), get).await;
    assert_eq!(answer.body.len(), 64 * mebibyte().len());
    // By status alone.
    counted_until(&gateway, "same", 1).await;
    metric_until(gateway.admin(), "adit_mirror_under_way", 0).await;
    let endless = RawService::start(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        loop {
            conn.write(&chunk).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gateway = mirroring("", "").await;
    let _agent = serve(&gateway, service.addr(), endless.addr()).await;
    assert_eq!(raw::send(gateway.http(), GET).await.status, 200);
    counted_until(&gateway, "status", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_the_comparison_with_it() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let gateway = mirroring("", "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /hang HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    service.wait_for_requests(1).await;
    next.wait_for_requests(1).await;
    drop(client);
    // The mirror hangs as well, until its time is over.
    counted_until(&gateway, "unanswered", 1).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /slow-head HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    service.wait_for_requests(2).await;
    next.wait_for_requests(2).await;
    next.release();
    drop(client);
    skipped_until(&gateway, "unfinished", 1).await;
    metric_until(gateway.admin(), "adit_mirror_under_way", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_not_mirrored() {
    let service = Service::echo().await;
    let next = Service::echo().await;
    let gateway = mirroring("methods: [GET, POST], compare: { body: false }", "").await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /events HTTP/1.1\r\nHost: app.localhost\r\nAccept: text/event-stream\r\n\r\n")
        .await;
    client.head().await.unwrap();
    service.send_event("one");
    client.until("data: one\n\n").await;
    skipped_until(&gateway, "stream", 1).await;
    assert_eq!(next.counts().requests, 0);
    // Who does not say so gets a stream all the same; its copy ends.
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /events HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    client.head().await.unwrap();
    service.send_event("two");
    client.until("data: two\n\n").await;
    skipped_until(&gateway, "stream", 2).await;
    let call = "POST /a.B/C HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    raw::send(gateway.http(), call).await;
    skipped_until(&gateway, "stream", 3).await;
    let chat = RawService::web_socket_echo().await;
    let gateway = mirroring("", "").await;
    let _agent = serve(&gateway, chat.addr(), next.addr()).await;
    let before = next.counts().requests;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let head = client.head().await.unwrap();
    assert!(
        head.starts_with(SWITCHING.lines().next().unwrap()),
        "{head}"
    );
    client.send("ping").await;
    client.until("ping").await;
    skipped_until(&gateway, "stream", 1).await;
    assert_eq!(next.counts().requests, before);
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
async fn what_a_policy_answers_itself_is_not_mirrored() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let mirror = "{ type: mirror, config: { url: 'http://next.internal', id: next } }";
    let deny = "{ expressions: [\"req.url.path == '/denied'\"], actions: [{ type: deny }] }";
    let gateway = Gateway::with(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{mirror}] }}, {deny}] }} }}\n"
    ))
    .await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    assert_eq!(
        visit(gateway.http(), "app.localhost", "/denied").await.0,
        403
    );
    skipped_until(&gateway, "unasked", 1).await;
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
async fn only_so_many_copies_are_under_way_and_the_rest_is_skipped() {
    let (service, next) = (Service::echo().await, Service::echo().await);
    let mirror = "{ type: mirror, config: { url: 'http://next.internal', id: next, timeout: 60s, methods: [GET] } }";
    let rewrite = "{ type: url-rewrite, config: { from: '.*', to: '/hang' } }, ";
    let back = "{ type: url-rewrite, config: { from: '.*', to: '/' } }";
    let gateway = Gateway::with(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: \
         [{{ actions: [{rewrite}{mirror}, {mirror}, {mirror}, {mirror}, {back}] }}] }} }}\n"
    ))
    .await;
    let _agent = serve(&gateway, service.addr(), next.addr()).await;
    // Three copies of each hang; a fourth is one too many.
    for _ in 0..90 {
        assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
    }
    skipped_until(&gateway, "too-many", 90).await;
    skipped_until(&gateway, "busy", 90 * 3 - 256).await;
    assert_eq!(metric(gateway.admin(), "adit_mirror_under_way").await, 256);
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
    // The gateway does not wait for them when it ends.
    soon("the gateway's end", gateway.shutdown(LONGEST)).await;
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
