//! What policies are told of connections and endpoints, and what operators are told of policies.

use crate::harness::{Agent, Gateway, Received, Service, curl, operator::metric, raw};

const FACTS: &str = "on_http_request:
  - actions:
      - type: add-headers
        config:
          headers:
            x-region: '${conn.server_region}'
            x-endpoint: '${endpoint.id} ${endpoint.url}'
            x-bytes: '${conn.bytes_in} ${conn.bytes_out}'
            x-tls: '${conn.tls.version} ${conn.tls.negotiated_alpn} ${conn.tls.sni}'
            x-ja4: '${conn.tls.ja4_fingerprint}'
";

fn numbers(request: &Received) -> Vec<u64> {
    let bytes = request.header("x-bytes").unwrap().split(' ');
    bytes.map(|number| number.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_knows_the_connection_and_its_endpoint() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(
        &[("app.yaml", FACTS)],
        "region: north\nendpoints:\n  - { url: https://app.localhost, traffic_policy_file: app.yaml }\n  \
         - { url: http://app.localhost, traffic_policy_file: app.yaml }\n",
    )
    .await;
    let _agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .url("http://app.localhost")
        .start()
        .await;
    let mut client = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    for _ in 0..2 {
        client
            .send("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 200);
    }
    let answer = curl(&gateway, ["--http2", "https://app.localhost/"]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = curl(&gateway, ["http://app.localhost/"]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let requests = service.requests();
    let [first, second, h2, plain] = &requests[..] else {
        panic!("{requests:?}");
    };
    for request in &requests {
        assert_eq!(request.header("x-region"), Some("north"));
    }
    let id = first.header("x-endpoint").unwrap();
    assert!(
        id.starts_with("ep_") && id.ends_with(" https://app.localhost"),
        "{id}"
    );
    assert_eq!(second.header("x-endpoint"), Some(id));
    assert_ne!(plain.header("x-endpoint"), Some(id));

    let (before, after) = (numbers(first), numbers(second));
    assert!(before[0] > 0 && before[1] == 0, "{before:?}");
    assert!(after[0] == 2 * before[0] && after[1] > 100, "{after:?}");

    assert_eq!(first.header("x-tls"), Some("1.3 http/1.1 app.localhost"));
    assert_eq!(h2.header("x-tls"), Some("1.3 h2 app.localhost"));
    // The same program says hello in the same way, but for the protocols that it offers.
    let ja4 = |request: &Received| request.header("x-ja4").unwrap().to_owned();
    assert!(
        ja4(first).starts_with("t13d") && ja4(first)[8..].starts_with("h1_"),
        "{}",
        ja4(first)
    );
    assert!(
        ja4(h2).starts_with("t13d") && ja4(h2)[8..].starts_with("h2_"),
        "{}",
        ja4(h2)
    );
    assert_eq!(ja4(first).len(), 36);
    assert_eq!(ja4(plain), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_in_shadow_mode_is_counted_and_does_nothing() {
    let service = Service::echo().await;
    let gateway = Gateway::with(
        "endpoints: [{ url: http://app.localhost, traffic_policy: { on_http_request: \
         [{ name: soon, mode: shadow, actions: [{ type: deny }] }] } }]\n",
    )
    .await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let answer = curl(&gateway, ["http://app.localhost/"]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let sample = |verdict: &str| {
        format!(
            "adit_policy_shadow_total{{endpoint=\"http://app.localhost\",verdict=\"{verdict}\"}}"
        )
    };
    crate::harness::operator::metric_until(gateway.admin(), &sample("deny"), 1).await;
    assert_eq!(metric(gateway.admin(), &sample("continue")).await, 0);
}
