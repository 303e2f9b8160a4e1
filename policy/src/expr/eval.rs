//! Evaluation of a compiled expression, within a budget.

mod index;
mod loops;
pub(super) mod origin;

use std::cell::Cell;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::arithmetic;
use super::error::EvalError;
use super::functions::Call;
use super::map::Map;
use super::node::{Node, Operator};
use super::number;
use super::value::{Entries, Key, Text, Value};
use super::weight;
use crate::exchange::Exchange;
use crate::ip_set::IpSet;
use crate::memory::Spent;
use crate::taint::Taint;

/// Cost units of one phase: about one for a node, or for 16 bytes that are touched.
const BUDGET: u64 = 1_000_000;
/// Longest text, and heaviest list, that an expression may make.
pub(super) const MADE_MAX: usize = 1 << 20;

/// What an evaluation works with.
pub(crate) struct Frame<'e, 'x> {
    exchange: Option<&'e Exchange<'x>>,
    locals: Vec<Value<'e>>,
    spent: &'e Spent,
    budget: u64,
    /// The secrets of which it has read something.
    taint: Cell<Taint>,
    is_marked: Cell<bool>,
}

type Outcome<'e> = Result<Value<'e>, EvalError>;

// === impl Frame ===

impl<'e, 'x> Frame<'e, 'x> {
    /// For an expression that looks at an exchange.
    pub(super) fn of(exchange: &'e Exchange<'x>) -> Self {
        Self {
            exchange: Some(exchange),
            locals: Vec::new(),
            spent: exchange.memory.spent(),
            budget: BUDGET,
            taint: Cell::default(),
            is_marked: Cell::default(),
        }
    }

    /// For parts of an expression that look at nothing, and may spend so much together.
    pub(super) fn folding(spent: &'e Spent, budget: u64) -> Self {
        Self {
            exchange: None,
            locals: Vec::new(),
            spent,
            budget,
            taint: Cell::default(),
            is_marked: Cell::default(),
        }
    }

    /// Something was read that came from a secret, so that all that is made here did.
    pub(super) fn mark(&self, by: Taint) {
        if by.is_secret() {
            self.taint.set(self.taint.take().and(by));
            self.is_marked.set(true);
        }
    }

    /// Whether that has happened.
    pub(super) fn is_marked(&self) -> bool {
        self.is_marked.get()
    }

    pub(super) fn into_taint(self) -> Taint {
        self.taint.into_inner()
    }

    pub(super) fn exchange(&self) -> Result<&'e Exchange<'x>, EvalError> {
        let missing = || EvalError::function("there is no exchange");
        self.exchange.ok_or_else(missing)
    }

    /// Spends some of the phase's budget.
    pub(super) fn spend(&self, units: u64) -> Result<(), EvalError> {
        match self.spent.add(units) > self.budget {
            true => Err(EvalError::budget(
                "the expressions of this phase take too long",
            )),
            false => Ok(()),
        }
    }

    fn local(&self, slot: usize) -> Outcome<'e> {
        let missing = || EvalError::function("a loop variable is missing");
        self.locals.get(slot).cloned().ok_or_else(missing)
    }
}

/// The value of a node.
pub(super) fn eval<'e>(node: &'e Node, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    frame.spend(1)?;
    match node {
        Node::Constant(value) => Ok(value.borrowed()),
        Node::Variable(variable) => {
            let exchange = frame.exchange()?;
            frame.mark(origin::of(variable, exchange));
            made((variable.read)(exchange), frame)
        }
        Node::Var(name) => {
            let memory = &frame.exchange()?.memory;
            frame.mark(memory.taint_of_var(name));
            let missing = || EvalError::no_such_key(format_args!("vars.{name}"));
            memory.var(name).map(Value::borrowed).ok_or_else(missing)
        }
        Node::Result(name, path) => {
            let memory = &frame.exchange()?.memory;
            frame.mark(memory.taint_of_result(name, path));
            let mut value = memory.result(name).map(Value::borrowed);
            for key in path {
                value = match value {
                    Some(Value::Map(map)) => map.get(key),
                    _ => None,
                };
            }
            Ok(value.unwrap_or(Value::Null))
        }
        Node::Local(slot) => frame.local(*slot),
        Node::List(items) => {
            let values: Result<Vec<_>, _> = items.iter().map(|item| eval(item, frame)).collect();
            made(Value::list(values?), frame)
        }
        Node::Map(entries) => {
            let pairs: Result<Vec<_>, _> = entries
                .iter()
                .map(|(key, value)| Ok((key_of(eval(key, frame)?)?, eval(value, frame)?)))
                .collect();
            made(map_of(pairs?)?, frame)
        }
        Node::Index { of, key, lenient } => index::get(of, key, *lenient, frame),
        Node::HasValue(of) => Ok(Value::Bool(is_something(&eval(of, frame)?))),
        Node::HasVar(name) => Ok(frame.exchange()?.memory.var(name).is_some().into()),
        Node::HasKey(of, key) => index::has(of, key, frame),
        Node::Not(of) => bool_of(eval(of, frame)?, "!").map(|value| Value::Bool(!value)),
        Node::Negative(of) => arithmetic::negative(eval(of, frame)?),
        Node::And(sides) => short(sides, false, "&&", frame),
        Node::Or(sides) => short(sides, true, "||", frame),
        Node::Choice(parts) => {
            let [condition, yes, no] = &**parts;
            match bool_of(eval(condition, frame)?, "?:")? {
                true => eval(yes, frame),
                false => eval(no, frame),
            }
        }
        Node::Binary(operator, sides) => {
            let [left, right] = &**sides;
            let left = eval(left, frame)?;
            let right = match operator {
                // Whether a name is there tells nothing of what stands behind it.
                Operator::In => origin::unmarked(right, frame)?,
                _ => eval(right, frame)?,
            };
            binary(*operator, left, right, frame)
        }
        Node::Matches(of, pattern) => match eval(of, frame)? {
            Value::String(text) => {
                frame.spend(pattern.searching(&text))?;
                Ok(pattern.is_match(&text).into())
            }
            other => Err(wrong("matches", &other)),
        },
        Node::InRanges(of, set) => in_ranges(of, set, frame),
        Node::Call(function, arguments) => {
            let mut values = smallvec::SmallVec::<[Value<'e>; 3]>::new();
            for argument in arguments {
                values.push(eval(argument, frame)?);
            }
            let call = Call {
                function,
                arguments: &values,
                frame,
            };
            let value = (function.call)(&call)?;
            made(value, frame)
        }
        Node::Loop(of) => loops::run(of, frame),
    }
}

/// Whether an address is in ranges; what is no address is in none.
fn in_ranges<'e>(of: &'e Node, set: &IpSet, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    if let Node::Variable(variable) = of
        && variable.name == "conn.client_ip"
    {
        // The usual one: it need not be written down to be read again.
        return Ok(set.contains(frame.exchange()?.conn.client.ip()).into());
    }
    match eval(of, frame)? {
        Value::String(text) => {
            let address = text.parse();
            Ok(address.is_ok_and(|address| set.contains(address)).into())
        }
        other => Err(wrong("inCidrRanges", &other)),
    }
}

/// `&&` and `||`: a side that decides alone makes the errors of the others void (CEL specification, "Logical operators").
fn short<'e>(
    sides: &'e [Node],
    decisive: bool,
    sign: &'static str,
    frame: &mut Frame<'e, '_>,
) -> Outcome<'e> {
    let mut failed = None;
    for side in sides {
        match eval(side, frame).and_then(|value| bool_of(value, sign)) {
            Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
            Ok(_) => {}
            Err(error) if error.can_be_absorbed() => failed = failed.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(Value::Bool(!decisive)), Err)
}

fn binary<'e>(
    operator: Operator,
    left: Value<'e>,
    right: Value<'e>,
    frame: &Frame<'e, '_>,
) -> Outcome<'e> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let ordered = |wanted: &[std::cmp::Ordering]| match compare(&left, &right, frame)? {
        Some(order) => Ok(wanted.contains(&order).into()),
        None if both_numbers(&left, &right) => Ok(Value::Bool(false)),
        None => Err(EvalError::types(format!(
            "`{}` does not compare {} with {}",
            operator.sign(),
            left.type_name(),
            right.type_name()
        ))),
    };
    match operator {
        Operator::Equal | Operator::NotEqual => {
            frame.spend(comparing(&left, &right))?;
            Ok((same(&left, &right, frame) == (operator == Operator::Equal)).into())
        }
        Operator::Less => ordered(&[Less]),
        Operator::LessEqual => ordered(&[Less, Equal]),
        Operator::Greater => ordered(&[Greater]),
        Operator::GreaterEqual => ordered(&[Greater, Equal]),
        Operator::In => match right {
            Value::List(items) => {
                // Texts of other lengths are told apart at once.
                let one = 1 + left.weight() as u64 / 64;
                frame.spend(one.saturating_mul(items.len() as u64))?;
                Ok(items.iter().any(|item| same(item, &left, frame)).into())
            }
            Value::Map(map) => {
                frame.spend(map.looking_up())?;
                Ok(left.into_key().is_some_and(|key| map.contains(&key)).into())
            }
            other => Err(wrong("in", &other)),
        },
        _ => made(arithmetic::calculate(operator, left, right)?, frame),
    }
}

/// Whether two values are the same. Once a secret was read, how long that takes says nothing about how much of it was
/// guessed, but for its length.
fn same(left: &Value<'_>, right: &Value<'_>, frame: &Frame<'_, '_>) -> bool {
    match (left, right) {
        (Value::String(a), Value::String(b)) if frame.is_marked() => {
            a.as_bytes().ct_eq(b.as_bytes()).into()
        }
        (Value::Bytes(a), Value::Bytes(b)) if frame.is_marked() => a[..].ct_eq(&b[..]).into(),
        _ => left.equals(right),
    }
}

fn both_numbers(left: &Value<'_>, right: &Value<'_>) -> bool {
    let number =
        |value: &Value<'_>| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    number(left) && number(right)
}

fn compare(
    left: &Value<'_>,
    right: &Value<'_>,
    frame: &Frame<'_, '_>,
) -> Result<Option<std::cmp::Ordering>, EvalError> {
    frame.spend(comparing(left, right))?;
    Ok(number::compare(left, right))
}

/// Cost units of comparing two values.
fn comparing(left: &Value<'_>, right: &Value<'_>) -> u64 {
    let bytes = match (left, right) {
        (Value::String(a), Value::String(b)) => a.len().min(b.len()),
        (Value::Bytes(a), Value::Bytes(b)) => a.len().min(b.len()),
        (Value::List(_) | Value::Map(_), _) => left.weight(),
        _ => 0,
    };
    bytes as u64 / 16
}

/// What an expression makes has its price and its bounds.
fn made<'e>(value: Value<'e>, frame: &Frame<'e, '_>) -> Outcome<'e> {
    let bytes = match &value {
        Value::String(Text::Shared(text)) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(_) | Value::Map(Map::Entries(_)) => weight::of(&value, MADE_MAX)?,
        _ => return Ok(value),
    };
    frame.spend(bytes as u64 / 16)?;
    bounded(bytes)?;
    Ok(value)
}

/// Refuses to make a value of so many bytes, if they are too many.
pub(super) fn bounded(bytes: usize) -> Result<(), EvalError> {
    match bytes > MADE_MAX {
        true => Err(EvalError::budget(
            "an expression makes a value of more than 1 MiB",
        )),
        false => Ok(()),
    }
}

fn is_something(value: &Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.is_empty(),
        _ => true,
    }
}

fn map_of<'e>(pairs: Vec<(Key<'e>, Value<'e>)>) -> Outcome<'e> {
    let mut entries = Entries::new();
    for (key, value) in pairs {
        if entries.insert(key.clone(), value).is_some() {
            return Err(EvalError::function(format!(
                "the map has the key `{key}` twice"
            )));
        }
    }
    Ok(Value::Map(Map::Entries(Arc::new(entries))))
}

fn key_of(value: Value<'_>) -> Result<Key<'_>, EvalError> {
    let kind = value.type_name();
    let bad = || EvalError::types(format!("{kind} is no key of a map"));
    value.into_key().ok_or_else(bad)
}

pub(super) fn bool_of(value: Value<'_>, by: &str) -> Result<bool, EvalError> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(EvalError::types(format!(
            "`{by}` takes bool, not {}",
            other.type_name()
        ))),
    }
}

fn wrong(by: &str, got: &Value<'_>) -> EvalError {
    EvalError::types(format!("{by} does not take {}", got.type_name()))
}
