//! Queries and escapes of URLs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Answer, Call, Function, TEXT};
use crate::canonical::{percent, query_pairs};
use crate::expr::error::EvalError;
use crate::expr::static_type::{MAP, Type};
use crate::expr::value::Value;

const STRING: Type = Type::String;

pub(super) const TABLE: &[Function] = &[
    Function::global("queryString.encode", &[MAP], STRING, encode),
    Function::method(MAP, "encodeQueryString", &[], STRING, encode),
    Function::global("queryString.decode", TEXT, MAP, decode),
    Function::method(STRING, "decodeQueryString", &[], MAP, decode),
    Function::method(STRING, "isQueryString", &[], Type::Bool, is_query),
    Function::global("url.escape", TEXT, STRING, escape),
    Function::method(STRING, "escapeUrl", &[], STRING, escape),
    Function::global("url.unescape", TEXT, STRING, unescape),
    Function::method(STRING, "unescapeUrl", &[], STRING, unescape),
];

/// `queryString.encode(m)` and `m.encodeQueryString()`: keys sorted, a list repeats its key, a space is `+`.
fn encode<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let Value::Map(map) = call.value(0)? else {
        return Err(call.wrong(call.value(0)?, "map"));
    };
    call.charge(call.value(0)?.weight())?;
    let mut query = String::new();
    for (key, value) in map.entries().iter() {
        let key = key.to_string();
        match value {
            Value::List(items) => {
                for item in items.iter() {
                    push_pair(call, &mut query, &key, item)?;
                }
            }
            other => push_pair(call, &mut query, &key, other)?,
        }
    }
    Ok(Value::text(query))
}

fn push_pair(
    call: &Call<'_, '_, '_>,
    query: &mut String,
    key: &str,
    value: &Value<'_>,
) -> Result<(), EvalError> {
    if let Value::List(_) | Value::Map(_) = value {
        let kind = value.type_name();
        return Err(call.error(format_args!(
            "the value of `{key}` is {kind}, which a query has no spelling for"
        )));
    }
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(&form_escape(key));
    query.push('=');
    query.push_str(&form_escape(&value.to_text()));
    call.bounded(query.len())
}

fn form_escape(text: &str) -> String {
    percent::escape(text).replace("%20", "+")
}

/// `queryString.decode(s)` and `s.decodeQueryString()`: a key that occurs once has a text, any other a list of texts.
fn decode<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len().saturating_mul(2))?;
    let mut values: BTreeMap<Cow<'_, str>, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (key, value) in query_pairs(text) {
        values.entry(key).or_default().push(value);
    }
    let entries = values.into_iter().map(|(key, values)| {
        let mut texts = values
            .into_iter()
            .map(|value| Value::text(value.into_owned()));
        let value = match (texts.next(), texts.len()) {
            (Some(only), 0) => only,
            (first, _) => Value::list(first.into_iter().chain(texts)),
        };
        (key.into_owned(), value)
    });
    Ok(Value::map(entries))
}

/// `s.isQueryString()`: not empty, every part is `key=value`, every `%` begins an escape, no white space.
fn is_query<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    let is_pair = |part: &str| part.split_once('=').is_some_and(|(key, _)| !key.is_empty());
    let escapes_are_whole = percent::unescape(text).is_some();
    let is_query =
        text.split('&').all(is_pair) && escapes_are_whole && !text.contains(char::is_whitespace);
    Ok(is_query.into())
}

/// `url.escape(s)` and `s.escapeUrl()`: all but letters, digits and `-_.~`.
fn escape<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    Ok(match percent::escape(text) {
        Cow::Borrowed(_) => Value::String(text.clone()),
        Cow::Owned(escaped) => Value::text(escaped),
    })
}

/// `url.unescape(s)` and `s.unescapeUrl()`: `%XX` only, `+` stays.
fn unescape<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    let bytes = percent::unescape(text).ok_or_else(|| call.error("a `%` begins no escape"))?;
    let Cow::Owned(bytes) = bytes else {
        return Ok(Value::String(text.clone()));
    };
    let unescaped = String::from_utf8(bytes);
    unescaped
        .map(Value::text)
        .map_err(|_| call.error("what is escaped is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("queryString.encode({'a': 'b', 'c': 'd'})", "'a=b&c=d'"),
            ("{'a': 'b'}.encodeQueryString()", "'a=b'"),
            ("queryString.decode('a=b')", "{'a': 'b'}"),
            ("'a=b&c=d'.decodeQueryString()", "{'a': 'b', 'c': 'd'}"),
            ("'a=b&c=d'.isQueryString()", "true"),
            ("url.escape('a b')", "'a%20b'"),
            ("'i;md/r/$y'.escapeUrl()", "'i%3Bmd%2Fr%2F%24y'"),
            ("url.unescape('%2Ffoo')", "'/foo'"),
        ]);
    }

    #[test]
    fn queries() {
        gives(&[
            (
                "queryString.encode({'z': ['1', '2'], 'a b': 'c&d é', 'n': 5, 'e': ''})",
                "'a+b=c%26d+%C3%A9&e=&n=5&z=1&z=2'",
            ),
            ("queryString.encode({'a': []})", "''"),
            ("queryString.encode(req.url.query_params)", "''"),
            (
                "queryString.decode('a=1&b=2&a=3')",
                "{'a': ['1', '3'], 'b': '2'}",
            ),
            ("queryString.decode('a+b=c%26d')", "{'a b': 'c&d'}"),
            ("queryString.decode('')", "{}"),
        ]);
        fails(&[(
            "queryString.encode({'a': {'b': 1}})",
            "the value of `a` is map",
        )]);
        for text in ["", "a", "a=1&", "a=1&b", "=1", "a=%zz", "a=b c", "a=1&&b=2"] {
            gives(&[(&format!("'{text}'.isQueryString()"), "false")]);
        }
        gives(&[("'a=&b=%20'.isQueryString()", "true")]);
    }

    #[test]
    fn escapes() {
        gives(&[
            ("url.escape('aZ09-_.~')", "'aZ09-_.~'"),
            ("url.unescape('a+b%20c')", "'a+b c'"),
            ("'%C3%A9'.unescapeUrl()", "'é'"),
        ]);
        fails(&[
            (
                "url.unescape('100%')",
                "url.unescape: a `%` begins no escape",
            ),
            (
                "url.unescape('%ff')",
                "url.unescape: what is escaped is not UTF-8 text",
            ),
        ]);
    }
}
