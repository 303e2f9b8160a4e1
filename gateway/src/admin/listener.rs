//! A listener of the operator's: a thread, a parser and places of its own, apart from all traffic.
//!
//! It shares nothing with the public side, so it answers while that is flooded, and nothing that arrives there can reach
//! it.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Site;
use crate::sockets::{
    Role,
    opened::{Address, Socket},
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
    role: Role,
}

// === impl Admin ===

impl Admin {
    pub(crate) fn new(address: Address, role: Role) -> Option<Self> {
        let Address {
            address, sockets, ..
        } = address;
        let socket = sockets.into_iter().next()?;
        Some(Self {
            socket,
            address,
            role,
        })
    }

    /// Where it really is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Serves on the calling thread until `end`.
    pub(crate) fn run(self, site: Site, end: &CancellationToken) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let edge = site.edge();
            let listener = edge.listening.begin(self.socket, self.role)?;
            let site = Arc::new(site);
            tokio::select! {
                () = accept(&listener.socket, self.address, Arc::clone(&site)) => {}
                () = site.keep() => {}
                // Another gateway answers there now.
                () = edge.listening.handed_over() => {}
                () = end.cancelled() => {}
            }
            Ok(())
        })
    }
}

async fn accept(listener: &TcpListener, address: SocketAddr, site: Arc<Site>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let local = address.ip().is_loopback();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    serve(stream, local, &site).await;
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
async fn serve(stream: TcpStream, local: bool, site: &Site) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<Response<Full<Bytes>>, Infallible>(site.answer(request, local).await)
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
