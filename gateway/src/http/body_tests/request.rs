//! Requests' bodies, read before they are forwarded.

use http::{StatusCode, header};
use tokio::io::AsyncWriteExt;

use super::*;

const SIZES: [usize; 7] = [1, 100, 65_536, 65_537, 200_000, 3 * MIB, MOST];

/// What the service must see of a body, whoever sent it in whatever way.
async fn arrives(requests: &mut Requests, body: &Bytes, way: &str) {
    let seen = soon(way, requests.recv()).await.unwrap();
    assert!(
        seen.body == body,
        "{way}: {} bytes of {}",
        seen.body.len(),
        body.len()
    );
    let length = seen.headers.get(header::CONTENT_LENGTH).unwrap();
    assert_eq!(length, &body.len().to_string(), "{way}");
    assert!(
        !seen.headers.contains_key(header::TRANSFER_ENCODING),
        "{way}"
    );
    assert!(!seen.headers.contains_key(header::EXPECT), "{way}");
}

async fn http1_bodies(addr: SocketAddr, requests: &mut Requests, new: Option<&Bytes>) {
    let mut kept_alive = connect(addr).await;
    for size in SIZES {
        let body = pattern(size);
        let length = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        let way = format!("{size} bytes of known length");
        kept_alive.write_all(length.as_bytes()).await.unwrap();
        kept_alive.write_all(&body).await.unwrap();
        arrives(requests, new.unwrap_or(&body), &way).await;
        let answer = soon(&way, head(&mut kept_alive)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{way}: {answer}");
        soon(&way, kept_alive.read_exact(&mut [0; 2]))
            .await
            .unwrap();

        let mut io = connect(addr).await;
        let way = format!("{size} bytes in chunks");
        io.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        for piece in body.chunks(50_000) {
            let size = format!("{:x}\r\n", piece.len());
            io.write_all(size.as_bytes()).await.unwrap();
            io.write_all(piece).await.unwrap();
            io.write_all(b"\r\n").await.unwrap();
        }
        io.write_all(b"0\r\n\r\n").await.unwrap();
        arrives(requests, new.unwrap_or(&body), &way).await;
        let answer = soon(&way, head(&mut io)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{way}: {answer}");
    }
}

async fn http2_bodies(addr: SocketAddr, requests: &mut Requests, new: Option<&Bytes>) {
    let mut client = http2_client(addr).await;
    for size in SIZES {
        let body = pattern(size);
        let pieces = || {
            body.chunks(50_000)
                .map(|piece| Frame::data(body.slice_ref(piece)))
        };
        let end = || Frame::data(Bytes::new());
        let trailers = || Frame::trailers(HeaderMap::new());
        let ways: [(&str, Option<usize>, Vec<_>); 4] = [
            ("of known length", Some(size), pieces().collect()),
            ("of unknown length", None, pieces().collect()),
            (
                "and an empty frame",
                None,
                pieces().chain([end()]).collect(),
            ),
            ("and trailers", None, pieces().chain([trailers()]).collect()),
        ];
        for (way, length, pieces) in ways {
            let way = format!("{size} bytes {way}, over HTTP/2");
            let mut request = Request::put("http://a/");
            if let Some(length) = length {
                request = request.header(header::CONTENT_LENGTH, length);
            }
            let request = request.body(frames(pieces)).unwrap();
            let (answer, ()) = tokio::join!(
                soon(&way, client.send_request(request)),
                arrives(requests, new.unwrap_or(&body), &way)
            );
            assert_eq!(answer.unwrap().status(), StatusCode::OK, "{way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_was_read_arrives_byte_for_byte() {
    for http2 in [false, true] {
        let (member, mut requests) = service(http2, ok).await;
        let addr = gateway(Reading {
            http2,
            ..reading(vec![member])
        })
        .await;
        http1_bodies(addr, &mut requests, None).await;
        http2_bodies(addr, &mut requests, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_body_arrives_in_its_place_whoever_serves_it() {
    for (http2, new) in [(false, 70_000), (true, 70_000), (false, 0), (true, 0)] {
        let (member, mut requests) = service(http2, ok).await;
        let new = pattern(new);
        let addr = gateway(Reading {
            http2,
            new_body: Some(new.clone()),
            ..reading(vec![nobody().await, nobody().await, member])
        })
        .await;
        http1_bodies(addr, &mut requests, Some(&new)).await;
        http2_bodies(addr, &mut requests, Some(&new)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_body_stays_without() {
    let (member, mut requests) = service(false, ok).await;
    let addr = gateway(Reading {
        new_body: Some(pattern(10)),
        ..reading(vec![member])
    })
    .await;
    let mut io = connect(addr).await;
    for framing in [
        "",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let end = if framing.starts_with('T') {
            "0\r\n\r\n"
        } else {
            ""
        };
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{framing}\r\n{end}");
        io.write_all(request.as_bytes()).await.unwrap();
        let seen = soon("a request", requests.recv()).await.unwrap();
        assert_eq!(seen.body, "", "{framing}");
        assert!(
            soon("an answer", head(&mut io))
                .await
                .starts_with("HTTP/1.1 200")
        );
        io.read_exact(&mut [0; 2]).await.unwrap();
    }
    let request = Request::get("http://a/").body(frames(Vec::new())).unwrap();
    let answer = http2_client(addr).await.send_request(request);
    assert_eq!(soon("an answer", answer).await.unwrap().status(), 200);
    assert_eq!(requests.recv().await.unwrap().body, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_expects_100_is_told_to_go_on() {
    let (member, mut requests) = service(false, ok).await;
    let addr = gateway(reading(vec![member])).await;
    let mut io = connect(addr).await;
    io.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await
        .unwrap();
    assert!(soon("100", head(&mut io)).await.starts_with("HTTP/1.1 100"));
    io.write_all(b"body").await.unwrap();
    arrives(&mut requests, &Bytes::from("body"), "after 100").await;
    assert!(
        soon("an answer", head(&mut io))
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_the_limit_goes_nowhere() {
    let (member, mut requests) = service(false, ok).await;
    let addr = gateway(reading(vec![member])).await;
    let too_much = MOST + 1;
    let known = format!(
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {too_much}\r\n\r\n"
    );
    let mut io = connect(addr).await;
    io.write_all(known.as_bytes()).await.unwrap();
    let answer = soon("a refusal before the body", head(&mut io)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut client = http2_client(addr).await;
    let body = pattern(too_much);
    let request = Request::put("http://a/")
        .body(frames(vec![Frame::data(body)]))
        .unwrap();
    let answer = soon("a refusal", client.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        requests.try_recv().is_err(),
        "nothing of them reached the service"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_goes_nowhere() {
    let (member, mut requests) = service(false, ok).await;
    let addr = gateway(reading(vec![member])).await;
    let mut io = connect(addr).await;
    io.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        .await
        .unwrap();
    let answer = soon("a refusal", head(&mut io)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut io = connect(addr).await;
    io.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    io.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon("the end", io.read_to_end(&mut answer)).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(
        requests.try_recv().is_err(),
        "nothing of them reached the service"
    );
}
