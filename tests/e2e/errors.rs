//! What a client is told when the gateway has to answer itself: status, words, code, and the form it can read.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use tokio::net::TcpListener;

use crate::harness::{Agent, CurlOutput, Gateway, RawService, Service, curl, h2, raw, soon};

const BROWSER: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A port of this machine on which nobody listens.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The page in all its forms: for people, for programs, for terminals. They must agree.
async fn in_every_form(gateway: &Gateway, url: &str, status: u16, code: &str, words: &str) {
    for version in ["--http1.1", "--http2"] {
        let text = curl(gateway, [version, url]).await;
        is_page(&text, status, code, "text/plain; charset=utf-8");
        assert!(
            text.text().contains(words) && text.text().contains(code),
            "{}",
            text.text()
        );
        assert!(!text.text().contains('<'), "{}", text.text());

        let html = curl(gateway, [version, "-H", BROWSER, url]).await;
        is_page(&html, status, code, "text/html; charset=utf-8");
        // Its heading begins with a capital.
        let page = html.text().to_lowercase();
        assert!(
            page.starts_with("<!doctype html>") && page.contains(&words.to_lowercase()),
            "{page}"
        );

        let json = curl(gateway, [version, "-H", "accept: application/json", url]).await;
        is_page(&json, status, code, "application/json");
        let page = json.json();
        assert_eq!(
            (page["error_code"].as_str(), page["status_code"].as_u64()),
            (Some(code), Some(u64::from(status)))
        );
        assert!(page["msg"].as_str().unwrap().contains(words), "{page}");
        assert!(page["details"]["remedy"].is_string(), "{page}");
    }
}

fn is_page(answer: &CurlOutput, status: u16, code: &str, kind: &str) {
    assert_eq!((answer.code, answer.status), (0, status), "{answer:?}");
    assert_eq!(answer.header("adit-error-code"), Some(code), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some(kind), "{answer:?}");
    assert_eq!(
        answer.header("content-length"),
        Some(answer.body.len().to_string().as_str()),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("cache-control"),
        Some("no-store"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_nobody_has_is_404() {
    let gateway = Gateway::start().await;
    let words = "there is no endpoint nobody.localhost here";
    in_every_form(
        &gateway,
        "https://nobody.localhost/x",
        404,
        "ERR_ADIT_3200",
        words,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_url_without_an_agent_is_503() {
    let gateway = Gateway::with("endpoints: [{ url: \"https://app.localhost\" }]").await;
    let words = "no agent is connected for this address";
    in_every_form(
        &gateway,
        "https://app.localhost/x",
        503,
        "ERR_ADIT_3210",
        words,
    )
    .await;
    assert_eq!(
        curl(&gateway, ["https://app.localhost/x"])
            .await
            .header("retry-after"),
        Some("5")
    );

    let service = Service::echo().await;
    let agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    assert_eq!(
        curl(&gateway, ["https://app.localhost/x"]).await.status,
        200
    );
    agent.close().await;
    soon("503 again", async {
        while curl(&gateway, ["https://app.localhost/x"]).await.status != 503 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_started_is_502_and_is_named() {
    let gateway = Gateway::start().await;
    let port = free_port().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", port).await;
    let words = format!("nothing listens on localhost:{port}");
    in_every_form(
        &gateway,
        "https://app.localhost/x",
        502,
        "ERR_ADIT_8012",
        &words,
    )
    .await;
    let text = curl(&gateway, ["https://app.localhost/x"]).await.text();
    assert!(
        text.starts_with(&format!("{words} (ERR_ADIT_8012)\n")),
        "{text}"
    );

    // It is started, and nobody has to do anything else.
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let served = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut io, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        assert!(io.read(&mut head).unwrap() > 0);
        io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .unwrap();
    });
    assert_eq!(
        curl(&gateway, ["https://app.localhost/x"]).await.text(),
        "ok"
    );
    served.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_answer_is_504() {
    let service = Service::echo().await;
    let gateway = Gateway::with("limits: { upstream_timeout: 300ms }").await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    in_every_form(
        &gateway,
        "https://app.localhost/hang",
        504,
        "ERR_ADIT_3005",
        "the service did not answer in time",
    )
    .await;
    service
        .wait_for("the service to be let go", |counts| {
            counts.abandoned == counts.requests
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_breaks_off_is_502() {
    let service = RawService::start(|mut conn| async move { drop(conn.request().await) }).await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let words = "was lost before it answered";
    in_every_form(
        &gateway,
        "https://app.localhost/x",
        502,
        "ERR_ADIT_3210",
        words,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_speak_http_is_502() {
    let service = RawService::answering("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n").await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let words = "answered with something that is not valid HTTP";
    in_every_form(
        &gateway,
        "https://app.localhost/x",
        502,
        "ERR_ADIT_3004",
        words,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_json_is_answered_in_json() {
    let gateway = Gateway::start().await;
    let args = [
        "-H",
        "content-type: application/json",
        "--data",
        "{}",
        "https://nobody.localhost/",
    ];
    let answer = curl(&gateway, args).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["error_code"], "ERR_ADIT_3200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_head_has_no_body_and_the_connection_goes_on() {
    let gateway = Gateway::start().await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("HEAD / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n")
        .await;
    let head = client.answer_to("HEAD").await;
    assert_eq!(
        (head.status, head.header("adit-error-code")),
        (404, Some("ERR_ADIT_3200")),
        "{head:?}"
    );
    client
        .send("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n")
        .await;
    let get = client.answer().await;
    assert_eq!(get.status, 404, "{get:?}");
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert!(!get.body.is_empty());
}

/// On HTTP/2 the stream has to end, too; it once ended as cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_head_is_whole_when_the_service_is_down() {
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", free_port().await).await;
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&gateway, [version, "--head", "https://app.localhost/"]).await;
        assert_eq!((answer.code, answer.status), (0, 502), "{answer:?}");
        assert_eq!(
            answer.header("adit-error-code"),
            Some("ERR_ADIT_8012"),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_gateway_says_adit_error_code() {
    let answer = "HTTP/1.1 502 Bad Gateway\r\nAdit-Error-Code: ERR_ADIT_1\r\nngrok-error-code: ERR_NGROK_1\r\ncontent-length: 2\r\n\r\nok";
    let service = RawService::answering(answer).await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&gateway, [version, "https://app.localhost/"]).await;
        assert_eq!((answer.status, answer.text().as_str()), (502, "ok"));
        assert!(
            !answer.head.to_lowercase().contains("error-code"),
            "{}",
            answer.head
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_requests_to_an_https_endpoint_are_sent_there() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let answer = raw::send(
        gateway.http(),
        "POST /a?b=c&d HTTP/1.1\r\nHost: App.Localhost:80\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let location = gateway.url("https://app.localhost/a?b=c&d");
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some(location.as_str())),
        "{answer:?}"
    );
    assert_eq!(service.counts().requests, 0);

    let followed = curl(
        &gateway,
        ["--location", "--data", "kept", "http://app.localhost/x"],
    )
    .await;
    assert_eq!(
        (followed.status, followed.json()["method"].as_str()),
        (200, Some("POST")),
        "{followed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_the_tls_connection_was_not_made_for_is_421() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("https://one.localhost")
        .upstream(service.addr())
        .url("https://two.localhost");
    let _agent = agent.start().await;
    let answer = raw::send_tls(
        &gateway,
        "one.localhost",
        "GET / HTTP/1.1\r\nHost: two.localhost\r\n\r\n",
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("adit-error-code")),
        (421, Some("ERR_ADIT_50001")),
        "{answer:?}"
    );
    let mut client = h2::connect_tls(&gateway, "one.localhost").await;
    for (host, status) in [("two", 421), ("one", 200), ("three", 404)] {
        let request = Request::get(gateway.url(&format!("https://{host}.localhost/")))
            .body(Full::default().boxed())
            .unwrap();
        let response = soon("an answer", client.send_request(request))
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
    assert_eq!(service.counts().requests, 1);
}
