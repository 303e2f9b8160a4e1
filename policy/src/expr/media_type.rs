//! Media types and lists in header values (RFC 9110 §8.3.1, §5.6.1).

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};

use super::value::Value;

/// The media type in lower case without its parameters, `""` if there is none.
pub(crate) fn essence(lines: &HeaderMap) -> Value<'_> {
    let text = content_type(lines);
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Value::text(essence.to_ascii_lowercase()),
        false => Value::text(essence),
    }
}

/// The parameters of the media type, their names in lower case.
pub(crate) fn parameters(lines: &HeaderMap) -> Value<'_> {
    let parameters = content_type(lines).split(';').skip(1);
    let pairs = parameters.filter_map(|text| text.split_once('='));
    Value::map(pairs.map(|(name, value)| {
        let value = value.trim().trim_matches('"');
        (name.trim().to_ascii_lowercase(), Value::text(value))
    }))
}

/// The elements of all lines of a header, in lower case.
pub(crate) fn listed<'a>(lines: &'a HeaderMap, name: &HeaderName) -> Value<'a> {
    let texts = lines
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let elements = texts.flat_map(|text| text.split(',')).map(str::trim);
    Value::texts(
        elements
            .filter(|text| !text.is_empty())
            .map(str::to_ascii_lowercase),
    )
}

fn content_type(lines: &HeaderMap) -> &str {
    let value = lines.get(CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
