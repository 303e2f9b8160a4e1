//! `hmac`: a scheme that the policy describes, for every provider that has no name here.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use thiserror::Error;

use super::mac::{Encoding, Hash};
use super::moment::{FIVE_MINUTES, Unit};
use super::scheme::{At, Headers, Key, Layout, Piece, Scheme, Timestamp};
use super::{Incoming, Provider, Unverified};
use crate::go_duration::GoDuration;

/// A scheme as a policy describes it (an addition of Adit). It has been checked for gaps.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "Description")]
pub struct Hmac(Description);

/// What the `hmac` provider is told.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// The header that holds the signature.
    header: Name,
    /// `sha1`, `sha256` or `sha512`. Default: `sha256`.
    #[serde(default)]
    algorithm: Hash,
    /// How the signature is written: `hex` or `base64`. Default: `hex`.
    #[serde(default)]
    encoding: Encoding,
    /// What stands before the signature in its header, such as `sha256=`. Default: nothing.
    #[serde(default)]
    prefix: String,
    /// The header that holds the time of signing, in seconds since 1970. It must be signed too. Default: none.
    timestamp_header: Option<Name>,
    /// How old that may be, and how far in the future. Default: 5 minutes.
    tolerance: Option<GoDuration>,
    /// What is signed: text with `{body}`, `{timestamp}`, `{method}`, `{url}` and `{header:NAME}` in it. Default: `{body}`.
    #[serde(default)]
    signed: Template,
}

/// Why a description of a scheme protects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum BadHmac {
    /// Anybody could exchange the body.
    #[error("`signed` must contain `{{body}}`, else nobody vouches for the body (ERR_ADIT_2204)")]
    BodyUnsigned,
    /// Anybody could set the time.
    #[error(
        "`signed` must contain `{{timestamp}}` when there is a `timestamp_header`, else anybody can set the time"
    )]
    TimestampUnsigned,
    /// There is none.
    #[error(
        "`signed` contains `{{timestamp}}`; say in `timestamp_header` where it stands (ERR_ADIT_2240)"
    )]
    NoTimestamp,
    /// There is nothing to tolerate.
    #[error("`tolerance` needs a `timestamp_header` (ERR_ADIT_2240)")]
    NothingToTolerate,
}

#[derive(Clone, Debug)]
struct Name(HeaderName);

#[derive(Clone, Debug)]
struct Template(Vec<Piece<String>>);

// === impl Hmac ===

impl TryFrom<Description> for Hmac {
    type Error = BadHmac;

    /// Refuses a description that protects less than it seems to.
    fn try_from(said: Description) -> Result<Self, BadHmac> {
        let signs = |piece| said.signed.0.contains(&piece);
        if !signs(Piece::Body) {
            return Err(BadHmac::BodyUnsigned);
        }
        match &said.timestamp_header {
            Some(_) if !signs(Piece::Timestamp) => Err(BadHmac::TimestampUnsigned),
            None if signs(Piece::Timestamp) => Err(BadHmac::NoTimestamp),
            None if said.tolerance.is_some() => Err(BadHmac::NothingToTolerate),
            _ => Ok(Self(said)),
        }
    }
}

impl Provider for Hmac {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let signed: Vec<_> = self.0.signed.0.iter().map(Piece::as_str).collect();
        let timestamp = self.0.timestamp_header.as_ref().map(|name| Timestamp {
            at: At::Header(name.0.as_str()),
            unit: Unit::Seconds,
            tolerance: self
                .0
                .tolerance
                .map_or(FIVE_MINUTES, |GoDuration(time)| time),
        });
        let scheme = Scheme {
            headers: Headers::One(self.0.header.0.as_str()),
            layout: Layout::Whole(&self.0.prefix),
            hash: self.0.algorithm,
            encoding: self.0.encoding,
            key: Key::Text,
            timestamp,
            signed: &signed,
        };
        scheme.verify(secret, incoming)
    }
}

// === impl Name ===

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed {
            what: "the name of a header",
            parse: |text| {
                let name = text
                    .parse()
                    .map_err(|_| format!("`{text}` is no header name (ERR_ADIT_2210)"))?;
                Ok(Self(name))
            },
        })
    }
}

// === impl Template ===

impl Default for Template {
    fn default() -> Self {
        Self(vec![Piece::Body])
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind
                .split_once('}')
                .ok_or("`{` without `}` behind it (ERR_ADIT_2204)")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(piece(name)?);
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

fn piece(name: &str) -> Result<Piece<String>, String> {
    let header = name.strip_prefix("header:").map(str::parse::<HeaderName>);
    match (name, header) {
        ("body", _) => Ok(Piece::Body),
        ("timestamp", _) => Ok(Piece::Timestamp),
        ("method", _) => Ok(Piece::Method),
        ("url", _) => Ok(Piece::Url),
        (_, Some(Ok(name))) => Ok(Piece::Header(name.to_string())),
        _ => Err(format!(
            "`{{{name}}}` is unknown, expected `{{body}}`, `{{timestamp}}`, `{{method}}`, `{{url}}` or `{{header:NAME}}` (ERR_ADIT_2204)"
        )),
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed {
            what: "a text that says what is signed",
            parse: str::parse,
        })
    }
}

/// Reads a text into something else, so that a mistake in it is told at its place.
struct Parsed<T> {
    what: &'static str,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, Method};

    use super::*;
    use crate::document::read;
    use crate::testing::lines;
    use crate::webhook::BadSecret;

    fn hmac(text: &str) -> Hmac {
        read("f", text).unwrap()
    }

    fn verify(hmac: &Hmac, headers: &HeaderMap, body: &str) -> Result<(), Unverified> {
        let incoming = Incoming {
            method: &Method::POST,
            url: "https://app.example.com/hooks",
            headers,
            body: body.as_bytes(),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_531_420_618),
        };
        hmac.verify("Jefe", &incoming)
    }

    /// RFC 2202 test case 2 and RFC 4231 test case 2.
    #[test]
    fn signs_the_body_unless_told_otherwise() {
        let body = "what do ya want for nothing?";
        let headers = lines(&[(
            "x-signature",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        )]);
        let plain = hmac("{header: X-Signature}");
        assert_eq!(verify(&plain, &headers, body), Ok(()));
        assert_eq!(verify(&plain, &headers, "x"), Err(Unverified::Differs));
        assert_eq!(
            verify(&plain, &HeaderMap::new(), body),
            Err(Unverified::Missing("x-signature".into()))
        );
        let headers = lines(&[("x-signature", "sha1=7/zfauXrL6LSdBbV8YTfnCWafHk=")]);
        let other = hmac("{header: x-signature, algorithm: sha1, encoding: base64, prefix: sha1=}");
        assert_eq!(verify(&other, &headers, body), Ok(()));
    }

    #[test]
    fn signs_what_the_template_says() {
        // Made with Python's `hmac`.
        let headers = lines(&[
            (
                "x-signature",
                "43e5f28e99ab88b00706adb2557fad3ad0a3fd2c0b703477977874b31405120b073a017cb57a812a5e11b2a0286e64751a200673143094d262420bf6325aaead",
            ),
            ("x-time", "1531420610"),
            ("x-id", "7"),
        ]);
        let text = "{header: x-signature, algorithm: sha512, timestamp_header: x-time, tolerance: 9s, signed: 'v1 {method} {url} {header:X-Id}.{timestamp}.{body}!'}";
        let described = hmac(text);
        assert_eq!(verify(&described, &headers, "hello"), Ok(()));
        let mut early = headers.clone();
        early.insert("x-time", "1531420608".parse().unwrap());
        let (seconds, allowed) = (10, 9);
        assert_eq!(
            verify(&described, &early, "hello"),
            Err(Unverified::Stale { seconds, allowed })
        );
        for name in ["x-time", "x-id", "x-signature"] {
            let mut fewer = headers.clone();
            fewer.remove(name);
            assert_eq!(
                verify(&described, &fewer, "hello"),
                Err(Unverified::Missing(name.into()))
            );
        }
        assert_eq!(described.accepts(""), Err(BadSecret::Empty));
    }

    #[test]
    fn what_protects_nothing_is_refused() {
        for (text, error) in [
            ("{header: a, signed: '{method}'}", BadHmac::BodyUnsigned),
            (
                "{header: a, timestamp_header: b}",
                BadHmac::TimestampUnsigned,
            ),
            (
                "{header: a, signed: '{timestamp}{body}'}",
                BadHmac::NoTimestamp,
            ),
            ("{header: a, tolerance: 1m}", BadHmac::NothingToTolerate),
        ] {
            let mistake = read::<Hmac>("f", text).unwrap_err().to_string();
            assert!(mistake.contains(&format!("f:1:1: {error}")), "{mistake}");
        }
    }

    #[test]
    fn a_mistake_is_told_at_its_place() {
        for (text, place, message) in [
            ("{header: 'a b'}", "f:1:10", "`a b` is no header name"),
            (
                "{header: a, signed: '{bdy}'}",
                "f:1:21",
                "`{bdy}` is unknown",
            ),
            (
                "{header: a, signed: '{body'}",
                "f:1:21",
                "`{` without `}` behind it",
            ),
            (
                "{header: a, signed: '{header:}'}",
                "f:1:21",
                "`{header:}` is unknown",
            ),
            (
                "{header: a, algorithm: md5}",
                "f:1:24",
                "unknown variant `md5`",
            ),
            ("{}", "f:1:1", "missing field `header`"),
        ] {
            let mistake = read::<Hmac>("f", text).unwrap_err().to_string();
            assert!(
                mistake.starts_with(place) && mistake.contains(message),
                "{mistake}"
            );
        }
    }
}
