//! The admin API and those who may not use it, or say what it does not know.

use adit_gateway::token::TokenHash;
use serde_json::json;

use crate::{
    admin_api::DECLARED,
    harness::{Gateway, api::Api, raw},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a50_b_c_d_only_who_shows_a_token_of_the_api_is_answered() {
    let (other, hash) = adit_gateway::token::generate();
    let gateway = Gateway::with(&format!("api: {{ token_hash: \"{hash}\" }}\n")).await;
    let api = Api::of(&gateway);
    assert!(!TokenHash::of(&api.token).is_of(&other));
    for (lines, status, code) in [
        (
            format!("Host: localhost\r\nAuthorization: Bearer {}\r\n", api.token),
            200,
            "",
        ),
        (
            format!("Host: localhost\r\nAuthorization: Bearer {other}\r\n"),
            200,
            "",
        ),
        ("Host: localhost\r\n".to_owned(), 401, "ERR_ADIT_200"),
        (
            "Host: localhost\r\nAuthorization: Bearer\r\n".to_owned(),
            401,
            "ERR_ADIT_202",
        ),
        (
            "Host: localhost\r\nAuthorization: Basic YTpi\r\n".to_owned(),
            401,
            "ERR_ADIT_202",
        ),
        (
            "Host: localhost\r\nAuthorization: Bearer adit_wrong\r\n".to_owned(),
            401,
            "ERR_ADIT_203",
        ),
        (
            format!(
                "Host: localhost\r\nAuthorization: Bearer {}\r\n",
                gateway.token()
            ),
            401,
            "ERR_ADIT_206",
        ),
        (
            format!(
                "Host: localhost\r\nAuthorization: Bearer x\r\nAuthorization: Bearer {other}\r\n"
            ),
            401,
            "ERR_ADIT_202",
        ),
        (
            format!("Host: evil.example\r\nAuthorization: Bearer {other}\r\n"),
            403,
            "ERR_ADIT_50032",
        ),
        (
            format!(
                "Host: localhost\r\nOrigin: http://evil.example\r\nAuthorization: Bearer {other}\r\n"
            ),
            403,
            "ERR_ADIT_50032",
        ),
    ] {
        let answer = raw::send(
            api.address,
            format!("GET /endpoints HTTP/1.1\r\n{lines}\r\n"),
        )
        .await;
        assert_eq!(answer.status, status, "{lines}: {answer:?}");
        assert!(answer.header("access-control-allow-origin").is_none());
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        let said = answer.json();
        if status != 200 {
            assert_eq!(
                (&said["error_code"], &said["status_code"]),
                (&json!(code), &json!(status))
            );
        }
        // Nothing that was shown comes back.
        let text = answer.text();
        assert!(
            !text.contains(&other)
                && !text.contains(&api.token)
                && !text.contains(&gateway.token())
        );
    }
    // What has no token here has none at the other listeners, and is not behind the public ones.
    assert_eq!(
        crate::harness::operator::ask(gateway.admin(), "/endpoints")
            .await
            .status,
        404
    );
    let public = format!(
        "GET /endpoints HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {other}\r\n\r\n"
    );
    assert_eq!(raw::send(gateway.http(), public).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a50_e_f_what_is_not_known_is_refused() {
    let gateway = Gateway::with(DECLARED).await;
    let api = Api::of(&gateway);
    for (method, path, status, code) in [
        ("GET", "/", 404, 50030),
        ("GET", "/metrics", 404, 50030),
        ("GET", "/endpoints/ep_nobody", 404, 50030),
        ("GET", "/endpoints/ep_nobody/members/mb_nobody", 404, 50030),
        ("GET", "/tunnel_sessions/ts_1", 404, 50030),
        ("POST", "/tunnel_sessions/ts_1/stop", 404, 50030),
        ("GET", "/traces/tr_1", 404, 50030),
        ("GET", "/endpoints/../traces", 400, 213),
        ("GET", "/endpoints//x", 400, 213),
        ("GET", "/endpoints/%2e%2e", 400, 213),
        ("DELETE", "/endpoints", 405, 50031),
        ("GET", "/tunnel_sessions/ts_1/stop", 405, 50031),
        ("GET", "/endpoints?limit=0", 400, 233),
        ("GET", "/endpoints?limit=101", 400, 233),
        ("GET", "/endpoints?limit=x", 400, 233),
        ("GET", "/endpoints?filter=x", 400, 216),
        ("GET", "/endpoints?limit=1&limit=2", 400, 216),
        (
            "GET",
            "/traces?endpoint=http://nobody.localhost",
            404,
            50030,
        ),
    ] {
        let (got, problem) = api.ask(method, path, None).await;
        assert_eq!(got, status, "{method} {path}: {problem}");
        assert_eq!(
            problem["error_code"],
            format!("ERR_ADIT_{code}"),
            "{method} {path}"
        );
        assert!(!problem["msg"].as_str().unwrap().is_empty());
    }
    let version = |line: &str| {
        format!(
            "GET /endpoints HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{line}\r\n\r\n",
            api.token
        )
    };
    for (line, status) in [
        ("adit-version: 1", 200),
        ("ngrok-version: 2", 200),
        ("adit-version: 9", 400),
    ] {
        assert_eq!(
            raw::send(api.address, version(line)).await.status,
            status,
            "{line}"
        );
    }
    // One request a connection, and no endless bodies.
    let long = json!({ "for_seconds": 1, "endpoint": "x".repeat(64 * 1024) });
    let (status, problem) = api.ask("PUT", "/traces/capture", Some(long)).await;
    assert_eq!(
        (status, &problem["error_code"]),
        (400, &json!("ERR_ADIT_211"))
    );
}
