//! How the operator's policies stand, for those who look from outside.

use std::{path::PathBuf, time::SystemTime};

use super::ReloadError;

/// The policies in use, and what became of the attempts to renew them.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The configuration that is watched.
    pub(crate) file: Option<PathBuf>,
    /// When those in use came into use.
    pub(crate) loaded_at: SystemTime,
    /// Reloads that were applied.
    pub(crate) applied: u64,
    /// Reloads that were refused.
    pub(crate) refused: u64,
    /// What is wrong with the files as they are now: one line, without secrets.
    pub(crate) error: Option<String>,
}

impl Status {
    /// As it is when a gateway starts.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            loaded_at: SystemTime::now(),
            applied: 0,
            refused: 0,
            error: None,
        }
    }

    pub(super) fn applied(&self) -> Self {
        Self {
            loaded_at: SystemTime::now(),
            applied: self.applied + 1,
            error: None,
            ..self.clone()
        }
    }

    pub(super) fn refused(&self, error: &ReloadError) -> Self {
        Self {
            refused: self.refused + 1,
            error: Some(first_line(error)),
            ..self.clone()
        }
    }
}

/// A mistake without the lines that show its place: place and words stand in the first one.
pub(super) fn first_line(error: &impl ToString) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
