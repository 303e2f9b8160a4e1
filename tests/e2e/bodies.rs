//! Large and slow bodies: nothing grows with their size, and nobody waits for somebody else's.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::{Request, body::Frame};

use crate::harness::{
    Deployed, Public, RawService, Service, h2, mebibyte, raw, sha256_of_many, soon,
};

const GIB: usize = 1024;

/// The most memory that a process may have gained while one body went through it, in KiB: the windows of a lane,
/// which grow to 64 MiB on a busy machine, and what the allocator keeps. A body of 1 GiB is twelve times as much.
const GROWTH: u64 = 80 * 1024;

/// The same for streams that stand still on all four lanes that there may be, however many they are.
/// The eight of a test would be 2 GiB.
const STALLED: u64 = 4 * GROWTH;

/// The peaks of both processes, to be compared with later ones.
struct Peaks(u64, u64);

impl Peaks {
    fn of(deployed: &Deployed) -> Self {
        Self(
            deployed.gateway.peak_rss_kib(),
            deployed.agent.peak_rss_kib(),
        )
    }

    fn have_not_grown(&self, deployed: &Deployed, what: &str) {
        self.have_grown_less_than(GROWTH, deployed, what);
    }

    fn have_grown_less_than(&self, growth: u64, deployed: &Deployed, what: &str) {
        let now = Self::of(deployed);
        for (who, before, after) in [("gateway", self.0, now.0), ("agent", self.1, now.1)] {
            assert!(
                after < before + growth,
                "{what}: the {who} grew from {before} KiB to {after} KiB"
            );
        }
    }
}

async fn deployed(service: &Service) -> Deployed {
    let addr = service.addr();
    Deployed::start(
        "",
        &[
            ("https://app.localhost", &addr),
            ("http://app.localhost", &addr),
        ],
    )
    .await
}

async fn downloads(client: &mut raw::Client, mebibytes: usize) {
    client
        .send(format!(
            "GET /mebibytes/{mebibytes} HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
        ))
        .await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let digest = client.digest(mebibytes << 20).await;
    assert_eq!(digest, Some(sha256_of_many(&mebibyte(), mebibytes)));
}

async fn uploads(client: &mut raw::Client, mebibytes: usize) {
    let length = mebibytes << 20;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    let piece = mebibyte();
    for _ in 0..mebibytes {
        client.try_send(&piece).await.unwrap();
    }
    let answer = client.answer().await.json();
    assert_eq!(answer["body_length"], length);
    assert_eq!(answer["body_sha256"], sha256_of_many(&piece, mebibytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_passes_in_each_direction_and_no_process_grows() {
    let service = Service::echo().await;
    let deployed = deployed(&service).await;
    let mut client = raw::Client::connect(deployed.http).await;
    downloads(&mut client, 32).await;
    uploads(&mut client, 32).await;
    let peaks = Peaks::of(&deployed);
    downloads(&mut client, GIB).await;
    peaks.have_not_grown(&deployed, "1 GiB down");
    uploads(&mut client, GIB).await;
    peaks.have_not_grown(&deployed, "1 GiB up");
    assert_eq!(service.counts().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_over_http_2_and_no_process_grows() {
    let service = Service::echo().await;
    let deployed = deployed(&service).await;
    let mut client = h2::connect_tls(&deployed, "app.localhost").await;
    let mut peaks = None;
    for mebibytes in [16, 128] {
        let request =
            Request::get(deployed.url(&format!("https://app.localhost/mebibytes/{mebibytes}")));
        let request = request.body(Empty::new().boxed()).unwrap();
        let mut response = soon("an answer", client.send_request(request))
            .await
            .unwrap();
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        while let Some(frame) = soon("a frame", response.frame()).await {
            digest.update(&frame.unwrap().into_data().unwrap());
        }
        let digest: String = digest
            .finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, sha256_of_many(&mebibyte(), mebibytes));

        let frames =
            (0..mebibytes).map(|_| Ok::<_, std::convert::Infallible>(Frame::data(mebibyte())));
        let body = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
        let request = Request::post(deployed.url("https://app.localhost/"))
            .body(body)
            .unwrap();
        let answer = client
            .send_request(request)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            answer["body_sha256"],
            sha256_of_many(&mebibyte(), mebibytes)
        );
        match &peaks {
            None => peaks = Some(Peaks::of(&deployed)),
            Some(peaks) => peaks.have_not_grown(&deployed, "128 MiB each way"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_hold_up_nobody_and_fill_no_more_than_their_windows() {
    let service = Service::echo().await;
    let deployed = deployed(&service).await;
    let mut client = raw::Client::connect(deployed.http).await;
    downloads(&mut client, 32).await;
    let peaks = Peaks::of(&deployed);
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut client = raw::Client::connect(deployed.http).await;
        client
            .send("GET /mebibytes/256 HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
            .await;
        client.head().await.unwrap();
        stalled.push(client);
    }
    for _ in 0..4 {
        let mut client = raw::Client::connect(deployed.http).await;
        downloads(&mut client, 32).await;
        uploads(&mut client, 8).await;
        for _ in 0..50 {
            client
                .send("GET /x HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
                .await;
            assert_eq!(client.answer().await.status, 200);
        }
    }
    peaks.have_grown_less_than(STALLED, &deployed, "8 stalled downloads");
    // Whoever reads at last gets everything.
    let mut late = stalled.pop().unwrap();
    assert_eq!(
        late.digest(256 << 20).await,
        Some(sha256_of_many(&mebibyte(), 256))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_do_not_read_hold_up_nobody_and_fill_no_more_than_their_windows() {
    let service = Service::echo().await;
    let deaf = RawService::start(|mut conn| async move {
        conn.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let (addr, deaf_addr) = (service.addr(), deaf.addr());
    let deployed = Deployed::start(
        "",
        &[
            ("http://app.localhost", &addr),
            ("http://deaf.localhost", &deaf_addr),
        ],
    )
    .await;
    let mut client = raw::Client::connect(deployed.http).await;
    uploads(&mut client, 32).await;
    let peaks = Peaks::of(&deployed);
    let mut stalled = tokio::task::JoinSet::new();
    let piece: Bytes = mebibyte();
    for _ in 0..8 {
        let mut client = raw::Client::connect(deployed.http).await;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: deaf.localhost\r\nContent-Length: {}\r\n\r\n",
            256 << 20
        );
        client.send(head).await;
        let piece = piece.clone();
        stalled.spawn(async move {
            // Until nothing is taken any more; the connection has to stay.
            while client.try_send_now(&piece).await {}
            client
        });
    }
    let mut held = Vec::new();
    while let Some(client) = soon("the senders to be stopped", stalled.join_next()).await {
        held.push(client.unwrap());
    }
    for _ in 0..4 {
        let mut client = raw::Client::connect(deployed.http).await;
        uploads(&mut client, 32).await;
        downloads(&mut client, 8).await;
    }
    peaks.have_grown_less_than(STALLED, &deployed, "8 stalled uploads");
    assert_eq!(held.len(), 8);
}
