//! The `limits:` block: what one client or agent may use up before it is refused.

use std::time::Duration;

use adit_policy::{go_duration::GoDuration, size::Size};
use serde::Deserialize;

/// Every limit with its default. Durations are written like `30s`, sizes like `64KiB`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's head (HTTP/1.1) or header list (HTTP/2). More gets 431.
    /// Default 64KiB, at most 1MiB.
    pub header_size: Size,
    /// Header lines of a request. More gets 431. Default 100.
    pub header_count: usize,
    /// Bytes of a request target. More gets 414. Default 32KiB.
    pub target_size: Size,
    /// From a request's first byte to the end of its head, however slowly it trickles. Default 30s.
    pub header_timeout: GoDuration,
    /// From the TCP accept to the end of the TLS handshake. Default 10s.
    pub handshake_timeout: GoDuration,
    /// A client connection without a request is closed after this. Default 60s.
    pub idle_timeout: GoDuration,
    /// The longest wait for the next bytes of a request's body. Default 60s.
    pub body_read_timeout: GoDuration,
    /// The longest wait for a client to take the next bytes of a response. Default 60s.
    pub body_write_timeout: GoDuration,
    /// The longest silence of a service: before its response head (then 504), and between two
    /// pieces of a body. Long polls and event streams have to say something within it. Default 5m.
    pub upstream_timeout: GoDuration,
    /// A `tcp://` connection over which nothing passes either way for so long is reset. Default 1h.
    pub tcp_idle_timeout: GoDuration,
    /// From picking an agent to its answer that the service is connected. Default 15s.
    pub dial_timeout: GoDuration,
    /// Connections from one address (one /64 for IPv6). More are closed at once. Default 1024.
    pub connections_per_ip: u32,
    /// Connections in all. More are closed at once. Default 50000.
    pub connections: u32,
    /// Unfinished TLS handshakes in all. More are closed at once. Default 4096.
    pub handshakes: u32,
    /// Unfinished TLS handshakes of one address (one /64 for IPv6). Default 128.
    pub handshakes_per_ip: u32,
    /// HTTP/2 requests at once on one connection. Of those that the client has given up, as many again may
    /// still be at work; more get 429. Default 100.
    pub http2_streams: u32,
    /// Endpoints one agent session may bind. Default 1000.
    pub endpoints_per_session: usize,
    /// Agent sessions in all. Default 10000.
    pub sessions: usize,
    /// How often gateway and agents ping each other. Default 10s.
    pub heartbeat_interval: GoDuration,
    /// The silence after which an agent is given up, and every request at it fails or is tried elsewhere. At least two
    /// intervals; from one and a half on, other agents of the same pool are preferred. Default 20s.
    pub heartbeat_dead_after: GoDuration,
    /// How long running exchanges may take to end after SIGTERM. Default 30s.
    pub shutdown_deadline: GoDuration,
    /// After a start on sockets that were passed, or that were taken over from another gateway: how long requests for
    /// an endpoint wait whose agents are still on their way. Any other start waits for nobody. Default 10s.
    pub arrival: GoDuration,
    /// How many of them wait at once. More get 503 at once. Default 1024.
    pub held_requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = |n| GoDuration(Duration::from_secs(n));
        Self {
            header_size: Size(64 * 1024),
            header_count: 100,
            target_size: Size(32 * 1024),
            header_timeout: seconds(30),
            handshake_timeout: seconds(10),
            idle_timeout: seconds(60),
            body_read_timeout: seconds(60),
            body_write_timeout: seconds(60),
            upstream_timeout: seconds(300),
            tcp_idle_timeout: seconds(3600),
            dial_timeout: seconds(15),
            connections_per_ip: 1024,
            connections: 50_000,
            handshakes: 4096,
            handshakes_per_ip: 128,
            http2_streams: 100,
            endpoints_per_session: 1000,
            sessions: 10_000,
            heartbeat_interval: seconds(10),
            heartbeat_dead_after: seconds(20),
            shutdown_deadline: seconds(30),
            arrival: seconds(10),
            held_requests: 1024,
        }
    }
}
