//! What the admin API answers, as programs read it. `docs/admin-api.md` shows it in use.
//!
//! Texts that come from agents have no control characters: whoever prints them can do so.

use serde::{Deserialize, Serialize};

/// The file in the data directory with the token for this machine, new with each start.
pub const TOKEN_FILE: &str = "api.token";

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `ERR_ADIT_…`.
    pub error_code: String,
    /// The HTTP status.
    pub status_code: u16,
    /// What is wrong, and what to do.
    pub msg: String,
    /// Room for more.
    #[serde(default)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

macro_rules! listings {
    ($($(#[doc = $doc:literal])+ $name:ident { $items:ident: $item:ty })+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            /// The newest first, or by URL.
            pub $items: Vec<$item>,
            /// What was asked for.
            pub uri: String,
            /// Where it goes on, if it does.
            pub next_page_uri: Option<String>,
        }

        impl super::api::paging::Listing for $name {
            type Item = $item;

            fn new($items: Vec<$item>, uri: String, next_page_uri: Option<String>) -> Self {
                Self { $items, uri, next_page_uri }
            }
        }
    )+};
}

listings! {
    /// A page of `GET /tunnel_sessions`.
    TunnelSessions { tunnel_sessions: TunnelSession }
    /// A page of `GET /endpoints`.
    Endpoints { endpoints: Endpoint }
    /// A page of `GET /traces`.
    Traces { traces: Trace }
}

/// One connected agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelSession {
    /// `ts_…`; another one after a reconnect, and after a restart of the gateway.
    pub id: String,
    /// Its own path.
    pub uri: String,
    /// The agent's name in `gateway.yaml`.
    pub agent: String,
    /// Program and platform, as the agent says.
    pub agent_version: String,
    /// Where it connected from.
    pub ip: Option<String>,
    /// When it connected.
    pub started_at: String,
    /// The protocol that is spoken.
    pub transport: String,
    /// What the agent's owner says about it.
    pub metadata: String,
    /// Whether it takes no new traffic, because somebody wants it to end.
    pub draining: bool,
    /// How long nothing was heard of it, in milliseconds.
    pub silent_ms: u64,
    /// Its endpoints.
    pub endpoints: Vec<Reference>,
}

/// Something that has a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its id.
    pub id: String,
    /// Its path.
    pub uri: String,
}

/// A URL that traffic arrives at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `ep_…`, always the same for the same URL.
    pub id: String,
    /// Its own path.
    pub uri: String,
    /// The URL as it is declared or bound.
    pub url: String,
    /// The URL as people open it, with a port if it needs one.
    pub public_url: String,
    /// Whether `gateway.yaml` declares it; otherwise agents do.
    pub declared: bool,
    /// Whether the operator's traffic policy runs there.
    pub traffic_policy: bool,
    /// `up` if a member takes new traffic, else `down`.
    pub state: String,
    /// Members that take new traffic.
    pub members_up: usize,
    /// How its pool shares the traffic.
    pub balance: String,
    /// Requests and connections at work.
    pub in_flight: u64,
    /// Exchanges since the gateway was started, of a declared endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<Exchanges>,
    /// Its pool.
    pub members: Vec<Member>,
}

/// Exchanges by the class of their responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanges {
    /// All of them.
    pub total: u64,
    /// With a response of 4xx.
    pub client_errors: u64,
    /// With a response of 5xx.
    pub server_errors: u64,
    /// Without a response.
    pub unanswered: u64,
}

/// An agent's session at an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// `mb_…`; another one after a reconnect.
    pub id: String,
    /// Its own path.
    pub uri: String,
    /// The agent's name in `gateway.yaml`.
    pub agent: String,
    /// Its session.
    pub tunnel_session: Reference,
    /// What the agent's owner says about its service: a version, a place.
    pub metadata: String,
    /// Where the agent forwards to, as it says.
    pub upstream_url: String,
    /// Its share of the traffic.
    pub weight: Weight,
    /// A member of a higher tier serves only while nobody of a lower one can.
    pub tier: u32,
    /// Whether it takes new traffic.
    pub up: bool,
    /// Why not: each reason there is.
    pub reasons: Vec<Reason>,
    /// Requests and connections at work.
    pub in_flight: u64,
    /// Requests and connections that it ever got.
    pub requests: u64,
    /// The same in a second, over the last ten.
    pub requests_per_second: f64,
    /// What it did to them.
    pub failures: Failures,
    /// The same as a whole in a second, over the last ten.
    pub failures_per_second: f64,
    /// How often it was left out for a while because it failed.
    pub ejections: u64,
}

/// A member's share, and who has a say in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// The one that counts: the first of the others that there is, from the last to the first.
    pub effective: u32,
    /// The agent's own.
    pub own: u32,
    /// From `pool.weights` in `gateway.yaml`.
    pub configured: Option<u32>,
    /// From this API.
    #[serde(rename = "override")]
    pub overridden: Option<u32>,
}

/// Why a member takes no new traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `draining`, `ejected`, `unhealthy`, `silent`, `weight_0`, `gone`.
    pub kind: String,
    /// More about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it is over, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What a member did to requests, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// There was no stream to its agent.
    pub connect: u64,
    /// Its agent could not reach the service.
    pub dial: u64,
    /// No answer in time.
    pub timeout: u64,
    /// The connection broke before the answer.
    pub broken: u64,
    /// The connection broke in the middle of an answer.
    pub cut_short: u64,
    /// The service answered that it is broken.
    pub server_error: u64,
}

/// What is remembered of an exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// `tr_…`.
    pub id: String,
    /// Its own path.
    pub uri: String,
    /// When the request came.
    pub started_at: String,
    /// From the request to the end of the response.
    pub duration_ms: f64,
    /// Where it came from.
    pub client_ip: Option<String>,
    /// Of the request.
    pub method: String,
    /// Of the request.
    pub scheme: String,
    /// Of the request.
    pub host: String,
    /// Without the query, and cut if it is long.
    pub path: String,
    /// What the client got; nothing if its connection was closed.
    pub status_code: Option<u16>,
    /// If the gateway made the response because something was wrong.
    pub error_code: Option<String>,
    /// Whom the request was for.
    pub endpoint: Option<Reference>,
    /// Who served it, if a policy forwarded it.
    pub forwarded_to: Option<Reference>,
    /// The agent's name.
    pub agent: Option<String>,
    /// The member of its pool.
    pub member_id: Option<String>,
    /// Members that were tried in vain.
    pub tries: Vec<Try>,
    /// The last word of a policy.
    pub verdict: Option<Verdict>,
    /// Of `traceparent`.
    pub trace_id: Option<String>,
    /// What each policy did, the outermost first, if that was captured.
    pub policies: Vec<PolicySteps>,
}

/// A member that was tried in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// Which one.
    pub member_id: String,
    /// What it did.
    pub reason: String,
}

/// The last word of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `answer`, `deny`, `refuse`, `close`, `forward` or `fault`.
    pub outcome: String,
    /// Rule and action.
    pub rule: String,
    /// The rule's own name.
    pub name: Option<String>,
}

/// What one policy did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySteps {
    /// Its endpoint.
    pub endpoint: Reference,
    /// Whose policy it is, if it is an agent's.
    pub agent: Option<String>,
    /// Every rule that was looked at, in order.
    pub rules: Vec<RuleSteps>,
}

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleSteps {
    /// The phase in which it stands.
    pub phase: String,
    /// Its index there, from 0.
    pub rule: usize,
    /// Its own name.
    pub name: Option<String>,
    /// Whether it was only tried.
    pub shadow: bool,
    /// Whether its expressions held.
    pub matched: bool,
    /// The expression that did not, from 0, and why if it failed.
    pub expression: Option<usize>,
    /// Why that one failed.
    pub error: Option<String>,
    /// Its actions that ran.
    pub actions: Vec<ActionSteps>,
}

/// What one action did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionSteps {
    /// The word after `type:`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it said, for people.
    pub outcome: String,
    /// Header lines that it changed. Secret values are hidden.
    pub edits: Vec<String>,
    /// The target that it put in the place of the request's.
    pub target: Option<String>,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// `GET /traces/capture`: of which exchanges the steps of policies are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Of a second, without being asked for: `traces.sample`.
    pub sample: u32,
    /// Until when more is captured.
    pub until: Option<String>,
    /// At which endpoint; at all without one.
    pub endpoint: Option<Reference>,
    /// How many of a second.
    pub per_second: Option<u32>,
}
