//! Whom a request is for, A05, A07, A08: one reading of target and host, the same for routing and for the service.

use crate::harness::{
    h2raw, raw,
    stage::{Stage, forwarded, forwarded_h2},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a05_bytes_that_split_a_line_are_refused_as_they_are_and_encoded() {
    let stage = Stage::new().await;
    for target in [
        "/a%00b",
        "/a%0d%0aX-Evil:%201",
        "/a%0Ab",
        "/a\rb",
        "/a\nb",
        "/a\0b",
        "/a\tb",
        "/a\u{7f}b",
        "/a b",
        "/\u{fc}",
        "/a\r\nX-Evil: 1",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        stage
            .refuses(&format!("a05 {target:?}"), request, &[400])
            .await;
        stage
            .refuses_h2(&format!("a05 {target:?}"), &h2raw::get(target), &[400])
            .await;
    }
    for line in [
        "X-\0A: b",
        "X-\rA: b",
        "X-\nA: b",
        "X-A: b\0",
        "X-A: \rb",
        "X-A: b\u{7f}",
        "X-A: \u{b}b",
        "X-\u{e4}: b",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{line}\r\n\r\n");
        stage
            .refuses(&format!("a05 {line:?}"), request, &[400])
            .await;
    }
    // A form may carry line ends in its query.
    let target = "GET /?text=a%0d%0ab HTTP/1.1";
    stage
        .passes(
            "a05 query",
            format!("{target}\r\nHost: app.localhost\r\n\r\n"),
            &forwarded(target, ""),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a05_e_a_redirect_is_never_split() {
    let stage = Stage::new().await;
    // Known on https only, so that the plain port answers with a redirect.
    let _agent = crate::harness::Agent::forward(
        &stage.gateway,
        "https://safe.localhost",
        stage.service.addr(),
    )
    .await;
    let location = |answer: &raw::RawAnswer| answer.header("location").map(str::to_owned);
    let https = stage.gateway.url("https://safe.localhost");
    for (target, expected) in [
        (
            "/a?b=%0d%0aX-Evil:%201",
            Some(format!("{https}/a?b=%0d%0aX-Evil:%201")),
        ),
        ("/%61/../b?%61", Some(format!("{https}/b?%61"))),
        ("//evil.example/", None),
        ("/\\evil.example/", None),
        ("/%0d%0aX-Evil:%201", None),
        ("/\r\nX-Evil: 1", None),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: safe.localhost\r\n\r\n");
        let answer = raw::send(stage.gateway.http(), request).await;
        assert_eq!(location(&answer), expected, "{target:?}: {answer:?}");
        assert_eq!(
            answer.status,
            if expected.is_some() { 308 } else { 400 },
            "{target:?}"
        );
        assert!(answer.header("x-evil").is_none(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a07_targets_in_another_form_are_refused() {
    let stage = Stage::new().await;
    for (letter, request_line) in [
        ("a", "GET /x#/../admin HTTP/1.1"),
        ("a", "GET /# HTTP/1.1"),
        ("b", "GET http://evil/ HTTP/1.1"),
        ("b", "GET https://evil/ HTTP/1.1"),
        ("c", "GET http://denied.localhost/ HTTP/1.1"),
        ("c", "GET http://app.localhost@denied.localhost/ HTTP/1.1"),
        ("c", "GET http://denied.localhost@app.localhost/ HTTP/1.1"),
        ("c", "GET http:/app.localhost/ HTTP/1.1"),
        ("c", "GET http:\\\\app.localhost/ HTTP/1.1"),
        ("c", "GET file:///etc/passwd HTTP/1.1"),
        ("c", "GET app.localhost HTTP/1.1"),
        ("c", "GET ?x HTTP/1.1"),
        ("d", "GET * HTTP/1.1"),
        ("d", "OPTIONS * HTTP/1.1"),
    ] {
        let request = format!("{request_line}\r\nHost: app.localhost\r\n\r\n");
        stage
            .refuses(&format!("a07 {letter} {request_line}"), request, &[400])
            .await;
    }
    for target in ["app.localhost:80", "/", "http://app.localhost/"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        stage
            .refuses(&format!("a07 e {target}"), request, &[405])
            .await;
    }
    let [method, scheme, authority, _] = h2raw::get("/");
    let connect = (":method", "CONNECT");
    for path in ["http://evil/", "http://app.localhost/", "*", "admin", "?x"] {
        let fields = [method, scheme, authority, (":path", path)];
        stage
            .refuses_h2(&format!("a07 h2 {path}"), &fields, &[400])
            .await;
    }
    stage
        .refuses_h2(
            "a07 e h2",
            &[connect, (":authority", "app.localhost:80")],
            &[400, 405],
        )
        .await;
    stage
        .refuses_h2(
            "a07 e h2",
            &[
                connect,
                (":protocol", "websocket"),
                scheme,
                authority,
                (":path", "/"),
            ],
            &[400, 405],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a07_c_an_absolute_form_for_the_same_host_arrives_in_origin_form() {
    let stage = Stage::new().await;
    for (target, canonical) in [
        ("http://app.localhost/x?y", "/x?y"),
        ("http://app.localhost/%61/../%62", "/b"),
        ("http://app.localhost", "/"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        let expected = forwarded(&format!("GET {canonical} HTTP/1.1"), "");
        stage.passes(target, request, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a07_a_no_fragment_reaches_the_service_on_http2() {
    let stage = Stage::new().await;
    let mut client = stage.h2(true).await;
    let mark = stage.mark();
    client
        .send(h2raw::headers(
            3,
            &h2raw::block(&h2raw::get("/x#/../admin")),
            true,
        ))
        .await;
    let answer = client.answer(3).await;
    let arrived = stage.arrived(&mark).concat();
    assert!(
        answer.broken_off() && arrived.is_empty() || arrived == forwarded_h2("GET /x HTTP/1.1", ""),
        "{answer:?} {arrived}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a08_a_b_every_spelling_of_a_host_is_one_host() {
    let stage = Stage::new().await;
    for (spelled, canonical) in [
        ("APP.localhost", "app.localhost"),
        ("app.LOCALHOST.", "app.localhost"),
        ("app.localhost:80", "app.localhost:80"),
        ("App.Localhost.:443", "app.localhost:443"),
        ("app.localhost:08080", "app.localhost:8080"),
    ] {
        let expected = |text: String| text.replace("app.localhost", canonical);
        stage
            .passes(
                spelled,
                format!("GET / HTTP/1.1\r\nHost: {spelled}\r\n\r\n"),
                &expected(forwarded("GET / HTTP/1.1", "")),
            )
            .await;
        let mut fields = h2raw::get("/");
        fields[2].1 = spelled;
        let mut client = stage.h2(true).await;
        let mark = stage.mark();
        client
            .send(h2raw::headers(3, &h2raw::block(&fields), true))
            .await;
        assert_eq!(client.answer(3).await.status, Some(200), "{spelled}");
        let arrived = stage.arrived(&mark).concat().to_ascii_lowercase();
        assert!(
            arrived.contains(&format!("\r\nhost: {canonical}\r\n")),
            "{arrived}"
        );
        assert!(
            arrived.contains(&format!("\r\nx-forwarded-host: {canonical}\r\n")),
            "{arrived}"
        );
        // The same policy, too.
        let denied = spelled.to_ascii_lowercase().replace("app", "DENIED");
        let answer = raw::send(
            stage.gateway.http(),
            format!("GET / HTTP/1.1\r\nHost: {denied}\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status, 401, "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a08_c_an_address_is_one_host_in_every_spelling_and_nobodys_unless_bound() {
    let stage = Stage::new().await;
    for host in [
        "[::1]",
        "[::0:1]:80",
        "[0:0:0:0:0:0:0:1]",
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        for fresh in [true, false] {
            let mut client = stage.client(fresh).await;
            let mark = stage.mark();
            client.send(&request).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 404, "{host}: {answer:?}");
            let canonical = match host {
                v6 if v6.starts_with('[') => "[::1]",
                other => other.trim_end_matches(":80"),
            };
            assert!(
                answer
                    .text()
                    .contains(&format!("endpoint {canonical} here")),
                "{answer:?}"
            );
            stage.nothing_arrived(host, &mark).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a08_d_to_g_a_host_that_is_missing_doubled_or_none_is_refused() {
    let stage = Stage::new().await;
    for (letter, lines) in [
        ("d", "Host: app.localhost\r\nHost: denied.localhost\r\n"),
        ("d", "Host: app.localhost\r\nhost: app.localhost\r\n"),
        ("d", "Host: app.localhost, denied.localhost\r\n"),
        ("e", ""),
        ("g", "Host:\r\n"),
        ("g", "Host: \r\n"),
        ("g", "Host: :80\r\n"),
        ("g", "Host: .\r\n"),
        ("g", "Host: user@app.localhost\r\n"),
        ("g", "Host: app.localhost/\r\n"),
        ("g", "Host: app.localhost?x\r\n"),
        ("g", "Host: app..localhost\r\n"),
        ("g", "Host: app.localhost:x\r\n"),
        ("g", "Host: app.localhost:99999\r\n"),
        ("g", "Host: app%2elocalhost\r\n"),
        ("g", "Host: app.localhost:80:80\r\n"),
        ("g", "Host: 127.1\r\n"),
        ("g", "Host: [::1\r\n"),
    ] {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        stage
            .refuses(&format!("a08 {letter} {lines:?}"), request, &[400])
            .await;
    }
    let [method, scheme, authority, path] = h2raw::get("/");
    let cases: [(&str, &[(&str, &str)]); 6] = [
        (
            "f",
            &[
                method,
                scheme,
                authority,
                path,
                ("host", "denied.localhost"),
            ],
        ),
        (
            "d",
            &[
                method,
                scheme,
                path,
                ("host", "app.localhost"),
                ("host", "app.localhost"),
            ],
        ),
        ("e", &[method, scheme, path]),
        ("g", &[method, scheme, (":authority", ""), path]),
        (
            "g",
            &[method, scheme, (":authority", "user@app.localhost"), path],
        ),
        (
            "g",
            &[method, scheme, (":authority", "app.localhost:x"), path],
        ),
    ];
    for (letter, fields) in cases {
        stage
            .refuses_h2(&format!("a08 {letter} {fields:?}"), fields, &[400])
            .await;
    }
}
