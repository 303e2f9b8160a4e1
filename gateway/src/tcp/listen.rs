//! Those who arrive at the port of a tcp endpoint.

use std::{net::SocketAddr, sync::Arc};

use adit_policy::endpoint_url::EndpointUrl;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::{Listening, connection};
use crate::{core::Core, front::accept::ACCEPT_PAUSE, sockets::Role};

/// Accepts until nobody serves the port any longer, or the core is told to stop.
pub(crate) async fn accept(core: Arc<Core>, listening: Listening) {
    let Listening { socket, url, open } = listening;
    let listener = match core.edge.listening.begin(socket, Role::Tcp) {
        Ok(listener) => listener,
        Err(error) => return warn!(%url, %error, "cannot listen"),
    };
    if !core.may_accept().await {
        return;
    }
    loop {
        let accepted = tokio::select! {
            biased;
            () = core.stopping() => break,
            () = open.closed.cancelled() => return,
            accepted = listener.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => welcome(&core, stream, peer, &url),
            Err(error) => {
                warn!(%url, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while let Some((stream, peer)) = listener.next_left_behind() {
        welcome(&core, stream, peer, &url);
    }
}

fn welcome(core: &Arc<Core>, stream: TcpStream, peer: SocketAddr, url: &Arc<EndpointUrl>) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let Some(admission) = core.edge.doorkeeper.admit(peer.ip()) else {
        return debug!(%peer, %url, "too many connections, closed");
    };
    let (own, url) = (Arc::clone(core), Arc::clone(url));
    core.serve(connection::serve(own, stream, (peer, admission), url));
}
