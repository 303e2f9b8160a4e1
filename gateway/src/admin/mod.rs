//! The operator's own listener: health and metrics, apart from all traffic.
//!
//! It shares no address, thread or parser with the public side, so it answers while that is flooded, and
//! nothing that arrives there can reach it.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

mod health;
mod host;
mod metrics;

use crate::{
    edge::Edge,
    sockets::{
        Role,
        opened::{Address, Socket},
    },
};

/// Connections at once. More wait; each is over after [`PATIENCE`] at the latest.
const CONNECTIONS: usize = 32;

/// The longest that a connection with its one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a request's head; hyper takes no smaller limit.
const HEAD: usize = 8 * 1024;

/// How long to leave the listener alone when it cannot accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listener, bound and not yet served.
pub(crate) struct Admin {
    socket: Socket,
    address: SocketAddr,
}

/// What is looked at.
pub(crate) struct View {
    pub(crate) edge: Arc<Edge>,
    /// Cancelled once the gateway takes no new traffic.
    pub(crate) stop: CancellationToken,
}

/// The kinds of answers there are.
enum Answer {
    Json(StatusCode, String),
    Metrics(String),
    Refusal(StatusCode, &'static str),
}

// === impl Admin ===

impl Admin {
    pub(crate) fn new(address: Address) -> Option<Self> {
        let Address {
            address, sockets, ..
        } = address;
        let socket = sockets.into_iter().next()?;
        Some(Self { socket, address })
    }

    /// Where it really is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on the calling thread until `end`.
    pub(crate) fn run(self, view: View, end: &CancellationToken) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let edge = Arc::clone(&view.edge);
            let listener = edge.listening.begin(self.socket, Role::Admin)?;
            tokio::select! {
                () = accept(&listener.socket, self.address, Arc::new(view)) => {}
                // Another gateway answers there now.
                () = edge.listening.handed_over() => {}
                () = end.cancelled() => {}
            }
            Ok(())
        })
    }
}

async fn accept(listener: &TcpListener, address: SocketAddr, view: Arc<View>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let local = address.ip().is_loopback();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let view = Arc::clone(&view);
                tokio::spawn(async move {
                    serve(stream, local, &view).await;
                    drop(place);
                });
            }
            Err(error) => {
                debug!(%error, "cannot accept a connection of the operator");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request a connection, so that nobody can hold a place by doing nothing.
async fn serve(stream: TcpStream, local: bool, view: &View) {
    let service = service_fn(|request| async move {
        let answer = answer(&request, local, view);
        Ok::<_, Infallible>(answer.response())
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever is too slow, or breaks off, is gone.
    if !matches!(timeout(PATIENCE, served).await, Ok(Ok(()))) {
        debug!("a connection of the operator broke off");
    }
}

fn answer<B>(request: &Request<B>, local: bool, view: &View) -> Answer {
    if local && !host::is_local(request) {
        // Otherwise a web page could lead its own name to this machine and read along.
        return Answer::Refusal(
            StatusCode::FORBIDDEN,
            "only localhost and addresses are hosts here\n",
        );
    }
    if request.method() != Method::GET {
        return Answer::Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered here\n",
        );
    }
    match request.uri().path() {
        "/health" => health::health(view),
        "/metrics" => Answer::Metrics(metrics::metrics(&view.edge)),
        _ => Answer::Refusal(StatusCode::NOT_FOUND, "there are /health and /metrics\n"),
    }
}

// === impl Answer ===

impl Answer {
    fn response(self) -> Response<Full<Bytes>> {
        let (status, kind, body) = match self {
            Self::Json(status, body) => (status, "application/json", body.into()),
            Self::Metrics(text) => (
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                text.into(),
            ),
            Self::Refusal(status, text) => (status, "text/plain; charset=utf-8", text.into()),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}
