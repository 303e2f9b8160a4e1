//! `enforce:`, a field of every action that lets in or keeps out.

use serde::Deserialize;

use crate::action::{Flow, Refusal};

/// Whether what an action refuses is refused. If not, it only leaves its results, for expressions and the trace.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Enforce(bool);

impl Enforce {
    /// Whether others are kept out at all.
    pub(super) fn is_on(self) -> bool {
        self.0
    }

    /// What becomes of an exchange that the action would refuse.
    pub(super) fn refuse(self, refusal: impl FnOnce() -> Refusal) -> Flow {
        match self.0 {
            true => Flow::Refuse(refusal()),
            false => Flow::Next,
        }
    }
}

impl Default for Enforce {
    fn default() -> Self {
        Self(true)
    }
}
