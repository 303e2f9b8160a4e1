//! URLs taken apart.

use super::{Answer, Call, Function, TEXT};
use crate::canonical::percent;
use crate::expr::map::Map;
use crate::expr::static_type::{MAP, Type};
use crate::expr::value::{Text, Value};

pub(super) const TABLE: &[Function] = &[
    Function::global("url.parse", TEXT, MAP, parse),
    Function::method(Type::String, "parseUrl", &[], MAP, parse),
    Function::method(Type::String, "isURL", &[], Type::Bool, is_url),
];

/// `url.parse(s)` and `s.parseUrl()`: what is not there is empty.
fn parse<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len().saturating_mul(2))?;
    let url = Parts::of(text).ok_or_else(|| call.error("the text is no URL"))?;
    let own = |part: &str| Value::text(part.to_owned());
    let query_params = Map::Query(url.query).into_owned();
    Ok(Value::map([
        ("scheme", Value::text(url.scheme.to_ascii_lowercase())),
        ("host", own(url.host)),
        ("hostname", own(url.hostname)),
        ("port", own(url.port)),
        ("user", own(url.user)),
        ("path", Value::String(Text::from(url.path))),
        ("raw_path", own(url.raw_path)),
        ("query", own(url.query)),
        ("query_params", Value::Map(query_params)),
        ("fragment", own(url.fragment)),
    ]))
}

/// `s.isURL()`: with a scheme and a host.
fn is_url<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    let url = Parts::of(text);
    Ok(url
        .is_some_and(|url| !url.scheme.is_empty() && !url.hostname.is_empty())
        .into())
}

/// The parts of a URL or of a reference without a scheme (RFC 3986 §3, §4.1).
struct Parts<'t> {
    scheme: &'t str,
    user: &'t str,
    host: &'t str,
    hostname: &'t str,
    port: &'t str,
    /// Decoded.
    path: String,
    raw_path: &'t str,
    query: &'t str,
    fragment: &'t str,
}

impl<'t> Parts<'t> {
    /// `None` if the text is no URL.
    fn of(text: &'t str) -> Option<Self> {
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = scheme(text)?;
        let (authority, raw_path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?,
            None => ("", rest),
        };
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (hostname, port) = host_and_port(host)?;
        let path = String::from_utf8(percent::unescape(raw_path)?.into_owned()).ok()?;
        Some(Self {
            scheme,
            user,
            host,
            hostname,
            port,
            path,
            raw_path,
            query,
            fragment,
        })
    }
}

/// The scheme, `""` if there is none, and what follows it.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let first_segment = text.split('/').next().unwrap_or_default();
    if !first_segment.contains(':') {
        return Some(("", text));
    }
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

/// An address of version 6 stands in brackets, which are no part of its name.
fn host_and_port(host: &str) -> Option<(&str, &str)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, behind) = rest.split_once(']')?;
            name.parse::<std::net::Ipv6Addr>().ok()?;
            (
                name,
                if behind.is_empty() {
                    ""
                } else {
                    behind.strip_prefix(':')?
                },
            )
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let is_name = host.starts_with('[')
        || !name.contains([
            '[', ']', ':', '@', '\\', '<', '>', '"', '^', '`', '{', '|', '}',
        ]);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok());
    (is_name && is_port && percent::unescape(name).is_some()).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("'https://ngrok.com'.parseUrl().host", "'ngrok.com'"),
            ("url.parse('https://ngrok.com').host", "'ngrok.com'"),
            ("'not a url'.isURL()", "false"),
        ]);
    }

    #[test]
    fn a_url_has_all_its_parts() {
        gives(&[
            (
                "url.parse('HTTPS://me:pw@Example.com:8443/a%20b/c?x=1&x=2&y=%26#top')",
                "{'scheme': 'https', 'host': 'Example.com:8443', 'hostname': 'Example.com', 'port': '8443', 'user': 'me:pw', \
                 'path': '/a b/c', 'raw_path': '/a%20b/c', 'query': 'x=1&x=2&y=%26', \
                 'query_params': {'x': ['1', '2'], 'y': ['&']}, 'fragment': 'top'}",
            ),
            (
                "url.parse('/only')",
                "{'scheme': '', 'host': '', 'hostname': '', 'port': '', 'user': '', 'path': '/only', \
                 'raw_path': '/only', 'query': '', 'query_params': {}, 'fragment': ''}",
            ),
            ("url.parse('http://[::1]:80/').hostname", "'::1'"),
            ("url.parse('http://[::1]:80/').host", "'[::1]:80'"),
            ("url.parse('mailto:a@b').path", "'a@b'"),
            ("url.parse('//h/p').host", "'h'"),
        ]);
        for text in [
            "http://a b",
            "1x://a",
            "http://[::1",
            "http://a:b",
            "http://a:70000",
            "http://h/%zz",
            ":x",
            "http://a:1:2",
            "http://h/%ff",
        ] {
            fails(&[(
                &format!("url.parse('{text}')"),
                "url.parse: the text is no URL",
            )]);
            gives(&[(&format!("'{text}'.isURL()"), "false")]);
        }
        gives(&[
            ("'https://a'.isURL()", "true"),
            ("'/a'.isURL()", "false"),
            ("'mailto:a@b'.isURL()", "false"),
            ("'https://'.isURL()", "false"),
            ("''.isURL()", "false"),
        ]);
    }
}
