//! Which requests are sent to another member after the first one had them, how often, and for how long.

use std::time::{Duration, Instant};

use crate::harness::{
    Agent, Gateway, RawConn, RawService,
    crowd::Crowd,
    named::Named,
    raw,
    visitor::{Visitor2, visit},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";
const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\n\r\nbody";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn pool(settings: &str) -> Gateway {
    let endpoint = format!("endpoints: [{{ url: {URL}, pool: {{ {settings} }} }}]");
    Gateway::with(&endpoint).await
}

/// An agent for each service.
async fn agents(gateway: &Gateway, services: &[RawService]) -> Vec<Agent> {
    let mut agents = Vec::new();
    for service in services {
        agents.push(Agent::forward(gateway, URL, service.addr()).await);
    }
    agents
}

/// Requests that arrived at some of them.
fn received(services: &[RawService], line: &str) -> usize {
    let texts = services.iter().flat_map(RawService::received_text);
    texts.map(|text| text.matches(line).count()).sum()
}

/// Three services that take requests and hang up.
async fn three_that_hang_up() -> [RawService; 3] {
    let start = || {
        RawService::start(|mut conn: RawConn| async move {
            conn.request().await;
        })
    };
    [start().await, start().await, start().await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_repeated_is_as_often_as_it_may() {
    for (retries, gets) in [(0, 1), (1, 2), (2, 3), (5, 3)] {
        let services = three_that_hang_up().await;
        let gateway = pool(&format!("retries: {retries}, eject: {{ failures: 0 }}")).await;
        let _agents = agents(&gateway, &services).await;
        let answer = raw::send(gateway.http(), GET).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(received(&services, "GET / "), gets, "retries: {retries}");
        let answer = raw::send(gateway.http(), POST).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(received(&services, "POST / "), 1, "retries: {retries}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_sent_again_with_its_request() {
    let gateway = pool("eject: { failures: 0 }").await;
    let taken = RawService::start(|mut conn: RawConn| async move {
        while let Some((_, body)) = conn.request().await {
            assert_eq!(body, b"body");
            conn.write(OK).await;
        }
    })
    .await;
    let services = [
        RawService::start(|mut conn: RawConn| async move {
            conn.request().await;
        })
        .await,
        taken,
    ];
    let _agents = agents(&gateway, &services).await;
    for _ in 0..10 {
        let answer = raw::send(gateway.http(), POST.replace("POST", "PUT")).await;
        assert_eq!(answer.text(), "ok");
    }
    assert!(received(&services[..1], "PUT / ") > 0);
    assert_eq!(received(&services[1..], "PUT / "), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_in_trouble_is_not_drowned_in_retries() {
    let services = three_that_hang_up().await;
    let gateway =
        pool("retries: 5, eject: { failures: 0 }, retry_budget: { ratio: 0.1, per_second: 2 }")
            .await;
    let _agents = agents(&gateway, &services).await;
    let began = Instant::now();
    for _ in 0..300 {
        assert_eq!(raw::send(gateway.http(), GET).await.status, 502);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let arrived = received(&services, "GET / ");
    assert!(
        (301..=300 + 30 + 2 * seconds).contains(&arrived),
        "{arrived}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_longer_than_all_tries_together_may_take() {
    let hang = || RawService::start(|mut conn| async move { conn.closed().await });
    let services = [hang().await, hang().await, hang().await];
    let gateway = pool("retries: 9, try_timeout: 300ms, timeout: 500ms").await;
    let _agents = agents(&gateway, &services).await;
    let began = Instant::now();
    let answer = raw::send(gateway.http(), GET).await;
    let took = began.elapsed();
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3008"));
    assert!(
        (Duration::from_millis(500)..Duration::from_secs(2)).contains(&took),
        "{took:?}"
    );
    assert_eq!(received(&services, "GET / "), 2);
    let answer = raw::send(gateway.http(), POST).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3005"));
    assert_eq!(received(&services, "POST / "), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_its_time_is_nobodys_fault() {
    let service = RawService::answering(OK).await;
    let gateway =
        pool("try_timeout: 300ms, timeout: 600ms, eject: { failures: 1, last: true }").await;
    let _agent = Agent::forward(&gateway, URL, service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    let (head, body) = POST.split_at(POST.len() - 4);
    client.send(head).await;
    let mut pieces = tokio::time::interval(Duration::from_millis(400));
    pieces.tick().await;
    for piece in body.as_bytes() {
        pieces.tick().await;
        client.send([*piece]).await;
    }
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_eject_nobody() {
    let service = Named::start("app").await;
    let gateway = pool("eject: { failures: 1, last: true }").await;
    let _agent = Agent::forward(&gateway, URL, service.address()).await;
    for gone in 1..=5 {
        let mut client = raw::Client::connect(gateway.http()).await;
        client.send(GET.replace("/ ", "/hang ")).await;
        service.hanging(gone).await;
    }
    for _ in 0..20 {
        assert_eq!(visit(gateway.http(), HOST, "/").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_only_fails_is_left_out_and_told_apart_from_one_that_is_gone() {
    let services = three_that_hang_up().await;
    let gateway = pool("retries: 0, eject: { failures: 2, last: true, time: 1m }").await;
    let _agents = agents(&gateway, &services).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(raw::send(gateway.http(), GET).await.status);
    }
    assert_eq!(received(&services, "GET / "), 6, "{statuses:?}");
    let answer = raw::send(gateway.http(), GET).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        answer.text().contains("can serve at the moment"),
        "{answer:?}"
    );
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_answers_with_errors_is_left_out() {
    let (good, bad) = (
        RawService::answering(OK).await,
        RawService::answering("HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno").await,
    );
    let services = [good, bad];
    let gateway = pool("eject: { time: 1m }").await;
    let _agents = agents(&gateway, &services).await;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(raw::send(gateway.http(), GET).await.status);
    }
    assert_eq!(received(&services[1..], "GET / "), 20);
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_that_ask_for_it_are_tried_elsewhere() {
    let unavailable = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";
    let services = [
        RawService::answering(OK).await,
        RawService::answering(unavailable).await,
    ];
    let gateway = pool("retry_statuses: [503], eject: { server_errors: 0 }").await;
    let _agents = agents(&gateway, &services).await;
    for _ in 0..20 {
        assert_eq!(raw::send(gateway.http(), GET).await.text(), "ok");
    }
    assert!(received(&services[1..], "GET / ") > 0);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(raw::send(gateway.http(), POST).await.status);
    }
    assert!(
        statuses.contains(&503) && statuses.contains(&200),
        "{statuses:?}"
    );
    assert_eq!(received(&services, "POST / "), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_http2_are_given_up_and_replaced_in_the_same_way() {
    let good = Named::start("good").await;
    let gateway = pool("try_timeout: 500ms").await;
    let agent = |address| {
        let builder = Agent::builder(&gateway).url(URL).upstream(address);
        builder.protocol_http2().start()
    };
    let _good = agent(good.address()).await;
    let silent = RawService::start(|mut conn| async move { conn.closed().await }).await;
    let _silent = agent(silent.addr()).await;
    let mut crowd = Vec::new();
    for _ in 0..10 {
        let visitor = Visitor2::connect(gateway.http()).await;
        crowd.push(visitor.text(HOST, "/").await.unwrap());
    }
    assert_eq!(crowd, vec![(200, "good /".to_owned()); 10]);
    assert!(silent.connections() > 0);
    let crowd = Crowd::start(4, gateway.http(), HOST);
    crowd.answers(200).await;
    crowd.stop().await.all_were_served();
}
