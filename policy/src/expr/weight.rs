//! How heavy a value is, counted as if nothing in it were shared, and how deep: a value that is more than an expression may
//! make is never made, so whatever goes through one later comes to an end soon and needs little stack.

use super::error::EvalError;
use super::map::Map;
use super::value::{Key, Value};

/// Deepest nesting of lists and maps.
const DEPTH_MAX: usize = 100;
/// What any value takes, its text or its items not counted.
const ONE: usize = 16;

/// About how many bytes a value takes; an error if it is deeper or, as far as it was looked at, heavier than allowed.
pub(crate) fn of(value: &Value<'_>, max: usize) -> Result<usize, EvalError> {
    let mut scales = Scales { total: 0, max };
    scales.put(value, 0)?;
    Ok(scales.total)
}

struct Scales {
    total: usize,
    max: usize,
}

impl Scales {
    fn put(&mut self, value: &Value<'_>, depth: usize) -> Result<(), EvalError> {
        if depth > DEPTH_MAX {
            return Err(EvalError::budget("a value is nested too deep"));
        }
        match value {
            Value::String(text) => self.add(text.len()),
            Value::Bytes(bytes) => self.add(bytes.len()),
            Value::List(items) => {
                self.add(0)?;
                items.iter().try_for_each(|item| self.put(item, depth + 1))
            }
            Value::Map(Map::Entries(entries)) => {
                self.add(0)?;
                entries.iter().try_for_each(|(key, value)| {
                    self.add(if let Key::String(text) = key {
                        text.len()
                    } else {
                        0
                    })?;
                    self.put(value, depth + 1)
                })
            }
            Value::Map(view) => self.add(view.source_len()),
            _ => self.add(0),
        }
    }

    fn add(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.total = self.total.saturating_add(bytes.saturating_add(ONE));
        match self.total > self.max {
            true => Err(EvalError::budget(
                "an expression makes a value of more than 1 MiB",
            )),
            false => Ok(()),
        }
    }
}
