//! JSON: to text and back.

use super::{Answer, Call, Function, TEXT};
use crate::expr::json;
use crate::expr::static_type::{LIST, MAP, Type};
use crate::expr::value::Value;

const STRING: Type = Type::String;

pub(super) const TABLE: &[Function] = &[
    Function::global("json.encode", &[Type::Dyn], STRING, encode),
    Function::method(LIST, "encodeJson", &[], STRING, encode),
    Function::method(MAP, "encodeJson", &[], STRING, encode),
    Function::global("json.decode", TEXT, Type::Dyn, decode),
    Function::method(STRING, "decodeJson", &[], Type::Dyn, decode),
    Function::method(STRING, "isJson", &[], Type::Bool, is_json),
];

/// `json.encode(v)`, `l.encodeJson()` and `m.encodeJson()`: compact, keys sorted.
fn encode<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let value = call.value(0)?;
    call.charge(value.weight())?;
    Ok(Value::text(json::encode(value)))
}

/// `json.decode(s)` and `s.decodeJson()`: a number that fits a whole number is an int, any other a double.
fn decode<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len().saturating_mul(4))?;
    json::decode(text)
}

/// `s.isJson()`: whether the text is one JSON value of any type.
fn is_json<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    Ok(serde_json::from_str::<serde::de::IgnoredAny>(text)
        .is_ok()
        .into())
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("json.encode({'a': 'b'})", "'{\"a\":\"b\"}'"),
            ("json.decode('[\"a\"]')[0]", "'a'"),
            ("'{\"a\":\"b\"}'.decodeJson()", "{'a': 'b'}"),
            ("['a'].encodeJson()", "'[\"a\"]'"),
            ("'{\"a\":1}'.isJson()", "true"),
        ]);
    }

    #[test]
    fn numbers_keep_their_kind() {
        gives(&[
            ("json.decode('1')", "1"),
            (
                "json.decode('-9223372036854775808')",
                "-9223372036854775808",
            ),
            (
                "json.decode('9223372036854775808')",
                "9223372036854775808.0",
            ),
            ("json.decode('1.0')", "1.0"),
            ("json.decode('1e2')", "100.0"),
            ("json.decode('[null, true, {}]')", "[null, true, {}]"),
            (
                "json.encode([1, 1u, 1.5, 2.0, 0.0 / 0.0])",
                "'[1,1,1.5,2.0,null]'",
            ),
        ]);
        fails(&[
            ("json.decode('1e999')", "not JSON"),
            ("json.decode('{')", "the text is not JSON: EOF"),
            ("json.decode('1 2')", "not JSON"),
        ]);
    }

    #[test]
    fn whatever_has_a_text_is_encoded_as_that() {
        gives(&[
            (
                "{'b': 1, 'a': [null, 'x\"y']}.encodeJson()",
                "'{\"a\":[null,\"x\\\\\"y\"],\"b\":1}'",
            ),
            ("json.encode({1: 2, true: 3})", "'{\"1\":2,\"true\":3}'"),
            ("json.encode(b'hello')", "'\"aGVsbG8=\"'"),
            (
                "json.encode(timestamp('2024-01-02T03:04:05Z'))",
                "'\"2024-01-02T03:04:05Z\"'",
            ),
            ("json.encode(duration('90s'))", "'\"90s\"'"),
            ("json.encode('é')", "'\"é\"'"),
            ("json.encode(req.headers)", "'{}'"),
        ]);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| {
            format!(
                "'{}{}'.decodeJson()",
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        gives(&[(&format!("{}.size()", deep(64)), "1")]);
        fails(&[
            (&deep(66), "the JSON is nested deeper than 64"),
            (&deep(5000), "not JSON"),
        ]);
        gives(&[
            ("'nul'.isJson()", "false"),
            ("''.isJson()", "false"),
            ("' 1 '.isJson()", "true"),
        ]);
    }
}
