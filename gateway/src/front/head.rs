//! The strict reading of an HTTP/1 request head, before any other parser sees it.
//!
//! Two parsers that disagree about where a request ends are how one request hides in another.
//! What RFC 9112 lets a recipient repair (bare LF, folded lines, repeated lengths) is refused here,
//! so there is nothing left to disagree about.

use memchr::{memchr, memchr_iter};

/// Bounds of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes, the empty line counted.
    pub(crate) bytes: usize,
    /// Header lines.
    pub(crate) lines: usize,
    /// Bytes of the request target.
    pub(crate) target: usize,
}

/// A head that is not let through. Each is answered with its status and the connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(&'static str),
    BadTarget,
    TargetTooLong,
    TooLarge,
    TooSlow,
}

/// Where the head in `bytes` ends, if it does. Bytes before `from` were looked at before.
pub(crate) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    // The empty line may have begun before the new bytes.
    let from = from.saturating_sub(3);
    for newline in memchr_iter(b'\n', bytes.get(from..)?) {
        let next = from + newline + 1;
        match bytes.get(next..)? {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => {}
        }
    }
    None
}

/// Checks a whole head, as cut out by [`end`].
pub(crate) fn check(head: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
    if head.len() > limits.bytes {
        return Err(Refusal::TooLarge);
    }
    let mut lines = Lines { rest: head };
    let request_line = lines
        .next()
        .unwrap_or(Err(Refusal::Malformed("no request line")))?;
    let version = check_request_line(request_line, limits)?;
    let mut framing = Framing::default();
    let mut count = 0;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.lines {
            return Err(Refusal::TooLarge);
        }
        framing.read(line)?;
    }
    framing.agree(version)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn check_request_line(line: &[u8], limits: &HeadLimits) -> Result<Version, Refusal> {
    const SHAPE: Refusal = Refusal::Malformed("the request line is not `METHOD target HTTP/1.1`");
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(SHAPE);
    };
    if target.len() > limits.target {
        return Err(Refusal::TargetTooLong);
    }
    // A fragment is the client's own; parsers behind us would cut it off, each in its way.
    let shown = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    if method.is_empty() || !method.iter().all(is_token) || target.is_empty() {
        return Err(SHAPE);
    }
    if !target.iter().all(shown) {
        return Err(Refusal::BadTarget);
    }
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(SHAPE),
    }
}

/// The headers that decide where a request ends and whom it is for.
#[derive(Default)]
struct Framing {
    hosts: u32,
    lengths: u32,
    encodings: u32,
}

impl Framing {
    fn read(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Refusal::Malformed("a header line is folded"));
        }
        let Some((name, value)) = memchr(b':', line).and_then(|at| line.split_at_checked(at))
        else {
            return Err(Refusal::Malformed("a header line has no colon"));
        };
        if name.is_empty() || !name.iter().all(is_token) {
            return Err(Refusal::Malformed(
                "a header name holds a byte that is not allowed",
            ));
        }
        // Blanks behind a value are lawful, and in the two that end requests they are never meant well.
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                // 18 digits cannot overflow any counter behind us.
                if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
                    return Err(Refusal::Malformed("content-length is not a number"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.encodings += 1;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Malformed("transfer-encoding is not `chunked`"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn agree(&self, version: Version) -> Result<(), Refusal> {
        match self {
            Self { hosts: 0, .. } => Err(Refusal::Malformed("there is no host header")),
            Self { hosts: 2.., .. } => Err(Refusal::Malformed("there are several host headers")),
            Self { lengths: 2.., .. } => Err(Refusal::Malformed(
                "there are several content-length headers",
            )),
            Self { encodings: 2.., .. } => Err(Refusal::Malformed(
                "there are several transfer-encoding headers",
            )),
            Self {
                lengths: 1,
                encodings: 1,
                ..
            } => Err(Refusal::Malformed(
                "content-length and transfer-encoding contradict each other",
            )),
            Self { encodings: 1, .. } if version == Version::Http10 => {
                Err(Refusal::Malformed("HTTP/1.0 has no transfer-encoding"))
            }
            _ => Ok(()),
        }
    }
}

/// RFC 9110 §5.6.2.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
};

fn is_token(byte: &u8) -> bool {
    TOKEN[usize::from(*byte)]
}

/// Lines that end in CRLF and hold no other control byte than tabs.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, rest) = self.rest.split_at_checked(memchr(b'\n', self.rest)? + 1)?;
        self.rest = rest;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Some(Err(Refusal::Malformed("a line does not end in CRLF")));
        };
        if line
            .iter()
            .any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
        {
            return Some(Err(Refusal::Malformed("the head holds a control byte")));
        }
        Some(Ok(line))
    }
}

impl Refusal {
    /// The whole response: there is no parsed request yet that could say what the client accepts.
    pub(crate) fn response(self) -> Vec<u8> {
        let (status, code, what) = match self {
            Self::Malformed(what) => ("400 Bad Request", 50012, what),
            Self::BadTarget => (
                "400 Bad Request",
                50003,
                "the request target holds a byte that must be encoded",
            ),
            Self::TargetTooLong => ("414 URI Too Long", 50012, "the request target is too long"),
            Self::TooLarge => (
                "431 Request Header Fields Too Large",
                50012,
                "the request has too many or too large headers",
            ),
            Self::TooSlow => (
                "408 Request Timeout",
                50012,
                "the request head took too long",
            ),
        };
        let body = format!("{what} (ERR_ADIT_{code})\n");
        format!(
            "HTTP/1.1 {status}\r\nadit-error-code: ERR_ADIT_{code}\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 1000,
        lines: 10,
        target: 100,
    };

    fn verdict(head: &str) -> Result<(), Refusal> {
        let end = end(head.as_bytes(), 0).expect("a whole head");
        check(&head.as_bytes()[..end], &LIMITS)
    }

    #[test]
    fn lets_ordinary_requests_through() {
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
        assert_eq!(
            verdict("POST /a?b HTTP/1.1\r\nhost:a\r\nContent-Length: 5\r\n\r\nhello"),
            Ok(())
        );
        assert_eq!(
            verdict("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Ok(())
        );
        assert_eq!(
            verdict("GET / HTTP/1.0\r\nHost: a\r\nX-Utf8: bücher\r\n\r\n"),
            Ok(())
        );
    }

    #[test]
    fn finds_the_end_when_the_bytes_come_one_by_one() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for seen in 1..=head.len() {
            let found = end(&head[..seen], seen - 1);
            assert_eq!(found, (seen == head.len()).then_some(seen));
        }
    }

    #[test]
    fn refuses_what_two_parsers_could_read_differently() {
        let request = |line: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        for line in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +5",
            "Content-Length: 5 5",
            "Content-Length: 5 ",
            "Content-Length: 0x5",
            "Content-Length: 5,5",
            "Content-Length:",
            "Content-Length: 9999999999999999999",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked\t",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding : chunked",
            "X: a\r\n folded",
            "X: a\nY: b",
            "X: a\rY: b",
            "X: \0",
            "no colon",
            ": no name",
            "X Y: z",
            "Host: b",
        ] {
            assert!(
                matches!(verdict(&request(line)), Err(Refusal::Malformed(_))),
                "{line:?}"
            );
        }
        assert!(verdict("GET / HTTP/1.1\r\nX: y\r\n\r\n").is_err());
        assert!(
            verdict("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").is_err()
        );
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            " GET / HTTP/1.1",
            "GET / HTTP/2.0",
            "",
            "G\tT / HTTP/1.1",
            "GET /ü HTTP/1.1",
            "GET /x#/../admin HTTP/1.1",
        ] {
            assert!(
                verdict(&format!("{line}\r\nHost: a\r\n\r\n")).is_err(),
                "{line:?}"
            );
        }
    }

    #[test]
    fn says_which_limit_was_broken() {
        let long = "x".repeat(101);
        assert_eq!(
            verdict(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Err(Refusal::TargetTooLong)
        );
        let many = "X: y\r\n".repeat(10);
        assert_eq!(
            verdict(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
            Err(Refusal::TooLarge)
        );
        let big = "x".repeat(1000);
        assert_eq!(
            verdict(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {big}\r\n\r\n")),
            Err(Refusal::TooLarge)
        );
    }
}
