//! `mirror`: whatever the other endpoint does, and whatever clients do, nobody waits for a copy.

use crate::harness::{
    Agent, Gateway, LONGEST, RawConn, RawService, SWITCHING, Service, mebibyte,
    mirroring::{counted_until, mirroring, serve, skipped_until},
    operator::{metric, metric_until},
    raw, soon,
    visitor::visit,
};

const GET: &str = "GET /path?q=1 HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

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
