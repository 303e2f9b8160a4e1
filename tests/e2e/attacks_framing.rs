//! Where a request ends, A18, A22, A26: nothing may hide in, behind or between requests.

use std::sync::Arc;

use crate::harness::{
    h2raw, raw,
    stage::{Stage, forwarded},
};

/// The request that hides.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a18_a_to_g_a_head_that_leaves_its_end_open_is_refused() {
    let stage = Stage::new().await;
    let te = |value: &str| format!("Transfer-Encoding: {value}\r\n");
    let cases = [
        (
            "a",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        ),
        (
            "a",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        ),
        (
            "a",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n".to_owned(),
        ),
        ("b", "Content-Length: 5\r\nContent-Length: 5\r\n".to_owned()),
        ("b", "Content-Length: 5\r\nContent-Length: 0\r\n".to_owned()),
        ("b", "Content-Length: 0\r\ncontent-length: 5\r\n".to_owned()),
        ("d", te("xchunked")),
        ("d", te("\"chunked\"")),
        ("d", te("chunked;q=1")),
        ("d", te("identity")),
        ("d", te("gzip, chunked")),
        ("d", te("\u{b}chunked")),
        ("d", te("")),
        ("d", "Transfer-Encoding : chunked\r\n".to_owned()),
        ("d", "Transfer-Encoding\r\n".to_owned()),
        ("e", te("chunked, identity")),
        ("e", te("chunked, chunked")),
        ("e", te("chunked,")),
        ("f", te("chunked") + &te("chunked")),
        ("f", te("chunked") + &te("identity")),
        ("f", te("identity") + &te("chunked")),
    ];
    let lengths = [
        "+5",
        "5 ",
        "5\t",
        "0x5",
        "5,5",
        "5, 5",
        "-5",
        "",
        "5.0",
        "5 5",
        "V",
        "18446744073709551621",
    ]
    .map(|length| ("c", format!("Content-Length: {length}\r\n")));
    for (letter, lines) in cases.into_iter().chain(lengths) {
        let request =
            format!("POST / HTTP/1.1\r\nHost: app.localhost\r\n{lines}\r\n0\r\n\r\n{SMUGGLED}");
        stage
            .refuses(&format!("a18 {letter} {lines:?}"), request, &[400])
            .await;
    }
    for version in ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "http/1.1"] {
        let head = format!(
            "POST / {version}\r\nHost: app.localhost\r\nConnection: keep-alive\r\n{}\r\n",
            te("chunked")
        );
        stage
            .refuses(
                &format!("a18 g {version}"),
                format!("{head}0\r\n\r\n{SMUGGLED}"),
                &[400],
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a18_h_i_lines_that_end_or_begin_in_their_own_way_are_refused() {
    let stage = Stage::new().await;
    let cases = [
        ("h, all", "GET / HTTP/1.1\nHost: app.localhost\n\n"),
        (
            "h, request line",
            "GET / HTTP/1.1\nHost: app.localhost\r\n\r\n",
        ),
        (
            "h, one line",
            "GET / HTTP/1.1\r\nHost: app.localhost\nX-A: b\r\n\r\n",
        ),
        (
            "h, in a value",
            "GET / HTTP/1.1\r\nHost: app.localhost\r\nX-A: b\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "h, empty line",
            "GET / HTTP/1.1\r\nHost: app.localhost\r\n\n",
        ),
        (
            "h, CR alone",
            "GET / HTTP/1.1\r\nHost: app.localhost\rX-A: b\r\n\r\n",
        ),
        (
            "h, CR CR LF",
            "GET / HTTP/1.1\r\nHost: app.localhost\r\r\n\r\n",
        ),
        (
            "h, before",
            "\r\nGET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
        ),
        (
            "i",
            "GET / HTTP/1.1\r\nHost: app.localhost\r\nX-A: b\r\n c\r\n\r\n",
        ),
        (
            "i, tab",
            "GET / HTTP/1.1\r\nHost: app.localhost\r\nX-A: b\r\n\tc\r\n\r\n",
        ),
        (
            "i, coding",
            "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        ),
        (
            "i, first",
            "GET / HTTP/1.1\r\n Host: app.localhost\r\nHost: app.localhost\r\n\r\n",
        ),
        (
            "i, blank",
            "GET / HTTP/1.1\r\nHost: app.localhost\r\n \r\n\r\n",
        ),
    ];
    for (case, request) in cases {
        stage
            .refuses(
                &format!("a18 {case}"),
                format!("{request}{SMUGGLED}"),
                &[400],
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a18_j_k_a_body_with_broken_chunks_ends_both_connections() {
    let stage = Stage::new().await;
    let extensions = format!("1{}\r\nx\r\n", ";a=b".repeat(64 * 1024));
    let flood = format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(1000);
    let cases = [
        ("j", "FFFFFFFFFFFFFFFFF\r\nx\r\n"),
        ("j", "10000000000000000\r\nx\r\n"),
        ("j", "-1\r\nx\r\n"),
        ("j", "+1\r\nx\r\n"),
        ("j", "0x1\r\nx\r\n"),
        ("j", " 1\r\nx\r\n"),
        ("j", "1_0\r\nx\r\n"),
        ("j", "g\r\nx\r\n"),
        ("j", "1\nx\r\n"),
        ("j", "1\rx\r\n"),
        ("j", "1\r\nx"),
        ("j", "1\r\nxx\r\n"),
        ("j", "1\r\nx\n"),
        ("k", &extensions),
    ];
    for (letter, body) in cases {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n{SMUGGLED}"
        );
        let shown: String = body.chars().take(20).collect();
        stage
            .breaks_off(&format!("a18 {letter} {shown:?}"), request, &[400])
            .await;
    }
    // These two are read, and in one way only; what counts is that nobody behind sees them.
    for body in ["\r\nx\r\n0\r\n\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"] {
        let head = "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        stage
            .breaks_off(
                &format!("a18 {body:?}"),
                format!("{head}{body}{SMUGGLED}"),
                &[200, 400],
            )
            .await;
    }
    // Many chunks with long extensions may pass: what arrives has none of them.
    let mut client = stage.client(true).await;
    let mark = stage.mark();
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{flood}0\r\n\r\n"
        ))
        .await;
    let status = client.answer().await.status;
    assert!([200, 400].contains(&status), "{status}");
    let arrived = stage.arrived(&mark).concat();
    assert!(!arrived.contains(";a"), "{arrived}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a18_on_http2_a_length_that_is_not_the_bodys_ends_the_stream() {
    let stage = Stage::new().await;
    let post = |lengths: &[&'static str]| {
        let mut fields = h2raw::get("/").to_vec();
        fields[0].1 = "POST";
        fields.extend(lengths.iter().map(|length| ("content-length", *length)));
        fields
    };
    // The stream ends with its head, so that 0 is true and only the way it is said can be wrong.
    let heads: [&[&str]; 8] = [
        &["0", "0"],
        &["0", "6"],
        &["+0"],
        &["0x0"],
        &["0,0"],
        &["0 "],
        &[""],
        &["-0"],
    ];
    for lengths in heads {
        stage
            .refuses_h2(&format!("a18 h2 {lengths:?}"), &post(lengths), &[400])
            .await;
    }
    for (length, body) in [
        ("5", "hello GET /smuggled HTTP/1.1"),
        ("50", "GET /smuggled"),
    ] {
        let mut client = stage.h2(true).await;
        let mark = stage.mark();
        let head = h2raw::headers(3, &h2raw::block(&post(&[length])), false);
        let data = h2raw::frame(h2raw::DATA, h2raw::END_STREAM, 3, body.as_bytes());
        client.send([head, data].concat()).await;
        let answer = client.answer(3).await;
        assert!(
            answer.status != Some(200) && (answer.status == Some(400) || answer.broken_off()),
            "{answer:?}"
        );
        let arrived = stage.arrived(&mark).concat();
        assert!(!arrived.contains("hello GET"), "{arrived}");
        assert_eq!(
            raw::send(stage.gateway.http(), SMUGGLED.replace("smuggled", "honest"))
                .await
                .status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a22_a_request_in_the_body_of_a_denied_one_never_runs() {
    let stage = Stage::new().await;
    let long = format!("{SMUGGLED}{}", "x".repeat(1024 * 1024));
    let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
    let chunked = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let cases = [
        ("with a length", length(SMUGGLED), SMUGGLED.to_owned()),
        (
            "in chunks",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            chunked(SMUGGLED),
        ),
        ("long", length(&long), long.clone()),
        (
            "long, in chunks",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            chunked(&long),
        ),
        (
            "announced",
            format!("Expect: 100-continue\r\n{}", length(SMUGGLED)),
            SMUGGLED.to_owned(),
        ),
        (
            "nominated",
            format!("Connection: content-length\r\n{}", length(SMUGGLED)),
            SMUGGLED.to_owned(),
        ),
    ];
    for (case, framing, body) in cases {
        for split in [false, true] {
            let mut client = stage.client(split).await;
            let mark = stage.mark();
            let head = format!("POST / HTTP/1.1\r\nHost: denied.localhost\r\n{framing}\r\n");
            if split {
                client.send(&head).await;
                client.send(&body).await;
            } else {
                client.send(head + &body).await;
            }
            assert_eq!(client.answer().await.status, 401, "{case}");
            // What comes next is the next request, or the connection has ended.
            client
                .send("GET /next HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
                .await;
            let next = client.answer().await;
            assert!([0, 200].contains(&next.status), "{case}: {next:?}");
            let expected = (next.status == 200).then(|| forwarded("GET /next HTTP/1.1", ""));
            assert_eq!(
                stage.arrived(&mark),
                expected.into_iter().collect::<Vec<_>>(),
                "{case}"
            );
            stage.client(false).await;
            assert!(
                !stage.arrived(&mark).concat().contains("smuggled"),
                "{case}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a26_tls_takes_no_early_data() {
    use tokio::{io::AsyncWriteExt as _, net::TcpStream};

    let stage = Stage::new().await;
    let mut config = crate::harness::tls::config(&stage.gateway, &["http/1.1"]);
    config.enable_early_data = true;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let tcp = TcpStream::connect(stage.gateway.https()).await.unwrap();
        let name = "app.localhost".try_into().unwrap();
        let mut offered = false;
        let mut tls = connector
            .connect_with(name, tcp, |tls| offered = tls.early_data().is_some())
            .await
            .unwrap();
        assert!(!offered, "the ticket allows early data");
        kinds.push(tls.get_ref().1.handshake_kind());
        // The ticket comes with the answer.
        tls.write_all(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
            .await
            .unwrap();
        let mut client = raw::Client::over(tls);
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(
        kinds[1],
        Some(rustls::HandshakeKind::Resumed),
        "or it says nothing about early data"
    );
}
