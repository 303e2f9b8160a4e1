//! `${…}` in a text: the pieces are compiled when the policy is read and put together when the action runs.

mod scan;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::error::EvalError;
use super::expression::Expression;
use super::syntax::Wrong;
use super::value::Value;
use crate::exchange::Exchange;
use crate::taint::Taint;

pub(super) use scan::quoted;
pub(crate) use scan::{Piece, pieces};

/// A text with at least one `${…}`.
#[derive(Clone)]
pub(crate) struct Template {
    text: Arc<str>,
    parts: Arc<[Part]>,
}

/// A part of a template.
#[derive(Debug)]
pub(crate) enum Part {
    /// As it stands.
    Text(String),
    /// To be evaluated.
    Expression(Expression),
}

/// A text, as far as it is known when it is read.
#[derive(Clone, Debug)]
pub(crate) enum Compiled {
    /// Nothing in it has to be evaluated; `$${` is `${` now.
    Fixed(String),
    /// Something has.
    Computed(Template),
}

impl Template {
    /// Reads a text.
    pub(crate) fn compile(text: &str) -> Result<Compiled, Wrong> {
        let mut parts = Vec::new();
        for piece in pieces(text)? {
            match piece {
                Piece::Text(literal) => push_text(&mut parts, &literal),
                Piece::Expression { at, text: inner } => {
                    let expression = Expression::compile(inner).map_err(|wrong| Wrong {
                        at: at + wrong.at,
                        message: wrong.message.replace("ERR_ADIT_2200", "ERR_ADIT_2224"),
                    })?;
                    parts.push(Part::Expression(expression));
                }
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Expression(_))) {
            let mut texts = parts.into_iter().map(|part| match part {
                Part::Text(text) => text,
                Part::Expression(_) => String::new(),
            });
            return Ok(Compiled::Fixed(texts.next().unwrap_or_default()));
        }
        Ok(Compiled::Computed(Self {
            text: text.into(),
            parts: parts.into(),
        }))
    }

    /// The parts, in order.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The value: of the only expression if there is nothing else, with its own type; else a text. What is shown to
    /// anybody is made with [`Self::marked`] instead.
    pub(crate) fn value<'e>(&'e self, exchange: &'e Exchange<'_>) -> Result<Value<'e>, EvalError> {
        self.marked(exchange).map(|(value, _)| value)
    }

    /// The value, and whether it came from a secret.
    pub(crate) fn marked<'e>(
        &'e self,
        exchange: &'e Exchange<'_>,
    ) -> Result<(Value<'e>, Taint), EvalError> {
        match &*self.parts {
            [Part::Expression(only)] => only.marked(exchange),
            _ => {
                let (text, taint) = self.joined(exchange)?;
                Ok((Value::text(text), taint))
            }
        }
    }

    /// The text, and whether it came from a secret.
    pub(crate) fn text<'e>(
        &'e self,
        exchange: &'e Exchange<'_>,
    ) -> Result<(Cow<'e, str>, Taint), EvalError> {
        match &*self.parts {
            [Part::Expression(only)] => {
                let (value, taint) = only.marked(exchange)?;
                let text = match value {
                    Value::String(super::value::Text::Borrowed(text)) => Cow::Borrowed(text),
                    other => Cow::Owned(other.to_text().into_owned()),
                };
                Ok((text, taint))
            }
            _ => {
                let (text, taint) = self.joined(exchange)?;
                Ok((Cow::Owned(text), taint))
            }
        }
    }

    fn joined(&self, exchange: &Exchange<'_>) -> Result<(String, Taint), EvalError> {
        let mut text = String::with_capacity(self.text.len());
        let mut all = Taint::None;
        for part in &*self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Expression(expression) => {
                    let (value, taint) = expression.marked(exchange)?;
                    text.push_str(&value.to_text());
                    all = all.and(taint);
                }
            }
            if text.len() > super::eval::MADE_MAX {
                return Err(EvalError::budget("a text of more than 1 MiB"));
            }
        }
        Ok((text, all))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

fn push_text(parts: &mut Vec<Part>, literal: &str) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push_str(literal),
        _ => parts.push(Part::Text(literal.to_owned())),
    }
}
