//! What a case expects, and how it differs from what became of the exchange.

mod comparison;

use std::collections::BTreeMap;
use std::str::FromStr;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value as Json;

use super::said::{Lines, Said, Texts};
use crate::document::Step;

/// What is expected of one exchange. Only what is said is compared.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// How it ends: `continue` (the service is asked), `answer`, `deny`, `refuse`, `close`, `forward` or `fault`.
    pub verdict: Option<Ending>,
    /// The number of a refusal or a fault, as in `ERR_ADIT_2254`.
    pub code: Option<Said<Code>>,
    /// A part of the reason of a refusal or a fault.
    pub reason: Option<String>,
    /// The status that the client gets.
    pub status: Option<Said<StatusCode>>,
    /// Lines that the client gets, by name: a text, a list of texts for several lines, or null for none. Others do not
    /// matter.
    pub headers: Lines,
    /// The whole body that the client gets. One in a content coding is compared as it reads without it.
    pub body: Option<Said<String>>,
    /// Texts that the body must hold.
    pub body_contains: Texts,
    /// What the service gets.
    pub upstream: Option<ExpectUpstream>,
    /// The endpoint that the exchange is forwarded to.
    pub forward_to: Option<String>,
    /// The rules that fired, in order: each by its name, as `on_http_request[2]`, or by its index alone in
    /// `on_http_request`. Rules in shadow mode are not among them.
    pub rules: Option<Texts>,
    /// All changes of headers, in order: `+ name: value` adds a line, `= name: value` replaces all, `- name` removes.
    pub edits: Option<Texts>,
    /// Variables at the end of their phase. Of a map, only what is named is compared.
    pub vars: BTreeMap<String, Json>,
    /// What actions left under `actions.ngrok.`. Of a map, only what is named is compared.
    pub results: BTreeMap<String, Json>,
    /// The rules in shadow mode that would have fired, in order.
    pub shadow: Option<Texts>,
    /// The requests that the policy made itself, in order.
    pub fetched: Option<Vec<ExpectUpstream>>,
    /// The metadata that the policy logged, in order. Of a map, only what is named is compared.
    pub log: Option<Vec<Json>>,
}

/// What is expected of a request that leaves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectUpstream {
    /// Its method.
    pub method: Option<Said<Method>>,
    /// Its whole URL.
    pub url: Option<String>,
    /// Its path with the query.
    pub path: Option<String>,
    /// Lines by name, as those of a response.
    pub headers: Lines,
    /// Its whole body.
    pub body: Option<Said<String>>,
}

/// The word for a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The service is asked.
    Continue,
    /// An action answered.
    Answer,
    /// An action denied.
    Deny,
    /// An action refused.
    Refuse,
    /// The connection is closed.
    Close,
    /// Another endpoint is asked.
    Forward,
    /// Something could not decide.
    Fault,
}

/// The number in `ERR_ADIT_nnnn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u16);

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The way from the expectation to what is said there.
    pub way: Vec<Step>,
    /// What is said.
    pub expected: String,
    /// What there is.
    pub got: String,
}

// === impl Ending, Code ===

impl Ending {
    /// [`crate::verdict::Verdict::name`].
    const fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Answer => "answer",
            Self::Deny => "deny",
            Self::Refuse => "refuse",
            Self::Close => "close",
            Self::Forward => "forward",
            Self::Fault => "fault",
        }
    }
}

impl FromStr for Code {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let number = text.strip_prefix("ERR_ADIT_").and_then(|n| n.parse().ok());
        number
            .map(Self)
            .ok_or("a code is written as in ERR_ADIT_2254")
    }
}
