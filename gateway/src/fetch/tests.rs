//! Real servers are asked: TLS, redirects, and answers that are too much.

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use adit_policy::env::Purpose;
use http::{HeaderMap, Method};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::front::tls::provider;

/// A server that says the same to everybody, and how many have asked.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn saying(answer: String, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (answer, tls) = (answer.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => say(tcp, answer).await,
                        // Whoever does not trust it goes away.
                        Some(tls) => {
                            if let Ok(secure) = tls.accept(tcp).await {
                                say(secure, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }
}

async fn say(io: impl AsyncRead + AsyncWrite + Unpin, answer: String) {
    let mut io = BufReader::new(io);
    let mut line = String::new();
    while io.read_line(&mut line).await.is_ok_and(|length| length > 2) {
        line.clear();
    }
    // Whoever has heard enough goes away.
    drop(io.write_all(answer.as_bytes()).await);
    drop(io.flush().await);
}

/// A certificate for `localhost` that vouches for itself, as a server and as a file of its authority.
fn certificate() -> (TlsAcceptor, NamedTempFile) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(certificate.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

fn outside(server: &Server, ca_files: Vec<PathBuf>) -> Outside {
    let allow = ["127.0.0.1", "localhost"];
    let allow = allow.map(|host| format!("{host}:{}", server.address.port()));
    let config = config::Fetch {
        allow: allow.iter().map(|entry| entry.parse().unwrap()).collect(),
        allow_private: true,
        ca_files,
        ..config::Fetch::default()
    };
    Outside::new(config).unwrap()
}

async fn fetch(outside: &Outside, url: &str) -> Result<Fetched, FetchError> {
    let request = ToFetch {
        purpose: Purpose::Identity,
        method: Method::GET,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(10),
        max: 1024,
        is_secret: false,
    };
    let target = Target::parse(url)?;
    ask_outside(outside, &target, request, Instant::now()).await
}

fn whole(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_server_with_a_certificate_of_the_operators_authority_is_believed() {
    let (tls, ca) = certificate();
    let server = Server::saying(whole("keys"), Some(tls)).await;
    let url = format!("https://localhost:{}/jwks", server.address.port());
    let believing = outside(&server, vec![ca.path().to_owned()]);
    assert_eq!(fetch(&believing, &url).await.unwrap().body, "keys");

    let stranger = fetch(&outside(&server, Vec::new()), &url).await;
    let why = stranger.unwrap_err().to_string();
    assert!(
        why.contains("add its PEM file to `fetch: { ca_files: [...] }`"),
        "{why}"
    );

    // The certificate is good, and another's.
    let by_address = format!("https://127.0.0.1:{}/jwks", server.address.port());
    let why = fetch(&believing, &by_address)
        .await
        .unwrap_err()
        .to_string();
    assert!(why.contains("not valid for name"), "{why}");
}

#[tokio::test]
async fn a_file_without_a_certificate_is_refused_at_the_start() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"no certificate").unwrap();
    for (path, said) in [
        (file.path().to_owned(), "it holds no certificate"),
        (PathBuf::from("/nowhere/ca.pem"), "/nowhere/ca.pem: "),
    ] {
        let config = config::Fetch {
            ca_files: vec![path],
            ..config::Fetch::default()
        };
        let why = Fetcher::new(&config).unwrap_err().to_string();
        assert!(why.contains(said), "{why}");
    }
}

#[tokio::test]
async fn a32_b_a_redirect_of_a_provider_is_an_answer_and_is_not_followed() {
    let hidden = Server::saying(whole("secret"), None).await;
    let location = format!("http://{}/latest/meta-data", hidden.address);
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::saying(answer, None).await;
    let url = format!("http://{}/jwks", server.address);
    let fetched = fetch(&outside(&server, Vec::new()), &url).await.unwrap();
    assert_eq!((fetched.status.as_u16(), &*fetched.body), (302, &b""[..]));
    assert_eq!(server.asked.load(Ordering::Relaxed), 1);
    assert_eq!(hidden.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a32_e_an_answer_that_is_too_long_is_given_up() {
    let long = "x".repeat(1025);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n401\r\n{long}\r\n0\r\n\r\n");
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{long}");
    let header = format!(
        "HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n",
        "x".repeat(4 * HEADER_MAX)
    );
    for answer in [whole(&long), chunked, endless, header] {
        let server = Server::saying(answer.clone(), None).await;
        let url = format!("http://{}/", server.address);
        let fetched = fetch(&outside(&server, Vec::new()), &url).await;
        let error = fetched.err();
        assert_eq!(error, Some(FetchError::TooLarge), "{answer:.40}");
    }
    let server = Server::saying(whole(&"x".repeat(1024)), None).await;
    let url = format!("http://{}/", server.address);
    assert!(fetch(&outside(&server, Vec::new()), &url).await.is_ok());
}

#[tokio::test]
async fn an_answer_with_too_many_lines_is_an_error() {
    let lines: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let server = Server::saying(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), None).await;
    let url = format!("http://{}/", server.address);
    assert!(fetch(&outside(&server, Vec::new()), &url).await.is_err());
}
