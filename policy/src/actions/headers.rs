//! Header lines that a policy may set: the map `headers:` of several actions.

use std::borrow::Cow;
use std::fmt;

use http::header::{HeaderName, HeaderValue};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::action::Fault;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText, Value, interpolation, unusable_made};

/// Most lines in one map; one more is refused.
pub(super) const LINES_MAX: usize = 100;
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
#[derive(Clone, Debug, Default)]
pub(super) struct Headers(pub(super) Vec<(HeaderName, Field<Line>)>);

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
            lines.push((name, map.next_value()?));
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
        settable(text).map_err(E::custom)
    }
}

/// The name of a header that a policy may set.
pub(super) fn settable(text: &str) -> Result<HeaderName, String> {
    let name = header_name(text)?;
    if HOP_BY_HOP.contains(&name.as_str()) {
        return Err(format!(
            "header `{name}` belongs to the connection, not to a policy (ERR_ADIT_2211)"
        ));
    }
    if name.as_str().starts_with("adit-") || name == "ngrok-error-code" {
        return Err(format!(
            "header `{name}` is set by the gateway only (ERR_ADIT_2219)"
        ));
    }
    Ok(name)
}

/// The name of a header, in lower case.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    if text.len() > NAME_MAX {
        return Err(format!(
            "a header name is longer than {NAME_MAX} bytes (ERR_ADIT_2208)"
        ));
    }
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{text:?} is not a header name (ERR_ADIT_2210)"))
}

/// What may stand behind the name of a header.
#[derive(Clone, Debug)]
pub(super) struct Line(pub(super) HeaderValue);

impl FromText for Line {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.len() > VALUE_MAX {
            return Err(format!(
                "a header value is longer than {VALUE_MAX} bytes (ERR_ADIT_2209)"
            ));
        }
        // Beyond ASCII it is sent as UTF-8: people have such names.
        HeaderValue::from_bytes(text.as_bytes())
            .map(Self)
            .map_err(|_| {
                "a header value holds a line break or a control character (ERR_ADIT_2211)"
                    .to_owned()
            })
    }
}

/// The value of a header for an exchange. A `${…}` that gives several texts gives them in one line.
pub(super) fn value(field: &Field<Line>, exchange: &Exchange<'_>) -> Result<HeaderValue, Fault> {
    let template = match field {
        Field::Fixed(line) => return Ok(line.0.clone()),
        Field::Computed(template) => template,
    };
    let (value, taint) = template
        .marked(exchange)
        .map_err(|error| interpolation("headers", error))?;
    let text = match &value {
        Value::List(items) if items.iter().all(|item| item.as_str().is_some()) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Cow::Owned(texts.join(", "))
        }
        other => other.to_text(),
    };
    let line = Line::from_text(&text);
    let Line(mut line) = line.map_err(|reason| unusable_made("headers", &reason, &taint))?;
    exchange.memory.mark_line(&mut line, taint);
    Ok(line)
}

impl Headers {
    /// Names and values for an exchange.
    pub(super) fn lines(
        &self,
        exchange: &Exchange<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
        let lines = self.0.iter();
        let lines = lines.map(|(name, field)| Ok((name.clone(), value(field, exchange)?)));
        lines.collect()
    }
}
