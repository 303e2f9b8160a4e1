//! What a policy says about one exchange, and which action said it.

use std::fmt;
use std::sync::Arc;

use crate::action::{Fault, Phase, Reply};

/// The answer of one phase of one policy.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// No action ended the phase: the exchange goes on.
    Continue,
    /// An action answered; the exchange does not reach an agent (or, in the response phase, this replaces the answer).
    Reply {
        /// Status, header and body for the client.
        reply: Reply,
        /// Intended result or refusal.
        kind: ReplyKind,
        /// The action that answered.
        by: Place,
    },
    /// An action could not decide: the client gets a 500, the fault goes to the log.
    Fault {
        /// Why.
        fault: Fault,
        /// The action that failed.
        by: Place,
    },
}

/// Whether an answer was meant as a page or as a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// `custom-response` and its like.
    Answer,
    /// `deny` and every action that refuses.
    Refusal,
}

/// Where an action stands in a policy. Prints as `on_http_request[0].actions[1] (deny)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The phase.
    pub phase: Phase,
    /// Index of the rule in the phase, from 0.
    pub rule: usize,
    /// The rule's own name, if it has one.
    pub name: Option<Arc<str>>,
    /// Index of the action in the rule, from 0.
    pub action: usize,
    /// The word after `type:`.
    pub kind: &'static str,
}

// === impl ReplyKind ===

impl ReplyKind {
    /// Whether `on_http_response` runs for such an answer made in `on_http_request`: for intended results only.
    pub fn runs_response_phase(self) -> bool {
        self == Self::Answer
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            phase,
            rule,
            action,
            kind,
            ..
        } = self;
        write!(f, "{phase}[{rule}].actions[{action}] ({kind})")
    }
}
