//! JSON: values to text and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value as Json};

use super::error::EvalError;
use super::value::{Value, duration_text};

/// Deepest nesting that is decoded.
const DEPTH_MAX: usize = 64;

/// The value as compact JSON with sorted keys.
pub(crate) fn encode(value: &Value<'_>) -> String {
    to_json(value).to_string()
}

/// The value that a JSON text stands for.
pub(crate) fn decode(text: &str) -> Result<Value<'static>, EvalError> {
    let json = serde_json::from_str(text)
        .map_err(|error| EvalError::function(format!("the text is not JSON: {error}")))?;
    from_json(json, 0)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The value as JSON.
pub(crate) fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Uint(value) => Json::from(*value),
        Value::Double(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::String(text) => Json::from(&**text),
        Value::Bytes(bytes) => Json::from(base64(bytes)),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(map) => {
            let entries = map.entries();
            let entries = entries
                .iter()
                .map(|(key, value)| (key.to_string(), to_json(value)));
            Json::Object(entries.collect())
        }
        Value::Timestamp(time) => Json::from(time.to_string()),
        Value::Duration(length) => Json::from(duration_text(*length)),
        Value::Type(name) => Json::from(*name),
    }
}

/// The value that JSON stands for; a number that fits a whole number is one.
pub(crate) fn from_json(json: Json, depth: usize) -> Result<Value<'static>, EvalError> {
    if depth > DEPTH_MAX {
        return Err(EvalError::function(format!(
            "the JSON is nested deeper than {DEPTH_MAX}"
        )));
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::text(text),
        Json::Array(items) => {
            let items = items.into_iter().map(|item| from_json(item, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Json::Object(entries) => {
            let entries = entries
                .into_iter()
                .map(|(key, value)| Ok((key, from_json(value, depth + 1)?)));
            Value::map(entries.collect::<Result<Vec<_>, EvalError>>()?)
        }
    })
}
