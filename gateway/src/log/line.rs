//! One line of the access log, as JSON or as text.

use std::fmt::Write as _;

use serde::Deserialize;

use super::field::Value;
use crate::printable;

/// Bytes of one value. What is longer is cut, and ends with `…`.
const VALUE: usize = 2048;

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// One JSON object.
    #[default]
    Json,
    /// `key=value` pairs, values in quotes where they have to be.
    Text,
}

/// A line as far as it is written.
#[derive(Debug)]
pub(crate) struct Line {
    format: LineFormat,
    text: String,
}

// === impl Line ===

impl Line {
    pub(crate) fn new(format: LineFormat) -> Self {
        let mut text = String::with_capacity(512);
        if format == LineFormat::Json {
            text.push('{');
        }
        Self { format, text }
    }

    /// Adds a field, unless there is nothing to say. `name` is one of ours.
    pub(crate) fn put(&mut self, name: &str, value: &Value<'_>) {
        if *value == Value::Absent {
            return;
        }
        match self.format {
            LineFormat::Json => {
                if self.text.len() > 1 {
                    self.text.push(',');
                }
                self.write(format_args!("\"{name}\":"));
            }
            LineFormat::Text => {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.write(format_args!("{name}="));
            }
        }
        match value {
            Value::Absent => {}
            Value::Text(text) => self.string(text),
            Value::Number(number) => self.write(format_args!("{number}")),
            Value::Time(time) => {
                let micros = time.as_micros();
                self.write(format_args!("{}.{:03}", micros / 1000, micros % 1000));
            }
            Value::List(list) if self.format == LineFormat::Text => self.string(&list.join(",")),
            Value::List(list) => {
                for (at, text) in list.iter().enumerate() {
                    self.text.push(if at == 0 { '[' } else { ',' });
                    self.string(text);
                }
                self.text.push_str(if list.is_empty() { "[]" } else { "]" });
            }
        }
    }

    /// The whole line, with its end.
    pub(crate) fn end(mut self) -> String {
        if self.format == LineFormat::Json {
            self.text.push('}');
        }
        self.text.push('\n');
        self.text
    }

    /// Nothing in it can end the value, begin another line, or move a cursor.
    fn string(&mut self, text: &str) {
        let (text, cut) = shortened(text);
        let harmless = |c: char| c != '"' && c != '\\' && !printable::is_harmful(c);
        let bare = |c: char| harmless(c) && !matches!(c, ' ' | '=' | '\'');
        if self.format == LineFormat::Text && !text.is_empty() && !cut && text.chars().all(bare) {
            self.text.push_str(text);
            return;
        }
        self.text.push('"');
        if text.chars().all(harmless) {
            self.text.push_str(text);
        } else {
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    self.text.push('\\');
                }
                printable::push(&mut self.text, c);
            }
        }
        self.text.push_str(if cut { "…\"" } else { "\"" });
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes everything.
        self.text.write_fmt(text).unwrap_or_default();
    }
}

fn shortened(text: &str) -> (&str, bool) {
    match text.get(..text.floor_char_boundary(VALUE)) {
        Some(start) if start.len() < text.len() => (start, true),
        _ => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(format: LineFormat, values: &[(&str, Value<'_>)]) -> String {
        let mut line = Line::new(format);
        for (name, value) in values {
            line.put(name, value);
        }
        line.end()
    }

    #[test]
    fn both_forms_tell_what_there_is_and_leave_out_what_there_is_not() {
        let values = [
            ("path", Value::text("/a b")),
            ("agent", Value::Absent),
            ("host", Value::text("a.example")),
            ("status", Value::Number(200)),
            ("duration_ms", Value::Time(Duration::from_micros(12_034))),
            ("reasons", Value::List(vec!["reset".into(), "busy".into()])),
            ("user", Value::text("")),
        ];
        assert_eq!(
            line(LineFormat::Json, &values),
            "{\"path\":\"/a b\",\"host\":\"a.example\",\"status\":200,\"duration_ms\":12.034,\
             \"reasons\":[\"reset\",\"busy\"],\"user\":\"\"}\n"
        );
        assert_eq!(
            line(LineFormat::Text, &values),
            "path=\"/a b\" host=a.example status=200 duration_ms=12.034 reasons=reset,busy user=\"\"\n"
        );
        assert_eq!(line(LineFormat::Json, &[]), "{}\n");
    }

    #[test]
    fn a52_a_a_value_cannot_make_a_second_line_or_a_second_field() {
        let evil = "/x\r\n{\"status\":200}\u{1b}[2J\u{9b}1m\u{202e}\\\" status=200";
        let values = [("path", Value::text(evil))];
        for format in [LineFormat::Json, LineFormat::Text] {
            let text = line(format, &values);
            let inside = text.strip_suffix('\n').unwrap();
            assert!(!inside.contains(printable::is_harmful), "{text:?}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&line(LineFormat::Json, &values)).unwrap();
        assert_eq!(json, serde_json::json!({ "path": evil }));
        let text = line(LineFormat::Text, &values);
        assert!(text.starts_with("path=\"") && text.ends_with("\\\\\\\" status=200\"\n"));
    }

    #[test]
    fn a_long_value_is_cut_between_two_letters() {
        let long = "é".repeat(VALUE);
        let json = line(LineFormat::Json, &[("path", Value::text(long.as_str()))]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let kept = json["path"].as_str().unwrap();
        assert_eq!(kept.chars().count(), VALUE / 2 + 1);
        assert!(kept.ends_with("é…"));
    }
}
