//! Cookies as expressions see them: `cookie` of a request (RFC 6265 §5.4), `set-cookie` of a response (§5.2).

use http::{HeaderMap, header};
use jiff::SignedDuration;

use super::value::{Text, Value};

/// Which of the two headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `cookie`.
    Request,
    /// `set-cookie`.
    Response,
}

/// Every cookie of this name. Of a response's, the one with the longest path comes first.
pub(crate) fn named<'a, 'n>(
    lines: &'a HeaderMap,
    side: Side,
    name: &'n str,
) -> impl Iterator<Item = Value<'a>> + use<'a, 'n> {
    let mut found: Vec<_> = all(lines, side)
        .filter(|cookie| cookie.name == name)
        .collect();
    if side == Side::Response {
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path().len()));
    }
    found.into_iter().map(move |cookie| cookie.value(side))
}

/// Every cookie with its name. Of a response's, those with the longest path come first.
pub(crate) fn all_named(
    lines: &HeaderMap,
    side: Side,
) -> impl Iterator<Item = (Text<'_>, Value<'_>)> {
    let mut found: Vec<_> = all(lines, side).collect();
    if side == Side::Response {
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path().len()));
    }
    let found = found.into_iter();
    found.map(move |cookie| (cookie.name.into(), cookie.value(side)))
}

/// A cookie that is not there: every field is empty.
pub(crate) fn absent<'a>(side: Side) -> Value<'a> {
    let nothing = Cookie {
        name: "",
        content: "",
        attributes: "",
    };
    nothing.value(side)
}

struct Cookie<'a> {
    name: &'a str,
    content: &'a str,
    attributes: &'a str,
}

fn all(lines: &HeaderMap, side: Side) -> impl Iterator<Item = Cookie<'_>> {
    let texts = lines.get_all(side.header()).iter();
    let texts = texts.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    texts.flat_map(move |text| {
        let several = side == Side::Request;
        let pairs = several.then(|| text.split(';')).into_iter().flatten();
        let single = (!several).then_some(text).into_iter();
        pairs.chain(single).filter_map(Cookie::parse)
    })
}

impl Side {
    /// The header in which its cookies stand.
    pub(super) fn header(self) -> header::HeaderName {
        match self {
            Self::Request => header::COOKIE,
            Self::Response => header::SET_COOKIE,
        }
    }
}

// === impl Cookie ===

impl<'a> Cookie<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
        let (name, content) = pair.split_once('=')?;
        Some(Self {
            name: name.trim(),
            content: content.trim().trim_matches('"'),
            attributes,
        })
    }

    fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let parts = self.attributes.split(';').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(|part| part.split_once('=').unwrap_or((part, "")))
    }

    fn attribute(&self, name: &str) -> Option<&'a str> {
        // RFC 6265 §5.2: the last one of a name counts.
        let named = self
            .attributes()
            .filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
        named.last().map(|(_, value)| value.trim())
    }

    fn path(&self) -> &'a str {
        self.attribute("path").unwrap_or_default()
    }

    fn value(&self, side: Side) -> Value<'a> {
        let text = |name| Value::text(self.attribute(name).unwrap_or_default());
        let expires = self.attribute("expires").and_then(http_date);
        let max_age = self.attribute("max-age").and_then(|text| text.parse().ok());
        let fields = [
            ("name", Value::text(self.name)),
            ("value", Value::text(self.content)),
            ("domain", text("domain")),
            ("path", text("path")),
            ("same_site", text("samesite")),
            ("expires", expires.map_or(Value::Null, Value::Timestamp)),
            (
                "max_age",
                max_age.map_or(Value::Null, |seconds| {
                    Value::Duration(SignedDuration::from_secs(seconds))
                }),
            ),
            ("http_only", self.attribute("httponly").is_some().into()),
            ("secure", self.attribute("secure").is_some().into()),
            ("unparsed_attributes", self.unparsed(side)),
        ];
        Value::map(fields)
    }

    fn unparsed(&self, side: Side) -> Value<'a> {
        const KNOWN: &[&str] = &[
            "domain", "path", "samesite", "expires", "max-age", "httponly", "secure",
        ];
        let others = self.attributes().filter(|(name, _)| {
            side == Side::Response
                && !KNOWN
                    .iter()
                    .any(|known| name.trim().eq_ignore_ascii_case(known))
        });
        Value::map(others.map(|(name, value)| (name.trim(), Value::text(value.trim()))))
    }
}

/// RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, and the same with dashes as old servers write it.
fn http_date(text: &str) -> Option<jiff::Timestamp> {
    let plain = text.replace('-', " ");
    let time = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", &plain).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|time| time.timestamp())
}
