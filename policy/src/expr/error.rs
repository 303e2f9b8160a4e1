//! Why an expression has no value.

use std::fmt;

/// Why an expression has no value for this exchange. It never holds what the exchange holds beyond a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError(Box<Kind>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    NoSuchKey(String),
    Type(String),
    Function(String),
    Budget(&'static str),
    NoSecret(String),
}

impl EvalError {
    /// A map without the key, a list without the index, a variable that was never set.
    pub(crate) fn no_such_key(key: impl fmt::Display) -> Self {
        Self(Box::new(Kind::NoSuchKey(key.to_string())))
    }

    /// Something is done with a value of a type that has no such thing.
    pub(crate) fn types(message: String) -> Self {
        Self(Box::new(Kind::Type(message)))
    }

    /// A function cannot answer for these arguments.
    pub(crate) fn function(message: impl Into<String>) -> Self {
        Self(Box::new(Kind::Function(message.into())))
    }

    /// The expressions of a phase may not go on for ever.
    pub(crate) fn budget(what: &'static str) -> Self {
        Self(Box::new(Kind::Budget(what)))
    }

    /// There is no such secret, or the policy may not know it.
    pub(crate) fn no_secret(which: impl fmt::Display) -> Self {
        Self(Box::new(Kind::NoSecret(format!(
            "no secret {which} that this policy may read"
        ))))
    }

    /// The same error without anything that it could tell of a secret.
    pub(super) fn of_a_secret(self) -> Self {
        match *self.0 {
            Kind::Budget(_) | Kind::NoSecret(_) => self,
            _ => Self::function("it fails on what was made of a secret"),
        }
    }

    /// Whether `||`, `&&`, `all` and `exists` may go on as if another operand could decide.
    pub(super) fn can_be_absorbed(&self) -> bool {
        !matches!(*self.0, Kind::Budget(_))
    }

    /// The number of the error; `usual` unless a budget was exceeded or a secret is missing.
    pub(crate) fn code(&self, usual: u16) -> u16 {
        match *self.0 {
            Kind::Budget(_) => 50002,
            Kind::NoSecret(_) => 2238,
            _ => usual,
        }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::NoSuchKey(key) => write!(f, "no such key: `{key}`"),
            Kind::Type(message) | Kind::Function(message) | Kind::NoSecret(message) => {
                f.write_str(message)
            }
            Kind::Budget(what) => write!(f, "{what} (ERR_ADIT_50002)"),
        }
    }
}

impl std::error::Error for EvalError {}
