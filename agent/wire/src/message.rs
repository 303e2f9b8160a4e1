//! Every message of the protocol, in the order in which a session sees them.
//!
//! Readers ignore fields they do not know, so a newer peer may add some; a new *message* needs a
//! new protocol revision, agreed in [`Hello::versions`] and [`Welcome::version`].

mod open;

use std::{fmt, time::Duration};

pub use open::{DialError, DialErrorKind, OpenRequest, OpenResult};

use serde::{Deserialize, Serialize};

/// The first frame of a connection, from the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Greeting {
    /// Begins a session; this connection becomes its lane 0.
    Hello(Hello),
    /// Adds a lane to a session that exists.
    Join(Join),
}

/// Who an agent is and what it speaks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest and newest protocol revision the agent speaks.
    pub versions: (u16, u16),
    /// The authtoken. The gateway keeps only its hash.
    pub token: Token,
    /// Chosen by the agent process at its start, the same over all its reconnects.
    pub agent_id: String,
    /// Grows with each connect of the same `agent_id`; only a newer one replaces a session.
    pub epoch: u64,
    /// Program and platform, for people: `adit/0.1.0 linux x86_64`.
    pub client: String,
    /// The user's own text about this agent.
    #[serde(default)]
    pub metadata: String,
}

/// A further connection of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Join {
    /// From [`Welcome::session`].
    pub session: u64,
    /// From [`Welcome::join_key`].
    pub key: Token,
    /// Which lane this is, from 1.
    pub lane: u16,
}

/// The gateway's answer to a [`Greeting`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To a [`Hello`]: the session stands.
    Welcome(Welcome),
    /// To a [`Join`]: the lane stands.
    Joined,
    /// To either: no, and whether trying again can help.
    Refused(Refused),
}

/// The terms of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol revision both use from now on.
    pub version: u16,
    /// The session's id at this gateway.
    pub session: u64,
    /// How many lanes the agent should hold, this one counted.
    pub lanes: u16,
    /// What a [`Join`] must show.
    pub join_key: Token,
    /// How often each side pings, and when it gives the other up.
    pub heartbeat: Heartbeat,
    /// Program and version of the gateway, for people.
    #[serde(default)]
    pub server: String,
}

/// How often each side pings, and after how long a silence it gives the other up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Milliseconds between two pings.
    pub interval_ms: u64,
    /// Milliseconds without any message after which the peer is dead.
    pub dead_after_ms: u64,
}

impl Heartbeat {
    /// Time between two pings.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.max(1))
    }

    /// Silence after which the peer is dead.
    #[must_use]
    pub fn dead_after(&self) -> Duration {
        Duration::from_millis(self.dead_after_ms.max(1))
    }

    /// Silence after which it is doubtful whether the peer lives: one sign of life did not come in time.
    #[must_use]
    pub fn quiet_after(&self) -> Duration {
        (self.interval() * 3 / 2).min(self.dead_after())
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            dead_after_ms: 20_000,
        }
    }
}

/// A refusal that a program can act on and a person can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// What went wrong, for programs.
    pub code: RefusalCode,
    /// What went wrong and what to do, for people.
    pub reason: String,
    /// Whether the same request may succeed later. An agent gives up when not.
    pub retryable: bool,
}

/// The reasons a gateway has to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The authtoken is unknown or was withdrawn.
    Token,
    /// No protocol revision in common.
    Version,
    /// The token's access list does not allow this URL.
    Acl,
    /// The URL cannot be served here: malformed, or of a kind this gateway does not have.
    Url,
    /// Another agent holds the URL.
    Taken,
    /// The traffic policy has mistakes.
    Policy,
    /// A newer session of the same agent exists.
    Stale,
    /// The gateway is shutting down, or full.
    Unavailable,
    /// The peer broke the protocol.
    Protocol,
    /// A code this version does not know.
    #[serde(other)]
    Unknown,
}

/// What an agent says on the control stream of lane 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentMessage {
    /// Asks for traffic of a URL.
    Bind {
        /// Chosen by the agent; comes back in the answer.
        request: u64,
        /// What to serve. Boxed, because queues hold room for the largest message many times over.
        endpoint: Box<EndpointSpec>,
    },
    /// Gives an endpoint of this session another traffic policy. Since revision 2.
    Update {
        /// Chosen by the agent; comes back in the answer.
        request: u64,
        /// From [`GatewayMessage::Bound`].
        endpoint: u64,
        /// As in [`EndpointSpec::traffic_policy`]; none takes the policy away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traffic_policy: Option<String>,
    },
    /// Gives an endpoint of this session another place in its pool, at once. Since revision 4.
    Reweigh {
        /// From [`GatewayMessage::Bound`].
        endpoint: u64,
        /// As in [`EndpointSpec::weight`].
        weight: u32,
        /// As in [`EndpointSpec::tier`].
        tier: u32,
        /// As in [`EndpointSpec::metadata`].
        #[serde(default)]
        metadata: String,
    },
    /// What the agent's check of a service has found: said after the first check, and then when it
    /// finds something else. Since revision 4.
    Health {
        /// From [`GatewayMessage::Bound`].
        endpoint: u64,
        /// Whether the service may get traffic.
        up: bool,
        /// Why not, for people.
        #[serde(default)]
        reason: String,
    },
    /// Gives a URL back.
    Unbind {
        /// From [`GatewayMessage::Bound`].
        endpoint: u64,
    },
    /// The agent is going: no new streams, running ones will finish.
    Drain,
}

/// What a gateway says on the control stream of lane 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayMessage {
    /// The URL is served from now on.
    Bound {
        /// From [`AgentMessage::Bind`].
        request: u64,
        /// Names the endpoint in every [`OpenRequest`].
        endpoint: u64,
        /// The URL people can open, with its port where that is not the scheme's default.
        url: String,
    },
    /// The URL is not served.
    BindRefused {
        /// From [`AgentMessage::Bind`].
        request: u64,
        /// Why.
        refused: Refused,
    },
    /// The new policy is for every exchange that begins from now on.
    Updated {
        /// From [`AgentMessage::Update`].
        request: u64,
    },
    /// The endpoint keeps the policy that it had.
    UpdateRefused {
        /// From [`AgentMessage::Update`].
        request: u64,
        /// Why.
        refused: Refused,
    },
    /// The gateway took the URL away.
    Unbound {
        /// Which endpoint.
        endpoint: u64,
        /// Why.
        refused: Refused,
    },
    /// The gateway is going: running streams may finish, the agent should connect anew.
    Drain {
        /// Milliseconds until the gateway closes what still runs.
        deadline_ms: u64,
    },
    /// The gateway ends the session, its endpoints and its streams, now. Since revision 3.
    Ended {
        /// Why, and whether to come again.
        refused: Refused,
    },
    /// One exchange ended, for the agent's display. Sent only if the endpoint asked for it, and
    /// left out rather than waited for when the control stream is slow.
    Exchange(Box<ExchangeReport>),
}

/// An endpoint as an agent asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// The endpoint's name in the agent's configuration.
    pub name: String,
    /// The wanted URL, in any form a user may type; empty or without a host for a random one.
    pub url: String,
    /// How the gateway should speak to the service.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whether other sessions may serve the same URL.
    #[serde(default)]
    pub pooling_enabled: bool,
    /// Share of the pool's traffic; 0 takes no new traffic.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Lower tiers serve first; a higher one only while no lower can.
    #[serde(default)]
    pub tier: u32,
    /// The user's own text about this endpoint, at most 4096 bytes.
    #[serde(default)]
    pub metadata: String,
    /// The user's description, at most 255 bytes.
    #[serde(default)]
    pub description: String,
    /// Whether the agent checks its service: then it gets no traffic before the first
    /// [`AgentMessage::Health`] that says it is up. Gateways before revision 4 do not wait.
    #[serde(default)]
    pub checked: bool,
    /// A traffic policy as YAML or JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<String>,
    /// Where the traffic goes behind the agent, for error pages and lists.
    #[serde(default)]
    pub forwards_to: String,
    /// Whether to send [`GatewayMessage::Exchange`].
    #[serde(default)]
    pub report: bool,
}

fn default_weight() -> u32 {
    100
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge, or by ALPN where the agent speaks TLS to the service.
    Http2,
    /// Anything: bytes both ways. Since revision 4.
    Tcp,
}

/// One ended exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeReport {
    /// From [`GatewayMessage::Bound`].
    pub endpoint: u64,
    /// Request method.
    pub method: String,
    /// Path without the query, which may hold secrets.
    pub path: String,
    /// Status the client got.
    pub status: u16,
    /// Microseconds from the request's head to the response's end.
    pub micros: u64,
    /// Exchanges that were not reported before this one because the control stream was slow.
    #[serde(default)]
    pub missed: u64,
}

/// A bearer secret. Its `Debug` hides the text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Wraps the text of a token.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: hash it, send it, never print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_shows_in_debug() {
        let hello = Hello {
            versions: (1, 1),
            token: Token::new("adit_secret"),
            agent_id: "a".into(),
            epoch: 1,
            client: String::new(),
            metadata: String::new(),
        };
        assert!(!format!("{hello:?}").contains("secret"));
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
        let spec: EndpointSpec =
            serde_json::from_str(r#"{"name":"web","url":"","shape":"round"}"#).unwrap();
        assert_eq!(spec.weight, 100);
        assert_eq!(spec.protocol, Protocol::Http1);
        let code: RefusalCode = serde_json::from_str(r#""too_pretty""#).unwrap();
        assert_eq!(code, RefusalCode::Unknown);
    }
}
