//! One connection, from its first moment to the line that the log has of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use adit_policy::endpoint_url::EndpointUrl;
use adit_wire::{Stream, splice};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    counts::End,
    meter::{Meter, Metered},
    route::{self, NoWay, Way},
    told::{Outcome, Told},
};
use crate::{
    core::Core,
    front::{accept::Admission, ending::Closing, io::Connection},
    live::{Client, Endable},
};

/// When a silent client is asked whether it is still there, and how often it may leave that unanswered. It is given up
/// two minutes after its last sign.
const KEEPALIVE: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Serves a connection that was accepted for an endpoint.
pub(super) async fn serve(
    core: Arc<Core>,
    mut socket: TcpStream,
    (peer, _admission): (SocketAddr, Admission),
    url: Arc<EndpointUrl>,
) {
    // From here on it is reset when it is dropped, unless it comes to its proper end: whatever happens, a client never
    // takes a break for an end.
    if prepare(&socket).is_err() {
        return;
    }
    let endpoint = core.edge.endpoints.snapshot().at(&url).map(Arc::clone);
    let Some(endpoint) = endpoint else {
        return;
    };
    let meter = Meter::new();
    let local = socket.local_addr().unwrap_or(peer);
    let facts = Connection::new(peer, local, core.edge.region());
    let outcome = match route::find(&core, &facts, Arc::clone(&endpoint)).await {
        Ok(way) => run(&core, &mut socket, way, &meter).await,
        Err((no_way, tries)) => {
            if no_way == NoWay::Refused(Closing::Orderly) {
                end_in_order(&socket);
            }
            Outcome {
                end: match no_way {
                    NoWay::Refused(_) => End::Refused,
                    NoWay::Unserved => End::Unserved,
                },
                why: None,
                served_by: None,
                tries,
            }
        }
    };
    drop(socket);
    let told = Told {
        edge: &core.edge,
        endpoint: &endpoint,
        facts: &facts,
        meter: &meter,
        outcome,
    };
    told.tell();
}

/// Carries bytes both ways until both sides have ended, or something ends it.
async fn run(core: &Core, socket: &mut TcpStream, way: Way, meter: &Meter) -> Outcome {
    let Way {
        mut stream,
        serving,
        member,
        passed,
        tries,
        place: _place,
        flight: _flight,
    } = way;
    let interruption = CancellationToken::new();
    let endable = Endable::new(Client::Tcp(interruption.clone()), Vec::new(), false);
    endable.is_stream(passed);
    let listed = core.live().list(endable, &core.edge);
    let idle = core.edge.limits().tcp_idle_timeout.0;
    let end = tokio::select! {
        biased;
        () = interruption.cancelled() => End::Ended,
        () = meter.idle(idle) => End::Idle,
        end = carry(&mut stream, socket, meter) => end,
    };
    if end == End::Done {
        end_in_order(socket);
    }
    Outcome {
        end,
        why: listed.ended(),
        served_by: Some((serving, member)),
        tries,
    }
}

async fn carry(stream: &mut Stream, socket: &mut TcpStream, meter: &Meter) -> End {
    let mut client = Metered::new(socket, meter);
    match splice(stream, &mut client).await {
        Ok(()) => End::Done,
        Err(error) => {
            debug!(%error, "a connection broke");
            End::Broken
        }
    }
}

fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_linger(Some(Duration::ZERO))?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(PROBE)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)
}

/// What is still on its way arrives, and then an end.
fn end_in_order(socket: &TcpStream) {
    // A socket that cannot is reset.
    drop(SockRef::from(socket).set_linger(None));
}
