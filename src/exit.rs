//! How the command ends when it does not end well: a text for people and an exit code for scripts.

use std::fmt;

/// Why the command stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A mistake in the usage, a configuration or a policy, found before anything was online.
    Mistake(String),
    /// The same, where a script must tell it from a file that was looked at and is wrong.
    Usage(String),
    /// The command has said all there is to say: what was looked at is wrong.
    Told,
    /// The gateway said no, and asking again cannot help.
    Refused(String),
}

impl Failure {
    /// A mistake told by whatever can be displayed.
    pub(crate) fn mistake(why: impl fmt::Display) -> Self {
        Self::Mistake(why.to_string())
    }

    /// A mistake of [`Failure::Usage`], told by whatever can be displayed.
    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(why.to_string())
    }

    /// What the process returns to whoever started it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Mistake(_) | Self::Told => 1,
            Self::Refused(_) | Self::Usage(_) => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(text) | Self::Usage(text) | Self::Refused(text) => f.write_str(text),
            Self::Told => Ok(()),
        }
    }
}
