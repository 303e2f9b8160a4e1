//! The numbers both ends agree on; `PROTOCOL.md` says what happens at each.

use std::time::Duration;

/// ALPN protocol of an agent's connection. Its digit is the protocol's major version.
pub const ALPN: &[u8] = b"adit/1";

/// Prefix of the ALPN hint that carries a lane's number: `adit-lane/0`, `adit-lane/1`, …
///
/// A gateway never selects it; one that runs a core per lane reads it to place the connection.
pub const LANE_HINT: &[u8] = b"adit-lane/";

/// The newest protocol revision this crate speaks.
pub const VERSION: u16 = 4;

/// The first revision with [`AgentMessage::Update`](crate::message::AgentMessage::Update).
pub const UPDATE_SINCE: u16 = 2;

/// The first revision with [`GatewayMessage::Ended`](crate::message::GatewayMessage::Ended).
pub const ENDED_SINCE: u16 = 3;

/// The first revision with [`AgentMessage::Reweigh`](crate::message::AgentMessage::Reweigh),
/// [`AgentMessage::Health`](crate::message::AgentMessage::Health) and
/// [`Protocol::Tcp`](crate::message::Protocol::Tcp).
pub const POOLS_SINCE: u16 = 4;

/// The oldest protocol revision this crate speaks.
pub const OLDEST_VERSION: u16 = 1;

/// Largest frame before authentication. A larger one closes the connection.
pub const GREETING_FRAME: usize = 16 * 1024;

/// Largest frame on the control stream: room for a traffic policy of 1 MiB, escaped.
/// A larger one ends the session.
pub const CONTROL_FRAME: usize = 2 * 1024 * 1024;

/// Largest frame at the head of a data stream. A larger one resets the stream.
pub const OPEN_FRAME: usize = 4 * 1024;

/// How long a peer may take from the end of the TLS handshake to its whole greeting.
pub const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// Data streams open at once on one lane. One more is refused with [`crate::OpenError::Busy`].
pub const STREAMS_PER_LANE: usize = 512;

/// What the multiplexer is told: twice [`STREAMS_PER_LANE`], because it tears the whole connection
/// down at its own limit and counts a dropped stream until it has sent the reset.
pub(crate) const MULTIPLEXER_STREAMS: usize = 2 * STREAMS_PER_LANE;

/// The window each stream starts with, fixed by the yamux specification.
pub(crate) const STREAM_WINDOW: usize = 256 * 1024;

/// What all streams of a lane may grow beyond their first window, together.
pub(crate) const WINDOW_GROWTH: usize = 64 * 1024 * 1024;

/// Most lanes one session may have.
pub const MAX_LANES: u16 = 4;
