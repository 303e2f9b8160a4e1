//! What an agent tells about itself, for logs and displays.

use std::time::Duration;

use adit_wire::message::{DialError, Refused};
use tokio::sync::broadcast;

/// Something happened. Texts that come from a gateway carry no control characters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The agent dials the gateway.
    Connecting,
    /// A session stands.
    Connected {
        /// Its id at the gateway.
        session: u64,
        /// Program and version of the gateway.
        server: String,
    },
    /// The session was lost, or none could be had.
    Disconnected {
        /// Why.
        reason: String,
        /// When the agent tries again.
        retry_in: Duration,
    },
    /// The gateway will not have this agent; it gives up.
    Refused(Refused),
    /// The gateway is going; a new session is being made while this one finishes.
    Draining,
    /// The round trip to the gateway.
    Latency(Duration),
    /// An endpoint is served.
    Bound {
        /// The endpoint's name.
        name: String,
        /// Where it can be reached.
        url: String,
        /// Where its traffic goes; empty for a listener.
        upstream: String,
    },
    /// An endpoint is not served.
    BindRefused {
        /// The endpoint's name.
        name: String,
        /// Why; if it is retryable the agent asks again.
        refused: Refused,
    },
    /// An endpoint is served no longer.
    Unbound {
        /// The endpoint's name.
        name: String,
        /// Why, if it was the gateway's wish.
        refused: Option<Refused>,
    },
    /// The gateway has taken another traffic policy over, for every exchange that begins from now on.
    PolicyUpdated {
        /// The endpoint's name.
        name: String,
        /// Where it can be reached.
        url: String,
    },
    /// The gateway has not; the endpoint keeps the policy that it had.
    PolicyRefused {
        /// The endpoint's name.
        name: String,
        /// Where it can be reached.
        url: String,
        /// Why.
        refused: Refused,
    },
    /// The gateway was told of another place of an endpoint in its pool.
    Reweighed {
        /// The endpoint's name.
        name: String,
        /// Where it can be reached.
        url: String,
        /// Its share of the traffic from now on.
        weight: u32,
        /// Its tier from now on.
        tier: u32,
    },
    /// The gateway cannot be told; the new place is what the endpoint has when the agent connects anew.
    NotReweighed {
        /// The endpoint's name.
        name: String,
        /// Where it can be reached.
        url: String,
        /// Why.
        reason: String,
    },
    /// The health check of an endpoint's service has found something new.
    Health {
        /// The endpoint's name.
        name: String,
        /// The service.
        upstream: String,
        /// Whether the service may get traffic.
        up: bool,
        /// Why not.
        reason: String,
    },
    /// A connection to the service stands.
    Dialed {
        /// The endpoint's name.
        name: String,
        /// The service.
        upstream: String,
    },
    /// The service could not be reached.
    DialFailed {
        /// The endpoint's name.
        name: String,
        /// The service.
        upstream: String,
        /// Why.
        error: DialError,
    },
    /// An exchange ended, of an endpoint that asked to be told.
    Exchange {
        /// The endpoint's name.
        name: String,
        /// Request method.
        method: String,
        /// Path without the query.
        path: String,
        /// Status the client got.
        status: u16,
        /// From the request's head to the response's end.
        duration: Duration,
        /// Exchanges before this one that were not told because the line was slow.
        missed: u64,
    },
}

/// Events that a slow listener may fall behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// Where events are told to whoever listens.
#[derive(Debug, Clone)]
pub(crate) struct Events(broadcast::Sender<Event>);

// === impl Events ===

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    pub(crate) fn tell(&self, event: Event) {
        // An error only means that nobody listens.
        drop(self.0.send(event));
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

/// The longest text of a gateway that is shown.
const SHOWN: usize = 2048;

/// A gateway's text, safe for a terminal: a path is written by whoever sends a request.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The same for the text of a refusal.
pub(crate) fn printable_refusal(mut refused: Refused) -> Refused {
    let lines: Vec<_> = refused.reason.lines().map(printable).collect();
    refused.reason = lines.join("\n");
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_cannot_write_to_the_terminal() {
        assert_eq!(
            printable("/a\u{1b}[2Jb\r\n"),
            "/a\u{fffd}[2Jb\u{fffd}\u{fffd}"
        );
        assert_eq!(printable(&"x".repeat(SHOWN + 1)).len(), SHOWN);
    }
}
