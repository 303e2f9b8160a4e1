//! What is said at the head of a data stream, before it carries the service's bytes.

use serde::{Deserialize, Serialize};

use super::Protocol;

/// The first frame of a data stream, from the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// From [`GatewayMessage::Bound`](super::GatewayMessage::Bound). The agent dials what *its* configuration has under it.
    pub endpoint: u64,
    /// What will be spoken on the stream.
    #[serde(default)]
    pub protocol: Protocol,
}

/// The agent's answers on a data stream: [`OpenResult::Dialing`] at once, then one of the others.
/// After [`OpenResult::Open`] the stream carries the service's bytes and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenResult {
    /// The stream was seen. It also acknowledges the stream to the multiplexer, which would
    /// otherwise stop opening new ones after 256 slow dials.
    Dialing,
    /// The service accepted; its bytes follow.
    Open,
    /// The service cannot be reached. Nothing was sent to it, so another agent may be tried.
    Failed(DialError),
}

/// Why an agent could not reach its service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{upstream}: {detail}")]
pub struct DialError {
    /// The kind of failure, for programs.
    pub kind: DialErrorKind,
    /// The service's address as the agent's user wrote it.
    pub upstream: String,
    /// What the operating system or TLS said.
    pub detail: String,
}

/// The kinds of dial failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialErrorKind {
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// The name does not resolve, or there is no route.
    Unreachable,
    /// The TLS handshake with the service failed.
    Tls,
    /// The agent does not have (or no longer has) this endpoint.
    UnknownEndpoint,
    /// The agent takes no new streams.
    Draining,
    /// Anything else.
    #[serde(other)]
    Other,
}
