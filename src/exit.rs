//! How the command ends when it does not end well: a text for people and an exit code for scripts.

use std::fmt;

/// Why the command stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A mistake in the usage, a configuration or a policy, found before anything was online.
    Mistake(String),
    /// The gateway said no, and asking again cannot help.
    Refused(String),
}

impl Failure {
    /// A mistake told by whatever can be displayed.
    pub(crate) fn mistake(why: impl fmt::Display) -> Self {
        Self::Mistake(why.to_string())
    }

    /// What the process returns to whoever started it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Mistake(_) => 1,
            Self::Refused(_) => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(text) | Self::Refused(text) => f.write_str(text),
        }
    }
}
