//! The gateway's own endpoints, asked within the process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use adit_policy::endpoint_url::{EndpointUrl, Scheme};
use tokio::io::{DuplexStream, duplex};

use crate::{
    core::{Arriving, Core},
    edge::Edge,
    front::io::{Agreed, Connection, PublicIo},
    pools::endpoints::Endpoint,
};

/// Bytes on their way between a policy and the endpoint that it asks, each way.
const BETWEEN: usize = 64 * 1024;

/// A connection from a policy of this gateway.
pub(crate) struct Asked {
    io: DuplexStream,
    connection: Connection,
}

/// A connection to an endpoint. It is nobody's: no address of a client stands behind it, so that no list of addresses
/// lets it in by mistake.
pub(super) fn connect(edge: &Edge, endpoint: &EndpointUrl, hops: u8) -> DuplexStream {
    let (near, far) = duplex(BETWEEN);
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let https = endpoint.scheme == Scheme::Https;
    let connection = Connection {
        tls: https,
        agreed: https.then(Agreed::default),
        hops,
        ..Connection::new(nobody, nobody, edge.region())
    };
    edge.hand_to_any(Arriving::Policy(Box::new(Asked {
        io: far,
        connection,
    })));
    near
}

/// On whose behalf a request is sent within the process, and where to.
pub(crate) struct OnBehalf {
    /// Who policies and services are told the client is.
    pub(crate) client: SocketAddr,
    /// Whether that client came by https.
    pub(crate) tls: bool,
    /// How many requests lie around this one, the client's included.
    pub(crate) hops: u8,
    /// The endpoint that serves it, whatever host it names.
    pub(crate) to: Arc<Endpoint>,
}

/// A connection for the copy of a client's request: policies see the client's address, and nobody can forge it, for the
/// gateway knows it from the client's own connection.
pub(crate) fn on_behalf(edge: &Edge, asked: OnBehalf) -> DuplexStream {
    let (near, far) = duplex(BETWEEN);
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let connection = Connection {
        tls: asked.tls,
        agreed: asked.tls.then(Agreed::default),
        hops: asked.hops,
        mirrored_to: Some(asked.to),
        ..Connection::new(asked.client, nobody, edge.region())
    };
    edge.hand_to_any(Arriving::Policy(Box::new(Asked {
        io: far,
        connection,
    })));
    near
}

/// Serves it to its end.
pub(crate) async fn serve(core: Arc<Core>, asked: Asked) {
    let Asked { io, connection } = asked;
    let rules = core.edge.gate_rules();
    core.http(PublicIo::new(io, -1, connection, false, rules, None))
        .await;
}
