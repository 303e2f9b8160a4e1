//! Two answers to one request: what of them is compared, and what differs first.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::Value as Json;

use super::json::{self, JsonPath};
use crate::body::BodyFault;
use crate::body::decode::decode;

/// What of two answers is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The statuses.
    pub status: bool,
    /// All lines of these headers.
    pub headers: Vec<HeaderName>,
    /// The bodies: JSON by what it means, everything else byte by byte.
    pub body: bool,
    /// What does not matter in JSON.
    pub ignore: Vec<JsonPath>,
}

/// An answer, as far as it is compared.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header: at least what [`Comparison::wants_header`].
    pub headers: HeaderMap,
    /// Its body as it came; `None` if it is longer than may be held.
    pub body: Option<Bytes>,
}

/// What differs first. It tells no value: those may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The statuses: of the service, and of the other one.
    Status(StatusCode, StatusCode),
    /// The lines of this header.
    Header(HeaderName),
    /// The bodies, at this path of JSON or at this byte.
    Body(String),
}

// === impl Comparison ===

impl Comparison {
    /// Whether a header of an answer is needed.
    pub fn wants_header(&self, name: &HeaderName) -> bool {
        [CONTENT_TYPE, CONTENT_ENCODING].contains(name) || self.headers.contains(name)
    }

    /// What differs between the service's answer and the other one.
    ///
    /// A body that is longer than `max`, as it came or decoded, is not compared, nor are two bodies in codings of which
    /// one cannot be undone here.
    pub fn difference(&self, ours: &Answer, theirs: &Answer, max: usize) -> Option<Difference> {
        if self.status && ours.status != theirs.status {
            return Some(Difference::Status(ours.status, theirs.status));
        }
        let differs = |name: &&HeaderName| {
            let lines = |answer: &'_ Answer| -> Vec<_> {
                answer.headers.get_all(*name).iter().cloned().collect()
            };
            lines(ours) != lines(theirs)
        };
        if let Some(name) = self.headers.iter().find(differs) {
            return Some(Difference::Header(name.clone()));
        }
        if !self.body {
            return None;
        }
        self.body_difference(ours, theirs, max)
            .map(Difference::Body)
    }

    fn body_difference(&self, ours: &Answer, theirs: &Answer, max: usize) -> Option<String> {
        let (came, other) = (ours.body.as_ref()?, theirs.body.as_ref()?);
        if came.len() > max || other.len() > max {
            return None;
        }
        let ours_plain = decode(&ours.headers, came.clone(), max);
        let theirs_plain = decode(&theirs.headers, other.clone(), max);
        let (came, other) = match (ours_plain, theirs_plain) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(BodyFault::TooLarge), _) | (_, Err(BodyFault::TooLarge)) => return None,
            _ if coding(ours) == coding(theirs) => (came.clone(), other.clone()),
            _ => return None,
        };
        if came == other {
            return None;
        }
        if is_json(&ours.headers) && is_json(&theirs.headers) {
            let read = |bytes: &Bytes| serde_json::from_slice::<Json>(bytes).ok();
            if let (Some(ours), Some(theirs)) = (read(&came), read(&other)) {
                return json::difference(&ours, &theirs, &self.ignore);
            }
        }
        let same = came.iter().zip(&other).take_while(|(one, two)| one == two);
        Some(format!("byte {}", same.count()))
    }
}

fn coding(answer: &Answer) -> Vec<&[u8]> {
    let lines = answer.headers.get_all(CONTENT_ENCODING).iter();
    lines.map(|line| line.as_bytes()).collect()
}

/// RFC 8259, and what is built on it (RFC 6839 §3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| {
        let kind = kind.trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    })
}

// === impl Difference ===

impl Difference {
    /// The kind of difference as one word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(..) => "status",
            Self::Header(_) => "headers",
            Self::Body(_) => "body",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(ours, theirs) => {
                write!(f, "status {} and {}", ours.as_u16(), theirs.as_u16())
            }
            Self::Header(name) => write!(f, "header {name}"),
            Self::Body(place) => write!(f, "body at {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::body::Transform;
    use crate::body::coding::Coding;
    use crate::body::compress::Compress;
    use crate::testing::lines;

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    fn all() -> Comparison {
        Comparison {
            status: true,
            headers: vec![HeaderName::from_static("x-version")],
            body: true,
            ignore: vec![JsonPath::parse("$.time").unwrap()],
        }
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: lines(headers),
            body: Some(Bytes::copy_from_slice(body)),
        }
    }

    fn encoded(coding: Coding, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        let mut compress = Compress::new(coding).unwrap();
        compress.push(body, &mut out).unwrap();
        compress.end(&mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn status_comes_before_headers_and_headers_before_the_body() {
        let ours = answer(200, &[("x-version", "1"), ("date", "a")], b"one");
        for (theirs, told) in [
            (
                answer(500, &[("x-version", "2")], b"two"),
                "status 200 and 500",
            ),
            (
                answer(200, &[("x-version", "2")], b"two"),
                "header x-version",
            ),
            (answer(200, &[], b"one"), "header x-version"),
            (
                answer(200, &[("x-version", "1"), ("x-version", "1")], b"one"),
                "header x-version",
            ),
            (answer(200, &[("x-version", "1")], b"ona"), "body at byte 2"),
            (
                answer(200, &[("x-version", "1")], b"one more"),
                "body at byte 3",
            ),
        ] {
            let found = all().difference(&ours, &theirs, 100).unwrap();
            assert_eq!(found.to_string(), told);
        }
        let same = answer(200, &[("x-version", "1"), ("date", "b")], b"one");
        assert_eq!(all().difference(&ours, &same, 100), None);
        let none = Comparison {
            status: false,
            headers: Vec::new(),
            body: false,
            ignore: Vec::new(),
        };
        assert_eq!(none.difference(&ours, &answer(500, &[], b""), 100), None);
    }

    #[test]
    fn json_is_compared_by_what_it_means_and_only_if_both_are_json() {
        let ours = answer(200, &[JSON], br#"{"a": 1, "time": 1}"#);
        let same = answer(
            200,
            &[("content-type", "Application/Problem+JSON")],
            br#"{"time":2,"a":1}"#,
        );
        assert_eq!(all().difference(&ours, &same, 100), None);
        let other = answer(200, &[JSON], br#"{"a": 2, "time": 1}"#);
        let found = all().difference(&ours, &other, 100);
        assert_eq!(found, Some(Difference::Body("$.a".to_owned())));
        let text = answer(
            200,
            &[("content-type", "text/plain")],
            br#"{"time":2,"a":1}"#,
        );
        let found = all().difference(&ours, &text, 100);
        assert_eq!(found, Some(Difference::Body("byte 2".to_owned())));
        let broken = answer(200, &[JSON], br#"{"a": 1,"#);
        let found = all().difference(&ours, &broken, 100);
        assert_eq!(found, Some(Difference::Body("byte 8".to_owned())));
    }

    #[test]
    fn codings_do_not_matter() {
        let plain = br#"{"a": 1}"#;
        let ours = answer(200, &[JSON], plain);
        for (coding, name) in [(Coding::Gzip, "gzip"), (Coding::Br, "br")] {
            let theirs = answer(
                200,
                &[JSON, ("content-encoding", name)],
                &encoded(coding, plain),
            );
            assert_eq!(all().difference(&ours, &theirs, 100), None, "{name}");
            let other = encoded(coding, br#"{"a": 2}"#);
            let theirs = answer(200, &[JSON, ("content-encoding", name)], &other);
            let found = all().difference(&ours, &theirs, 100);
            assert_eq!(found, Some(Difference::Body("$.a".to_owned())), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_compared_as_it_came_or_not_at_all() {
        let zstd = [("content-encoding", "zstd")];
        let (ours, theirs) = (answer(200, &zstd, b"one"), answer(200, &zstd, b"two"));
        let found = all().difference(&ours, &theirs, 100);
        assert_eq!(found, Some(Difference::Body("byte 0".to_owned())));
        assert_eq!(
            all().difference(&ours, &answer(200, &[], b"two"), 100),
            None
        );
        // A few bytes that stand for many are not read.
        let large = encoded(Coding::Gzip, &[b'a'; 5000]);
        let bomb = answer(200, &[("content-encoding", "gzip")], &large);
        assert_eq!(all().difference(&ours, &bomb, 1000), None);
    }

    #[test]
    fn what_is_too_long_is_compared_by_its_head_alone() {
        let ours = answer(200, &[], b"12345");
        let mut theirs = answer(200, &[], b"1");
        assert_eq!(all().difference(&ours, &theirs, 4), None);
        theirs.body = None;
        assert_eq!(all().difference(&ours, &theirs, 100), None);
        theirs.status = StatusCode::BAD_GATEWAY;
        assert!(all().difference(&ours, &theirs, 100).is_some());
    }
}
