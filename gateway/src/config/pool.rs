//! The `pool:` block of an endpoint: how its members share the traffic, and what happens when one fails.

use std::{fmt, time::Duration};

use adit_policy::{expr::RequestKey, go_duration::GoDuration};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

mod agree;

pub(super) use agree::agree;

/// How a pool works. Endpoints that agents declare have the defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Who of the members gets a request. Default `round-robin`.
    pub balance: Balance,
    /// With `balance: hash`: the expression whose text decides, `req.headers['x-user'][0]` or `conn.client_ip`. Requests
    /// of one text go to one member for as long as it serves; when it goes, only its texts move. Where the expression
    /// fails (the header is missing), the client's address decides. It always does at tcp endpoints, which have none.
    pub hash_on: Option<RequestKey>,
    /// Keeps a browser at the member that served it first, until that one cannot serve any more or is of a tier that
    /// does not serve any more. Weight 0 sends nobody new to a member and lets those stay. Default: none.
    pub sticky: Option<Sticky>,
    /// How long a member takes to come from a tenth of its share to the whole: a new one, and one that is back after it
    /// failed. One that is alone gets everything at once. Default 0s: at once.
    pub slow_start: GoDuration,
    /// Weights that count instead of the agents' own. The first entry that fits a member does. Weights that an operator
    /// sets at the admin API count instead of these.
    pub weights: Vec<WeightEntry>,
    /// How often a request that failed after it was sent is sent to another member. Only requests that may be repeated
    /// are: with an idempotent method (RFC 9110 §9.2.2), a body that is still there, and no byte of a response at the
    /// client. A member that could not be reached costs no retry. Default 1.
    pub retries: u32,
    /// How many retries there may be beside first tries, so that a service in trouble is not drowned.
    pub retry_budget: RetryBudget,
    /// The longest try, from the choice of a member to the head of its response; the time that the client takes for its
    /// body does not count. Then another member is tried if the request may be repeated, else 504. With HTTP/2 to the
    /// service (gRPC) also the longest silence within a response. Default: `limits.upstream_timeout`.
    pub try_timeout: Option<GoDuration>,
    /// The longest time for all tries together, measured in the same way; then 504. Default: none.
    pub timeout: Option<GoDuration>,
    /// Responses with one of these statuses are not sent on while another member may be asked instead: for requests that
    /// may be repeated, within `retries` and the budget. Default: none.
    pub retry_statuses: Vec<u16>,
    /// When a member is left out for a while because it fails.
    pub eject: Eject,
    /// There is none (`pool: none`): the endpoint's policy alone serves it, and must end every exchange.
    #[serde(skip)]
    pub(crate) none: bool,
}

/// Ways to share requests among the members of the lowest tier that can serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Of two members that are drawn by weight, the one with fewer requests at work for its weight.
    LeastRequests,
    /// By a text of the request: rendezvous hashing, by weight.
    Hash,
}

impl Balance {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastRequests => "least-requests",
            Self::Hash => "hash",
        }
    }
}

/// A cookie that names the member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// How long browsers keep it. Default: until they are closed.
    #[serde(default)]
    pub max_age: Option<GoDuration>,
}

/// The weight of some members.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightEntry {
    /// The name of an entry of `agents:`. Default: any.
    #[serde(default)]
    pub agent: Option<String>,
    /// The metadata that the agent has given its endpoint. Default: any.
    #[serde(default)]
    pub metadata: Option<String>,
    /// Share of the pool's traffic; 0 takes no new traffic.
    pub weight: u32,
}

/// Retries in proportion to first tries.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudget {
    /// Retries for each first try of the last ten seconds. Default 0.2.
    pub ratio: f64,
    /// Retries that are always allowed, for each second. Default 10.
    pub per_second: u32,
}

/// Passive health checks: what members do to the requests of clients.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Eject {
    /// Failures in a row (no connection, no answer in time, a broken connection) after which a member is left out;
    /// 0 for never. Default 3.
    pub failures: u32,
    /// The share of 5xx among a member's responses of ten seconds from which it is left out, at 20 responses or more;
    /// 0 for never. Default 0.5.
    pub server_errors: f64,
    /// How long it is left out the first time; doubled each time until it has served as long without. Default 5s.
    pub time: GoDuration,
    /// The longest time. Default 5m.
    pub most: GoDuration,
    /// Whether the last member that could serve is left out, too. Default false.
    pub last: bool,
}

// === impl Pool ===

impl Default for Pool {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            hash_on: None,
            sticky: None,
            slow_start: GoDuration(Duration::ZERO),
            weights: Vec::new(),
            retries: 1,
            retry_budget: RetryBudget::default(),
            try_timeout: None,
            timeout: None,
            retry_statuses: Vec::new(),
            eject: Eject::default(),
            none: false,
        }
    }
}

/// Reads the settings of a pool, or the word `none`.
pub(super) fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pool, D::Error> {
    struct OrNone;

    impl<'de> Visitor<'de> for OrNone {
        type Value = Pool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the settings of a pool, or `none`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Pool, E> {
            match text {
                "none" => Ok(Pool {
                    none: true,
                    ..Pool::default()
                }),
                other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pool, A::Error> {
            Pool::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(OrNone)
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            per_second: 10,
        }
    }
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            failures: 3,
            server_errors: 0.5,
            time: GoDuration(Duration::from_secs(5)),
            most: GoDuration(Duration::from_secs(300)),
            last: false,
        }
    }
}
