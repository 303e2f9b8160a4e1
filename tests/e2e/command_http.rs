//! `adit http` and `adit start`: with a gateway of their own or another's, and what they say meanwhile.

use std::{collections::HashMap, net::SocketAddr, path::Path, sync::Arc};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::harness::{
    AditProcess, Gateway, command,
    command::run,
    lines::{field, logfmt, place, started},
    named::Named,
    soon,
    visitor::{Visitor, until, visit},
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

fn new_home() -> Arc<TempDir> {
    Arc::new(TempDir::new().unwrap())
}

// === a gateway of one's own ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_http_with_nothing_configured_serves_https_and_http() {
    let service = Named::start("app").await;
    let port = service.address().port().to_string();
    let mut adit = AditProcess::spawn(["http", &port], &[]);
    let line = adit
        .wait_for_line(|line| line.contains("local certificate authority"))
        .await;
    let ca = field(&line, "ca");
    assert!(field(&line, "trust").contains(&ca), "{line}");
    let (mut https, mut http) = (None, None);
    for _ in 0..2 {
        let line = adit
            .wait_for_line(|line| line.contains("started tunnel"))
            .await;
        let url = field(&line, "url");
        assert_eq!(field(&line, "addr"), format!("http://localhost:{port}"));
        let kept = if url.starts_with("https:") {
            &mut https
        } else {
            &mut http
        };
        *kept = Some(url);
    }
    let (https, http) = (https.unwrap(), http.unwrap());
    let ((secure_host, secure), (plain_host, plain)) = (place(&https), place(&http));
    assert_eq!(secure_host, plain_host, "the same name for both");
    assert_eq!(visit(plain, &plain_host, "/").await, (200, "app /".into()));
    let resolve = format!("{secure_host}:{}:127.0.0.1", secure.port());
    let curl = tokio::process::Command::new("curl")
        .args([
            "-sS",
            "--noproxy",
            "*",
            "--cacert",
            &ca,
            "--resolve",
            &resolve,
            &https,
        ])
        .output();
    let got = soon("curl", curl).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&got.stdout),
        "app /",
        "{}",
        String::from_utf8_lossy(&got.stderr)
    );
    adit.signal("INT");
    assert_eq!(adit.wait_exit().await.code(), Some(0), "{}", adit.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_of_ones_own_takes_the_next_free_ports() {
    let (one, two) = (Named::start("one").await, Named::start("two").await);
    let mut first = AditProcess::spawn(["http", &one.address().port().to_string()], &[]);
    let (first_host, first_place) = place(&started(&mut first, "http").await);
    let mut second = AditProcess::spawn(["http", &two.address().port().to_string()], &[]);
    second
        .wait_for_line(|line| line.contains("were not both free"))
        .await;
    let (second_host, second_place) = place(&started(&mut second, "http").await);
    assert_ne!(first_place, second_place);
    assert_eq!(
        visit(first_place, &first_host, "/").await,
        (200, "one /".into())
    );
    assert_eq!(
        visit(second_place, &second_host, "/").await,
        (200, "two /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_can_be_named_and_a_policy_given() {
    let service = Named::start("app").await;
    let home = new_home();
    let policy = "on_http_request:\n- expressions: []\n  actions:\n  - type: deny\n    config: { status_code: 418 }\n";
    std::fs::write(
        home.path().join("policy.yaml"),
        policy.replace("- expressions: []\n  actions", "- actions"),
    )
    .unwrap();
    let port = service.address().port().to_string();
    let args = [
        "http",
        &port,
        "--url",
        URL,
        "--traffic-policy-file",
        "policy.yaml",
    ];
    let mut adit = AditProcess::spawn_in(home, args, &[]);
    let (host, address) = place(&started(&mut adit, "http").await);
    assert_eq!(host, HOST);
    assert_eq!(visit(address, HOST, "/").await.0, 418);
    assert_eq!(service.requests(), 0);
}

// === adit start ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_start_serves_what_is_named_or_all() {
    let gateway = Gateway::start().await;
    let (one, two) = (Named::start("one").await, Named::start("two").await);
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    let file = command::config_file(&home);
    let text = format!(
        "{}endpoints:\n- {{ name: one, url: \"http://one.localhost\", upstream: {{ url: \"{}\" }} }}\n\
         - {{ name: two, url: \"http://two.localhost\", upstream: {{ url: \"{}\" }} }}\n",
        std::fs::read_to_string(&file).unwrap(),
        one.address(),
        two.address()
    );
    std::fs::write(&file, text).unwrap();
    let mut named = AditProcess::spawn_in(Arc::clone(&home), ["start", "two"], &[]);
    started(&mut named, "http").await;
    assert_eq!(
        visit(gateway.http(), "two.localhost", "/").await,
        (200, "two /".into())
    );
    assert_eq!(visit(gateway.http(), "one.localhost", "/").await.0, 404);
    named.term();
    assert_eq!(named.wait_exit().await.code(), Some(0));
    let mut all = AditProcess::spawn_in(Arc::clone(&home), ["start", "--all"], &[]);
    started(&mut all, "http").await;
    started(&mut all, "http").await;
    for name in ["one", "two"] {
        let host = format!("{name}.localhost");
        assert_eq!(
            visit(gateway.http(), &host, "/").await,
            (200, format!("{name} /"))
        );
    }
    let unknown = run(&home, ["start", "three"]).await;
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("no endpoint called three"),
        "{unknown:?}"
    );
    assert!(unknown.stderr.contains("one, two"), "{unknown:?}");
}

// === log lines ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_what_wrappers_read() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let upstream = service.address().to_string();
    for format in ["logfmt", "json"] {
        let args = [
            "http",
            &upstream,
            "--url",
            URL,
            "--log=stdout",
            "--log-level=debug",
            "--log-format",
            format,
        ];
        let mut agent = command::agent(&gateway, args);
        agent
            .wait_for_line(|line| line.contains("started tunnel"))
            .await;
        visit(gateway.http(), HOST, "/some/path?secret=1").await;
        agent
            .wait_for_line(|line| line.contains("/some/path"))
            .await;
        agent.term();
        agent.wait_exit().await;
        let output = agent.output();
        assert!(
            !output.contains("secret=1") && !output.contains(&gateway.token()),
            "{output}"
        );
        let read: Vec<HashMap<String, String>> = output
            .lines()
            .map(|line| {
                if format == "json" {
                    json(line)
                } else {
                    logfmt(line)
                }
            })
            .collect();
        for line in &read {
            assert!(line["t"].ends_with("+0000"), "{line:?}");
            assert!(
                ["dbug", "info", "warn", "eror", "crit"].contains(&line["lvl"].as_str()),
                "{line:?}"
            );
        }
        let said = |msg: &str| {
            read.iter()
                .find(|line| line["msg"] == msg)
                .unwrap_or_else(|| panic!("{msg}: {output}"))
        };
        let tunnel = said("started tunnel");
        assert_eq!(tunnel["obj"], "tunnels");
        assert_eq!(tunnel["addr"], format!("http://{upstream}"));
        assert!(
            tunnel["url"].starts_with("http://app.localhost:"),
            "{tunnel:?}"
        );
        said("client session established");
        assert_eq!(said("request")["status"], "200");
    }
}

fn json(line: &str) -> HashMap<String, String> {
    let Value::Object(map) =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    else {
        panic!("no object: {line}")
    };
    map.into_iter()
        .map(|(key, value)| {
            (
                key,
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), ToOwned::to_owned),
            )
        })
        .collect()
}

// === kinds of upstreams ===

/// Answers one request of a connection, whatever it is.
async fn answer_once(mut io: impl AsyncRead + AsyncWrite + Unpin, body: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(io.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    drop(io.write_all(answer.as_bytes()).await);
    drop(io.shutdown().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_a_unix_socket_is_served() {
    let gateway = Gateway::start().await;
    let home = new_home();
    let path = home.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            tokio::spawn(answer_once(io, "unix"));
        }
    });
    let upstream = format!("unix:{}", path.display());
    let mut agent = command::agent(&gateway, ["http", &upstream, "--url", URL]);
    started(&mut agent, "http").await;
    let mut visitor = Visitor::connect(gateway.http()).await;
    for _ in 0..3 {
        assert_eq!(visitor.text(HOST, "/").await, (200, "unix".into()));
    }
}

/// A TLS service with a certificate of its own; the file is its authority.
async fn tls_service(dir: &Path) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = dir.join("service.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(io) = acceptor.accept(io).await {
                    answer_once(io, "tls").await;
                }
            });
        }
    });
    (address, file.display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_service_is_taken_as_it_is_or_verified() {
    let gateway = Gateway::start().await;
    let home = new_home();
    let (address, ca) = tls_service(home.path()).await;
    let upstream = format!("https://localhost:{}", address.port());
    for (flags, status) in [
        (&[][..], 200),
        (&["--upstream-tls-verify-cas", &ca], 200),
        (&["--upstream-tls-verify"], 502),
    ] {
        let args = ["http", &upstream, "--url", URL]
            .into_iter()
            .chain(flags.iter().copied());
        let mut agent = command::agent(&gateway, args);
        started(&mut agent, "http").await;
        let (got, page) = visit(gateway.http(), HOST, "/").await;
        assert_eq!(got, status, "{flags:?}: {page}");
        if status == 502 {
            assert!(page.contains("TLS handshake"), "{page}");
        }
        agent.term();
        agent.wait_exit().await;
        until(gateway.http(), HOST, 404).await;
    }
}
