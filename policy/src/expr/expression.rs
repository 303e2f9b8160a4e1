//! An expression of a rule, or of a config field that is CEL throughout.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::compile::compile;
use super::error::EvalError;
use super::eval::{Frame, bool_of, eval};
use super::foregone;
use super::node::Node;
use super::static_type::Type;
use super::syntax::Wrong;
use super::value::Value;
use crate::document::scope;
use crate::exchange::Exchange;
use crate::taint::Taint;

/// A compiled expression. Cheap to clone.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    node: Arc<Node>,
    kind: Type,
}

impl Expression {
    /// Compiles a text. In a document, it may name what is there in the phase that is being read.
    pub(crate) fn compile(text: &str) -> Result<Self, Wrong> {
        let compiled = compile(text, scope::phase())?;
        if let Some(error) = foregone::failure(&compiled.node) {
            scope::warn(format!("`{text}` always fails: {error}"));
        }
        Ok(Self {
            text: text.into(),
            node: Arc::new(compiled.node),
            kind: compiled.kind,
        })
    }

    /// The text that was compiled.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was compiled.
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// The value for an exchange. What is shown to anybody is made with [`Self::marked`] instead.
    pub(crate) fn value<'e>(&'e self, exchange: &'e Exchange<'_>) -> Result<Value<'e>, EvalError> {
        self.marked(exchange).map(|(value, _)| value)
    }

    /// The value for an exchange, and whether it came from a secret.
    pub(crate) fn marked<'e>(
        &'e self,
        exchange: &'e Exchange<'_>,
    ) -> Result<(Value<'e>, Taint), EvalError> {
        let mut frame = Frame::of(exchange);
        let value = eval(&self.node, &mut frame);
        let taint = frame.into_taint();
        if !taint.is_secret() {
            return Ok((value?, taint));
        }
        exchange.memory.touch_secret(taint.clone());
        Ok((value.map_err(EvalError::of_a_secret)?, taint))
    }

    /// Whether the expression is true for an exchange.
    pub(crate) fn holds(&self, exchange: &Exchange<'_>) -> Result<bool, EvalError> {
        bool_of(self.value(exchange)?, "an expression of a rule")
    }

    /// The value, if it is the same for every exchange.
    pub(crate) fn constant(&self) -> Option<&Value<'static>> {
        self.node.constant()
    }

    /// Whether it can be the condition of a rule.
    fn check_bool(&self) -> Result<(), Wrong> {
        if self.kind.fits(Type::Bool) {
            return Ok(());
        }
        let message = format!(
            "an expression of a rule is bool, not {} (ERR_ADIT_2200)",
            self.kind
        );
        Err(Wrong { at: 0, message })
    }
}

/// Whether an expression lets everything in.
pub(crate) fn is_true(expression: &Expression) -> bool {
    matches!(expression.constant(), Some(Value::Bool(true)))
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

/// Reads the condition of a rule: CEL that is bool. A YAML boolean stands for itself.
impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Condition)
    }
}

struct Condition;

impl Visitor<'_> for Condition {
    type Value = Expression;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an expression")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Expression, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Expression, E> {
        let compiled = Expression::compile(text).and_then(|expression| {
            expression.check_bool()?;
            Ok(expression)
        });
        compiled.map_err(placed)
    }
}

/// Reads an expression of any type.
pub(crate) fn of_any_type<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Expression, D::Error> {
    struct AnyType;

    impl Visitor<'_> for AnyType {
        type Value = Expression;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an expression")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Expression, E> {
            Expression::compile(text).map_err(placed)
        }
    }

    deserializer.deserialize_any(AnyType)
}

/// The error at its place within the text that is being read.
pub(super) fn placed<E: Error>(wrong: Wrong) -> E {
    scope::at(wrong.at);
    E::custom(wrong.message)
}
