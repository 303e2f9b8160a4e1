//! `attempts` and `last_attempt`: there only in `retry_condition` of `http-request`.

use super::super::static_type::{MAP, Type};
use super::super::value::Value;
use super::Variable;
use crate::action::Phase;
use crate::document::scope;

const TABLE: &[Variable] = &[
    Variable::new("attempts", Type::Int, Phase::ALL, |x| {
        let attempt = x.memory.attempt();
        attempt.map_or(Value::Int(0), |(count, _)| Value::Int(*count))
    }),
    Variable::new("last_attempt", MAP, Phase::ALL, |x| {
        let attempt = x.memory.attempt();
        attempt.map_or(Value::Null, |(_, last)| last.clone())
    }),
];

/// The two, if the text that is being read may name them.
pub(super) fn table() -> &'static [Variable] {
    match scope::reads_attempts() {
        true => TABLE,
        false => &[],
    }
}
