//! A service that answers with its name, and counts who is connected to it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// HTTP/1.1 and h2c on one port. `/hang…` answers only once [`Named::release`] was called,
/// `/healthz` answers what [`Named::set_health`] said last (200 before), `/close` closes its connection after the answer, `/status/N` answers N and nothing else, everything else is answered `NAME PATH`.
pub(crate) struct Named {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

struct Counts {
    connections: AtomicUsize,
    open: watch::Sender<usize>,
    requests: AtomicUsize,
    health: AtomicU16,
    checks: watch::Sender<usize>,
    hanging: watch::Sender<usize>,
    gate: Semaphore,
}

impl Named {
    /// On any port of 127.0.0.1.
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_on(name, "127.0.0.1:0".parse().unwrap()).await
    }

    /// On this address.
    pub(crate) async fn start_on(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts {
            connections: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            requests: AtomicUsize::new(0),
            health: AtomicU16::new(200),
            checks: watch::Sender::new(0),
            hanging: watch::Sender::new(0),
            gate: Semaphore::new(0),
        });
        let counting = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                tokio::spawn(serve(tcp, name, Arc::clone(&counting)));
            }
        });
        Self {
            address,
            counts,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections there ever were.
    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// What `/healthz` answers from now on; 0 for nothing, ever.
    pub(crate) fn set_health(&self, status: u16) {
        self.counts.health.store(status, Ordering::SeqCst);
    }

    /// Requests of `/healthz` there ever were; they are in no other count of requests.
    pub(crate) fn checks(&self) -> usize {
        *self.counts.checks.borrow()
    }

    /// Requests there ever were.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Waits until as many connections are open as `wanted` likes.
    pub(crate) async fn open_connections(&self, wanted: impl FnMut(&usize) -> bool) -> usize {
        *self.counts.open.subscribe().wait_for(wanted).await.unwrap()
    }

    /// Waits until this many requests hang.
    pub(crate) async fn hanging(&self, wanted: usize) {
        drop(
            self.counts
                .hanging
                .subscribe()
                .wait_for(|hanging| *hanging >= wanted)
                .await,
        );
    }

    /// Answers everything that hangs, or ever will.
    pub(crate) fn release(&self) {
        self.counts.gate.close();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.accepting.abort();
        self.release();
    }
}

async fn serve(tcp: tokio::net::TcpStream, name: &'static str, counts: Arc<Counts>) {
    counts.connections.fetch_add(1, Ordering::SeqCst);
    counts.open.send_modify(|open| *open += 1);
    let answering = Arc::clone(&counts);
    let service = service_fn(move |request| answer(request, name, Arc::clone(&answering)));
    drop(
        auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(tcp), service)
            .await,
    );
    counts.open.send_modify(|open| *open -= 1);
}

async fn answer(
    request: Request<Incoming>,
    name: &'static str,
    counts: Arc<Counts>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        counts.checks.send_modify(|checks| *checks += 1);
        return healthz(counts.health.load(Ordering::SeqCst)).await;
    }
    counts.requests.fetch_add(1, Ordering::SeqCst);
    if path.starts_with("/hang") {
        counts.hanging.send_modify(|hanging| *hanging += 1);
        // The gate is only ever closed.
        drop(counts.gate.acquire().await);
    }
    if let Some(status) = path.strip_prefix("/status/") {
        return Ok(nothing_but(status.parse().unwrap()));
    }
    let body = Full::new(Bytes::from(format!("{name} {path}"))).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    if path == "/close" {
        response
            .headers_mut()
            .insert("connection", "close".parse().unwrap());
    }
    Ok(response)
}

async fn healthz(status: u16) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
    match status {
        0 => std::future::pending().await,
        status => Ok(nothing_but(status)),
    }
}

fn nothing_but(status: u16) -> Response<BoxBody<Bytes, hyper::Error>> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = status.try_into().unwrap();
    response
}
