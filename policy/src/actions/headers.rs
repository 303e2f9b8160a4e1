//! Header lines that a policy may set: the map `headers:` of several actions.

use std::fmt;

use http::header::{HeaderName, HeaderValue};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::fixed;

/// Most lines in one map; one more is refused.
const LINES_MAX: usize = 100;
/// Longest name in bytes; a longer one is refused.
const NAME_MAX: usize = 256;
/// Longest value in bytes; a longer one is refused.
const VALUE_MAX: usize = 8 << 10;
/// Headers of one hop, or of the framing: whoever sets one can split a message in two.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names and values in the order of the document, each of them safe to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(pub(super) Vec<(HeaderName, HeaderValue)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of header names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut lines = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            if lines.len() == LINES_MAX {
                return Err(A::Error::custom(format_args!(
                    "more than {LINES_MAX} headers (ERR_ADIT_2212)"
                )));
            }
            lines.push((name, map.next_value_seed(Value)?));
        }
        Ok(Headers(lines))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = HeaderName;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<HeaderName, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = HeaderName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HeaderName, E> {
        if text.len() > NAME_MAX {
            return Err(E::custom(format_args!(
                "a header name is longer than {NAME_MAX} bytes (ERR_ADIT_2208)"
            )));
        }
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            return Err(E::custom(format_args!(
                "{text:?} is not a header name (ERR_ADIT_2210)"
            )));
        };
        if HOP_BY_HOP.contains(&name.as_str()) {
            return Err(E::custom(format_args!(
                "header `{name}` belongs to the connection, not to a policy (ERR_ADIT_2211)"
            )));
        }
        if name.as_str().starts_with("adit-") || name == "ngrok-error-code" {
            return Err(E::custom(format_args!(
                "header `{name}` is set by the gateway only (ERR_ADIT_2219)"
            )));
        }
        Ok(name)
    }
}

struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = HeaderValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<HeaderValue, D::Error> {
        fixed::read_as(deserializer, |text| {
            if text.len() > VALUE_MAX {
                return Err(format!(
                    "a header value is longer than {VALUE_MAX} bytes (ERR_ADIT_2209)"
                ));
            }
            HeaderValue::try_from(text).map_err(|_| {
                "a header value holds a line break or a control character (ERR_ADIT_2211)"
                    .to_owned()
            })
        })
    }
}
