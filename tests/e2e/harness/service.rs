//! A service that answers what it received, with a few paths that behave in their own way.
//!
//! | path | answer |
//! |---|---|
//! | any other | 200, JSON: method, target, version, headers as a list of pairs, length and sha256 of the body |
//! | `/status/N` | status N, a short body where one is allowed |
//! | `/bytes/N` | N bytes with content-length |
//! | `/chunks/N` | N bytes without content-length |
//! | `/mebibytes/N` | N times [`mebibyte`], with content-length, made as it is sent |
//! | `/slow-head` | like any other, but only after [`Service::release`] |
//! | `/slow-body` | `begun `, and after [`Service::release`] `done` |
//! | `/events` | server-sent events, each sent by [`Service::send_event`] |
//! | `/hang` | nothing, ever |
//! | `/early` | 200 before the request's body was read |

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, broadcast, watch},
    task::JoinSet,
};

use super::{hex, soon};

type Body = BoxBody<Bytes, Infallible>;

/// A running service, HTTP/1.1 and HTTP/2 on one port.
pub(crate) struct Service {
    addr: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

/// A request as the service saw it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// How far the service has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections accepted.
    pub(crate) connections: usize,
    /// Requests whose head has arrived.
    pub(crate) requests: usize,
    /// Requests that were given up by the other side before their response was made.
    pub(crate) abandoned: usize,
    /// Readers of `/events` at this moment.
    pub(crate) readers: usize,
}

struct State {
    requests: Mutex<Vec<Received>>,
    counts: watch::Sender<Counts>,
    gate: Semaphore,
    events: broadcast::Sender<String>,
}

// === impl Received ===

impl Received {
    /// The first header of a name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All headers of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

// === impl Service ===

impl Service {
    /// Starts one on a port of its own.
    pub(crate) async fn echo() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            requests: Mutex::default(),
            counts: watch::Sender::default(),
            gate: Semaphore::new(0),
            events: broadcast::Sender::new(1024),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, Arc::clone(&state)));
        Self {
            addr,
            state,
            _task: task,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.state.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn only_request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.state.counts.borrow()
    }

    /// Waits until the service has come so far.
    pub(crate) async fn wait_for(&self, what: &str, is: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.state.counts.subscribe();
        *soon(what, counts.wait_for(|counts| is(counts)))
            .await
            .unwrap()
    }

    /// Waits until it has received so many requests.
    pub(crate) async fn wait_for_requests(&self, n: usize) {
        self.wait_for("requests", |counts| counts.requests >= n)
            .await;
    }

    /// Lets one request of `/slow-head` or `/slow-body` go on.
    pub(crate) fn release(&self) {
        self.state.gate.add_permits(1);
    }

    /// Sends an event to all readers of `/events`.
    pub(crate) fn send_event(&self, data: &str) {
        self.state
            .events
            .send(data.to_owned())
            .expect("somebody reads /events");
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((io, _)) = listener.accept().await else {
            return;
        };
        io.set_nodelay(true).unwrap();
        state.counts.send_modify(|counts| counts.connections += 1);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(Arc::clone(&state), request));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().max_concurrent_streams(1000);
            // However a connection ends, the test has seen it by what it got.
            drop(
                server
                    .serve_connection_with_upgrades(TokioIo::new(io), answer)
                    .await,
            );
        });
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let received = received(&request);
    state.requests.lock().unwrap().push(received.clone());
    state.counts.send_modify(|counts| counts.requests += 1);
    let mut unless_finished = Abandoned(Some(Arc::clone(&state)));
    let path = request.uri().path().to_owned();
    let response = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "status", status] => with_status(status.parse().unwrap()),
        ["", "bytes", n] => Response::new(Full::new(pattern(n.parse().unwrap())).boxed()),
        ["", "chunks", n] => {
            let bytes = pattern(n.parse().unwrap());
            let pieces = (0..bytes.len())
                .step_by(16 * 1024)
                .map(move |at| bytes.slice(at..bytes.len().min(at + 16 * 1024)));
            Response::new(streamed(stream::iter(pieces)))
        }
        ["", "mebibytes", n] => mebibytes(n.parse().unwrap()),
        ["", "slow-body"] => {
            let waits = Arc::clone(&state);
            let done = stream::once(async move {
                waits.gate.acquire().await.unwrap().forget();
                Bytes::from("done")
            });
            Response::new(streamed(stream::iter([Bytes::from("begun ")]).chain(done)))
        }
        ["", "events"] => events(&state),
        ["", "hang"] => std::future::pending().await,
        ["", "early"] => Response::new(Full::new(Bytes::from("early")).boxed()),
        ["", "slow-head"] => {
            state.gate.acquire().await.unwrap().forget();
            told(received, request.into_body()).await
        }
        _ => told(received, request.into_body()).await,
    };
    unless_finished.0 = None;
    Ok(response)
}

fn received(request: &Request<Incoming>) -> Received {
    let headers = request.headers().iter();
    Received {
        method: request.method().to_string(),
        target: request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        version: format!("{:?}", request.version()),
        headers: headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
    }
}

/// What was received, as JSON, with the body's length and digest.
async fn told(received: Received, mut body: Incoming) -> Response<Body> {
    let (mut length, mut digest) = (0, ring::digest::Context::new(&ring::digest::SHA256));
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            length += data.len();
            digest.update(&data);
        }
    }
    let json = serde_json::json!({
        "method": received.method,
        "target": received.target,
        "version": received.version,
        "headers": received.headers,
        "body_length": length,
        "body_sha256": hex(digest.finish().as_ref()),
    });
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())).boxed());
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    response
}

fn with_status(status: u16) -> Response<Body> {
    let body = match status {
        204 | 304 => Bytes::new(),
        status => Bytes::from(format!("status {status}\n")),
    };
    let mut response = Response::new(Full::new(body).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn mebibytes(n: usize) -> Response<Body> {
    let mebibyte = mebibyte();
    let mut response = Response::new(streamed(stream::iter(
        (0..n).map(move |_| mebibyte.clone()),
    )));
    let length = (n << 20).to_string();
    response
        .headers_mut()
        .insert("content-length", length.parse().unwrap());
    response
}

fn events(state: &Arc<State>) -> Response<Body> {
    let reader = Reader(Arc::clone(state));
    let told = state.events.subscribe();
    state.counts.send_modify(|counts| counts.readers += 1);
    let events = stream::unfold((told, reader), |(mut told, reader)| async move {
        let data = told.recv().await.ok()?;
        Some((Bytes::from(format!("data: {data}\n\n")), (told, reader)))
    });
    let mut response = Response::new(streamed(events));
    response
        .headers_mut()
        .insert("content-type", "text/event-stream".parse().unwrap());
    response
}

fn streamed(pieces: impl Stream<Item = Bytes> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))))
}

/// Bytes that differ from place to place, so that a lost or doubled piece shows.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

/// A mebibyte of [`pattern`].
pub(crate) fn mebibyte() -> Bytes {
    pattern(1 << 20)
}

/// Counts a request that is dropped before it was answered.
struct Abandoned(Option<Arc<State>>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.counts.send_modify(|counts| counts.abandoned += 1);
        }
    }
}

/// Counts the readers of `/events`.
struct Reader(Arc<State>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.readers -= 1);
    }
}
