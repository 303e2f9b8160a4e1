//! How the configuration stands, for those who look from outside.

use std::{path::PathBuf, time::SystemTime};

use adit_policy::LoadError;

use super::ConfigErrors;
use crate::config::ConfigError;

/// The configuration in use, and what became of the attempts to renew it.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The configuration that is watched.
    pub(crate) file: Option<PathBuf>,
    /// When the one in use came into use.
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

    pub(super) fn refused(&self, errors: &ConfigErrors) -> Self {
        Self {
            refused: self.refused + 1,
            error: errors.0.iter().flat_map(lines).next(),
            ..self.clone()
        }
    }
}

/// Each mistake in one line: its place and its words, without the lines that show the place.
pub(super) fn lines(error: &ConfigError) -> Vec<String> {
    match error {
        ConfigError::Mistakes(mistakes) => mistakes.iter().map(first_line).collect(),
        ConfigError::Policy(error) => match &**error {
            LoadError::Read(mistakes) => mistakes.iter().map(first_line).collect(),
            LoadError::Misplaced(error) => vec![first_line(error)],
            LoadError::Build(error) => vec![first_line(error)],
        },
        ConfigError::Read { .. }
        | ConfigError::Endpoint { .. }
        | ConfigError::Unhandled { .. }
        | ConfigError::Tls(_)
        | ConfigError::Port { .. }
        | ConfigError::Contradiction { .. } => vec![first_line(error)],
    }
}

fn first_line(error: &impl ToString) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
