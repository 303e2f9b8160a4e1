//! `on_error:`, a field of every action that asks somebody else.

use serde::Deserialize;

/// What becomes of an exchange when whoever was asked does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnError {
    /// It ends as an error.
    Halt,
    /// The following actions run.
    Continue,
}
