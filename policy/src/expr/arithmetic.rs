//! Arithmetic: checked, never rounding whole numbers, of times and lengths of time as well.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::error::EvalError;
use super::eval::bounded;
use super::node::Operator;
use super::value::Value;

/// `a + b` and its like.
pub(super) fn calculate<'e>(
    operator: Operator,
    a: Value<'e>,
    b: Value<'e>,
) -> Result<Value<'e>, EvalError> {
    use Value::{Bytes, Double, Duration, Int, List, String, Timestamp as Time, Uint};
    let overflow = || EvalError::function(format!("`{}` overflows", operator.sign()));
    let zero = || EvalError::function("division by zero");
    match (operator, &a, &b) {
        (Operator::Divide | Operator::Remainder, _, Int(0) | Uint(0)) => Err(zero()),
        (_, Int(a), Int(b)) => whole(operator, *a, *b).map(Int).ok_or_else(overflow),
        (_, Uint(a), Uint(b)) => positive(operator, *a, *b).map(Uint).ok_or_else(overflow),
        (Operator::Add, Double(a), Double(b)) => Ok(Double(a + b)),
        (Operator::Subtract, Double(a), Double(b)) => Ok(Double(a - b)),
        (Operator::Multiply, Double(a), Double(b)) => Ok(Double(a * b)),
        (Operator::Divide, Double(a), Double(b)) => Ok(Double(a / b)),
        (Operator::Add, String(a), String(b)) => {
            bounded(a.len() + b.len())?;
            Ok(Value::text([&**a, &**b].concat()))
        }
        (Operator::Add, Bytes(a), Bytes(b)) => {
            bounded(a.len() + b.len())?;
            Ok(Bytes(Arc::from([&**a, &**b].concat())))
        }
        (Operator::Add, List(a), List(b)) => {
            bounded((a.len() + b.len()) * 16)?;
            Ok(Value::list(a.iter().chain(b.iter()).cloned()))
        }
        (Operator::Add, Duration(a), Duration(b)) => {
            a.checked_add(*b).map(Duration).ok_or_else(overflow)
        }
        (Operator::Subtract, Duration(a), Duration(b)) => {
            a.checked_sub(*b).map(Duration).ok_or_else(overflow)
        }
        (Operator::Add, Time(time), Duration(length))
        | (Operator::Add, Duration(length), Time(time)) => moved(*time, *length),
        (Operator::Subtract, Time(time), Duration(length)) => {
            moved(*time, length.checked_neg().ok_or_else(overflow)?)
        }
        (Operator::Subtract, Time(a), Time(b)) => Ok(Duration(a.duration_since(*b))),
        _ => Err(EvalError::types(format!(
            "`{}` does not take {} and {}",
            operator.sign(),
            a.type_name(),
            b.type_name()
        ))),
    }
}

/// `-a`.
pub(super) fn negative(value: Value<'_>) -> Result<Value<'_>, EvalError> {
    match value {
        Value::Int(value) => value
            .checked_neg()
            .map(Value::Int)
            .ok_or_else(|| EvalError::function("`-` overflows")),
        Value::Double(value) => Ok(Value::Double(-value)),
        other => Err(EvalError::types(format!(
            "`-` does not take {}",
            other.type_name()
        ))),
    }
}

fn whole(operator: Operator, a: i64, b: i64) -> Option<i64> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn positive(operator: Operator, a: u64, b: u64) -> Option<u64> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn moved(time: Timestamp, by: SignedDuration) -> Result<Value<'static>, EvalError> {
    let moved = time.checked_add(by).ok();
    let moved = moved.filter(|time| super::functions::is_time(*time));
    moved
        .map(Value::Timestamp)
        .ok_or_else(|| EvalError::function("the time is out of range"))
}
