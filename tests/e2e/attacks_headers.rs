//! Headers that lie, A10–A17: what the service is told comes from the gateway or is the client's own to say.

use std::fmt::Write as _;

use crate::harness::{
    RawService, h2raw,
    raw::{self, Client},
    stage::{OK, Stage, forwarded, forwarded_chunked, forwarded_h2},
};

type Line = (&'static str, &'static str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_what_a_stranger_says_of_the_client_is_replaced() {
    let lies = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-For", "10.0.0.2"),
        ("X-Forwarded-Host", "admin.localhost"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Uri", "/public"),
        ("X-Forwarded-Prefix", "/admin"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-User", "admin"),
        ("X-Forwarded-Email", "admin@localhost"),
        ("X-Forwarded-Server", "edge"),
        ("Forwarded", "for=10.0.0.1;host=admin.localhost"),
        ("X-Real-IP", "10.0.0.1"),
    ];
    is_dropped("a10", &lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_what_a_trusted_proxy_says_is_continued_or_refused_but_never_guessed() {
    let stage = Stage::with("trusted_proxies: [127.0.0.1/32]").await;
    let continued = |chain: &str| {
        forwarded("GET / HTTP/1.1", "").replace("127.0.0.1", &format!("{chain}, 127.0.0.1"))
    };
    let chains: [(&str, &[Line], &str); 4] = [
        (
            "a11 a",
            &[("X-Forwarded-For", "192.0.2.66, 198.51.100.7, 203.0.113.9")],
            "192.0.2.66, 198.51.100.7, 203.0.113.9",
        ),
        (
            "a11 b",
            &[
                ("X-Forwarded-For", "192.0.2.66"),
                ("X-Forwarded-For", "198.51.100.7"),
            ],
            "192.0.2.66, 198.51.100.7",
        ),
        (
            "a11 c, port",
            &[("X-Forwarded-For", "198.51.100.7:4711")],
            "198.51.100.7:4711",
        ),
        (
            "a11 c, IPv6",
            &[("X-Forwarded-For", "[2001:db8::1]:4711")],
            "[2001:db8::1]:4711",
        ),
    ];
    for (case, lines, chain) in chains {
        stage.passes(case, get(lines), &continued(chain)).await;
    }
    for garbage in [
        "unknown",
        "",
        "198.51.100.7, ",
        "198.51.100.7 127.0.0.1",
        "198.51.100.\u{b2}",
    ] {
        let lines = [("X-Forwarded-For", garbage)];
        stage.refuses(garbage, get(&lines), &[400]).await;
        stage
            .refuses_h2(
                garbage,
                &h2raw::get_with(&[("x-forwarded-for", garbage)]),
                &[400],
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a12_a_b_d_identity_in_any_spelling_is_dropped_though_nobody_authenticates() {
    let lies = [
        ("X_Forwarded_User", "admin"),
        ("X-Forwarded.User", "admin"),
        ("x_forwarded-user", "admin"),
        ("X.Forwarded.For", "10.0.0.1"),
        ("X_Real_IP", "10.0.0.1"),
        ("X-Forwarded-User", "admin"),
        ("X-Forwarded-Groups", "admin"),
        ("X-Forwarded-Preferred-Username", "admin"),
    ];
    is_dropped("a12", &lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a12_c_a_blank_before_the_colon_is_refused() {
    let stage = Stage::new().await;
    for line in [
        "X-Forwarded-User : admin",
        "X-Forwarded-User\t: admin",
        "X-Forwarded User: admin",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{line}\r\n\r\n");
        stage.refuses(line, request, &[400]).await;
    }
    stage
        .refuses_h2(
            "a12 c",
            &h2raw::get_with(&[("x-forwarded-user ", "admin")]),
            &[400],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_a_client_cannot_nominate_the_gateways_headers_away() {
    let stage = Stage::new().await;
    for nominated in [
        "X-Auth-User, X-Forwarded-For",
        "close-not, x-forwarded-for,X-AUTH-USER , X-Forwarded-Host, X-Forwarded-Proto",
        "X-Auth-User, Host",
    ] {
        let request = get(&[("Connection", nominated), ("X-Auth-User", "admin")]);
        stage
            .passes(nominated, request, &forwarded("GET / HTTP/1.1", ""))
            .await;
    }
    stage
        .refuses_h2(
            "a13 h2",
            &h2raw::get_with(&[("connection", "x-auth-user"), ("x-auth-user", "admin")]),
            &[400],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_a_client_cannot_nominate_away_where_its_body_ends() {
    let hidden = "GET /hidden HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let chunked = format!("{:X}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let cases = [
        (
            "Content-Length",
            length.as_str(),
            hidden,
            forwarded("POST / HTTP/1.1", &length),
        ),
        (
            "Transfer-Encoding",
            "Transfer-Encoding: chunked\r\n",
            &chunked,
            forwarded_chunked("POST / HTTP/1.1"),
        ),
    ];
    let stage = Stage::new().await;
    for (nominated, framing, body, head) in cases {
        for fresh in [true, false] {
            let mut client = stage.client(fresh).await;
            let mark = stage.mark();
            client
                .send(format!(
                    "POST / HTTP/1.1\r\nHost: app.localhost\r\n{framing}Connection: {nominated}\r\n\r\n"
                ))
                .await;
            // In a packet of its own: who lost sight of the body takes it for the next request.
            while stage.arrived(&mark).is_empty() {
                tokio::task::yield_now().await;
            }
            client.send(body).await;
            assert_eq!(client.answer().await.status, 200, "{nominated}");
            assert_eq!(
                stage.arrived(&mark),
                [format!("{head}{body}")],
                "{nominated}"
            );
            client.send(get(&[])).await;
            assert_eq!(client.answer().await.status, 200, "{nominated}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a14_every_line_of_a_repeated_header_arrives_in_its_order() {
    let stage = Stage::new().await;
    let roles = [
        ("X-Role", "user"),
        ("X-Role", "admin, root"),
        ("X-Role", ""),
    ];
    let lines = "X-Role: user\r\nX-Role: admin, root\r\nX-Role: \r\n";
    stage
        .passes("a14", get(&roles), &forwarded("GET / HTTP/1.1", lines))
        .await;
    stage
        .passes_h2(
            "a14 h2",
            &h2raw::get_with(&lowered(&roles)),
            &forwarded_h2("GET / HTTP/1.1", &lines.to_ascii_lowercase()),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a15_a_headers_of_the_gateway_do_not_reach_a_curious_service() {
    let lies = [
        ("Adit-Session", "signed"),
        ("Adit-Identity", "alice"),
        ("adit_identity", "alice"),
        ("Adit-Assertion", "e30.e30.x"),
        ("adit.assertion", "e30.e30.x"),
        ("Ngrok-Auth-Oauth-Access-Token", "x"),
        ("ngrok_auth_user_email", "alice@example.com"),
    ];
    is_dropped("a15", &lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_marks_between_gateways_are_not_taken_from_strangers() {
    let lies = [
        ("Adit-Hop", "1"),
        ("Adit-Forwarded-By", "edge-1"),
        ("Adit-Trace", "on"),
        ("Adit-Explain", "on"),
        ("adit_hop", "0"),
        ("ADIT.HOP", "0"),
        ("Adit-Error-Code", "ERR_ADIT_3200"),
    ];
    is_dropped("a16", &lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_marks_of_the_gateway_are_not_taken_from_services() {
    let answer = OK.replace(
        "\r\n\r\n",
        "\r\nAdit-Error-Code: ERR_ADIT_1\r\nNgrok-Error-Code: ERR_NGROK_1\r\n\r\n",
    );
    let stage = Stage::before(RawService::answering(answer).await, "").await;
    let answer = raw::send(stage.gateway.http(), get(&[])).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert!(
        !answer.head.to_ascii_lowercase().contains("error-code"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_heads_beyond_the_limits_are_refused() {
    let stage = Stage::new().await;
    let many: String = (0..300).fold(String::new(), |mut lines, n| {
        write!(lines, "X-{n}: y\r\n").unwrap();
        lines
    });
    let big = "y".repeat(64 * 1024);
    let cases = [
        ("a17 a", many),
        ("a17 b", format!("X-Big: {big}\r\n")),
        ("a17 c", format!("Cookie: a={big}\r\n")),
        ("a17 b, name", format!("{big}: y\r\n")),
    ];
    for (case, lines) in cases {
        let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{lines}\r\n");
        stage.refuses(case, request, &[431]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_d_header_lists_beyond_the_limits_are_refused_in_one_frame_and_in_many() {
    let stage = Stage::new().await;
    let names: Vec<_> = (0..300).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).collect();
    let big = "y".repeat(64 * 1024);
    let half = &big[..33 * 1024];
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("a17 d a", &many),
        ("a17 d b", &[("x-big", &big)]),
        ("a17 d c", &[("cookie", &big)]),
        ("a17 d, two halves", &[("x-big", half), ("cookie", half)]),
    ];
    for (case, fields) in cases {
        stage
            .refuses_h2(case, &h2raw::get_with(fields), &[431])
            .await;
    }
}

/// None of these lines reaches the service, on HTTP/1.1 and on HTTP/2.
async fn is_dropped(case: &str, lies: &[Line]) {
    let stage = Stage::new().await;
    let expected = forwarded("GET / HTTP/1.1", "");
    stage.passes(case, get(lies), &expected).await;
    stage
        .passes_h2(
            case,
            &h2raw::get_with(&lowered(lies)),
            &forwarded_h2("GET / HTTP/1.1", ""),
        )
        .await;
    // One at a time as well: what removes many may miss one that stands alone.
    for lie in lies {
        let mut client: Client = stage.client(true).await;
        let mark = stage.mark();
        client.send(get(&[*lie])).await;
        assert_eq!(client.answer().await.status, 200, "{case}: {lie:?}");
        assert_eq!(stage.arrived(&mark), [expected.as_str()], "{case}: {lie:?}");
    }
}

fn get(lines: &[Line]) -> String {
    let mut request = "GET / HTTP/1.1\r\nHost: app.localhost\r\n".to_owned();
    for (name, value) in lines {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    request + "\r\n"
}

fn lowered(lines: &[Line]) -> Vec<(&'static str, &'static str)> {
    let lower = |name: &str| &*name.to_ascii_lowercase().leak();
    lines
        .iter()
        .map(|(name, value)| (lower(name), *value))
        .collect()
}
