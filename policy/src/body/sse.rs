//! A `text/event-stream` (WHATWG HTML §9.2), message by message.

use std::fmt;

use bytes::BytesMut;
use http::{HeaderMap, header};
use memchr::memchr2;

use super::{
    BodyFault, Transform,
    message::{Line, Message, Raw},
};

/// The largest message, in bytes. One beyond it ends the stream: a rule that redacts must not be skipped.
pub const MESSAGE: usize = 1024 * 1024;

/// Whether a header announces an event stream.
pub fn is_event_stream(lines: &HeaderMap) -> bool {
    let value = lines.get(header::CONTENT_TYPE);
    let media_type = value.and_then(|value| value.as_bytes().split(|byte| *byte == b';').next());
    media_type.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Gives each complete message to `visit` and sends it on at once. What `visit` did not change leaves byte for byte as it
/// came: comments, unknown fields, and how lines end.
///
/// Comments between messages pass at once, for they keep connections open. What stands after the last complete message
/// when the stream ends is no message for a client, but it is text: `visit` sees it, too.
pub struct EventStream<F> {
    visit: F,
    /// The message that is not complete yet, as it came.
    held: BytesMut,
    /// Its complete lines.
    lines: Vec<Line>,
    /// Where its last line begins.
    line: usize,
    /// The last byte was a carriage return, and a line feed may belong to it.
    after_return: bool,
    first: bool,
}

// === impl EventStream ===

impl<F> EventStream<F>
where
    F: FnMut(&mut Message) -> Result<(), BodyFault> + Send + Sync,
{
    /// A stream whose messages `visit` sees, and may change.
    pub fn new(visit: F) -> Self {
        Self {
            visit,
            held: BytesMut::new(),
            lines: Vec::new(),
            line: 0,
            after_return: false,
            first: true,
        }
    }

    /// A line is complete; `end` bytes end it.
    fn line_ended(&mut self, end: usize, out: &mut BytesMut) -> Result<(), BodyFault> {
        self.pass_byte_order_mark(out);
        let whole = self.line..self.held.len();
        let text = whole.start..whole.end - end;
        let begins = self.held.get(text.clone()).and_then(<[u8]>::first);
        match begins {
            None => self.message_ended(out),
            Some(b':') if self.lines.is_empty() => {
                self.pass_held(out);
                Ok(())
            }
            Some(_) => {
                self.line = whole.end;
                self.lines.push(Line { text, whole });
                Ok(())
            }
        }
    }

    /// It stands before the first line and belongs to none.
    fn pass_byte_order_mark(&mut self, out: &mut BytesMut) {
        if std::mem::take(&mut self.first) && self.held.starts_with(BYTE_ORDER_MARK) {
            out.extend_from_slice(&self.held.split_to(BYTE_ORDER_MARK.len()));
        }
    }

    fn message_ended(&mut self, out: &mut BytesMut) -> Result<(), BodyFault> {
        if self.lines.is_empty() {
            self.pass_held(out);
            return Ok(());
        }
        let raw = Raw {
            held: &self.held,
            lines: &self.lines,
        };
        let before = raw.read();
        let mut after = before.clone();
        (self.visit)(&mut after)?;
        raw.write(&before, &after, out)?;
        self.held.clear();
        self.lines.clear();
        self.line = 0;
        Ok(())
    }

    fn pass_held(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.held);
        self.held.clear();
        self.line = 0;
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), BodyFault> {
        if self.held.len() + bytes.len() > MESSAGE {
            return Err(BodyFault::TooLarge);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The second half of a line's end: of the line before in a message, or else of what has left already.
    fn line_feed(&mut self, out: &mut BytesMut) -> Result<(), BodyFault> {
        match self.lines.last_mut() {
            Some(last) => {
                last.whole.end += 1;
                self.line += 1;
                self.hold(b"\n")
            }
            None => {
                out.extend_from_slice(b"\n");
                Ok(())
            }
        }
    }
}

impl<F> Transform for EventStream<F>
where
    F: FnMut(&mut Message) -> Result<(), BodyFault> + Send + Sync,
{
    fn push(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), BodyFault> {
        let mut rest = piece;
        while let Some((first, after)) = rest.split_first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                self.line_feed(out)?;
                rest = after;
                continue;
            }
            let Some(at) = memchr2(b'\r', b'\n', rest) else {
                return self.hold(rest);
            };
            let (line, after) = rest.split_at(at + 1);
            self.hold(line)?;
            self.after_return = line.ends_with(b"\r");
            self.line_ended(1, out)?;
            rest = after;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), BodyFault> {
        if self.held.len() > self.line {
            self.line_ended(0, out)?;
        }
        self.message_ended(out)
    }
}

impl<F> fmt::Debug for EventStream<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::body::pieces::{cut, run};

    /// What came out for one piece of text.
    fn through(
        text: &str,
        visit: impl FnMut(&mut Message) -> Result<(), BodyFault> + Send + Sync,
    ) -> Result<String, BodyFault> {
        let out = run(&mut EventStream::new(visit), &[text.into()])?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn seen(pieces: &[Vec<u8>]) -> Vec<Message> {
        let mut seen = Vec::new();
        let mut stream = EventStream::new(|message: &mut Message| {
            seen.push(message.clone());
            Ok(())
        });
        run(&mut stream, pieces).unwrap();
        seen
    }

    fn unchanged(_: &mut Message) -> Result<(), BodyFault> {
        Ok(())
    }

    #[test]
    fn fields_are_read_as_a_client_reads_them() {
        let text = "\u{feff}: hello\nevent: a\nevent:b\ndata: one\ndata\ndata:  two\nid: 7\nid\nretry: 10\ndatax: no\n\n";
        let same = through(text, |message| {
            let some = |text: &str| Some(text.to_owned());
            let expected = Message {
                event: some("b"),
                data: some("one\n\n two"),
                id: some(""),
                retry: some("10"),
            };
            assert_eq!(*message, expected);
            Ok(())
        });
        assert_eq!(same.unwrap(), text);
        assert_eq!(seen(&[b"other: 1\n\n".to_vec()]), [Message::default()]);
    }

    #[test]
    fn messages_are_told_apart_whatever_ends_their_lines() {
        let pieces = [
            "data: 1\r\n\r",
            "\ndata: 2\r\rdata: 3\n",
            "\n",
            "\n\ndata: 4\r",
            "\n\r\n",
        ];
        let pieces = pieces.map(|piece| piece.as_bytes().to_vec());
        let data: Vec<_> = seen(&pieces)
            .into_iter()
            .filter_map(|message| message.data)
            .collect();
        assert_eq!(data, ["1", "2", "3", "4"]);
    }

    #[test]
    fn a_message_leaves_when_its_empty_line_is_there() {
        for end in ["\n", "\r", "\r\n"] {
            let mut stream = EventStream::new(unchanged);
            let mut out = BytesMut::new();
            let message = format!("data: 1{end}{end}");
            let (most, last) = message.split_at(message.trim_end().len() + end.len());
            stream.push(most.as_bytes(), &mut out).unwrap();
            assert!(out.is_empty());
            stream.push(&last.as_bytes()[..1], &mut out).unwrap();
            assert!(!out.is_empty(), "the rest of {end:?} is not waited for");
            stream.push(&last.as_bytes()[1..], &mut out).unwrap();
            assert_eq!(out, message);
            stream.push(b": still here\n", &mut out).unwrap();
            assert!(out.ends_with(b": still here\n"), "a comment is not held");
        }
    }

    #[test]
    fn only_what_was_changed_changes() {
        let change = |message: &mut Message| {
            if message
                .data
                .as_ref()
                .is_some_and(|data| data.starts_with("secret"))
            {
                message.data = Some("x\ny\r\nid: 1\r".into());
                message.retry = Some("5".into());
            }
            Ok(())
        };
        let text = "id:1\r\n:c\r\ndata:secret\r\nevent: e\r\ndata:more\r\nretry:9\r\n\r\ndata:open\n\ndata: secret";
        let changed = "id:1\r\n:c\r\ndata: x\r\ndata: y\r\ndata: id: 1\r\ndata: \r\nevent: e\r\nretry: 5\r\n\r\ndata:open\n\n";
        let tail = "data: x\ndata: y\ndata: id: 1\ndata: \nretry: 5\n";
        assert_eq!(through(text, change).unwrap(), [changed, tail].concat());
    }

    #[test]
    fn fields_come_and_go_and_a_retry_is_a_number() {
        let change = |message: &mut Message| {
            message.data = None;
            message.event = Some("gone".into());
            message.retry = Some("soon".into());
            Ok(())
        };
        let text = "data: 1\rretry: 9\rdata: 2\r\r";
        assert_eq!(through(text, change).unwrap(), "retry: 9\revent: gone\r\r");
    }

    #[test]
    fn a_line_that_goes_never_takes_the_empty_line_with_it() {
        let gone = |message: &mut Message| {
            message.data = None;
            Ok(())
        };
        let left = through("id: 1\rdata: 2\n\n", gone).unwrap();
        assert_eq!(left, "id: 1\r\n\n");
        let grown = |message: &mut Message| {
            message.data = Some("1\n2".into());
            Ok(())
        };
        let left = through("data: 1\rdata:\n\n", grown).unwrap();
        assert_eq!(left, "data: 1\rdata: 2\r\n\n");
    }

    #[test]
    fn a_message_beyond_the_limit_ends_the_stream() {
        let mut stream = EventStream::new(unchanged);
        let mut out = BytesMut::new();
        stream.push(b"data: ", &mut out).unwrap();
        stream.push(&vec![b'a'; MESSAGE - 6], &mut out).unwrap();
        assert_eq!(stream.push(b"a", &mut out), Err(BodyFault::TooLarge));
        assert!(out.is_empty(), "nothing of it leaves");
        let grown = through("data: 1\n\n", |message| {
            message.data = Some("a".repeat(MESSAGE));
            Ok(())
        });
        assert_eq!(grown, Err(BodyFault::TooLarge));
        let refused = through("data: 1\n\n", |_| Err(BodyFault::Encoding));
        assert_eq!(refused, Err(BodyFault::Encoding));
    }

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let part = prop::sample::select(vec![
            "data:", "data", ":", " ", "a", "id: 1", "retry:5", "\n", "\n\n", "\r", "\r\n",
            "\r\n\r\n", "\u{feff}",
        ]);
        prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_stream_that_nobody_changes_stays_the_same(
            body in prop_oneof![streams(), prop::collection::vec(any::<u8>(), 0..60)],
            cuts in prop::collection::vec(0_usize..7, 0..20),
        ) {
            let mut stream = EventStream::new(unchanged);
            prop_assert_eq!(run(&mut stream, &cut(&body, &cuts)), Ok(body));
        }

        #[test]
        fn where_the_pieces_are_cut_makes_no_difference(
            body in streams(),
            cuts in prop::collection::vec(0_usize..7, 0..20),
        ) {
            // A byte order mark means something only where a stream begins, and lines go here.
            let body = [b"\n".to_vec(), body].concat();
            let pieces = cut(&body, &cuts);
            prop_assert_eq!(seen(&pieces), seen(std::slice::from_ref(&body)));
            let change = |message: &mut Message| {
                message.data = match message.data.take() {
                    Some(data) if data.len() > 5 => None,
                    Some(data) => Some(data + "\n!"),
                    None => None,
                };
                Ok(())
            };
            let changed = run(&mut EventStream::new(change), &pieces).unwrap();
            let mut messages = seen(std::slice::from_ref(&body));
            prop_assert_eq!(&changed, &run(&mut EventStream::new(change), &[body]).unwrap());
            for message in &mut messages {
                change(message).unwrap();
            }
            let mut read = seen(&[changed]);
            // Without a field there is no message.
            for messages in [&mut messages, &mut read] {
                messages.retain(|message| *message != Message::default());
            }
            prop_assert_eq!(read, messages, "a client reads what was meant");
        }
    }
}
