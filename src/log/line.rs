//! One line of the log in its three forms: `logfmt`, `json` and `term`.

use std::{error::Error, fmt};

use serde_json::Value;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::Form;
use crate::printable;

const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second]");

/// An event, read.
pub(super) struct Line {
    time: OffsetDateTime,
    level: &'static str,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// Reads an event, now.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self::new(OffsetDateTime::now_utc(), *event.metadata().level());
        event.record(&mut line);
        line
    }

    /// A line without fields.
    pub(super) fn new(time: OffsetDateTime, level: Level) -> Self {
        let level = match level {
            Level::ERROR => "eror",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "dbug",
        };
        Self {
            time,
            level,
            message: String::new(),
            fields: Vec::new(),
        }
    }

    /// The note that takes the place of lines a slow reader made us drop.
    pub(super) fn lost(lines: u64) -> Self {
        let mut line = Self::new(OffsetDateTime::now_utc(), Level::WARN);
        line.message = "log lines lost: the reader is slow".to_owned();
        line.fields = vec![("obj", "log".into()), ("lines", lines.into())];
        line
    }

    /// Whether this event ends the process.
    pub(super) fn is_critical(&self) -> bool {
        self.level == "crit"
    }

    /// The line with its end.
    pub(super) fn shown_as(&self, form: Form) -> String {
        let mut shown = match form {
            Form::Logfmt => self.logfmt(),
            Form::Json => self.json(),
            Form::Term { offset, colour } => {
                let clock = self
                    .time
                    .to_offset(offset)
                    .format(CLOCK)
                    .unwrap_or_default();
                self.term(&clock, colour)
            }
        };
        shown.push('\n');
        shown
    }

    fn logfmt(&self) -> String {
        let mut shown = format!("t={} lvl={} msg=", self.stamp(), self.level);
        push_value(&mut shown, &self.message);
        for (key, value) in &self.fields {
            push_pair(&mut shown, key, value);
        }
        shown
    }

    fn json(&self) -> String {
        // Not through a map, which would sort: wrappers and people expect these three first.
        let mut text = format!(
            r#"{{"t":{},"lvl":{},"msg":{}"#,
            Value::from(self.stamp()),
            Value::from(self.level),
            Value::from(self.message.as_str())
        );
        for (key, value) in &self.fields {
            text.push_str(&format!(",{}:{value}", Value::from(*key)));
        }
        text.push('}');
        // JSON leaves C1 controls and direction marks as they are; a terminal would obey them.
        printable::printable(&text).into_owned()
    }

    fn term(&self, clock: &str, colour: bool) -> String {
        let (paint, dim, plain) = match (colour, self.level) {
            (false, _) => ("", "", ""),
            (true, "info") => ("\x1b[32m", "\x1b[2m", "\x1b[0m"),
            (true, "dbug") => ("\x1b[36m", "\x1b[2m", "\x1b[0m"),
            (true, "warn") => ("\x1b[33m", "\x1b[2m", "\x1b[0m"),
            (true, _) => ("\x1b[31m", "\x1b[2m", "\x1b[0m"),
        };
        let message = printable::printable(&self.message);
        let mut shown = format!("{dim}{clock}{plain} {paint}{}{plain} {message}", self.level);
        for (key, value) in &self.fields {
            // For programs: which part of the command speaks.
            if *key != "obj" {
                push_pair(&mut shown, &format!("{dim}{key}{plain}"), value);
            }
        }
        shown
    }

    fn stamp(&self) -> String {
        self.time.format(STAMP).unwrap_or_default()
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("lvl", Value::String(text)) if text == "crit" => self.level = "crit",
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.put(field, text.into());
    }
}

fn push_pair(shown: &mut String, key: &str, value: &Value) {
    shown.push(' ');
    shown.push_str(key);
    shown.push('=');
    match value {
        Value::String(text) => push_value(shown, text),
        other => push_value(shown, &other.to_string()),
    }
}

/// Quotes what a splitter at spaces, or a shell's, would take apart.
fn push_value(shown: &mut String, text: &str) {
    let special = |c: char| matches!(c, ' ' | '"' | '\'' | '=' | '\\') || printable::is_harmful(c);
    if !text.is_empty() && !text.contains(special) {
        shown.push_str(text);
        return;
    }
    shown.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            shown.push('\\');
        }
        printable::push(shown, c);
    }
    shown.push('"');
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn line(message: &str, fields: &[(&'static str, Value)]) -> Line {
        let mut line = Line::new(datetime!(2026-01-02 03:04:05 UTC), Level::INFO);
        line.message = message.to_owned();
        line.fields = fields.to_vec();
        line
    }

    #[test]
    fn started_tunnel_is_the_line_that_wrappers_look_for() {
        let line = line(
            "started tunnel",
            &[
                ("obj", "tunnels".into()),
                ("name", "command_line".into()),
                ("addr", "http://localhost:3000".into()),
                ("url", "https://a1b2.example.net".into()),
            ],
        );
        assert_eq!(
            line.logfmt(),
            "t=2026-01-02T03:04:05+0000 lvl=info msg=\"started tunnel\" obj=tunnels \
             name=command_line addr=http://localhost:3000 url=https://a1b2.example.net"
        );
        assert_eq!(
            line.json(),
            r#"{"t":"2026-01-02T03:04:05+0000","lvl":"info","msg":"started tunnel","obj":"tunnels","name":"command_line","addr":"http://localhost:3000","url":"https://a1b2.example.net"}"#
        );
        assert_eq!(
            line.term("03:04:05", false),
            "03:04:05 info started tunnel name=command_line addr=http://localhost:3000 \
             url=https://a1b2.example.net"
        );
    }

    #[test]
    fn an_error_code_stands_on_its_own_line_inside_the_quotes() {
        let mut line = line(
            "session closed",
            &[("err", "bad token\r\n\r\nERR_ADIT_107\r\n".into())],
        );
        line.level = "eror";
        assert!(
            line.logfmt().ends_with(
                r#"lvl=eror msg="session closed" err="bad token\r\n\r\nERR_ADIT_107\r\n""#
            ),
            "{}",
            line.logfmt()
        );
    }

    #[test]
    fn a52_a_value_cannot_make_a_second_line_or_a_second_pair() {
        let evil = "/x\r\nlvl=crit msg=\"owned\" \u{1b}[2J\u{9b}1m";
        let line = line("request", &[("path", evil.into())]);
        for text in [line.logfmt(), line.json(), line.term("03:04:05", true)] {
            assert!(!text.contains(['\r', '\n', '\u{9b}']), "{text:?}");
            assert!(!text.contains("\u{1b}[2J"), "{text:?}");
        }
        assert!(
            line.logfmt()
                .ends_with(r#"path="/x\r\nlvl=crit msg=\"owned\" \u001b[2J\u009b1m""#)
        );
        let json: Value = serde_json::from_str(&line.json()).unwrap();
        assert_eq!(json["path"], evil);
    }

    #[test]
    fn numbers_stay_numbers_in_json_and_empty_values_are_visible() {
        let line = line("x", &[("status", 200.into()), ("name", "".into())]);
        assert!(
            line.json().ends_with(r#""status":200,"name":""}"#),
            "{}",
            line.json()
        );
        assert!(
            line.logfmt().ends_with(r#"msg=x status=200 name="""#),
            "{}",
            line.logfmt()
        );
    }
}
