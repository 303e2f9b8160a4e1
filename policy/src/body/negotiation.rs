//! Which coding a response gets: what the client accepts, and what must be left as it is.

use http::{HeaderMap, Method, StatusCode, header};

use super::coding::{Coding, elements};

/// A weight in thousandths: 0 is "not acceptable", 1000 is the most.
type Weight = u16;

/// What a client accepts (RFC 9110 §12.5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiation {
    named: Vec<(Coding, Weight)>,
    identity: Option<Weight>,
    /// The weight of every coding that is not named.
    others: Option<Weight>,
}

// === impl Negotiation ===

impl Negotiation {
    /// Reads a request's `accept-encoding`. An element that is not well-formed says nothing; of two for the same coding
    /// the first counts.
    pub fn of(request: &HeaderMap) -> Self {
        let lines = request.get_all(header::ACCEPT_ENCODING);
        let mut negotiation = Self::default();
        for element in elements(lines.iter().map(|line| line.as_bytes())) {
            if let Some((name, weight)) = weighted(element) {
                negotiation.add(name, weight);
            }
        }
        negotiation
    }

    fn add(&mut self, name: &[u8], weight: Weight) {
        if name == b"*" {
            self.others.get_or_insert(weight);
        } else if name.eq_ignore_ascii_case(b"identity") {
            self.identity.get_or_insert(weight);
        } else if let Some(coding) = Coding::named(name)
            && !self.named.iter().any(|(named, _)| *named == coding)
        {
            self.named.push((coding, weight));
        }
    }

    /// The offered coding that the client likes best; of two that it likes as much, the one that is offered first.
    ///
    /// `None`: the response stays as it is. So it does for a client that likes it better that way, and for one that says
    /// nothing: RFC 9110 would allow any coding then, but what says nothing is a simple client.
    pub fn choose(&self, offered: &[Coding]) -> Option<Coding> {
        let mut best = None;
        for coding in offered {
            let weight = self.weight(*coding);
            if weight > best.map_or(0, |(_, weight)| weight) {
                best = Some((*coding, weight));
            }
        }
        let (coding, weight) = best?;
        (weight >= self.identity.unwrap_or(0)).then_some(coding)
    }

    fn weight(&self, coding: Coding) -> Weight {
        let named = self.named.iter().find(|(named, _)| *named == coding);
        named
            .map(|(_, weight)| *weight)
            .or(self.others)
            .unwrap_or(0)
    }
}

/// A name and its weight. `None`: not well-formed.
fn weighted(element: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => match parameter.split_first_chunk() {
            Some(([b'q' | b'Q', b'='], value)) => thousandths(value)?,
            _ => return None,
        },
    };
    (!name.is_empty() && parts.next().is_none()).then_some((name, weight))
}

/// RFC 9110 §12.4.2: `0`, `1`, and up to three digits behind a point.
fn thousandths(value: &[u8]) -> Option<Weight> {
    let (whole, digits) = match value {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', digits @ ..] => (whole, digits),
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| {
        digits
            .get(place)
            .map_or(0, |digit| Weight::from(digit - b'0'))
    };
    let fraction = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b'0' => Some(fraction),
        b'1' if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Whether a response's body wears a coding already.
pub fn is_encoded(response: &HeaderMap) -> bool {
    let lines = response.get_all(header::CONTENT_ENCODING);
    elements(lines.iter().map(|line| line.as_bytes()))
        .any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether a response has a body that may be compressed: there is one, it is plain, it is the whole of what it
/// represents, and nobody forbade it (RFC 9111 §5.2.2.6, `no-transform`).
pub fn is_compressible(method: &Method, status: StatusCode, response: &HeaderMap) -> bool {
    let bodyless = status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
        || *method == Method::HEAD
        || response
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length == "0");
    let partial =
        status == StatusCode::PARTIAL_CONTENT || response.contains_key(header::CONTENT_RANGE);
    let control = response.get_all(header::CACHE_CONTROL);
    let forbidden = elements(control.iter().map(|line| line.as_bytes()))
        .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"));
    !bodyless && !partial && !forbidden && !is_encoded(response)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use Coding::{Br, Deflate, Gzip, Zstd};

    const OFFERED: [Coding; 3] = [Gzip, Deflate, Br];

    fn choice(accepted: &str) -> Option<Coding> {
        let value = HeaderValue::from_str(accepted).unwrap();
        let lines = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
        Negotiation::of(&lines).choose(&OFFERED)
    }

    #[test]
    fn the_best_liked_is_chosen_and_then_the_first_that_is_offered() {
        assert_eq!(choice("br, gzip"), Some(Gzip));
        assert_eq!(choice("gzip;q=0.8, br"), Some(Br));
        assert_eq!(choice("gzip;q=0.8, br;q=0.81 , *;q=0.1"), Some(Br));
        assert_eq!(choice("deflate"), Some(Deflate));
        assert_eq!(choice("X-GZIP"), Some(Gzip));
        assert_eq!(choice("*"), Some(Gzip));
        assert_eq!(choice("gzip;q=0, *"), Some(Deflate));
        assert_eq!(choice("zstd"), None);
        let lines = HeaderMap::from_iter([(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("gzip, zstd"),
        )]);
        assert_eq!(Negotiation::of(&lines).choose(&[Zstd, Gzip]), Some(Zstd));
    }

    #[test]
    fn who_wants_it_plain_gets_it_plain() {
        assert_eq!(Negotiation::of(&HeaderMap::new()).choose(&OFFERED), None);
        assert_eq!(choice(""), None);
        assert_eq!(choice("identity"), None);
        assert_eq!(choice("gzip;q=0"), None);
        assert_eq!(choice("identity, gzip;q=0.5"), None);
        assert_eq!(choice("identity;q=0.5, gzip;q=0.5"), Some(Gzip));
        assert_eq!(choice("identity;q=0, gzip;q=0.001"), Some(Gzip));
        assert_eq!(choice("identity;q=0"), None);
    }

    #[test]
    fn what_is_not_well_formed_says_nothing() {
        for broken in [
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=",
            "gzip;q",
            "gzip;level=9",
            "gzip;q=0.5;q=1",
            ";q=1",
            "gzip;q=.5",
            "gzip q=1",
        ] {
            assert_eq!(choice(broken), None, "{broken}");
            assert_eq!(choice(&format!("{broken}, br")), Some(Br), "{broken}");
        }
        assert_eq!(choice("gzip ; Q=1.000"), Some(Gzip));
        assert_eq!(choice("gzip;q=1., br;q=0."), Some(Gzip));
        assert_eq!(choice("gzip;q=0, gzip"), None, "the first counts");
    }

    #[test]
    fn a_response_is_left_alone_for_many_reasons() {
        let ok = |pairs: &[(&'static str, &'static str)]| {
            is_compressible(&Method::GET, StatusCode::OK, &crate::testing::lines(pairs))
        };
        assert!(ok(&[
            ("content-length", "10"),
            ("cache-control", "no-store")
        ]));
        assert!(ok(&[("content-encoding", "identity")]));
        assert!(!ok(&[("content-encoding", "br")]));
        assert!(!ok(&[("content-length", "0")]));
        assert!(!ok(&[("content-range", "bytes 0-1/2")]));
        assert!(!ok(&[("cache-control", "private, No-Transform")]));
        let none = HeaderMap::new();
        assert!(!is_compressible(&Method::HEAD, StatusCode::OK, &none));
        for status in [101, 103, 204, 205, 206, 304] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(!is_compressible(&Method::GET, status, &none), "{status}");
        }
        assert!(is_compressible(&Method::POST, StatusCode::NOT_FOUND, &none));
    }
}
