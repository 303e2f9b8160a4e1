//! The table of functions: their names, what they take and give, and where they may be called.

mod case;
mod chance;
mod convert;
mod encoding;
mod format;
mod hash;
mod json;
mod lists;
mod matches;
mod net;
mod queries;
mod request;
mod secrets;
mod strings;
mod time;
mod urls;

use super::error::EvalError;
use super::eval::{Frame, MADE_MAX, bounded};
use super::static_type::Type;
use super::value::{Text, Value};
use crate::action::Phase;
use crate::exchange::Exchange;

pub(super) use time::in_range as is_time;

/// What a function gives.
pub(crate) type Answer<'e> = Result<Value<'e>, EvalError>;

/// One form of a function. Two forms of one name differ in how they are called or in how much they take.
#[derive(Debug)]
pub(crate) struct Function {
    /// Its name, with its namespace: `base64.encode`.
    pub(crate) name: &'static str,
    /// `a.f(b)`: the type of `a`. None: `f(a, b)`.
    pub(crate) receiver: Option<Type>,
    /// The types of the arguments, without the receiver.
    pub(crate) arguments: &'static [Type],
    /// The type of the answer.
    pub(crate) result: Type,
    /// Whether the same arguments always give the same answer, so that it can be found at load.
    pub(crate) pure: bool,
    /// Where it may be called.
    pub(crate) phases: &'static [Phase],
    /// The receiver is the first of the arguments.
    pub(crate) call: for<'c, 'e, 'x> fn(&Call<'c, 'e, 'x>) -> Answer<'e>,
}

/// One call of a function. The types of the arguments were checked as far as they are known at load, and by
/// [`Call::text`] and its like at run time.
pub(crate) struct Call<'c, 'e, 'x> {
    pub(in crate::expr) function: &'static Function,
    pub(in crate::expr) arguments: &'c [Value<'e>],
    pub(in crate::expr) frame: &'c Frame<'e, 'x>,
}

/// Wherever there is a request.
pub(crate) const WITH_REQUEST: &[Phase] = &[
    Phase::OnHttpRequest,
    Phase::OnHttpResponse,
    Phase::OnEventStreamMessage,
];
/// Wherever there is a response.
pub(crate) const WITH_RESPONSE: &[Phase] = &[Phase::OnHttpResponse, Phase::OnEventStreamMessage];

/// All tables; one for each file of this folder.
const TABLES: &[&[Function]] = &[
    case::TABLE,
    chance::TABLE,
    convert::TABLE,
    encoding::TABLE,
    format::TABLE,
    hash::BUCKETS,
    hash::TABLE,
    json::TABLE,
    lists::TABLE,
    matches::TABLE,
    net::TABLE,
    queries::TABLE,
    request::TABLE,
    secrets::TABLE,
    strings::TABLE,
    time::OF_TIMES,
    time::OF_LENGTHS,
    urls::TABLE,
];

/// One text.
const TEXT: &[Type] = &[Type::String];
/// One whole number.
const INT: &[Type] = &[Type::Int];
/// Most items of a list that is made, at 16 bytes each.
const ITEMS_MAX: usize = MADE_MAX / 16;

/// All forms of a name.
pub(crate) fn named(name: &str) -> impl Iterator<Item = &'static Function> {
    all().filter(move |function| function.name == name)
}

/// Every form of every function.
pub(crate) fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

// === impl Function ===

impl Function {
    /// `a.name(arguments)`, pure and allowed everywhere.
    pub(crate) const fn method(
        receiver: Type,
        name: &'static str,
        arguments: &'static [Type],
        result: Type,
        call: for<'c, 'e, 'x> fn(&Call<'c, 'e, 'x>) -> Answer<'e>,
    ) -> Self {
        Self {
            receiver: Some(receiver),
            ..Self::global(name, arguments, result, call)
        }
    }

    /// `name(arguments)`, pure and allowed everywhere.
    pub(crate) const fn global(
        name: &'static str,
        arguments: &'static [Type],
        result: Type,
        call: for<'c, 'e, 'x> fn(&Call<'c, 'e, 'x>) -> Answer<'e>,
    ) -> Self {
        Self {
            name,
            receiver: None,
            arguments,
            result,
            pure: true,
            phases: Phase::ALL,
            call,
        }
    }

    /// The same, answering by what the exchange holds, and only in these phases.
    pub(crate) const fn of_exchange(self, phases: &'static [Phase]) -> Self {
        Self {
            pure: false,
            phases,
            ..self
        }
    }
}

// === impl Call ===

impl<'e, 'x> Call<'_, 'e, 'x> {
    /// The exchange; functions that are pure have none.
    pub(crate) fn exchange(&self) -> Result<&'e Exchange<'x>, EvalError> {
        self.frame.exchange()
    }

    /// An argument; the receiver is number 0.
    pub(crate) fn value(&self, index: usize) -> Result<&Value<'e>, EvalError> {
        let missing = || EvalError::function("an argument is missing");
        self.arguments.get(index).ok_or_else(missing)
    }

    /// How many arguments there are, the receiver included.
    pub(crate) fn len(&self) -> usize {
        self.arguments.len()
    }

    /// An argument that must be a text.
    pub(crate) fn text(&self, index: usize) -> Result<&Text<'e>, EvalError> {
        match self.value(index)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(other, "string")),
        }
    }

    /// An argument that must be a whole number.
    pub(crate) fn int(&self, index: usize) -> Result<i64, EvalError> {
        match self.value(index)? {
            Value::Int(value) => Ok(*value),
            other => Err(self.wrong(other, "int")),
        }
    }

    /// An argument that must be a list.
    pub(crate) fn list(&self, index: usize) -> Result<&[Value<'e>], EvalError> {
        match self.value(index)? {
            Value::List(items) => Ok(items),
            other => Err(self.wrong(other, "list")),
        }
    }

    /// What the function must tell about work that grows with its arguments: about one unit for 16 bytes.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), EvalError> {
        self.spend(1 + bytes as u64 / 16)
    }

    /// Spends units of the phase's budget.
    pub(crate) fn spend(&self, units: u64) -> Result<(), EvalError> {
        self.frame.spend(units)
    }

    /// Refuses to make a text of so many bytes, if they are too many.
    pub(crate) fn bounded(&self, bytes: usize) -> Result<(), EvalError> {
        bounded(bytes)
    }

    /// Refuses to make a list of so many items.
    pub(crate) fn bounded_items(&self, items: usize) -> Result<(), EvalError> {
        bounded(items.saturating_mul(16))
    }

    /// An error of this function.
    pub(crate) fn error(&self, reason: impl std::fmt::Display) -> EvalError {
        EvalError::function(format!("{}: {reason}", self.function.name))
    }

    fn wrong(&self, got: &Value<'_>, wanted: &str) -> EvalError {
        EvalError::types(format!(
            "{} takes {wanted}, not {}",
            self.function.name,
            got.type_name()
        ))
    }
}
