//! Actions that keep clients out: too many requests, a failing service, the wrong address.

use crate::harness::{Agent, Gateway, RawService, Service, curl, raw};

const URL: &str = "http://app.localhost/";
const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// A rule of one action.
fn rule(kind: &str, config: &str) -> String {
    format!("on_http_request: [{{ actions: [{{ type: {kind}, config: {{ {config} }} }}] }}]\n")
}

/// Two requests a day for each `x-key`.
fn two_a_day(more: &str) -> String {
    let key = "bucket_key: [\"getReqHeader('x-key')\"]";
    let config =
        format!("name: daily, algorithm: sliding_window, capacity: 2, rate: 24h, {key}{more}");
    rule("rate-limit", &config)
}

/// A gateway whose operator declared this policy.
async fn declared(policy: &str) -> Gateway {
    Gateway::with_files(
        &[("app.yaml", policy)],
        "endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]\n",
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let service = Service::echo().await;
    let gateway = declared(&two_a_day(", headers: always")).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let key = format!("x-key: {version}");
        let args = [version, "-H", &key, URL];
        for remaining in ["1", "0"] {
            let answer = curl(&gateway, args).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header("ratelimit-limit"), Some("2"));
            assert_eq!(answer.header("ratelimit-remaining"), Some(remaining));
        }
        let answer = curl(&gateway, args).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_50010"));
        assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((77_000..=95_040).contains(&seconds), "{answer:?}");
    }
    assert_eq!(service.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_goes_on_over_a_reload_and_an_agents_absence() {
    let service = Service::echo().await;
    let operator = two_a_day("");
    let gateway = declared(&operator).await;
    let forward = || async {
        Agent::builder(&gateway)
            .url("http://app.localhost")
            .upstream(service.addr())
            .url("http://own.localhost")
            .policy(&two_a_day(""))
            .start()
            .await
    };
    let ask = |host: &'static str| {
        let gateway = &gateway;
        async move {
            let url = format!("http://{host}.localhost/");
            curl(gateway, ["-H", "x-key: a", &url]).await.status
        }
    };
    let agent = forward().await;
    for host in ["app", "own"] {
        assert_eq!(
            (ask(host).await, ask(host).await, ask(host).await),
            (200, 200, 429),
            "{host}"
        );
    }
    agent.close().await;
    let _agent = forward().await;
    let more = "on_http_response: [{ actions: [{ type: add-headers, config: { headers: { x-new: a } } }] }]\n";
    gateway.put("app.yaml", &format!("{operator}{more}"));
    assert_eq!(gateway.reload().await.unwrap().changed, 1);
    for host in ["app", "own"] {
        assert_eq!(ask(host).await, 429, "{host}");
    }
    gateway.put("app.yaml", &operator.replace("capacity: 2", "capacity: 3"));
    gateway.reload().await.unwrap();
    assert_eq!(ask("app").await, 200, "other settings begin anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_fails_is_left_alone_for_a_while() {
    let policy = rule(
        "circuit-breaker",
        "volume_threshold: 4, tripped_duration: 2m",
    );
    let service = Service::echo().await;
    let gateway = declared(&policy).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for status in ["200", "404", "500", "503"] {
        let url = format!("http://app.localhost/status/{status}");
        assert_eq!(curl(&gateway, [&url]).await.status.to_string(), status);
    }
    let answer = curl(&gateway, [URL]).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3202"));
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((100..=120).contains(&seconds), "{answer:?}");
    assert_eq!(service.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_breaks_off_fails_and_a_client_that_leaves_does_not() {
    let policy = rule(
        "circuit-breaker",
        "volume_threshold: 1, tripped_duration: 2m",
    );
    let service = Service::echo().await;
    let gateway = declared(&policy).await;
    let agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for left in 1..=3 {
        let mut client = raw::Client::connect(gateway.http()).await;
        client.send(GET.replace("/ ", "/hang ")).await;
        service.wait_for_requests(left).await;
        drop(client);
        service
            .wait_for("the client left", |counts| counts.abandoned == left)
            .await;
    }
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status, 200);
    agent.close().await;

    let broken = RawService::start(|mut conn| async move {
        conn.head().await;
    })
    .await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", broken.addr()).await;
    let answer = curl(&gateway, ["-X", "POST", URL]).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let answer = curl(&gateway, [URL]).await;
    assert_eq!(
        answer.header("adit-error-code"),
        Some("ERR_ADIT_3202"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_outside_the_list_stay_outside() {
    let service = Service::echo().await;
    for (ranges, status) in [
        ("allow: [127.0.0.0/8]", 200),
        ("allow: [0.0.0.0/0], deny: [\"::ffff:127.0.0.1\"]", 403),
        ("allow: [\"${getReqHeader('x-range')}\"]", 403),
    ] {
        let gateway = declared(&rule("restrict-ips", ranges)).await;
        let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
        let answer = curl(
            &gateway,
            [
                "-H",
                "x-forwarded-for: 10.1.2.3",
                "-H",
                "x-range: 10.0.0.0/8",
                URL,
            ],
        )
        .await;
        assert_eq!(answer.status, status, "{ranges}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3203"));
        }
    }
    assert_eq!(service.requests().len(), 1);
}
