//! `a[b]`, `a.b`, and whether they are there.

use super::super::error::EvalError;
use super::super::map::Map;
use super::super::node::Node;
use super::super::value::{Key, Value};
use super::{Frame, Outcome, eval, key_of, made, origin};

/// `of[key]`; of null it is null if `lenient`.
pub(super) fn get<'e>(
    of: &'e Node,
    key: &'e Node,
    lenient: bool,
    frame: &mut Frame<'e, '_>,
) -> Outcome<'e> {
    if let Some(line) = header_line(of, key, frame) {
        return line;
    }
    let node = of;
    let of = origin::unmarked(node, frame)?;
    let key = eval(key, frame)?;
    frame.mark(origin::of_entry(node, &of, &key, frame)?);
    match of {
        Value::Null if lenient => Ok(Value::Null),
        of => index(&of, key, frame),
    }
}

/// `has(of[key])`.
pub(super) fn has<'e>(of: &'e Node, key: &'e Node, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    let of = origin::unmarked(of, frame)?;
    let key = eval(key, frame)?;
    match of {
        Value::Map(map) => {
            frame.spend(map.looking_up())?;
            Ok(map.contains(&key_of(key)?).into())
        }
        Value::List(_) => Ok(index(&of, key, frame).is_ok().into()),
        Value::Null => Ok(Value::Bool(false)),
        other => Err(no_fields(&other)),
    }
}

/// `req.headers['x'][0]` without a list of all lines of that name; `None` if it is something else, or there is none.
fn header_line<'e>(of: &Node, key: &Node, frame: &Frame<'e, '_>) -> Option<Outcome<'e>> {
    let Node::Index {
        of: map, key: name, ..
    } = of
    else {
        return None;
    };
    let (Node::Variable(variable), Some(Value::String(name))) = (&**map, name.constant()) else {
        return None;
    };
    let Some(Value::Int(at)) = key.constant() else {
        return None;
    };
    let Value::Map(Map::Headers(lines)) = (variable.read)(frame.exchange().ok()?) else {
        return None;
    };
    let mut lines = lines.get_all(&**name).iter();
    let line = lines.nth(usize::try_from(*at).ok()?)?;
    frame.mark(origin::of_line(line, frame));
    let line = line.as_bytes();
    let text = Value::text(String::from_utf8_lossy(line));
    Some(frame.spend(line.len() as u64 / 16).map(|()| text))
}

fn index<'e>(of: &Value<'e>, key: Value<'e>, frame: &Frame<'e, '_>) -> Outcome<'e> {
    match of {
        Value::Map(map) => {
            let key = key_of(key)?;
            frame.spend(map.looking_up())?;
            let value = map.get(&key).ok_or_else(|| EvalError::no_such_key(key))?;
            match map {
                Map::Entries(_) => Ok(value),
                // A view makes its values when they are asked for.
                _ => made(value, frame),
            }
        }
        Value::List(items) => {
            let kind = key.type_name();
            let at = match key.into_key() {
                Some(Key::Int(at)) => usize::try_from(at).ok(),
                Some(Key::Uint(at)) => usize::try_from(at).ok(),
                _ if kind == "double" => None,
                _ => return Err(EvalError::types(format!("a list has nothing at {kind}"))),
            };
            let item = at.and_then(|at| items.get(at));
            item.cloned()
                .ok_or_else(|| EvalError::function("the index is outside of the list"))
        }
        other => Err(no_fields(other)),
    }
}

fn no_fields(of: &Value<'_>) -> EvalError {
    EvalError::types(format!("{} has no fields", of.type_name()))
}
