//! The TLS ClientHello: its ALPN tells agents from browsers, its SNI picks the certificate.

use std::{net::SocketAddr, os::fd::AsRawFd, sync::Arc};

use adit_policy::canonical::Host;
use adit_wire::limits::{ALPN, LANE_HINT};
use rustls::{
    ServerConfig,
    server::{Accepted, Acceptor, ClientHello},
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};
use tracing::debug;

use super::{
    accept::Admission,
    ending::{Closing, Socket},
    io::{Agreed, Connection, PublicIo},
    ja4,
    overheard::Overheard,
};
use crate::{agents, core::Core, http::greet_named};

/// An agent's connection on its way to the core that will serve it. Its ClientHello has been read,
/// its handshake has not begun.
pub(crate) struct Arrival {
    accepted: Accepted,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    sni: Option<Host>,
    deadline: Instant,
    admission: Admission,
}

/// Serves one connection of the HTTPS port to its end.
pub(crate) async fn serve(
    core: Arc<Core>,
    stream: TcpStream,
    peer: SocketAddr,
    admission: Admission,
) {
    let deadline = Instant::now() + core.edge.limits().handshake_timeout.0;
    let Some(handshaking) = core.edge.handshakes.admit(peer.ip()) else {
        return debug!(%peer, "too many unfinished TLS handshakes, closed");
    };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), Overheard::new(stream));
    // Boxed, here and in `finish`: a connection may idle for hours, and what its handshake needed is
    // given back when that is over instead of being part of its task.
    let start = match Box::pin(timeout_at(deadline, hello)).await {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => return debug!(%peer, %error, "no TLS client"),
        Err(_) => return debug!(%peer, "the TLS handshake took too long"),
    };
    let wanted = Wanted::read(&start.client_hello());
    let StartHandshake { accepted, io, .. } = start;
    let Overheard { socket, heard } = io;
    let start = StartHandshake::from_parts(accepted, socket);
    if let Some(lane) = wanted.lane {
        drop(handshaking);
        return hand_over(&core, start, peer, wanted.sni, lane, deadline, admission);
    }
    let mut connection = Connection {
        agreed: Some(Agreed::default()),
        sni: wanted.sni,
        ja4: ja4::fingerprint(&heard).unwrap_or_default().into(),
        tls: true,
        ..Connection::new(
            peer,
            start.io.local_addr().unwrap_or(peer),
            core.edge.region(),
        )
    };
    drop(heard);
    if let Err(closing) = greet_named(&core.edge, &connection).await {
        if closing == Closing::Reset {
            start.io.reset_when_closed();
        }
        return debug!(%peer, "closed by a policy");
    }
    let Some(config) = core.edge.certificates.for_clients(connection.sni.as_ref()) else {
        return debug!(%peer, "no certificate for the name the client asked for");
    };
    let Some(tls) = finish(start, config, deadline, peer).await else {
        return;
    };
    drop(handshaking);
    let (socket, session) = tls.get_ref();
    let id = socket.as_raw_fd();
    let http2 = session.alpn_protocol() == Some(b"h2");
    connection.agreed = Some(agreed(session, http2));
    let rules = core.edge.gate_rules();
    core.http(PublicIo::new(tls, id, connection, http2, rules, admission))
        .await;
}

fn agreed(session: &rustls::ServerConnection, http2: bool) -> Agreed {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        _ => "",
    };
    let suite = session.negotiated_cipher_suite();
    let suite = suite.and_then(|suite| suite.suite().as_str()).unwrap_or("");
    let alpn = match session.alpn_protocol() {
        _ if http2 => "h2",
        Some(b"http/1.1") => "http/1.1",
        _ => "",
    };
    let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    Agreed {
        version,
        cipher_suite: suite,
        alpn,
        resumed,
    }
}

/// Continues an agent's connection on the core it was handed to.
pub(crate) async fn serve_agent(core: Arc<Core>, arrival: Arrival) {
    let Arrival {
        accepted,
        stream,
        peer,
        sni,
        deadline,
        admission,
    } = arrival;
    let Some(config) = core.edge.certificates.for_agents(sni.as_ref()) else {
        return debug!(%peer, "no certificate for the name the agent asked for");
    };
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return debug!(%peer, %error, "an agent's connection could not be moved"),
    };
    let start = StartHandshake::from_parts(accepted, stream);
    let Some(tls) = finish(start, config, deadline, peer).await else {
        return;
    };
    agents::serve(core, tls, peer).await;
    drop(admission);
}

/// The rest of a handshake whose ClientHello has been read.
async fn finish(
    start: StartHandshake<TcpStream>,
    config: Arc<ServerConfig>,
    deadline: Instant,
    peer: SocketAddr,
) -> Option<Box<TlsStream<TcpStream>>> {
    match Box::pin(timeout_at(deadline, start.into_stream(config))).await {
        Ok(Ok(tls)) => return Some(Box::new(tls)),
        Ok(Err(error)) => debug!(%peer, %error, "the TLS handshake failed"),
        Err(_) => debug!(%peer, "the TLS handshake took too long"),
    }
    None
}

/// Each lane of an agent goes to a core of its own, so that requests need not change cores.
fn hand_over(
    core: &Core,
    start: StartHandshake<TcpStream>,
    peer: SocketAddr,
    sni: Option<Host>,
    lane: u16,
    deadline: Instant,
    admission: Admission,
) {
    let StartHandshake { accepted, io, .. } = start;
    match io.into_std() {
        Ok(stream) => core.edge.hand_over(
            usize::from(lane),
            Arrival {
                accepted,
                stream,
                peer,
                sni,
                deadline,
                admission,
            },
        ),
        Err(error) => debug!(%peer, %error, "an agent's connection could not be moved"),
    }
}

/// What a ClientHello asks for.
struct Wanted {
    sni: Option<Host>,
    /// Set for agents.
    lane: Option<u16>,
}

impl Wanted {
    fn read(hello: &ClientHello<'_>) -> Self {
        let sni = hello.server_name().and_then(|name| Host::parse(name).ok());
        let mut agent = false;
        let mut lane = 0;
        for protocol in hello.alpn().into_iter().flatten() {
            agent |= protocol == ALPN;
            let hint = protocol
                .strip_prefix(LANE_HINT)
                .and_then(|hint| std::str::from_utf8(hint).ok());
            lane = hint.and_then(|hint| hint.parse().ok()).unwrap_or(lane);
        }
        Self {
            sni,
            lane: agent.then_some(lane),
        }
    }
}
