//! The access log: what its lines tell, what they never tell, and that a file can be moved away.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{
    Agent, Deployed, Gateway, Service, curl, raw, soon,
    visitor::{Visitor2, visit},
};

const EVERYTHING: &str = "[time, client, method, scheme, protocol, host, path, query, status, error_code, bytes_in, bytes_out, \
     duration_ms, first_byte_ms, endpoint, forwarded_to, agent, member, tries, retry_reasons, verdict, rule, user, \
     user_agent, referer, trace_id, tls_version, tls_cipher, sni, ja4, ended]";

/// `gateway.yaml` with an access log in its folder.
fn to_file(more: &str) -> String {
    format!("log: {{ access: {{ to: access.log, fields: {EVERYTHING} }} }}\n{more}")
}

/// The lines of a file, once there are so many: an exchange is told when it has ended, which its client does not see.
async fn lines(file: &Path, wanted: usize) -> Vec<Value> {
    let text = texts(file, wanted).await;
    text.iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

async fn texts(file: &Path, wanted: usize) -> Vec<String> {
    let reading = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let text = fs::read_to_string(file).unwrap_or_default();
            let whole = text.matches('\n').count();
            if whole >= wanted {
                return text.lines().map(str::to_owned).collect();
            }
        }
    };
    soon("the lines of the access log", reading).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_tells_who_asked_for_what_and_how_it_went() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(&[], &to_file("")).await;
    let _agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .url("http://app.localhost")
        .start()
        .await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = curl(
        &gateway,
        [
            "https://app.localhost/some/path?q=1",
            "--http2",
            "--data",
            "12345",
            "--user-agent",
            "tester/1",
            "--header",
            "Referer: https://else.example/x",
            "--header",
            &format!("traceparent: {trace}"),
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(service.only_request().header("traceparent"), Some(trace));
    let file = gateway.folder().join("access.log");
    let line = lines(&file, 1).await.remove(0);
    for (field, value) in [
        ("client", json!("127.0.0.1")),
        ("method", json!("POST")),
        ("scheme", json!("https")),
        ("protocol", json!("h2")),
        ("host", json!("app.localhost")),
        ("path", json!("/some/path")),
        ("query", json!("q=1")),
        ("status", json!(200)),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(answer.body.len())),
        ("endpoint", json!("https://app.localhost")),
        ("agent", json!("tester")),
        ("tries", json!(1)),
        ("user_agent", json!("tester/1")),
        ("referer", json!("https://else.example/x")),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("tls_version", json!("1.3")),
        ("sni", json!("app.localhost")),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    let (first, whole) = (&line["first_byte_ms"], &line["duration_ms"]);
    assert!(first.as_f64().unwrap() > 0.0 && first.as_f64() <= whole.as_f64());
    assert!(
        line["member"].as_str().unwrap().starts_with("mb_"),
        "{line}"
    );
    assert!(line["ja4"].as_str().unwrap().starts_with("t13d"), "{line}");
    for absent in ["error_code", "forwarded_to", "verdict", "rule", "user"] {
        assert!(line.get(absent).is_none(), "{absent}: {line}");
    }

    // Where nobody serves, over HTTP/1.
    assert_eq!(visit(gateway.http(), "nobody.localhost", "/").await.0, 404);
    let line = lines(&file, 2).await.remove(1);
    assert_eq!(
        (&line["host"], &line["status"], &line["error_code"]),
        (
            &json!("nobody.localhost"),
            &json!(404),
            &json!("ERR_ADIT_3200")
        )
    );
    assert_eq!(line["protocol"], "http/1.1");
    assert!(line.get("endpoint").is_none() && line.get("agent").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_names_the_rule_that_had_the_last_word_even_if_nothing_was_answered() {
    let service = Service::echo().await;
    let policy = "
on_http_request:
  - { expressions: [\"req.url.path == '/denied'\"], actions: [{ type: deny, config: { status_code: 451 } }] }
  - { name: shut, expressions: [\"req.url.path == '/closed'\"], actions: [{ type: close-connection }] }
  - { actions: [{ type: basic-auth, config: { credentials: [\"ada:correct-horse\"] } }] }
";
    let endpoints =
        to_file("endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]\n");
    let gateway = Gateway::with_files(&[("app.yaml", policy)], &endpoints).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let file = gateway.folder().join("access.log");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n");
    let denied = raw::send(gateway.http(), get("/denied") + "\r\n").await;
    assert_eq!(denied.status, 451);
    let line = lines(&file, 1).await.remove(0);
    assert_eq!(line["verdict"], "deny", "{line}");
    assert_eq!(line["rule"], "on_http_request[0].actions[0] (deny)");
    assert_eq!(line["tries"], 0);

    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(get("/closed") + "\r\n").await;
    assert!(client.rest().await.is_empty());
    let line = lines(&file, 2).await.remove(1);
    assert_eq!(
        (&line["verdict"], line.get("status")),
        (&json!("close"), None)
    );

    let login = "Authorization: Basic YWRhOmNvcnJlY3QtaG9yc2U=\r\n\r\n";
    assert_eq!(
        raw::send(gateway.http(), get("/") + login).await.status,
        200
    );
    let texts = texts(&file, 3).await;
    let line: Value = serde_json::from_str(&texts[2]).unwrap();
    assert_eq!(
        (&line["user"], &line["status"]),
        (&json!("ada"), &json!(200))
    );
    assert!(!texts.concat().contains("correct-horse") && !texts.concat().contains("YWRh"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_from_a_secret_is_in_no_line() {
    const SECRET: &str = "swordfish-9f";
    let policy = "
on_http_request:
  - actions:
      - type: set-vars
        config: { vars: [{ key: \"${secrets.get('web', 'key')}\" }] }
      - type: url-rewrite
        config: { from: \"/in\", to: \"/out/${vars.key}?key=${vars.key}\" }
      - type: add-headers
        config: { headers: { user-agent: \"robot ${vars.key}\" } }
";
    let extra = to_file(
        "secrets: [{ name: web, directory: vault }]\n\
         endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]\n",
    );
    let folder = tempfile::TempDir::new().unwrap();
    fs::create_dir(folder.path().join("vault")).unwrap();
    fs::write(folder.path().join("vault/key"), SECRET).unwrap();
    let extra = extra.replace("vault", &folder.path().join("vault").display().to_string());
    let service = Service::echo().await;
    let gateway = Gateway::with_files(&[("app.yaml", policy)], &extra).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let answer = raw::send(
        gateway.http(),
        "GET /in HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = service.only_request();
    assert!(request.target.contains(SECRET), "{request:?}");
    let text = texts(&gateway.folder().join("access.log"), 1)
        .await
        .concat();
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.contains("[redacted]"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a52_a_a_client_cannot_write_lines_of_its_own() {
    let service = Service::echo().await;
    for format in ["json", "text"] {
        let extra = to_file("").replace(
            "to: access.log",
            &format!("to: access.log, format: {format}"),
        );
        let gateway = Gateway::with_files(&[], &extra).await;
        let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
        // What HTTP/1 lets through: bytes above 127, quotes, backslashes, tabs.
        let evil = b"GET /%0d%0a HTTP/1.1\r\nHost: app.localhost\r\n\r\n".to_vec();
        assert_eq!(raw::send(gateway.http(), &evil).await.status, 400);
        let mut evil =
            b"GET /x?a=1 HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: a\" status=200 \\".to_vec();
        evil.extend_from_slice(
            b"\t\xc2\x9b2J\xe2\x80\xae\xff\r\nReferer: \",\"status\":200}\r\n\r\n",
        );
        let answer = raw::send(gateway.http(), &evil).await;
        let file = gateway.folder().join("access.log");
        let texts = texts(&file, 2).await;
        assert_eq!(texts.len(), 2, "{texts:?}");
        let harmful = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!texts.concat().contains(harmful), "{texts:?}");
        if format == "json" {
            let line: Value = serde_json::from_str(&texts[1]).unwrap();
            assert_eq!(line["status"], answer.status);
            let agent = line["user_agent"].as_str().unwrap();
            assert!(
                agent.starts_with("a\" status=200 \\\t\u{9b}2J"),
                "{agent:?}"
            );
        } else {
            assert!(
                texts[1].contains("user_agent=\"a\\\" status=200 \\\\\\t\\u009b2J"),
                "{texts:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_fields_go_to_stdout_and_a_file_that_was_moved_is_opened_anew_at_sighup() {
    let service = Service::echo().await;
    let addr = service.addr();
    let endpoints: [(&str, &dyn std::fmt::Display); 1] = [("http://app.localhost", &addr)];
    let mut deployed = Deployed::start("log: { access: { to: stdout } }\n", &endpoints).await;
    assert_eq!(
        visit(deployed.http, "app.localhost", "/a?secret=1").await.0,
        200
    );
    let line = deployed
        .gateway
        .wait_for_line(|line| line.contains("\"path\":\"/a\""))
        .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["status"], &line["agent"]),
        (&json!(200), &json!("tester"))
    );
    for secret in ["query", "user", "referer"] {
        assert!(line.get(secret).is_none(), "{line}");
    }
    assert!(!deployed.gateway.output().contains("secret=1"));

    let folder = tempfile::TempDir::new().unwrap();
    let (file, old) = (
        folder.path().join("access.log"),
        folder.path().join("old.log"),
    );
    let extra = format!(
        "log: {{ access: {{ to: \"{}\", format: text, fields: [path, status] }} }}\n",
        file.display()
    );
    let mut deployed = Deployed::start(&extra, &endpoints).await;
    assert_eq!(visit(deployed.http, "app.localhost", "/1").await.0, 200);
    assert_eq!(texts(&file, 1).await, ["path=/1 status=200"]);
    fs::rename(&file, &old).unwrap();
    deployed.gateway.signal("HUP");
    deployed
        .gateway
        .wait_for_line(|line| line.contains("the configuration was read again"))
        .await;
    assert_eq!(visit(deployed.http, "app.localhost", "/2").await.0, 200);
    assert_eq!(texts(&file, 1).await, ["path=/2 status=200"]);
    assert_eq!(texts(&old, 1).await, ["path=/1 status=200"]);
    // What was said last is there when the gateway has ended.
    let many = Visitor2::connect(deployed.http).await;
    for _ in 0..50 {
        assert_eq!(many.text("app.localhost", "/3").await.unwrap().0, 200);
    }
    drop(many);
    deployed.gateway.term();
    assert_eq!(deployed.gateway.wait_exit().await.code(), Some(0));
    assert_eq!(texts(&file, 51).await.len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_begins_at_the_gateway_if_none_comes() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(&[], &to_file("")).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let get = |more: &str| format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{more}\r\n");
    for more in ["", "traceparent: nonsense\r\n", "tracestate: a=1\r\n"] {
        assert_eq!(raw::send(gateway.http(), get(more)).await.status, 200);
    }
    let lines = lines(&gateway.folder().join("access.log"), 3).await;
    let mut ids = Vec::new();
    for (request, line) in service.requests().iter().zip(&lines) {
        let parents = request.all("traceparent");
        let [parent] = parents[..] else {
            panic!("{parents:?}")
        };
        let id = line["trace_id"].as_str().unwrap();
        assert!(parent.starts_with(&format!("00-{id}-")) && parent.ends_with("-01"));
        assert!(request.all("tracestate").is_empty());
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}
