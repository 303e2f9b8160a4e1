//! The access log: one line for each exchange, with the fields that the operator has chosen.
//!
//! - [`field`]: what a line may tell
//! - [`mod@line`]: JSON or text, in which no value can pretend to be another
//! - [`writer`]: the thread that writes; [`sink`]: where to
//!
//! The log of what the gateway itself does goes through `tracing`, and is the business of whoever runs it.

use std::{io, time::SystemTime};

mod field;
mod line;
mod sink;
mod writer;

pub use field::Field;
pub(crate) use field::Value;
use line::Line;
pub use line::LineFormat;
pub use sink::Sink;
use writer::Writer;

use crate::{config::Access, moment};

/// The access log of a running gateway.
#[derive(Debug)]
pub(crate) struct AccessLog {
    fields: Vec<Field>,
    format: LineFormat,
    writer: Writer,
}

// === impl AccessLog ===

impl AccessLog {
    /// Opens it; `None` if there is to be none.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub(crate) fn open(config: &Access) -> io::Result<Option<Self>> {
        let lost = match config.format {
            LineFormat::Json => |lines| lost(LineFormat::Json, lines),
            LineFormat::Text => |lines| lost(LineFormat::Text, lines),
        };
        let writer = Writer::start(&config.to, lost)?;
        Ok(writer.map(|writer| Self {
            fields: config.fields.clone(),
            format: config.format,
            writer,
        }))
    }

    /// Whether a line tells this.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.fields.contains(&field)
    }

    /// Writes the line of an exchange.
    pub(crate) fn write<'a>(&self, value: impl Fn(Field) -> Value<'a>) {
        let mut line = Line::new(self.format);
        for field in &self.fields {
            line.put(field.name(), &value(*field));
        }
        self.writer.send(line.end());
    }

    /// Opens its file anew, for whoever has moved it away.
    pub(crate) fn reopen(&self) {
        self.writer.reopen();
    }

    /// Lines that nobody will read: the disk or the reader was too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.writer.lost()
    }

    /// Waits a moment until what was said is written.
    pub(crate) fn flush(&self) {
        self.writer.flush();
    }
}

/// Stands where lines are missing.
fn lost(format: LineFormat, lines: u64) -> String {
    let mut line = Line::new(format);
    line.put("time", &Value::text(moment::millis(SystemTime::now())));
    line.put("lost_lines", &Value::Number(lines));
    line.end()
}
