//! Those who arrive at the port of a tcp endpoint.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use tracing::{debug, warn};

use super::{Listening, connection};
use crate::{core::Core, front::accept::ACCEPT_PAUSE};

/// Accepts until nobody serves the port any longer, or the core is told to stop.
pub(crate) async fn accept(core: Arc<Core>, listening: Listening) {
    let Listening {
        listener,
        url,
        open,
    } = listening;
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return warn!(%url, %error, "cannot listen"),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = core.stopping() => return,
            () = open.closed.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%url, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(admission) = core.edge.doorkeeper.admit(peer.ip()) else {
            debug!(%peer, %url, "too many connections, closed");
            continue;
        };
        let connection = connection::serve(
            Arc::clone(&core),
            stream,
            (peer, admission),
            Arc::clone(&url),
        );
        core.serve(connection);
    }
}
