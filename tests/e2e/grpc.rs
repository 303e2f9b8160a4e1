//! gRPC with grpcio at both ends, which shares no code with Adit: `grpc/service.py` and `grpc/client.py`.

use std::{path::PathBuf, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::harness::{Agent, Gateway, soon};

/// What every gRPC service must be able to do through the gateway.
const CASES: [&str; 9] = [
    "unary",
    "many-calls",
    "server-streaming",
    "client-streaming",
    "bidirectional-streaming",
    "error-status",
    "deadline",
    "cancel",
    "forwarded",
];

/// A Python script of this folder, in the environment that scripts/setup-test.sh makes.
pub(crate) fn python(script: &str) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-venv/bin/python");
    assert!(
        python.exists(),
        "no {}: run scripts/setup-test.sh",
        python.display()
    );
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/e2e/grpc").join(script))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true);
    command
}

/// The service, for as long as it is held.
struct Grpc {
    port: u16,
    _process: Child,
}

impl Grpc {
    async fn start() -> Self {
        let mut process = python("service.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = soon("the gRPC service", lines.next_line())
            .await
            .unwrap()
            .expect("it says ready");
        let port = line.strip_prefix("ready ").unwrap().parse().unwrap();
        Self {
            port,
            _process: process,
        }
    }
}

/// Runs the client; every case must hold.
async fn holds(gateway: &Gateway, url: &str, cases: &[&str]) {
    let (port, ca) = match url.split_once("://").unwrap().0 {
        "https" => (
            gateway.https().port(),
            gateway.ca_pem().display().to_string(),
        ),
        _ => (gateway.http().port(), "-".to_owned()),
    };
    let host = url.split_once("://").unwrap().1;
    let output = python("client.py")
        .arg(port.to_string())
        .arg(host)
        .arg(ca)
        .args(cases)
        .output();
    let output = soon("the gRPC client", output).await.unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let held: Vec<_> = said
        .lines()
        .filter_map(|line| line.strip_prefix("ok "))
        .collect();
    assert_eq!(held, cases, "over {url}:\n{complained}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_over_tls_to_a_service_that_speaks_http_2() {
    let service = Grpc::start().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.port)
        .protocol_http2();
    let _agent = agent.start().await;
    holds(&gateway, "https://app.localhost", &CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_over_plain_text_to_a_service_that_speaks_http_2() {
    let service = Grpc::start().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.port)
        .protocol_http2();
    let _agent = agent.start().await;
    holds(&gateway, "http://app.localhost", &CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_is_known_by_its_content_type_when_nobody_said_http_2() {
    let service = Grpc::start().await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.port).await;
    holds(&gateway, "https://app.localhost", &CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_the_gateway_are_statuses() {
    let service = Grpc::start().await;
    let gateway = Gateway::with("endpoints: [{ url: \"https://empty.localhost\" }]").await;
    let agent = Agent::builder(&gateway)
        .url("https://denied.localhost")
        .upstream(service.port)
        .policy("on_http_request: [{ actions: [{ type: deny }] }]")
        .start()
        .await;
    holds(&gateway, "https://denied.localhost", &["permission-denied"]).await;
    holds(&gateway, "https://empty.localhost", &["unavailable"]).await;
    holds(&gateway, "https://nobody.localhost", &["unimplemented"]).await;
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_unavailable() {
    let gateway = Gateway::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(free)
        .protocol_http2()
        .start()
        .await;
    holds(&gateway, "https://app.localhost", &["unavailable"]).await;
}
