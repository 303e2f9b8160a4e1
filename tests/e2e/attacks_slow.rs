//! Too slow or too long, A23 f–i and a header of 10 MB: the gateway gives it up, and serves others meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt, time::timeout};

use crate::harness::{
    h2raw::{self, CONTINUATION, DATA, H2, HEADERS, SETTINGS, frame},
    raw::Client,
    siege::{Siege, ends, pour},
};

/// RFC 9113 §7.
const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_f_a_head_of_one_byte_at_a_time_is_given_up() {
    let siege = Siege::begin("header_timeout: 1s, idle_timeout: 1s").await;
    let head =
        "GET /slow HTTP/1.1\r\nHost: app.localhost\r\nX-Slow: ".to_owned() + &"y".repeat(1000);
    let frames = [
        h2raw::PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &h2raw::headers(
            1,
            &h2raw::block(&h2raw::get(&format!("/{}", "y".repeat(1000)))),
            true,
        ),
    ]
    .concat();
    // In the preface, and in a frame.
    let halves = [10, h2raw::PREFACE.len() + 20];
    siege
        .during(async {
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(siege.client().await);
            }
            for client in &mut clients {
                client.send(&head[..20]).await;
            }
            let slow = &mut clients[0];
            let answer = drip(slow, &head.as_bytes()[20..]).await;
            assert!(
                answer.starts_with(b"HTTP/1.1 408 "),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            for client in &mut clients[1..] {
                assert_eq!(client.answer().await.status, 408);
            }
            for begun in halves {
                let mut slow = siege.client().await;
                slow.send(&frames[..begun]).await;
                // Agreed on in the handshake, and then not another word.
                let mut silent = connect(&siege, true, "h2").await;
                silent.send(&frames[..begun]).await;
                let dripping = async {
                    drip(&mut slow, &frames[begun..]).await;
                    slow.rest().await
                };
                tokio::join!(dripping, silent.rest());
            }
        })
        .await;
    assert!(
        siege
            .service
            .requests()
            .iter()
            .all(|request| request.target == "/honest")
    );
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_g_a_body_that_stops_coming_is_given_up() {
    let siege = Siege::begin("body_read_timeout: 1s, upstream_timeout: 2s").await;
    let post = "POST /upload HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000000\r\n\r\n";
    siege
        .during(async {
            let mut slow = Vec::new();
            for _ in 0..50 {
                let mut client = siege.client().await;
                client.send(post).await;
                for _ in 0..10 {
                    client.send("y").await;
                }
                slow.push(client);
            }
            for client in &mut slow {
                let status = client.answer().await.status;
                assert!([0, 400, 408].contains(&status), "{status}");
                client.rest().await;
            }
            let mut h2 = siege.h2(&[]).await;
            let mut fields = h2raw::get("/upload");
            fields[0].1 = "POST";
            h2.send(h2raw::headers(1, &h2raw::block(&fields), false))
                .await;
            h2.send(frame(DATA, 0, 1, b"y")).await;
            let answer = h2.answer(1).await;
            assert!(
                answer.status.is_some_and(|status| status >= 400) || answer.broken_off(),
                "{answer:?}"
            );
        })
        .await;
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_h_handshakes_that_are_left_idle_are_given_up() {
    let siege = Siege::begin("handshake_timeout: 2s, handshakes_per_ip: 64").await;
    siege
        .during(async {
            let hello = client_hello("app.localhost");
            let mut idle = Vec::new();
            for n in 0..300 {
                let mut tcp = siege.attacker(siege.deployed.https).await;
                // Some say nothing, some the half, some all and then nothing more.
                let said = &hello[..[0, hello.len() / 2, hello.len()][n % 3]];
                // Who is one too many has been closed already.
                drop(tcp.write_all(said).await);
                idle.push(tcp);
            }
            for tcp in &mut idle {
                ends(tcp).await;
            }
            let mut silent = Client::over(siege.attacker(siege.deployed.https).await);
            silent.send(&hello).await;
            assert!(!silent.piece().await.is_empty(), "there is room again");
        })
        .await;
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_i_a_client_hello_in_pieces_is_read_and_an_oversized_one_is_not() {
    let siege = Siege::begin("handshake_timeout: 2s").await;
    let hello = client_hello("app.localhost");
    // One handshake byte in each record.
    let records: Vec<u8> = hello[5..]
        .iter()
        .flat_map(|byte| [0x16, 3, 1, 0, 1, *byte])
        .collect();
    siege
        .during(async {
            for (case, bytes, step) in [("in packets", &hello, 1), ("in records", &records, 600)] {
                let mut client = Client::over(siege.attacker(siege.deployed.https).await);
                for piece in bytes.chunks(step) {
                    client.send(piece).await;
                }
                let answer = client.piece().await;
                // ServerHello, or an alert.
                assert!(
                    matches!(answer.first(), Some(0x16 | 0x15)),
                    "{case}: {answer:?}"
                );
            }
            let huge = [
                &[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..],
                &[0; 0x3ffc],
            ]
            .concat();
            let full = [&[0x16, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
            let wide = [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 0xffff]].concat();
            let noise = b"\x80\x2e\x01\x03\x01 SSLv2 and other noise".to_vec();
            for (first, more) in [(&huge, &full), (&wide, &wide), (&noise, &noise)] {
                let mut tcp = siege.attacker(siege.deployed.https).await;
                if tcp.write_all(first).await.is_ok() {
                    pour(&mut tcp, more, 1000).await;
                }
                ends(&mut tcp).await;
            }
        })
        .await;
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_ten_megabytes_is_refused_on_both_ports_and_both_protocols() {
    const HUGE: usize = 10 * 1024 * 1024;
    let siege = Siege::begin("").await;
    let head = |before: &str| format!("{before}{}\r\n\r\n", "y".repeat(HUGE)).into_bytes();
    let line = head("GET / HTTP/1.1\r\nHost: app.localhost\r\nX-Huge: ");
    let target = head("GET /");
    let block = h2raw::block(&h2raw::get_with(&[("x-huge", &"y".repeat(HUGE))]));
    let mut frames = Vec::new();
    for (n, piece) in block.chunks(16 * 1024).enumerate() {
        frames.extend(frame(
            if n == 0 { HEADERS } else { CONTINUATION },
            0,
            1,
            piece,
        ));
    }
    siege
        .during(async {
            for tls in [false, true] {
                for bytes in [&line, &target] {
                    let mut client = connect(&siege, tls, "http/1.1").await;
                    let answer = timed(&mut client, bytes).await;
                    assert!(
                        answer.starts_with(b"HTTP/1.1 431 "),
                        "{}",
                        String::from_utf8_lossy(&answer)
                    );
                }
                let mut h2 = H2::hello(connect(&siege, tls, "h2").await, &[]).await;
                // It may end the connection before it has read all.
                drop(h2.client.try_send(&frames).await);
                assert_eq!(h2.goodbye().await, Some(ENHANCE_YOUR_CALM));
            }
        })
        .await;
    assert!(
        siege
            .service
            .requests()
            .iter()
            .all(|request| request.target == "/honest")
    );
    siege.took_at_most(32);
}

/// Sends byte after byte, each after a wait for an answer that does not come; until one comes.
async fn drip(client: &mut Client, bytes: &[u8]) -> Vec<u8> {
    for byte in bytes {
        client.send([*byte]).await;
        if let Ok(answer) = timeout(Duration::from_millis(50), client.piece()).await {
            return answer;
        }
    }
    panic!("it was taken to its end");
}

/// Sends all of it while reading, as the other end may answer and close before it has read all.
async fn timed(client: &mut Client, bytes: &[u8]) -> Vec<u8> {
    drop(client.try_send(bytes).await);
    client.rest().await
}

/// An attacker's connection to either port.
async fn connect(siege: &Siege, tls: bool, alpn: &str) -> Client {
    match tls {
        true => Client::connect_tls(&siege.deployed, "app.localhost", &[alpn]).await,
        false => siege.client().await,
    }
}

/// The record that a client begins with.
fn client_hello(name: &str) -> Vec<u8> {
    let roots = rustls::RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
