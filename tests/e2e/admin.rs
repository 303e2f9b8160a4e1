//! The admin listener: what it tells, whom it answers, and that nobody else gets there.

use std::fs;

use adit_gateway::Config;
use serde_json::{Value, json};

use crate::harness::{
    Agent, Deployed, Gateway, Public, Service,
    operator::{ask, health, health_until, metric, metric_until},
    prometheus, raw,
    visitor::visit,
};

const DENY: &str = "on_http_request: [{ actions: [{ type: deny }] }]\n";
const MISTAKE: &str = "on_http_request: [{ actions: [{ type: dney }] }]\n";
const FROM_FILE: &str =
    "endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_how_it_goes() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(&[("app.yaml", DENY)], FROM_FILE).await;
    let fresh = health(gateway.admin()).await;
    assert_eq!(
        (&fresh["status"], &fresh["version"]),
        (&json!("ok"), &json!(env!("CARGO_PKG_VERSION"))),
        "{fresh}"
    );
    assert_eq!(
        (&fresh["endpoints"], &fresh["sessions"]),
        (&json!(1), &json!(0))
    );
    assert!(fresh["uptime_seconds"].is_u64(), "{fresh}");
    let policies = &fresh["policies"];
    assert_eq!(
        (&policies["ok"], &policies["failures"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(policies["error"], Value::Null);
    assert!(
        policies["file"]
            .as_str()
            .unwrap()
            .ends_with("/gateway.yaml")
    );
    assert!(policies["loaded_at"].as_str().unwrap().ends_with('Z'));

    let agent = Agent::forward(&gateway, "http://other.localhost", service.addr()).await;
    let busy = health(gateway.admin()).await;
    assert_eq!(
        (&busy["endpoints"], &busy["sessions"]),
        (&json!(2), &json!(1))
    );
    agent.close().await;
    health_until(gateway.admin(), "the session to be gone", |health| {
        health["sessions"] == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_shows_until_it_is_repaired() {
    let gateway = Gateway::with_files(&[("app.yaml", DENY)], FROM_FILE).await;
    let admin = gateway.admin();
    for failures in 1..=2 {
        gateway.put("app.yaml", MISTAKE);
        let degraded = health_until(admin, "a mistake to show", |health| {
            health["status"] == "degraded"
        })
        .await;
        assert_eq!(ask(admin, "/health").await.status, 200, "it still serves");
        let policies = &degraded["policies"];
        assert_eq!(
            (&policies["ok"], &policies["failures"]),
            (&json!(false), &json!(failures)),
            "{degraded}"
        );
        let error = policies["error"].as_str().unwrap();
        assert!(
            error.contains("app.yaml:1:") && error.contains("dney") && !error.contains('\n'),
            "{error}"
        );
        assert_eq!(metric(admin, "adit_policy_ok").await, 0);
        assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 403);

        gateway.put("app.yaml", &format!("# repaired\n{DENY}"));
        let repaired = health_until(admin, "the repair to show", |health| {
            health["status"] == "ok"
        })
        .await;
        assert_eq!(repaired["policies"]["error"], Value::Null);
        assert_eq!(repaired["policies"]["failures"], failures);
        assert_eq!(metric(admin, "adit_policy_ok").await, 1);
    }
    for (outcome, count) in [("applied", 2), ("refused", 2)] {
        let sample = format!("adit_policy_reloads_total{{outcome=\"{outcome}\"}}");
        assert_eq!(metric(admin, &sample).await, count, "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_and_verdicts_are_counted_where_they_went() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(
        &[("app.yaml", DENY)],
        &FROM_FILE.replace("}]", "}, { url: http://open.localhost }]"),
    )
    .await;
    let (admin, http) = (gateway.admin(), gateway.http());
    let answers = "on_http_request: [{ actions: [{ type: custom-response, config: { status_code: 418 } }] }]\n";
    let _agent = Agent::builder(&gateway)
        .url("http://open.localhost")
        .upstream(service.addr())
        .url("http://secret-name.localhost")
        .policy(answers)
        .url("http://other.localhost")
        .start()
        .await;
    for (host, path, status) in [
        ("app.localhost", "/", 403),
        ("app.localhost", "/", 403),
        ("open.localhost", "/status/204", 204),
        ("open.localhost", "/status/500", 500),
        ("secret-name.localhost", "/", 418),
        ("other.localhost", "/", 200),
        ("nowhere.localhost", "/", 404),
    ] {
        assert_eq!(visit(http, host, path).await.0, status, "{host}");
    }
    for (endpoint, status, count) in [
        ("http://app.localhost", "4xx", 2),
        ("http://open.localhost", "2xx", 1),
        ("http://open.localhost", "5xx", 1),
        ("http://open.localhost", "4xx", 0),
        ("agents", "4xx", 1),
        ("agents", "2xx", 1),
        ("none", "4xx", 1),
    ] {
        let sample = format!("adit_exchanges_total{{endpoint=\"{endpoint}\",status=\"{status}\"}}");
        metric_until(admin, &sample, count).await;
    }
    for (endpoint, verdict, count) in [
        ("http://app.localhost", "deny", 2),
        ("http://open.localhost", "deny", 0),
        ("agents", "answer", 1),
    ] {
        let sample =
            format!("adit_policy_verdicts_total{{endpoint=\"{endpoint}\",verdict=\"{verdict}\"}}");
        assert_eq!(metric(admin, &sample).await, count, "{sample}");
    }
    assert_eq!(metric(admin, "adit_sessions").await, 1);
    assert_eq!(metric(admin, "adit_endpoints").await, 4);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        metric(admin, &format!("adit_build_info{{version=\"{version}\"}}")).await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a52_b_neither_clients_nor_agents_make_series() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://agents-name.localhost", service.addr()).await;
    let before = ask(gateway.admin(), "/metrics").await.text();
    for host in ["agents-name.localhost", "a.localhost", "b.example", "c.d"] {
        for path in ["/1", "/2", "/status/599"] {
            visit(gateway.http(), host, path).await;
        }
    }
    let after = ask(gateway.admin(), "/metrics").await.text();
    assert_eq!(before.lines().count(), after.lines().count());
    assert!(!after.contains("agents-name"), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_pools_verdicts_and_latency_and_their_counters_never_fall() {
    let service = Service::echo().await;
    let policy = "on_http_request: [{ expressions: [\"req.url.path == '/denied'\"], actions: [{ type: deny }] }]\n";
    let gateway = Gateway::with_files(&[("app.yaml", policy)], FROM_FILE).await;
    let (admin, http) = (gateway.admin(), gateway.http());
    let agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for path in ["/", "/", "/denied"] {
        visit(http, "app.localhost", path).await;
    }
    let endpoint = "endpoint=\"http://app.localhost\"";
    let of_agent = format!("{{{endpoint},agent=\"tester\"}}");
    let requests = format!("adit_pool_requests_total{of_agent}");
    metric_until(admin, &requests, 2).await;
    let count = format!("adit_exchange_duration_seconds_count{{{endpoint}}}");
    metric_until(admin, &count, 3).await;
    let samples = prometheus::read(&ask(admin, "/metrics").await.text());
    for (sample, value) in [
        (
            format!("adit_action_verdicts_total{{{endpoint},action=\"deny\",verdict=\"deny\"}}"),
            1.0,
        ),
        (format!("adit_pool_members{of_agent}"), 1.0),
        (format!("adit_pool_weight{of_agent}"), 100.0),
        (format!("adit_pool_in_flight{of_agent}"), 0.0),
        (format!("adit_pool_ejections_total{of_agent}"), 0.0),
        (format!("adit_pool_retries_total{{{endpoint}}}"), 0.0),
        (
            format!("adit_exchange_duration_seconds_bucket{{{endpoint},le=\"+Inf\"}}"),
            3.0,
        ),
    ] {
        assert_eq!(samples.get(&sample), Some(&value), "{sample}");
    }
    // When the agent is gone its gauges are, too; what it has counted stays, and goes on with the next one.
    agent.close().await;
    health_until(admin, "the session to be gone", |health| {
        health["sessions"] == 0
    })
    .await;
    let samples = prometheus::read(&ask(admin, "/metrics").await.text());
    assert_eq!(samples.get(&requests), Some(&2.0));
    assert!(!samples.contains_key(&format!("adit_pool_members{of_agent}")));
    let _again = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    assert_eq!(visit(http, "app.localhost", "/").await.0, 200);
    metric_until(admin, &requests, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a50_a_nothing_of_it_is_behind_the_public_listeners() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin();
    for host in [
        admin.to_string(),
        "localhost".to_owned(),
        format!("localhost:{}", gateway.http().port()),
        "127.0.0.1".to_owned(),
    ] {
        for path in ["/health", "/metrics"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let plain = raw::send(gateway.http(), &request).await;
            assert_eq!(plain.status, 404, "{host}{path}: {plain:?}");
            let secure = raw::send_tls(&gateway, "localhost", &request).await;
            assert!(
                matches!(secure.status, 404 | 421),
                "{host}{path}: {secure:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a50_c_d_a_strangers_page_gets_nothing() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin();
    for (request, status) in [
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: [::1]:9180\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\n\r\n", 403),
        (
            "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            403,
        ),
        (
            "POST /metrics HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n",
            403,
        ),
        (
            "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            405,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (
            "GET /health/../metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            404,
        ),
        ("nonsense\r\n\r\n", 400),
    ] {
        let answer = raw::send(admin, request).await;
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        assert!(
            answer.header("access-control-allow-origin").is_none(),
            "{answer:?}"
        );
    }
    // One request a connection, and no endless heads.
    let mut client = raw::Client::connect(admin).await;
    let twice = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
    client.send(twice).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.rest().await.is_empty());
    let long = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    assert_ne!(raw::send(admin, long).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_being_asked_for_there_is_none() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("gateway.yaml");
    let text = format!(
        "domain: localhost\nlisten: {{ https: null, http: \"127.0.0.1:0\" }}\ndata_dir: \"{}\"\n",
        folder.path().join("data").display()
    );
    fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    let gateway = adit_gateway::Gateway::start(config).await.unwrap();
    assert_eq!(gateway.admin(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_drains_says_so_until_it_ends() {
    let service = Service::echo().await;
    let addr = service.addr();
    let endpoints: [(&str, &dyn std::fmt::Display); 1] = [("http://app.localhost", &addr)];
    let mut deployed = Deployed::start("", &endpoints).await;
    assert_eq!(ask(deployed.admin, "/health").await.status, 200);
    let mut running = raw::Client::connect(Public::http(&deployed)).await;
    running
        .send("GET /slow-head HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    service.wait_for_requests(1).await;
    deployed.gateway.term();
    health_until(deployed.admin, "the gateway to drain", |health| {
        health["status"] == "draining"
    })
    .await;
    assert_eq!(ask(deployed.admin, "/health").await.status, 503);
    service.release();
    assert_eq!(running.answer().await.status, 200);
    assert_eq!(deployed.gateway.wait_exit().await.code(), Some(0));
}
