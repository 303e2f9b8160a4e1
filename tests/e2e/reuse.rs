//! Which streams to a service carry another request, and which must not: way E of the gateway's upstream.

use crate::harness::{Agent, Gateway, RawConn, RawService, raw};

const GET: &str = "GET /x HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: app.localhost\r\ncontent-length: 4\r\n\r\nbody";
const CHUNKED_POST: &str = "POST /x HTTP/1.1\r\nHost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
const HEAD: &str = "HEAD /x HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Sends requests on connections of their own, so on each of the gateway's cores, which keep idle streams apart.
/// None of them may have gone to the service's first connection.
async fn the_first_connection_is_not_used_again(gateway: &Gateway, service: &RawService) {
    let gets = || service.received_text()[0].matches("GET /x ").count();
    let before = gets();
    for _ in 0..12 {
        assert_eq!(raw::send(gateway.http(), GET).await.text(), "ok");
    }
    let received = service.received_text();
    assert_eq!(gets(), before, "{received:?}");
    assert!(received[1].starts_with("GET /x "), "{received:?}");
}

/// Sends `request` twice on one connection; the service answers each time with `answer`. How many connections
/// the service saw.
async fn connections_for(request: &str, answer: &str) -> usize {
    let service = RawService::answering(answer).await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    let method = request.split(' ').next().unwrap();
    for _ in 0..2 {
        client.send(request).await;
        let mut got = client.answer_to(method).await;
        if got.status == 103 {
            got = client.answer_to(method).await;
        }
        assert!([200, 204, 304].contains(&got.status), "{got:?}");
    }
    service.connections()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_used_again_after_each_complete_answer() {
    for (request, answer) in [
        (GET, OK),
        (
            GET,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            GET,
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n",
        ),
        (GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (
            GET,
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
        (HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (POST, OK),
        (POST, "HTTP/1.1 204 No Content\r\n\r\n"),
        (CHUNKED_POST, OK),
    ] {
        assert_eq!(
            connections_for(request, answer).await,
            1,
            "{request:?} {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_not_used_again_when_the_service_says_close() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    ] {
        assert_eq!(connections_for(GET, answer).await, 2, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_after_an_answer_never_become_part_of_another() {
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for answer in [
        format!("{OK}{poison}"),
        format!("{OK}x"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{poison}"),
    ] {
        assert_eq!(connections_for(GET, &answer).await, 2, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_come_while_a_stream_is_idle_never_become_part_of_a_later_answer() {
    let (late, is_late) = tokio::sync::watch::channel(false);
    let service = RawService::start(move |mut conn: RawConn| {
        let mut is_late = is_late.clone();
        async move {
            while conn.request().await.is_some() {
                conn.write(OK).await;
                if conn.index == 0 {
                    is_late.wait_for(|late| *late).await.unwrap();
                    conn.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
                        .await;
                    return;
                }
            }
        }
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.text(), "ok");
    late.send_replace(true);
    let mut poisoned = 0;
    for _ in 0..20 {
        client.send(GET).await;
        let answer = client.answer().await;
        match answer.text().as_str() {
            "ok" => {}
            // The request and the bytes crossed on the way: nobody can tell them from an answer to it.
            "poison" => poisoned += 1,
            _ => panic!("{answer:?}"),
        }
    }
    assert!(poisoned <= 1, "{poisoned}");
    assert_eq!(service.connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_answer_ends_its_stream() {
    let service = RawService::start(|mut conn| async move {
        while conn.request().await.is_some() {
            if conn.index == 0 {
                conn.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort")
                    .await;
                return;
            }
            conn.write(OK).await;
        }
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let cut = raw::send(gateway.http(), GET).await;
    assert!(cut.closed, "{cut:?}");
    the_first_connection_is_not_used_again(&gateway, &service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_end_of_its_request_ends_its_stream() {
    let service = RawService::start(|mut conn| async move {
        while conn.head().await.is_some() {
            conn.write(OK).await;
        }
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("POST /early HTTP/1.1\r\nHost: app.localhost\r\ncontent-length: 40\r\n\r\nhalf")
        .await;
    assert_eq!(client.answer().await.text(), "ok");
    // Its service waits for 36 bytes more, and would take them from whoever came next.
    drop(client);
    the_first_connection_is_not_used_again(&gateway, &service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_ends_its_stream() {
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel();
    let service = RawService::start(move |mut conn| {
        let ended = ended.clone();
        async move {
            conn.request().await;
            if conn.index == 0 {
                conn.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")
                    .await;
                conn.closed().await;
                ended.send(()).unwrap();
            } else {
                conn.write(OK).await;
            }
        }
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    client.until("begun").await;
    drop(client);
    crate::harness::soon("the service to see it", has_ended.recv()).await;
    the_first_connection_is_not_used_again(&gateway, &service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_closes_its_idle_connections_is_asked_anew() {
    // It promises to keep each connection, and closes it when the answer is out.
    let service = RawService::start(|mut conn| async move {
        conn.request().await;
        conn.write(OK).await;
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    for n in 0..100 {
        client.send(GET).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok"),
            "request {n}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_not_be_repeated_is_not() {
    // The first connection is closed by the service when the second request has arrived: it may have been carried out.
    let service = RawService::start(|mut conn| async move {
        conn.request().await;
        conn.write(OK).await;
        conn.request().await;
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(POST).await;
    assert_eq!(client.answer().await.text(), "ok");
    client.send(POST).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let seen: usize = service
        .received_text()
        .iter()
        .map(|text| text.matches("POST /x").count())
        .sum();
    assert_eq!(seen, 2);
    // A GET in its place is sent again on a fresh stream.
    let mut client = raw::Client::connect(gateway.http()).await;
    for n in 0..2 {
        client.send(GET).await;
        assert_eq!(client.answer().await.status, 200, "{n}");
    }
}
