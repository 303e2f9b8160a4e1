//! What a policy says about one exchange, and which action said it.

use std::fmt;
use std::sync::Arc;

use crate::action::{Fault, Forward, Phase, Refusal, Reply};

/// The answer of one phase of one policy.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// No action ended the phase: the exchange goes on.
    Continue,
    /// An action answered, and meant it: the response phase runs for it (in the response phase, it replaces the answer).
    Answer {
        /// Status, header and body for the client.
        reply: Reply,
        /// The action that answered.
        by: Place,
    },
    /// `deny`: the answer, and no response phase runs for it.
    Deny {
        /// Status and header for the client.
        reply: Reply,
        /// The action that denied.
        by: Place,
    },
    /// An action refused; the caller makes a page that fits what the client accepts.
    Refuse {
        /// Status, number and sentence.
        refusal: Refusal,
        /// The action that refused.
        by: Place,
    },
    /// The connection is to be closed without a word, and reset where that is possible. In `on_tcp_connect`, `Answer`,
    /// `Deny`, `Refuse` and `Fault` close it, too, in the usual way: nobody has asked for anything yet.
    Close {
        /// The action that closes it.
        by: Place,
    },
    /// Another endpoint answers. If it cannot and `forward.continue_on_error` is set, the caller goes on with
    /// [`crate::Policy::resume_http_request`] or [`crate::Policy::resume_tcp_connect`].
    Forward {
        /// The endpoint.
        forward: Forward,
        /// The action that forwards.
        by: Place,
    },
    /// An action or an expression could not decide: the client gets an error page, the fault goes to the log.
    Fault {
        /// Why.
        fault: Fault,
        /// The action, or the rule, that failed.
        by: Place,
    },
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
    /// Index of the action in the rule, from 0, and the word after `type:`; `None` for the rule's expressions.
    pub action: Option<(usize, &'static str)>,
}

// === impl Verdict ===

impl Verdict {
    /// The word for logs, metrics and cases: `continue`, `answer`, `deny`, `refuse`, `close`, `forward` or `fault`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Answer { .. } => "answer",
            Self::Deny { .. } => "deny",
            Self::Refuse { .. } => "refuse",
            Self::Close { .. } => "close",
            Self::Forward { .. } => "forward",
            Self::Fault { .. } => "fault",
        }
    }

    /// Who said it; nobody says `continue`.
    pub const fn by(&self) -> Option<&Place> {
        match self {
            Self::Continue => None,
            Self::Answer { by, .. }
            | Self::Deny { by, .. }
            | Self::Refuse { by, .. }
            | Self::Close { by }
            | Self::Forward { by, .. }
            | Self::Fault { by, .. } => Some(by),
        }
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.phase, self.rule)?;
        match self.action {
            Some((action, kind)) => write!(f, ".actions[{action}] ({kind})"),
            None => f.write_str(".expressions"),
        }
    }
}
