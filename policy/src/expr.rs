//! Expressions: CEL, compiled when a policy is read and evaluated on each exchange; and `${…}` in texts.
//!
//! A text is read into a syntax tree that is never deep, and compiled: names, functions and types are checked. What is
//! evaluated knows the exchange, borrows from it, and stops at a budget, so that no expression can hold up a core.

mod about_caller;
mod arithmetic;
mod compile;
pub(crate) mod cookies;
mod error;
mod eval;
mod expression;
mod field;
mod foregone;
pub(crate) mod functions;
pub(crate) mod json;
pub(crate) mod map;
pub(crate) mod media_type;
mod node;
mod number;
pub(crate) mod order;
pub(crate) mod pattern;
mod request_key;
pub(crate) mod static_type;
mod syntax;
mod template;
mod tree;
mod user_agent;
mod value;
pub(crate) mod vars;
mod weight;

#[cfg(test)]
mod tests;

pub use error::EvalError;
pub use expression::Expression;
pub(crate) use expression::{is_true, of_any_type};
pub(crate) use field::{Field, FromText, Interpolated, interpolation, unusable, unusable_made};
pub(crate) use foregone::never;
pub use map::Map;
pub use request_key::RequestKey;
pub(crate) use template::{Part, Piece, Template, pieces};
pub(crate) use tree::Tree;
pub use value::{Key, Text, Value};
