//! A config field that may hold `${…}`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::expression::placed;
use super::template::{Compiled, Template};
use crate::action::Fault;
use crate::exchange::Exchange;
use crate::secret::Secret;
use crate::taint::Taint;

/// What can be read from a text, at load or when `${…}` has been filled in.
pub(crate) trait FromText: Sized {
    /// Reads it. The error ends with its number, as in `… (ERR_ADIT_2211)`.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// A field that is the same for every exchange, and was read at load; or one that is made for each.
#[derive(Clone, Debug)]
pub(crate) enum Field<T> {
    /// Read at load.
    Fixed(T),
    /// Read when the action runs.
    Computed(Template),
}

/// A text with or without `${…}`.
pub(crate) type Interpolated = Field<String>;

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl FromText for Secret {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl<T: Clone + FromText> Field<T> {
    /// The value for an exchange. `name` is the field's, for the log. What is shown to anybody is made with
    /// [`Self::marked`] instead.
    pub(crate) fn get<'e>(
        &'e self,
        name: &'static str,
        exchange: &Exchange<'_>,
    ) -> Result<Cow<'e, T>, Fault> {
        self.marked(name, exchange).map(|(value, _)| value)
    }

    /// The value for an exchange, and whether it came from a secret.
    pub(crate) fn marked<'e>(
        &'e self,
        name: &'static str,
        exchange: &Exchange<'_>,
    ) -> Result<(Cow<'e, T>, Taint), Fault> {
        match self {
            Self::Fixed(value) => Ok((Cow::Borrowed(value), Taint::None)),
            Self::Computed(template) => {
                let made = template.text(exchange);
                let (text, taint) = made.map_err(|error| interpolation(name, error))?;
                match T::from_text(&text) {
                    Ok(value) => Ok((Cow::Owned(value), taint)),
                    Err(reason) => Err(unusable_made(name, &reason, &taint)),
                }
            }
        }
    }

    /// The value, if it is the same for every exchange.
    pub(crate) fn fixed(&self) -> Option<&T> {
        match self {
            Self::Fixed(value) => Some(value),
            Self::Computed(_) => None,
        }
    }
}

/// A `${…}` that failed.
pub(crate) fn interpolation(field: &'static str, error: super::EvalError) -> Fault {
    let code = error.code(2238);
    let reason = error.to_string();
    Fault::Interpolation {
        field,
        reason,
        code,
    }
}

/// What came out of a `${…}` cannot be used; the reason ends with its number.
pub(crate) fn unusable(field: &'static str, reason: &str) -> Fault {
    let number = reason
        .rsplit_once("ERR_ADIT_")
        .and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
    Fault::Interpolation {
        field,
        reason: reason.to_owned(),
        code: number.unwrap_or(2233),
    }
}

/// The same; the reason is told only if it can tell nothing of a secret.
pub(crate) fn unusable_made(field: &'static str, reason: &str, taint: &Taint) -> Fault {
    match unusable(field, reason) {
        Fault::Interpolation { field, code, .. } if taint.is_secret() => Fault::Interpolation {
            field,
            reason: format!("what was made of a secret cannot be used (ERR_ADIT_{code})"),
            code,
        },
        fault => fault,
    }
}

impl<'de, T: FromText> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(std::marker::PhantomData))
    }
}

struct FieldVisitor<T>(std::marker::PhantomData<T>);

impl<T: FromText> Visitor<'_> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Field<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Field<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Field<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Field<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field<T>, E> {
        match Template::compile(text).map_err(placed)? {
            Compiled::Fixed(text) => T::from_text(&text).map(Field::Fixed).map_err(E::custom),
            Compiled::Computed(template) => Ok(Field::Computed(template)),
        }
    }
}
