//! More frames than anybody needs, A23 a–e: the gateway bounds them, ends the connection, and serves others.

use tokio::io::AsyncWriteExt;

use crate::harness::{
    Received,
    h2raw::{
        self, CONTINUATION, DATA, H2, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
    },
    siege::{Siege, ends, pour},
    soon,
};

/// RFC 9113 §7.
const ENHANCE_YOUR_CALM: u32 = 11;

/// Streams of a flood.
const STREAMS: u32 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_a_ten_thousand_streams_opened_and_reset_end_the_connection() {
    let siege = Siege::begin("").await;
    let goodbye = siege
        .during(async {
            let mut h2 = siege.h2(&[]).await;
            let block = h2raw::block(&h2raw::get("/"));
            flood(&mut h2, |stream| {
                let cancel = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
                [h2raw::headers(stream, &block, true), cancel].concat()
            })
            .await;
            h2.goodbye().await
        })
        .await;
    assert_eq!(goodbye, Some(ENHANCE_YOUR_CALM));
    let requests = siege.service.requests();
    let forwarded = requests
        .iter()
        .filter(|request| request.target == "/")
        .count();
    assert!(forwarded < 1000, "{forwarded} were forwarded");
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_a_streams_that_were_reset_count_until_their_work_has_ended() {
    let siege = Siege::begin("http2_streams: 50").await;
    let mut h2 = siege.h2(&[]).await;
    let block = h2raw::block(&h2raw::get("/hang"));
    // Work piles up at the agent, and resets make room for more streams.
    siege.deployed.agent.stop();
    let mut stream = 1;
    for _ in 0..150 {
        for _ in 0..10 {
            let cancel = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
            h2.send([h2raw::headers(stream, &block, true), cancel].concat())
                .await;
            stream += 2;
        }
        // At a pace that is borne: all of it has been read before more comes.
        h2.send(frame(PING, 0, 0, b"was read")).await;
        while h2.next().await.expect("a pong").kind != PING {}
    }
    siege.deployed.agent.cont();
    siege.during(siege.service.wait_for_requests(0)).await;
    let hanging = |requests: &[Received]| {
        let hanging = requests.iter().filter(|request| request.target == "/hang");
        hanging.count()
    };
    siege
        .service
        .wait_for("requests to be given up", |counts| {
            counts.abandoned == hanging(&siege.service.requests())
        })
        .await;
    let forwarded = hanging(&siege.service.requests());
    assert!(forwarded <= 100, "{forwarded} of 1500 were forwarded");
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_b_ten_thousand_resets_provoked_at_the_server_end_the_connection() {
    let provocations: [fn(u32) -> Vec<u8>; 3] = [
        |stream| frame(WINDOW_UPDATE, 0, stream, &0u32.to_be_bytes()),
        |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffffu32.to_be_bytes()),
        |stream| frame(DATA, 0, stream, b"after the end"),
    ];
    let siege = Siege::begin("").await;
    for provoke in provocations {
        let goodbye = siege
            .during(async {
                let mut h2 = siege.h2(&[]).await;
                let block = h2raw::block(&h2raw::get("/"));
                flood(&mut h2, |stream| {
                    [h2raw::headers(stream, &block, true), provoke(stream)].concat()
                })
                .await;
                h2.goodbye().await
            })
            .await;
        assert!(goodbye.is_some_and(|code| code != 0), "{goodbye:?}");
    }
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_c_headers_that_never_end_end_the_connection() {
    let siege = Siege::begin("").await;
    let pieces = [
        vec![],
        h2raw::block(&[("x-a", &"y".repeat(16_000))]),
        h2raw::block(&[("x-a", "y")]),
    ];
    for piece in pieces {
        let goodbye = siege
            .during(async {
                let mut h2 = siege.h2(&[]).await;
                h2.send(frame(HEADERS, 0, 1, &h2raw::block(&h2raw::get("/"))))
                    .await;
                let more = frame(CONTINUATION, 0, 1, &piece).repeat(10);
                for _ in 0..1000 {
                    if h2.client.try_send(&more).await.is_err() {
                        break;
                    }
                }
                h2.goodbye().await
            })
            .await;
        assert_eq!(
            goodbye,
            Some(ENHANCE_YOUR_CALM),
            "{} bytes each",
            piece.len()
        );
    }
    siege.took_at_most(32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_d_a_small_block_that_unpacks_to_forty_megabytes_is_refused() {
    let siege = Siege::begin("").await;
    // One entry of the dynamic table, named again and again.
    let mut bomb = h2raw::block(&h2raw::get("/"));
    let mut entry = h2raw::block(&[("x-bomb", &"y".repeat(4000))]);
    entry[0] = 0x40;
    bomb.extend(entry);
    bomb.extend([0xbe; 10_000]);
    siege
        .during(async {
            for _ in 0..5 {
                let mut h2 = siege.h2(&[(4, 0)]).await;
                for stream in (1..100).step_by(2) {
                    h2.send(h2raw::headers(stream, &bomb, true)).await;
                }
                let answer = h2.answer(1).await;
                assert!(
                    answer.status == Some(431) || answer.broken_off(),
                    "{answer:?}"
                );
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
async fn a23_d_answers_to_a_client_without_a_window_are_given_up() {
    let siege = Siege::begin("body_write_timeout: 1s").await;
    siege
        .during(async {
            let mut h2 = siege.h2(&[(4, 0)]).await;
            let block = h2raw::block(&h2raw::get("/bytes/300000"));
            for stream in (1..200).step_by(2) {
                h2.send(h2raw::headers(stream, &block, true)).await;
            }
            for _ in 0..100 {
                soon("a stream to be given up", async {
                    while h2.next().await.expect("more frames").kind != RST_STREAM {}
                })
                .await;
            }
        })
        .await;
    siege.took_at_most(64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_e_a_client_that_asks_for_pongs_and_acknowledgements_and_reads_none_is_given_up() {
    let siege = Siege::begin("idle_timeout: 2s").await;
    let floods = [
        frame(PING, 0, 0, b"pingpong"),
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
    ];
    for flood in floods {
        siege
            .during(async {
                let mut tcp = siege.attacker(siege.deployed.http).await;
                tcp.write_all(&[h2raw::PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
                    .await
                    .unwrap();
                pour(&mut tcp, &flood.repeat(1000), 500).await;
                ends(&mut tcp).await;
            })
            .await;
    }
    siege.took_at_most(32);
}

/// Opens streams until all are sent or the other end has had enough.
async fn flood(h2: &mut H2, of: impl Fn(u32) -> Vec<u8>) {
    for first in (1..STREAMS * 2).step_by(200) {
        let batch: Vec<u8> = (first..first + 200).step_by(2).flat_map(&of).collect();
        if h2.client.try_send(batch).await.is_err() {
            return;
        }
    }
}
