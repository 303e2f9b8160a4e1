//! One message of an event stream, as a policy sees it, and how a changed one is written.

use std::{borrow::Cow, ops::Range};

use bytes::BytesMut;
use memchr::{memchr, memchr2};

use super::{BodyFault, sse::MESSAGE};

/// One message of an event stream, as far as a policy may look at it and change it (WHATWG HTML §9.2). `None`: there is
/// no such field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The message's type.
    pub event: Option<String>,
    /// The `data` lines, joined by line feeds. Without any, a client sees no message.
    pub data: Option<String>,
    /// What a client sends as `last-event-id` when it comes back.
    pub id: Option<String>,
    /// How long a client waits before it comes back, as it was written. Changed to what is no number, it stays.
    pub retry: Option<String>,
}

/// A message as it came.
pub(super) struct Raw<'a> {
    pub(super) held: &'a [u8],
    pub(super) lines: &'a [Line],
}

/// Where a line stands in what is held.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: Range<usize>,
    /// With what ends it.
    pub(super) whole: Range<usize>,
}

/// A field that gets another value; `None` takes its lines away.
struct Change<'a> {
    name: &'static str,
    value: Option<&'a str>,
    written: bool,
}

// === impl Raw ===

impl Raw<'_> {
    /// The fields, as a client would read them.
    pub(super) fn read(&self) -> Message {
        let last = |name| self.values(name).last().map(Cow::into_owned);
        let data: Vec<_> = self.values(b"data").collect();
        Message {
            event: last(b"event"),
            data: (!data.is_empty()).then(|| data.join("\n")),
            id: last(b"id"),
            retry: last(b"retry"),
        }
    }

    fn values<'b>(&'b self, name: &'b [u8]) -> impl Iterator<Item = Cow<'b, str>> {
        self.lines
            .iter()
            .map(|line| field(self.bytes(&line.text)))
            .filter(move |(field, _)| *field == name)
            .map(|(_, value)| String::from_utf8_lossy(value))
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.held.get(range.clone()).unwrap_or_default()
    }

    /// Writes the message with what `after` has changed of `before`; all else byte for byte as it came.
    pub(super) fn write(
        &self,
        before: &Message,
        after: &Message,
        out: &mut BytesMut,
    ) -> Result<(), BodyFault> {
        let mut changes = changes(before, after);
        if changes.is_empty() {
            out.extend_from_slice(self.held);
            return Ok(());
        }
        let begin = out.len();
        let mut end = &b"\n"[..];
        let mut copied = 0;
        for line in self.lines {
            copied = line.whole.end;
            let name = field(self.bytes(&line.text)).0;
            end = match self.bytes(&(line.text.end..line.whole.end)) {
                b"" => b"\n",
                end => end,
            };
            match changes
                .iter_mut()
                .find(|change| change.name.as_bytes() == name)
            {
                Some(change) => change.write(end, out),
                None => out.extend_from_slice(self.bytes(&line.whole)),
            }
        }
        for change in &mut changes {
            change.write(end, out);
        }
        let empty_line = self.held.get(copied..).unwrap_or_default();
        if empty_line.starts_with(b"\n") && out.ends_with(b"\r") {
            // Next to each other now, they would be the end of one line.
            out.extend_from_slice(b"\n");
        }
        out.extend_from_slice(empty_line);
        if out.len() - begin > MESSAGE {
            return Err(BodyFault::TooLarge);
        }
        Ok(())
    }
}

fn changes<'a>(before: &Message, after: &'a Message) -> Vec<Change<'a>> {
    let fields = [
        ("event", &before.event, &after.event),
        ("data", &before.data, &after.data),
        ("id", &before.id, &after.id),
        ("retry", &before.retry, &after.retry),
    ];
    let number = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    fields
        .into_iter()
        .filter(|(name, before, after)| {
            before != after && (*name != "retry" || after.as_deref().is_none_or(number))
        })
        .map(|(name, _, after)| Change {
            name,
            value: after.as_deref(),
            written: false,
        })
        .collect()
}

// === impl Change ===

impl Change<'_> {
    /// Takes the place of the field's first line; the others give way.
    fn write(&mut self, end: &[u8], out: &mut BytesMut) {
        if let (false, Some(value)) = (self.written, self.value) {
            write_field(self.name, value, end, out);
        }
        self.written = true;
    }
}

/// A line's field name and value; a comment's name is empty.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else {
        return (line, &[]);
    };
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or(value);
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

/// One line for each of the value's. What ends a line in a value would end one for the client, too: no value can name
/// fields of its own.
fn write_field(name: &str, value: &str, end: &[u8], out: &mut BytesMut) {
    let mut rest = Some(value.as_bytes());
    while let Some(value) = rest {
        let at = memchr2(b'\r', b'\n', value).unwrap_or(value.len());
        let (line, after) = value.split_at(at);
        rest = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.split_first().map(|(_, after)| after));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(line);
        out.extend_from_slice(end);
    }
}
