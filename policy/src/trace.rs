//! What a policy did with one exchange, rule by rule: kept only if somebody asked for it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::action::{Flow, Phase};
use crate::exchange::HeaderEdit;
use crate::expr::Value;

/// Every rule that was looked at, in order, over all phases that ran.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The rules.
    pub rules: Vec<RuleTrace>,
}

/// One rule that was looked at.
#[derive(Clone, Debug)]
pub struct RuleTrace {
    /// The phase in which it stands.
    pub phase: Phase,
    /// Index in the phase, from 0.
    pub rule: usize,
    /// Its own name.
    pub name: Option<Arc<str>>,
    /// Whether it was only tried.
    pub shadow: bool,
    /// What its expressions said.
    pub matched: Matched,
    /// Its actions that ran.
    pub actions: Vec<ActionTrace>,
}

/// What the expressions of a rule said.
#[derive(Clone, Debug, PartialEq)]
pub enum Matched {
    /// There are none, or all are true.
    Yes,
    /// This one was false; those behind it were not looked at.
    No {
        /// Index of the expression, from 0.
        expression: usize,
    },
    /// This one failed.
    Failed {
        /// Index of the expression, from 0.
        expression: usize,
        /// Why.
        error: String,
    },
}

/// One action that ran.
#[derive(Clone, Debug)]
pub struct ActionTrace {
    /// Index in the rule, from 0.
    pub action: usize,
    /// The word after `type:`.
    pub kind: &'static str,
    /// What it said.
    pub outcome: Outcome,
    /// The header lines that it changed.
    pub edits: Vec<HeaderEdit>,
    /// The target that it put in the place of the request's.
    pub target: Option<String>,
    /// What it left under `actions.ngrok.<name>`.
    pub result: Option<(&'static str, Value<'static>)>,
    /// How long it took.
    pub took: Duration,
}

/// What one action said.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The next action runs.
    Next,
    /// It answered.
    Answered(StatusCode),
    /// It denied.
    Denied(StatusCode),
    /// It refused, with this number.
    Refused(StatusCode, u16),
    /// It closed the connection.
    Closed,
    /// It forwarded to this endpoint.
    Forwarded(String),
    /// It could not decide.
    Failed {
        /// Why.
        error: String,
        /// The number of the reason.
        code: u16,
    },
    /// It reaches outside, and the rule is only tried.
    WouldRun,
}

/// What a rule in shadow mode would have done.
#[derive(Clone, Debug)]
pub struct ShadowRecord {
    /// The phase in which the rule stands.
    pub phase: Phase,
    /// Index in the phase, from 0.
    pub rule: usize,
    /// Its own name.
    pub name: Option<Arc<str>>,
    /// What its expressions said.
    pub matched: Matched,
    /// The last action that ran, its type and what it said; `None` if the rule did not match.
    pub decision: Option<(usize, &'static str, Outcome)>,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn of(flow: &Result<Flow, crate::action::Fault>) -> Self {
        match flow {
            Ok(Flow::Next | Flow::Wait) => Self::Next,
            Ok(Flow::Answer(reply)) => Self::Answered(reply.status()),
            Ok(Flow::Deny(reply)) => Self::Denied(reply.status()),
            Ok(Flow::Refuse(refusal)) => Self::Refused(refusal.status, refusal.code),
            Ok(Flow::Close) => Self::Closed,
            Ok(Flow::Forward(forward)) => Self::Forwarded(forward.url.to_string()),
            Err(fault) => Self::Failed {
                error: fault.to_string(),
                code: fault.code(),
            },
        }
    }
}

// === impl ActionTrace ===

impl ActionTrace {
    /// An action of a rule that is only tried: what it changed was thrown away.
    pub(crate) fn tried(action: usize, kind: &'static str, outcome: Outcome) -> Self {
        Self {
            action,
            kind,
            outcome,
            edits: Vec::new(),
            target: None,
            result: None,
            took: Duration::ZERO,
        }
    }
}
