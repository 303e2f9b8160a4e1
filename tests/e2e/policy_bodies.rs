//! Bodies that a policy reads before anything of the request goes on, through real agents.

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Request, body::Frame};
use ring::hmac;

use crate::harness::{Agent, Gateway, RawService, Service, curl, h2, pattern, raw, sha256, soon};

const POLICY: &str = "
on_http_request:
  - actions: [{ type: verify-webhook, config: { provider: github, secret: between us } }]
";

const MIB: usize = 1024 * 1024;

/// The operator's gateway: whatever comes to this address must be signed.
async fn gateway() -> Gateway {
    let policy = POLICY.trim().replace('\n', "\n      ");
    Gateway::with(&format!(
        "endpoints:\n  - url: http://app.localhost\n    traffic_policy:\n      {policy}\n"
    ))
    .await
}

fn signature(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"between us");
    let tag = hmac::sign(&key, body);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("x-hub-signature-256: sha256={}", digits.collect::<String>())
}

fn file(body: &[u8]) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body).unwrap();
    let upload = format!("@{}", file.path().display());
    (file, upload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_body_arrives_byte_for_byte_over_every_way() {
    for http2 in [false, true] {
        let service = Service::echo().await;
        let gateway = gateway().await;
        let agent = Agent::builder(&gateway)
            .url("http://app.localhost")
            .upstream(service.addr());
        let agent = if http2 { agent.protocol_http2() } else { agent };
        let _agent = agent.start().await;
        for size in [1, 70_000, 10 * MIB] {
            let body = pattern(size);
            let (_file, upload) = file(&body);
            let signed = signature(&body);
            let common = ["-H", &signed, "--data-binary", &upload];
            for way in [
                &["--http1.1"][..],
                &["--http1.1", "-H", "expect: 100-continue"],
                &["--http1.1", "-H", "transfer-encoding: chunked"],
                &["--http2-prior-knowledge"],
            ] {
                let args = [way, &common, &["http://app.localhost/"]].concat();
                let answer = curl(&gateway, args).await;
                assert_eq!(answer.status, 200, "{size} {way:?}: {answer:?}");
                let seen = answer.json();
                assert_eq!(seen["body_length"], size, "{way:?}");
                assert_eq!(seen["body_sha256"], sha256(&body), "{size} {way:?}");
                let request = service.requests().pop().unwrap();
                assert_eq!(request.all("content-length"), [size.to_string()]);
                assert_eq!(request.header("transfer-encoding"), None);
                assert_eq!(request.header("expect"), None);
            }
            // HTTP/2 without a length.
            let pieces: Vec<_> = body
                .chunks(16_000)
                .map(|piece| {
                    Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(piece)))
                })
                .collect();
            let (name, value) = signed.split_once(": ").unwrap();
            let request = Request::post(gateway.url("http://app.localhost/"))
                .header(name, value)
                .body(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(
                    pieces,
                ))))
                .unwrap();
            let mut client = h2::connect_plain(&gateway).await;
            let answer = soon("an answer", client.send_request(request))
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
            let answer = answer.into_body().collect().await.unwrap().to_bytes();
            let seen: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(seen["body_sha256"], sha256(&body));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_or_too_large_reaches_no_service() {
    let service = Service::echo().await;
    let gateway = gateway().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let large = pattern(10 * MIB + 1);
    let (_file, upload) = file(&large);
    for way in [
        &["--http1.1"][..],
        &["--http1.1", "-H", "transfer-encoding: chunked"],
        &["--http2-prior-knowledge"],
    ] {
        let forged = ["-H", &signature(b"yes"), "--data-binary", "no"];
        let answer = curl(
            &gateway,
            [way, &forged, &["http://app.localhost/"]].concat(),
        )
        .await;
        assert_eq!(answer.status, 403, "{way:?}: {answer:?}");
        assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3204"));

        let signed = signature(&large);
        let too_large = ["-H", &signed, "--data-binary", &upload];
        let answer = curl(
            &gateway,
            [way, &too_large, &["http://app.localhost/"]].concat(),
        )
        .await;
        assert_eq!(answer.status, 413, "{way:?}: {answer:?}");
        assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3903"));
    }
    assert_eq!(service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_member_gets_the_whole_body_if_the_first_cannot_be_reached() {
    let service = Service::echo().await;
    let gateway = gateway().await;
    let url = "http://app.localhost";
    // Its service is not there.
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let lame = Agent::builder(&gateway).url(url).upstream(dead).pooling();
    let _lame = lame.weight(1000).start().await;
    let good = Agent::builder(&gateway)
        .url(url)
        .upstream(service.addr())
        .pooling();
    let _good = good.start().await;
    let body = pattern(300_000);
    let (_file, upload) = file(&body);
    let signed = signature(&body);
    for way in [
        &["--http1.1"][..],
        &["--http1.1", "-H", "transfer-encoding: chunked"],
        &["--http2-prior-knowledge"],
    ] {
        for _ in 0..3 {
            let args = [
                "-H",
                &signed,
                "--data-binary",
                &upload,
                "http://app.localhost/",
            ];
            let answer = curl(&gateway, [way, &args].concat()).await;
            assert_eq!(answer.status, 200, "{way:?}: {answer:?}");
            assert_eq!(answer.json()["body_sha256"], sha256(&body), "{way:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_kept_is_sent_again_when_a_reused_stream_breaks() {
    let service = RawService::start(|mut conn| async move {
        while conn.request().await.is_some() {
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
            if conn.index == 0 {
                // The next request finds the connection closing.
                conn.head().await;
                return;
            }
        }
    })
    .await;
    let gateway = gateway().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let body = pattern(200_000);
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: app.localhost\r\n{}\r\nContent-Length: {}\r\n\r\n",
        signature(&body),
        body.len()
    );
    let mut client = raw::Client::connect(gateway.http()).await;
    for _ in 0..2 {
        client.send(&head).await;
        client.try_send(&body).await.unwrap();
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let received = service.received();
    assert_eq!(received.len(), 2, "one connection broke, and one took over");
    assert!(received[1].ends_with(&body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops_coming_is_answered_and_reaches_no_service() {
    let service = Service::echo().await;
    let policy = POLICY.trim().replace('\n', "\n      ");
    let gateway = Gateway::with(&format!(
        "limits: {{ body_read_timeout: 1s }}\nendpoints:\n  - url: http://app.localhost\n    traffic_policy:\n      {policy}\n"
    ))
    .await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: app.localhost\r\n{}\r\nContent-Length: 10\r\n\r\nhalf",
        signature(b"half")
    );
    client.send(head).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(service.counts().connections, 0);
}
