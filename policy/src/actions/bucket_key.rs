//! What the requests of a `rate-limit` are told apart by.

use serde::de::{Deserialize, Deserializer};

use super::list::Bounds;
use crate::action::Fault;
use crate::exchange::Exchange;
use crate::expr::{EvalError, Expression, Key, Value, of_any_type};
use crate::limit::KeyHasher;

const BOUNDS: Bounds = Bounds {
    field: "bucket_key",
    max: 10,
    code: 2218,
};

/// 1 to 10 expressions of any type.
#[derive(Debug)]
pub(super) struct BucketKey(Vec<Expression>);

impl BucketKey {
    /// Tells the hash the values for an exchange, and writes them down for people if `readable` is there.
    ///
    /// # Errors
    /// What a request's key is made of cannot be known, so the request must not pass.
    pub(super) fn feed(
        &self,
        exchange: &Exchange<'_>,
        hasher: &mut KeyHasher,
        mut readable: Option<&mut String>,
    ) -> Result<(), Fault> {
        for (index, expression) in self.0.iter().enumerate() {
            let value = expression.value(exchange).map_err(unknown)?;
            feed(hasher, &value);
            if let Some(readable) = &mut readable {
                if index > 0 {
                    readable.push(',');
                }
                readable.push_str(&value.to_text());
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for BucketKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Part(#[serde(deserialize_with = "of_any_type")] Expression);

        let parts = BOUNDS.read::<Part, D>(deserializer)?;
        Ok(Self(parts.into_iter().map(|Part(part)| part).collect()))
    }
}

fn unknown(error: EvalError) -> Fault {
    Fault::Interpolation {
        field: "bucket_key",
        reason: error.to_string(),
        code: error.code(2254),
    }
}

/// Tells the hash a value: its kind first, so that no two different values are the same bytes.
fn feed(hasher: &mut KeyHasher, value: &Value<'_>) {
    match value {
        Value::Null => hasher.number(0),
        Value::Bool(value) => {
            hasher.number(1);
            hasher.number(u64::from(*value));
        }
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => feed_number(hasher, value),
        Value::String(text) => feed_text(hasher, 5, text),
        Value::Bytes(bytes) => {
            hasher.number(6);
            hasher.part(bytes);
        }
        Value::List(items) => {
            hasher.number(7);
            hasher.number(items.len() as u64);
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Map(map) => {
            let entries = map.entries();
            hasher.number(8);
            hasher.number(entries.len() as u64);
            for (name, value) in entries.iter() {
                feed(hasher, &name.clone().into_value());
                feed(hasher, value);
            }
        }
        Value::Timestamp(_) => feed_text(hasher, 9, &value.to_text()),
        Value::Duration(_) => feed_text(hasher, 10, &value.to_text()),
        Value::Type(name) => feed_text(hasher, 11, name),
    }
}

/// Numbers that CEL holds for equal are the same.
fn feed_number(hasher: &mut KeyHasher, value: &Value<'_>) {
    match (value.clone().into_key(), value) {
        (Some(Key::Int(number)), _) => {
            hasher.number(2);
            hasher.number(number as u64);
        }
        (Some(Key::Uint(number)), _) => {
            hasher.number(3);
            hasher.number(number);
        }
        _ => feed_text(hasher, 4, &value.to_text()),
    }
}

fn feed_text(hasher: &mut KeyHasher, kind: u64, text: &str) {
    hasher.number(kind);
    hasher.part(text.as_bytes());
}
