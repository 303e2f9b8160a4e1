//! Macros: what goes through a list, or through the keys of a map.

use std::sync::Arc;

use super::super::error::EvalError;
use super::super::node::{Loop, LoopKind, Node};
use super::super::order;
use super::super::value::{Key, Value};
use super::{Frame, Outcome, bool_of, eval, made, wrong};

/// What a loop goes through.
enum Items<'e> {
    List(Arc<[Value<'e>]>),
    Keys(Vec<Key<'e>>),
}

impl<'e> Items<'e> {
    fn iter(&self) -> impl Iterator<Item = Value<'e>> + '_ {
        let (list, keys): (&[_], &[_]) = match self {
            Self::List(items) => (items, &[]),
            Self::Keys(keys) => (&[], keys),
        };
        let keys = keys.iter().cloned().map(Key::into_value);
        list.iter().cloned().chain(keys)
    }

    fn len(&self) -> usize {
        match self {
            Self::List(items) => items.len(),
            Self::Keys(keys) => keys.len(),
        }
    }
}

/// The value of a macro.
pub(super) fn run<'e>(of: &'e Loop, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    let items = match eval(&of.over, frame)? {
        Value::List(items) => Items::List(items),
        Value::Map(map) => {
            frame.spend(map.looking_up())?;
            Items::Keys(map.keys())
        }
        other => return Err(wrong("a macro", &other)),
    };
    let items = &items;
    frame.spend(items.len() as u64)?;
    frame.locals.truncate(of.slot);
    let value = match of.kind {
        LoopKind::All => quantify(of, items, false, frame),
        LoopKind::Exists => quantify(of, items, true, frame),
        LoopKind::ExistsOne => count(of, items, frame).map(|count| Value::Bool(count == 1)),
        LoopKind::Filter | LoopKind::Map => transform(of, items, frame),
        LoopKind::SortBy => sort(of, items, frame),
    };
    frame.locals.truncate(of.slot);
    value
}

/// `all` and `exists`: one element that decides makes the errors of others void.
fn quantify<'e>(
    of: &'e Loop,
    items: &Items<'e>,
    decisive: bool,
    frame: &mut Frame<'e, '_>,
) -> Outcome<'e> {
    let mut error = None;
    for item in items.iter() {
        match holds(of, item, frame) {
            Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
            Ok(_) => {}
            Err(failed) if failed.can_be_absorbed() => error = error.or(Some(failed)),
            Err(failed) => return Err(failed),
        }
    }
    error.map_or(Ok(Value::Bool(!decisive)), Err)
}

fn count<'e>(
    of: &'e Loop,
    items: &Items<'e>,
    frame: &mut Frame<'e, '_>,
) -> Result<usize, EvalError> {
    let mut count = 0;
    for item in items.iter() {
        count += usize::from(holds(of, item, frame)?);
    }
    Ok(count)
}

fn transform<'e>(of: &'e Loop, items: &Items<'e>, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    let mut kept = Vec::new();
    for item in items.iter() {
        if !holds(of, item.clone(), frame)? {
            continue;
        }
        kept.push(match &of.transform {
            Some(transform) => with(of, item, transform, frame)?,
            None => item,
        });
    }
    made(Value::list(kept), frame)
}

fn sort<'e>(of: &'e Loop, items: &Items<'e>, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    let mut keyed = Vec::with_capacity(items.len());
    for item in items.iter() {
        let key = match &of.transform {
            Some(transform) => with(of, item.clone(), transform, frame)?,
            None => item.clone(),
        };
        keyed.push((key, item));
    }
    frame.spend(order::cost(&keyed))?;
    order::sorted(keyed).map(Value::list)
}

fn holds<'e>(of: &'e Loop, item: Value<'e>, frame: &mut Frame<'e, '_>) -> Result<bool, EvalError> {
    match &of.condition {
        None => Ok(true),
        Some(condition) => bool_of(with(of, item, condition, frame)?, "a macro's condition"),
    }
}

fn with<'e>(of: &Loop, item: Value<'e>, node: &'e Node, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    frame.locals.truncate(of.slot);
    frame.locals.push(item);
    eval(node, frame)
}
