//! Functions of lists, and `size` of whatever has one.

use std::collections::BTreeSet;

use super::{Answer, Call, Function, INT, TEXT};
use crate::expr::error::EvalError;
use crate::expr::order;
use crate::expr::static_type::{LIST, MAP, TEXTS, Type};
use crate::expr::value::Value;

/// Longest list that `lists.range` makes.
const RANGE_MAX: i64 = 10_000;

pub(super) const TABLE: &[Function] = &[
    Function::method(TEXTS, "join", &[], Type::String, join),
    Function::method(TEXTS, "join", TEXT, Type::String, join),
    Function::method(LIST, "slice", &[Type::Int, Type::Int], LIST, slice),
    Function::method(LIST, "flatten", &[], LIST, flatten),
    Function::method(LIST, "flatten", INT, LIST, flatten),
    Function::method(LIST, "sort", &[], LIST, sort),
    Function::method(LIST, "distinct", &[], LIST, distinct),
    Function::global("lists.range", INT, Type::List(&Type::Int), range),
    Function::method(Type::String, "size", &[], Type::Int, size),
    Function::method(Type::Bytes, "size", &[], Type::Int, size),
    Function::method(LIST, "size", &[], Type::Int, size),
    Function::method(MAP, "size", &[], Type::Int, size),
    Function::global("size", &[Type::String], Type::Int, size),
    Function::global("size", &[Type::Bytes], Type::Int, size),
    Function::global("size", &[LIST], Type::Int, size),
    Function::global("size", &[MAP], Type::Int, size),
];

/// `l.join()` and `l.join(separator)`.
fn join<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let separator = if call.len() > 1 { &**call.text(1)? } else { "" };
    let items = call.list(0)?;
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        let text = item.as_str();
        let not_text = || {
            call.error(format_args!(
                "the list holds {}, not only string",
                item.type_name()
            ))
        };
        joined.push_str(text.ok_or_else(not_text)?);
        call.bounded(joined.len())?;
    }
    Ok(Value::text(joined))
}

/// `l.slice(a, b)`: from a up to b, which is not in it.
fn slice<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let items = call.list(0)?;
    let place = |argument| {
        call.int(argument)
            .map(|number| usize::try_from(number).ok())
    };
    let part = match (place(1)?, place(2)?) {
        (Some(from), Some(to)) => items.get(from..to),
        _ => None,
    };
    let outside = || call.error("the range is outside of the list");
    Ok(Value::list(part.ok_or_else(outside)?.iter().cloned()))
}

/// `l.flatten()`, one level, and `l.flatten(levels)`.
fn flatten<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let levels = if call.len() > 1 { call.int(1)? } else { 1 };
    let negative = || call.error("the number of levels is negative");
    let levels = u64::try_from(levels).map_err(|_| negative())?;
    let mut flat = Vec::new();
    flatten_into(call, &mut flat, call.list(0)?, levels)?;
    Ok(Value::list(flat))
}

fn flatten_into<'e>(
    call: &Call<'_, 'e, '_>,
    flat: &mut Vec<Value<'e>>,
    items: &[Value<'e>],
    levels: u64,
) -> Result<(), EvalError> {
    call.charge(items.len() * 16)?;
    for item in items {
        match item {
            Value::List(inner) if levels > 0 => flatten_into(call, flat, inner, levels - 1)?,
            other => flat.push(other.clone()),
        }
        call.bounded_items(flat.len())?;
    }
    Ok(())
}

/// `l.sort()`: what has an order with everything else in the list.
fn sort<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let items = call.list(0)?.iter();
    let keyed: Vec<_> = items.map(|item| (item.clone(), item.clone())).collect();
    call.spend(order::cost(&keyed))?;
    order::sorted(keyed).map(Value::list)
}

/// `l.distinct()`: of equal values the first stays.
fn distinct<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let mut keys = BTreeSet::new();
    let mut doubles = BTreeSet::new();
    let mut kept: Vec<Value<'e>> = Vec::new();
    // What cannot be the key of a map is compared with all before it.
    let mut others: Vec<Value<'e>> = Vec::new();
    for item in call.list(0)? {
        call.spend(1)?;
        let is_new = match (item.clone().into_key(), item) {
            (Some(key), _) => keys.insert(key),
            // What is no whole number is the same only if its bits are; what is no number is never.
            (None, Value::Double(number)) => number.is_nan() || doubles.insert(number.to_bits()),
            _ => {
                call.charge((1 + others.len()).saturating_mul(item.weight()))?;
                let is_new = !others.iter().any(|other| other.equals(item));
                if is_new {
                    others.push(item.clone());
                }
                is_new
            }
        };
        if is_new {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

/// `lists.range(n)`: 0 to n - 1.
fn range<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let count = call.int(0)?;
    if !(0..=RANGE_MAX).contains(&count) {
        return Err(call.error(format_args!("{count} is not from 0 to {RANGE_MAX}")));
    }
    Ok(Value::list((0..count).map(Value::Int)))
}

/// `size(x)` and `x.size()`: characters of a text, else bytes, items or keys.
fn size<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let size = match call.value(0)? {
        Value::String(text) => {
            call.charge(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => {
            call.spend(map.looking_up())?;
            map.len()
        }
        other => return Err(call.wrong(other, "string, bytes, list or map")),
    };
    Ok(i64::try_from(size).map_or(Value::Null, Value::Int))
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("'hello'.size()", "5"),
            ("size({1: true})", "1"),
            ("['a', 'b'].join(' ')", "'a b'"),
            ("[1, 2, 3, 4].slice(1, 3)", "[2, 3]"),
            ("[1, [2, [3]]].flatten()", "[1, 2, [3]]"),
            ("[3, 2, 1].sort()", "[1, 2, 3]"),
            ("[{'s': 2}, {'s': 1}].sortBy(e, e.s)[0].s", "1"),
            ("[1, 2, 2].distinct()", "[1, 2]"),
            ("lists.range(3)", "[0, 1, 2]"),
        ]);
    }

    #[test]
    fn sizes() {
        gives(&[
            ("size('aé€😀')", "4"),
            ("size(b'aé')", "3"),
            ("b'ab'.size()", "2"),
            ("size([])", "0"),
            ("[1, 2].size()", "2"),
            ("{'a': 1}.size()", "1"),
            ("size(req.headers)", "0"),
        ]);
        fails(&[
            ("size(1)", "`size` does not take (int)"),
            (
                "size(dyn(1))",
                "size takes string, bytes, list or map, not int",
            ),
        ]);
    }

    #[test]
    fn parts_of_lists() {
        gives(&[
            ("['a', 'b'].join()", "'ab'"),
            ("dyn([]).join(',')", "''"),
            ("[1, 2].slice(0, 0)", "dyn([])"),
            ("[1, 2].slice(2, 2)", "dyn([])"),
            ("[1, [2, [3]]].flatten(0)", "[1, [2, [3]]]"),
            ("[1, [2, [3]]].flatten(9)", "[1, 2, 3]"),
            ("lists.range(0)", "dyn([])"),
        ]);
        fails(&[
            (
                "dyn(['a', 1]).join()",
                "join: the list holds int, not only string",
            ),
            ("[1, 2].join()", "`join` does not take"),
            (
                "[1, 2].slice(1, 3)",
                "slice: the range is outside of the list",
            ),
            ("[1, 2].slice(2, 1)", "outside"),
            ("[1, 2].slice(-1, 1)", "outside"),
            (
                "[1].flatten(-1)",
                "flatten: the number of levels is negative",
            ),
            (
                "lists.range(10001)",
                "lists.range: 10001 is not from 0 to 10000",
            ),
            ("lists.range(-1)", "not from 0"),
        ]);
    }

    #[test]
    fn order_and_sameness() {
        gives(&[
            ("['b', 'a'].sort()", "['a', 'b']"),
            ("[2.5, 1, 3u].sort()", "[1, 2.5, 3u]"),
            ("[true, false].sort()", "[false, true]"),
            ("dyn([]).sort()", "dyn([])"),
            ("['bb', 'a', 'c'].sortBy(x, x.size())", "['a', 'c', 'bb']"),
            (
                "[1, 1.0, 1u, 'a', 'a', [1], [1], 2.5, 2.5, null, null, 1e19, 1e19].distinct()",
                "[1, 'a', [1], 2.5, null, 1e19]",
            ),
        ]);
        fails(&[
            ("[1, 'a'].sort()", "no order"),
            ("[[1], [2]].sort()", "no order"),
            ("[1, 2].sort(x, y, x < y)", "sortBy"),
        ]);
    }
}
