//! One check of a service: dialled as its traffic is, asked, and its answer judged.

use std::{
    convert::Infallible,
    future::{Future, pending},
    sync::{Arc, Mutex, PoisonError},
};

use adit_wire::message::{DialError, DialErrorKind, Protocol};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header,
    http::uri::{Authority, PathAndQuery},
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{HealthCheck, Kind, grpc};
use crate::dial::{Dialer, Local};

/// What a check is known by in a service's log.
const USER_AGENT: &str = concat!("adit-health-check/", env!("CARGO_PKG_VERSION"));

/// Bytes of an answer that are read where the answer is more than its status.
const LONGEST_BODY: usize = 4096;

/// A service, and how it is asked.
#[derive(Debug)]
pub(super) struct Probe {
    dialer: Arc<Dialer>,
    protocol: Protocol,
    kind: Kind,
    host: Authority,
}

/// As much of a response as a check looks at.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

/// What hyper does beside an exchange over HTTP/2. Ends with the exchange, however that ends.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

struct EndOnDrop(Tasks);

// === impl Probe ===

impl Probe {
    pub(super) fn new(check: &HealthCheck, dialer: &Arc<Dialer>, protocol: Protocol) -> Self {
        Self {
            dialer: Arc::clone(dialer),
            protocol,
            kind: check.kind.clone(),
            host: check
                .host
                .clone()
                .unwrap_or_else(|| own_host(&dialer.shown)),
        }
    }

    /// Asks once. `Err` is why the service is not well, for people; it holds nothing that may be secret, as queries may.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match &self.kind {
            Kind::Tcp => self.dial(self.protocol).await.map(drop),
            Kind::Http { path, statuses } => {
                let asked = format!("GET {}", path.path());
                let answer = self.get(path).await;
                match answer.map_err(|why| format!("{asked}: {why}"))?.status {
                    status if statuses.contain(status) => Ok(()),
                    status => Err(format!("{asked}: status {status}")),
                }
            }
            Kind::Grpc { service } => {
                let answer = self.call(service).await;
                let judged = answer.and_then(|answer| grpc::judge(&answer));
                judged.map_err(|why| format!("gRPC health: {why}"))
            }
        }
    }

    async fn get(&self, path: &Uri) -> Result<Answer, String> {
        let http2 = self.protocol == Protocol::Http2;
        let mut request = Request::new(Full::default());
        if http2 {
            *request.uri_mut() = self.absolute(path.path_and_query().cloned())?;
        } else {
            *request.uri_mut() = path.clone();
            let host = self.host.as_str().parse().map_err(unsayable)?;
            request.headers_mut().insert(header::HOST, host);
            let close = header::HeaderValue::from_static("close");
            request.headers_mut().insert(header::CONNECTION, close);
        }
        let protocol = match http2 {
            true => Protocol::Http2,
            false => Protocol::Http1,
        };
        exchange(self.dial(protocol).await?, http2, request, false).await
    }

    async fn call(&self, service: &str) -> Result<Answer, String> {
        let mut request = Request::new(Full::from(grpc::question(service)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.absolute(Some(PathAndQuery::from_static(grpc::PATH)))?;
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
            let value = header::HeaderValue::from_static(value);
            request.headers_mut().insert(name, value);
        }
        exchange(self.dial(Protocol::Http2).await?, true, request, true).await
    }

    async fn dial(&self, protocol: Protocol) -> Result<Local, String> {
        self.dialer
            .dial(protocol)
            .await
            .map_err(|error| unreached(&error))
    }

    /// HTTP/2 knows a request by all parts of its URL.
    fn absolute(&self, path: Option<PathAndQuery>) -> Result<Uri, String> {
        let scheme = match self.dialer.shown.split_once("://") {
            Some((scheme @ ("https" | "tls"), _)) if !scheme.is_empty() => "https",
            _ => "http",
        };
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = scheme.parse().ok();
        parts.authority = Some(self.host.clone());
        parts.path_and_query = path;
        Uri::from_parts(parts).map_err(unsayable)
    }
}

/// One request and its answer, on a connection that ends with them. Without `whole` the answer is its head.
async fn exchange(
    local: Local,
    http2: bool,
    mut request: Request<Full<Bytes>>,
    whole: bool,
) -> Result<Answer, String> {
    let agent = header::HeaderValue::from_static(USER_AGENT);
    request.headers_mut().insert(header::USER_AGENT, agent);
    let io = TokioIo::new(local);
    if http2 {
        let tasks = Tasks::default();
        let _end = EndOnDrop(tasks.clone());
        let made = http2::Builder::new(tasks).handshake(io).await;
        let (mut send, connection) = made.map_err(unanswered)?;
        tokio::select! {
            biased;
            answer = read(send.send_request(request), whole) => answer,
            never = drive(connection) => match never {},
        }
    } else {
        let (mut send, connection) = http1::handshake(io).await.map_err(unanswered)?;
        tokio::select! {
            biased;
            answer = read(send.send_request(request), whole) => answer,
            never = drive(connection) => match never {},
        }
    }
}

/// Whoever waits for the answer is told when the connection breaks.
async fn drive(connection: impl Future<Output = hyper::Result<()>>) -> Infallible {
    drop(connection.await);
    pending().await
}

async fn read(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    whole: bool,
) -> Result<Answer, String> {
    let (head, mut incoming) = response.await.map_err(unanswered)?.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
    };
    while whole && let Some(frame) = incoming.frame().await {
        match frame.map_err(unanswered)?.into_data() {
            Ok(data) if answer.body.len() + data.len() > LONGEST_BODY => {
                return Err(format!("the answer has more than {LONGEST_BODY} bytes"));
            }
            Ok(data) => answer.body.extend_from_slice(&data),
            Err(frame) => answer.trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(answer)
}

/// Host and port of an upstream as it is shown; a socket has none.
fn own_host(shown: &str) -> Authority {
    let host = shown.split_once("://").map(|(_, host)| host);
    host.and_then(|host| host.parse().ok())
        .unwrap_or_else(|| Authority::from_static("localhost"))
}

fn unreached(error: &DialError) -> String {
    match error.kind {
        DialErrorKind::Refused => format!("nothing listens on {}", error.upstream),
        _ => error.to_string(),
    }
}

fn unanswered(error: hyper::Error) -> String {
    format!("no answer of HTTP: {error}")
}

fn unsayable(error: impl std::fmt::Display) -> String {
    format!("the question cannot be asked: {error}")
}

// === impl Tasks ===

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(task);
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let Tasks(tasks) = &self.0;
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }
}
