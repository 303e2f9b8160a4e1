//! Policies that keep clients out, send them elsewhere, or let services see another request.

use crate::harness::{Agent, Gateway, RawService, Service, curl};

fn declared(actions: &str) -> String {
    format!(
        "endpoints: [{{ url: \"https://app.localhost\", traffic_policy: {{ on_http_request: [{{ actions: [{actions}] }}] }} }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a38_only_who_knows_a_password_reaches_the_service() {
    let service = Service::echo().await;
    let gateway = Gateway::with(&declared(
        "{ type: basic-auth, config: { credentials: ['alice:correct horse'], realm: vault } }",
    ))
    .await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let good = "Authorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==";
    for version in ["--http1.1", "--http2"] {
        for refused in [
            vec!["-u", "alice:wrong horse"],
            vec!["-u", "eve:correct horse"],
            vec!["-H", good, "-H", "Authorization: Basic ZXZlOmFiY2RlZmdo"],
            vec!["-H", "Authorization: Basic YWxpY2U="],
            vec!["-H", "Authorization: Basic %%%"],
            vec![],
        ] {
            let mut arguments = refused.clone();
            arguments.extend([
                version,
                "-H",
                "accept: application/json",
                "https://app.localhost/",
            ]);
            let answer = curl(&gateway, arguments).await;
            assert_eq!(answer.status, 401, "{refused:?}: {answer:?}");
            assert_eq!(
                (
                    answer.header("www-authenticate"),
                    answer.header("adit-error-code")
                ),
                (
                    Some("Basic realm=\"vault\", charset=\"UTF-8\""),
                    Some("ERR_ADIT_50011")
                )
            );
            assert_eq!(answer.json()["error_code"], "ERR_ADIT_50011");
        }
        assert_eq!(service.counts().connections, 0);
    }
    for version in ["--http1.1", "--http2"] {
        let arguments = [
            version,
            "-u",
            "alice:correct horse",
            "https://app.localhost/",
        ];
        let answer = curl(&gateway, arguments).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let seen = service.requests().pop().unwrap();
    assert!(seen.header("authorization").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a05_a_redirect_is_one_line_whatever_the_client_sends() {
    let gateway = Gateway::with(&declared(
        "{ type: redirect, config: { to: \"/to/${req.url.query_params['q'][0]}\", status_code: 307 } }",
    ))
    .await;
    let url = "https://app.localhost/?q=San%20Francisco%0d%0aset-cookie:%20a=b";
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&gateway, [version, url]).await;
        assert_eq!(answer.status, 307, "{answer:?}");
        let port = gateway.https().port();
        let location =
            format!("https://app.localhost:{port}/to/San%20Francisco%0D%0Aset-cookie:%20a=b");
        assert_eq!(answer.header("location"), Some(&*location));
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_sees_the_rewritten_request_and_clients_the_public_host() {
    let service = RawService::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://inner.example/login?a\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let gateway = Gateway::with(&declared(
        "{ type: url-rewrite, config: { from: '/api/(.*)$', to: '/v2/$1' } }, \
         { type: remove-headers, config: { headers: ['x-internal-*'] } }, \
         { type: add-headers, config: { headers: { host: inner.example } } }",
    ))
    .await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let url = "https://app.localhost/api/a%2Fb?c=d";
    let public = format!("https://app.localhost:{}/login?a", gateway.https().port());
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&gateway, [version, "-H", "x-internal-id: 1", url]).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.header("location"), Some(&*public), "{version}");
    }
    let seen = service.received_text().concat().to_ascii_lowercase();
    let times = |text: &str| seen.matches(text).count();
    assert_eq!(times("get /v2/a%2fb?c=d http/1.1\r\n"), 2, "{seen}");
    assert_eq!(times("\r\nhost: inner.example\r\n"), 2, "{seen}");
    assert_eq!(
        (times("\r\nhost:"), times("x-internal-id")),
        (2, 0),
        "{seen}"
    );
}
