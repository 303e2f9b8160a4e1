//! Functions of texts: looking for parts, cutting and joining. Positions count characters (Unicode code points).

use super::{Answer, Call, Function, INT, ITEMS_MAX, TEXT};
use crate::expr::error::EvalError;
use crate::expr::static_type::{TEXTS, Type};
use crate::expr::value::{Text, Value};

const STRING: Type = Type::String;
const TEXT_INT: &[Type] = &[Type::String, Type::Int];

pub(super) const TABLE: &[Function] = &[
    Function::method(STRING, "contains", TEXT, Type::Bool, contains),
    Function::method(STRING, "startsWith", TEXT, Type::Bool, starts_with),
    Function::method(STRING, "endsWith", TEXT, Type::Bool, ends_with),
    Function::method(STRING, "charAt", INT, STRING, char_at),
    Function::method(STRING, "indexOf", TEXT, Type::Int, index_of),
    Function::method(STRING, "indexOf", TEXT_INT, Type::Int, index_of),
    Function::method(STRING, "lastIndexOf", TEXT, Type::Int, last_index_of),
    Function::method(STRING, "lastIndexOf", TEXT_INT, Type::Int, last_index_of),
    Function::method(STRING, "substring", INT, STRING, substring),
    Function::method(
        STRING,
        "substring",
        &[Type::Int, Type::Int],
        STRING,
        substring,
    ),
    Function::method(STRING, "replace", &[STRING, STRING], STRING, replace),
    Function::method(
        STRING,
        "replace",
        &[STRING, STRING, Type::Int],
        STRING,
        replace,
    ),
    Function::method(STRING, "split", &[], TEXTS, split),
    Function::method(STRING, "split", TEXT, TEXTS, split),
    Function::method(STRING, "split", TEXT_INT, TEXTS, split),
    Function::method(STRING, "trim", &[], STRING, trim),
    Function::method(STRING, "reverse", &[], STRING, reverse),
];

/// `s.contains(t)`.
fn contains<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    Ok(text.contains(&**call.text(1)?).into())
}

/// `s.startsWith(t)`.
fn starts_with<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(call.text(0)?.starts_with(&**call.text(1)?).into())
}

/// `s.endsWith(t)`.
fn ends_with<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(call.text(0)?.ends_with(&**call.text(1)?).into())
}

/// `s.charAt(i)`: `''` right behind the last character.
fn char_at<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    let at = offset(call, text, 1)?;
    let behind = text.get(at..).unwrap_or_default();
    let length = behind.chars().next().map_or(0, char::len_utf8);
    part(call, text, at, at + length)
}

/// `s.indexOf(t)` and `s.indexOf(t, from)`: -1 if there is none.
fn index_of<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (text, sought) = (call.text(0)?, call.text(1)?);
    let from = if call.len() > 2 {
        offset(call, text, 2)?
    } else {
        0
    };
    call.charge(text.len())?;
    let found = text.get(from..).and_then(|rest| rest.find(&**sought));
    Ok(position(text, found.map(|at| from + at)))
}

/// `s.lastIndexOf(t)` and `s.lastIndexOf(t, from)`: the last that begins at `from` or before.
fn last_index_of<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (text, sought) = (call.text(0)?, call.text(1)?);
    let from = if call.len() > 2 {
        offset(call, text, 2)?
    } else {
        text.len()
    };
    call.charge(text.len())?;
    // What begins at `from` ends so much later, at the beginning of a character or behind the text.
    let mut end = (from + sought.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let found = text.get(..end).and_then(|head| head.rfind(&**sought));
    Ok(position(text, found))
}

/// `s.substring(a)` and `s.substring(a, b)`: from a up to b, which is not in it.
fn substring<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    let from = offset(call, text, 1)?;
    let to = if call.len() > 2 {
        offset(call, text, 2)?
    } else {
        text.len()
    };
    if to < from {
        return Err(call.error("the end lies before the beginning"));
    }
    part(call, text, from, to)
}

/// `s.replace(a, b)` and `s.replace(a, b, n)`: all, or the first n; a negative n is all.
fn replace<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let limit = limit(call, 3)?;
    call.charge(text.len())?;
    let count = text.matches(&**old).take(limit).count();
    if count == 0 {
        return Ok(Value::String(text.clone()));
    }
    call.bounded((text.len() - count * old.len()).saturating_add(count.saturating_mul(new.len())))?;
    Ok(Value::text(text.replacen(&**old, new, limit)))
}

/// `s.split()` at white space, `s.split(sep)`, and `s.split(sep, n)`, which gives the first n pieces and drops the rest.
fn split<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    let separator = if call.len() > 1 {
        Some(&**call.text(1)?)
    } else {
        None
    };
    let limit = limit(call, 2)?;
    Ok(match text {
        Text::Borrowed(text) => Value::texts(cut(call, text, separator, limit)?),
        Text::Shared(text) => Value::texts(
            cut(call, text, separator, limit)?
                .into_iter()
                .map(str::to_owned),
        ),
    })
}

/// `s.trim()`: without Unicode white space at both ends.
fn trim<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    let from = text.len() - text.trim_start().len();
    part(call, text, from, from + text.trim().len())
}

/// `s.reverse()`, by character.
fn reverse<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    Ok(Value::text(text.chars().rev().collect::<String>()))
}

/// The byte at which the character begins whose number an argument says.
fn offset(call: &Call<'_, '_, '_>, text: &str, argument: usize) -> Result<usize, EvalError> {
    let number = call.int(argument)?;
    let outside = || call.error(format_args!("position {number} is outside of the text"));
    let wanted = usize::try_from(number).map_err(|_| outside())?;
    if wanted >= text.len() {
        // Every character takes a byte or more, so only the end of an ASCII text can be meant.
        return if wanted == text.len() && text.is_ascii() {
            Ok(wanted)
        } else {
            Err(outside())
        };
    }
    call.charge(wanted)?;
    let mut begins = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    begins.nth(wanted).ok_or_else(outside)
}

/// How many characters stand before a byte; -1 for none.
fn position(text: &str, at: Option<usize>) -> Value<'static> {
    let head = at.and_then(|at| text.get(..at));
    let count = head.and_then(|head| i64::try_from(head.chars().count()).ok());
    Value::Int(count.unwrap_or(-1))
}

fn part<'e>(call: &Call<'_, 'e, '_>, text: &Text<'e>, from: usize, to: usize) -> Answer<'e> {
    let part = text.part(from..to);
    part.map(Value::String)
        .ok_or_else(|| call.error("the position is outside of the text"))
}

/// How often, or how many; everything if it is not said or negative.
fn limit(call: &Call<'_, '_, '_>, argument: usize) -> Result<usize, EvalError> {
    match call.len() > argument {
        true => Ok(usize::try_from(call.int(argument)?).unwrap_or(usize::MAX)),
        false => Ok(usize::MAX),
    }
}

/// The first pieces of a text.
fn cut<'t>(
    call: &Call<'_, '_, '_>,
    text: &'t str,
    separator: Option<&str>,
    limit: usize,
) -> Result<Vec<&'t str>, EvalError> {
    // One more than may be made, so that it is noticed.
    let limit = limit.min(ITEMS_MAX + 1);
    let pieces: Vec<_> = match separator {
        None => text.split_whitespace().take(limit).collect(),
        Some("") => {
            let characters = text.char_indices();
            let characters = characters.filter_map(|(at, one)| text.get(at..at + one.len_utf8()));
            characters.take(limit).collect()
        }
        Some(separator) => text.split(separator).take(limit).collect(),
    };
    call.bounded_items(pieces.len())?;
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("'ngrok'.contains('gro')", "true"),
            (
                "'foobar'.startsWith('foo') && 'foobar'.startsWith('')",
                "true",
            ),
            ("'foobar'.endsWith('bar')", "true"),
            ("'hello'.charAt(4)", "'o'"),
            ("'hello'.charAt(5)", "''"),
            ("'hello mellow'.indexOf('ello', 2)", "7"),
            ("'hello mellow'.lastIndexOf('ello', 6)", "1"),
            ("'tacocat'.substring(0, 4)", "'taco'"),
            ("'hello mellow'.replace('l', 'L', 2)", "'heLLo mellow'"),
            ("'a,b,c'.split(',', 2)", "['a', 'b']"),
            ("'  \\ttrim\\n '.trim()", "'trim'"),
            ("'gums'.reverse()", "'smug'"),
        ]);
        fails(&[(
            "'hello'.charAt(-1)",
            "charAt: position -1 is outside of the text",
        )]);
    }

    #[test]
    fn positions_count_characters() {
        gives(&[
            ("'aé€😀b'.charAt(3)", "'😀'"),
            ("'aé€😀b'.charAt(5)", "''"),
            ("'aé€😀b'.indexOf('b')", "4"),
            ("'aé€😀b'.indexOf('b', 4)", "4"),
            ("'aé€😀b'.indexOf('a', 1)", "-1"),
            ("'aé€😀b'.indexOf('', 5)", "5"),
            ("'€a€a€'.lastIndexOf('€')", "4"),
            ("'€a€a€'.lastIndexOf('€', 3)", "2"),
            ("'€a€a€'.lastIndexOf('€', 2)", "2"),
            ("'€a€a€'.lastIndexOf('x')", "-1"),
            ("'aé€😀b'.substring(2)", "'€😀b'"),
            ("'aé€😀b'.substring(1, 3)", "'é€'"),
            ("'aé€'.substring(3)", "''"),
            ("'aé€'.reverse()", "'€éa'"),
            ("'hello mellow'.lastIndexOf('')", "12"),
            ("'hello mellow'.lastIndexOf('', 3)", "3"),
            ("'hello'.indexOf('')", "0"),
        ]);
        fails(&[
            ("'é'.charAt(2)", "outside"),
            ("'€'.indexOf('€', 2)", "outside"),
            ("'ab'.lastIndexOf('a', 3)", "outside"),
            ("'ab'.lastIndexOf('a', -1)", "outside"),
            (
                "'ab'.substring(2, 1)",
                "substring: the end lies before the beginning",
            ),
            ("'ab'.substring(0, 3)", "outside"),
        ]);
    }

    #[test]
    fn splitting_and_replacing() {
        gives(&[
            ("'a,b,c'.split(',')", "['a', 'b', 'c']"),
            ("'a,b,c'.split(',', 0)", "dyn([])"),
            ("'a,b,c'.split(',', -1)", "['a', 'b', 'c']"),
            ("'a,b,c'.split(',', 9)", "['a', 'b', 'c']"),
            ("'a€b'.split('')", "['a', '€', 'b']"),
            ("'abc'.split('', 2)", "['a', 'b']"),
            ("' a \\t b\\n'.split()", "['a', 'b']"),
            ("''.split(',')", "['']"),
            ("'/a/b'.split('/')[1]", "'a'"),
            ("'hello'.replace('l', '')", "'heo'"),
            ("'hello'.replace('l', 'L', 0)", "'hello'"),
            ("'hello'.replace('l', 'L', -1)", "'heLLo'"),
            ("'ab'.replace('', '-')", "'-a-b-'"),
            ("'ab'.replace('', '-', 2)", "'-a-b'"),
        ]);
    }

    #[test]
    fn what_would_grow_too_much_is_not_made() {
        let long = "lists.range(10000).map(i, 'x').join()";
        fails(&[
            (&format!("{long}.replace('', {long})"), "ERR_ADIT_50002"),
            (
                &format!("{long}.replace('x', 'xxxxxxxxxxxxxxxx').split('')"),
                "ERR_ADIT_50002",
            ),
        ]);
    }
}
