//! Responses that policies change on their way: replaced, compressed, message by message.

use crate::harness::{Agent, Gateway, Service, curl, raw};

const MIB: usize = 1024 * 1024;

/// A gateway whose operator has this rule for responses, on both ports.
async fn gateway(policy: &str) -> Gateway {
    let endpoint =
        |scheme| format!("  - url: {scheme}://app.localhost\n    traffic_policy: {{ {policy} }}\n");
    Gateway::with(&format!(
        "endpoints:\n{}{}",
        endpoint("http"),
        endpoint("https")
    ))
    .await
}

fn replaces(from: &str, to: &str) -> String {
    let config = format!("{{ replacements: [{{ from: '{from}', to: '{to}' }}] }}");
    format!(
        "on_http_response: [{{ actions: [{{ type: response-body-find-replace, config: {config} }}] }}]"
    )
}

const WAYS: [[&str; 2]; 3] = [
    ["--http1.1", "http://app.localhost"],
    ["--http2-prior-knowledge", "http://app.localhost"],
    ["--http2", "https://app.localhost"],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_body_is_whole_and_framed_anew() {
    for http2 in [false, true] {
        let service = Service::echo().await;
        let gateway = gateway(&replaces("\"(meth)od\"", "\"$1\"")).await;
        let agent = Agent::builder(&gateway)
            .url("http://app.localhost")
            .upstream(service.addr());
        let agent = if http2 { agent.protocol_http2() } else { agent };
        let agent = agent.url("https://app.localhost");
        let _agent = if http2 { agent.protocol_http2() } else { agent }
            .start()
            .await;
        for [version, url] in WAYS {
            let answer = curl(&gateway, [version, "--compressed", url]).await;
            assert_eq!(answer.status, 200, "{version}: {answer:?}");
            assert_eq!(answer.json()["meth"], "GET", "{version}: {answer:?}");
            assert_eq!(answer.header("content-length"), None);
            let request = service.requests().pop().unwrap();
            assert_eq!(request.all("accept-encoding"), ["identity"], "{version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policys_own_answer_is_replaced_as_well() {
    let answer =
        "on_http_request: [{ actions: [{ type: custom-response, config: { body: a secret } }] }]";
    let gateway = gateway(&format!("{answer}, {}", replaces("secret", "***"))).await;
    for [version, url] in WAYS {
        let answer = curl(&gateway, [version, url]).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "a ***"),
            "{version}"
        );
        assert_eq!(answer.header("content-length"), Some("5"), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_too_large_to_be_replaced_is_refused_or_cut() {
    let service = Service::echo().await;
    let gateway = gateway(&replaces("secret", "***")).await;
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .url("https://app.localhost")
        .start()
        .await;
    for [version, url] in WAYS {
        let most = format!("{url}/bytes/{}", 10 * MIB);
        let answer = curl(&gateway, [version, &most]).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, 10 * MIB),
            "{version}"
        );
        let more = format!("{url}/bytes/{}", 10 * MIB + 1);
        let answer = curl(&gateway, [version, &more]).await;
        assert_eq!(answer.status, 502, "{version}");
        assert_eq!(
            answer.header("adit-error-code"),
            Some("ERR_ADIT_3903"),
            "{version}"
        );
        let unsaid = format!("{url}/chunks/{}", 10 * MIB + 1);
        let answer = curl(&gateway, [version, &unsaid]).await;
        assert_ne!(answer.code, 0, "{version}: it must not look whole");
        assert_eq!(answer.body.len(), 0, "{version}: nothing of it has left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_body_is_what_the_service_sent() {
    let service = Service::echo().await;
    let compress = "on_http_response: [{ actions: [{ type: compress-response }] }]";
    let gateway = gateway(compress).await;
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .url("https://app.localhost")
        .start()
        .await;
    for [version, url] in WAYS {
        for path in ["/bytes/300000", "/chunks/300000"] {
            let address = format!("{url}{path}");
            let plain = curl(&gateway, [version, &address]).await;
            assert_eq!(plain.header("content-encoding"), None, "{version}");
            for coding in ["gzip", "deflate"] {
                let accept = format!("accept-encoding: {coding}");
                let answer =
                    curl(&gateway, [version, "--compressed", "-H", &accept, &address]).await;
                assert_eq!(answer.header("content-encoding"), Some(coding), "{version}");
                assert_eq!(answer.header("content-length"), None, "{version}");
                assert!(answer.body == plain.body, "{version} {coding} {path}");
            }
        }
        let head = curl(&gateway, [version, "--compressed", "-I", url]).await;
        assert_eq!(
            (head.status, head.header("content-encoding")),
            (200, None),
            "{version}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_changed_and_leaves_before_the_next_is_made() {
    let service = Service::echo().await;
    let config = "{ replacements: [{ from: 'event ([0-9]+)', to: 'number $1' }] }";
    let gateway = gateway(&format!(
        "on_event_stream_message: [{{ actions: [{{ type: sse-find-replace, config: {config} }}] }}]"
    ))
    .await;
    // The agent's policy is inside: what it has compressed, the operator's must still see.
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .policy("on_http_response: [{ actions: [{ type: compress-response }] }]")
        .start()
        .await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /events HTTP/1.1\r\nhost: app.localhost\r\naccept-encoding: gzip\r\n\r\n")
        .await;
    let head = client.head().await.expect("a head before any event");
    assert_eq!(
        raw::header(&head, "content-type"),
        Some("text/event-stream")
    );
    assert_eq!(raw::header(&head, "content-encoding"), None);
    for n in 0..20 {
        service.send_event(&format!("event {n}"));
        client.until(&format!("data: number {n}\n\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_judged_ends_the_stream() {
    let service = Service::echo().await;
    let config = "{ replacements: [{ from: \"${req.headers['x-absent'][0]}\" }] }";
    let gateway = gateway(&format!(
        "on_event_stream_message: [{{ actions: [{{ type: sse-find-replace, config: {config} }}] }}]"
    ))
    .await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send("GET /events HTTP/1.1\r\nhost: app.localhost\r\n\r\n")
        .await;
    client.head().await.expect("a head before any event");
    service.send_event("a secret");
    let rest = client.rest().await;
    assert_eq!(
        String::from_utf8_lossy(&rest),
        "",
        "nothing of it, and no last chunk"
    );
}
