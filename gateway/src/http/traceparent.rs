//! `traceparent`: a trace that comes is passed on as it is, and one begins with the requests that have none.
//!
//! The gateway exports no spans of its own, so it puts none between the client's and the service's: the parent that came
//! stays the parent. W3C Trace Context §3.2 and §4.3: what cannot be read is replaced, and `tracestate` goes with it.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_core::Result;
use pingora_http::RequestHeader;
use rand::RngExt;

use crate::config::Begin;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-<trace id>-<parent id>-<flags>`; later versions may have more behind.
const LENGTH: usize = 55;

/// A trace's id: 32 hexadecimal digits, not all of them 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

/// What is to be done about a request's trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    /// It came with one.
    Kept(TraceId),
    /// One begins here.
    Begun(TraceId, HeaderValue),
    /// There is none, and none is to begin.
    None,
}

// === impl Parent ===

impl Parent {
    /// Reads it from a request, or begins another one.
    pub(super) fn of(headers: &HeaderMap, begin: Begin) -> Self {
        let mut lines = headers.get_all(PARENT).iter();
        if let (Some(line), None) = (lines.next(), lines.next())
            && let Some(id) = read(line.as_bytes())
        {
            return Self::Kept(id);
        }
        let flags = match begin {
            Begin::Sampled => b"01",
            Begin::Unsampled => b"00",
            Begin::Off => return Self::None,
        };
        begun(flags)
    }

    pub(super) fn id(&self) -> Option<TraceId> {
        match self {
            Self::Kept(id) | Self::Begun(id, _) => Some(*id),
            Self::None => None,
        }
    }

    /// Puts it into the request.
    pub(super) fn apply(self, request: &mut RequestHeader) -> Result<()> {
        if matches!(self, Self::Kept(_)) {
            return Ok(());
        }
        // It belongs to a trace that this request is no part of.
        if request.headers.contains_key(STATE) {
            request.remove_header(&STATE);
        }
        match self {
            Self::Begun(_, line) => request.insert_header(PARENT, line),
            _ if request.headers.contains_key(PARENT) => {
                request.remove_header(&PARENT);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn read(line: &[u8]) -> Option<TraceId> {
    let (version, rest) = (line.get(..2)?, line.get(LENGTH..)?);
    let dashes = [2, 35, 52].iter().all(|at| line.get(*at) == Some(&b'-'));
    let (trace, parent, flags) = (line.get(3..35)?, line.get(36..52)?, line.get(53..LENGTH)?);
    let digits = [version, trace, parent, flags]
        .iter()
        .all(|part| part.iter().all(is_digit));
    let ends = match version {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => matches!(rest.first(), None | Some(b'-')),
    };
    let given = |id: &[u8]| id.iter().any(|digit| *digit != b'0');
    (dashes && digits && ends && given(trace) && given(parent))
        .then(|| trace.try_into().map(TraceId).ok())?
}

/// Lower case only, says the standard.
fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn begun(flags: &[u8; 2]) -> Parent {
    let random: [u8; 24] = rand::rng().random();
    let mut line = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let places = (3..35).step_by(2).chain((36..52).step_by(2));
    for (byte, at) in random.into_iter().zip(places) {
        if let Some([high, low]) = line.get_mut(at..at + 2) {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
    }
    if let Some(end) = line.get_mut(53..) {
        end.copy_from_slice(flags);
    }
    let header = HeaderValue::from_bytes(&line);
    match (read(&line), header) {
        (Some(id), Ok(header)) => Parent::Begun(id, header),
        // Nothing but zeros: one in 2^64 requests has no trace.
        _ => Parent::None,
    }
}

fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

// === impl TraceId ===

impl TraceId {
    pub(crate) fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAME: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carried(lines: &[(&'static str, &str)], begin: Begin) -> (Option<TraceId>, RequestHeader) {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in lines {
            request.append_header(*name, *value).unwrap();
        }
        let parent = Parent::of(&request.headers, begin);
        let id = parent.id();
        parent.apply(&mut request).unwrap();
        (id, request)
    }

    #[test]
    fn one_that_came_is_passed_on_as_it_is() {
        for line in [
            CAME,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        ] {
            let lines = [("traceparent", line), ("tracestate", "a=1,b=2")];
            let (id, request) = carried(&lines, Begin::Sampled);
            assert_eq!(id.unwrap().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(request.headers["traceparent"], line);
            assert_eq!(request.headers["tracestate"], "a=1,b=2");
        }
    }

    #[test]
    fn one_that_cannot_be_read_is_replaced_and_its_state_goes_with_it() {
        for line in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let lines = [("traceparent", line), ("tracestate", "a=1")];
            let (id, request) = carried(&lines, Begin::Sampled);
            let now = request.headers["traceparent"].to_str().unwrap();
            let id = id.unwrap();
            assert_eq!(now.get(3..35), Some(id.as_str()), "{line}");
            assert_eq!(read(now.as_bytes()), Some(id));
            assert!(!request.headers.contains_key("tracestate"), "{line}");
        }
        let twice = [("traceparent", CAME), ("traceparent", CAME)];
        let (id, request) = carried(&twice, Begin::Sampled);
        assert_eq!(request.headers.get_all("traceparent").iter().count(), 1);
        assert_ne!(id.unwrap().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn one_that_begins_here_is_new_each_time_and_says_what_it_is_told_to() {
        let (one, request) = carried(&[("tracestate", "a=1")], Begin::Sampled);
        assert!(request.headers["traceparent"].as_bytes().ends_with(b"-01"));
        assert!(!request.headers.contains_key("tracestate"));
        let (other, request) = carried(&[], Begin::Unsampled);
        assert!(request.headers["traceparent"].as_bytes().ends_with(b"-00"));
        assert!(one.is_some() && other.is_some() && one != other);
        let (none, request) = carried(&[("traceparent", "?")], Begin::Off);
        assert_eq!(none, None);
        assert!(!request.headers.contains_key("traceparent"));
    }
}
