//! Endpoint URLs: the addresses that traffic arrives at, in every form that people type.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use thiserror::Error;

use crate::canonical::{BadHost, Host};

/// The address of an endpoint. Prints in canonical form, without a default port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    /// Which kind of traffic arrives.
    pub scheme: Scheme,
    /// At which host.
    pub host: HostPattern,
    /// At which port; `None` is the scheme's default, and for tcp one that the gateway chooses.
    pub port: Option<u16>,
}

/// The kind of traffic of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Cleartext HTTP.
    Http,
    /// HTTP in TLS that ends at the gateway.
    Https,
    /// Any bytes.
    Tcp,
    /// TLS that ends behind the gateway.
    Tls,
}

/// Which hosts an endpoint answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host and no other.
    Exact(Host),
    /// `*.` and this: every host below it at any depth, not the host itself.
    Wildcard(Host),
    /// The gateway chooses.
    Random,
}

/// Why a text is no endpoint URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadEndpointUrl {
    /// Not one of the four schemes.
    #[error("scheme `{0}` is not http, https, tcp or tls (ERR_ADIT_332)")]
    Scheme(String),
    /// More than scheme, host and port.
    #[error("an endpoint url has no {0}, only scheme, host and port (ERR_ADIT_249)")]
    Part(&'static str),
    /// A port that is none.
    #[error("the port of an endpoint url is a number from 1 to 65535 (ERR_ADIT_301)")]
    Port,
    /// A name with `_`.
    #[error("the host of an endpoint url has no `_` (ERR_ADIT_355)")]
    Underscore,
    /// An international name that has no punycode.
    #[error("the host of an endpoint url is not a valid international name (ERR_ADIT_347)")]
    Idna,
    /// `*` anywhere but as the whole first label, above an address, or with tcp.
    #[error(
        "`*` stands only as the first part of a name, as in *.example.com, and not with tcp (ERR_ADIT_326)"
    )]
    Wildcard,
    /// Any other fault of the host.
    #[error("in an endpoint url {0} (ERR_ADIT_326)")]
    Host(BadHost),
}

// === impl EndpointUrl ===

impl EndpointUrl {
    /// Reads any input form: `example.com`, `https://example.com:443`, `tcp://:2222`, `https://`, or nothing at all.
    pub fn parse(text: &str) -> Result<Self, BadEndpointUrl> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Scheme::parse(scheme)?, rest),
            None => (Scheme::Https, text),
        };
        for (mark, part) in [
            ('#', "fragment"),
            ('?', "query"),
            ('/', "path"),
            ('@', "user information"),
        ] {
            if rest.contains(mark) {
                return Err(BadEndpointUrl::Part(part));
            }
        }
        let (host, port) = split_port(rest)?;
        let host = HostPattern::parse(scheme, host)?;
        Ok(Self {
            scheme,
            host,
            port: port.filter(|port| Some(*port) != scheme.default_port()),
        })
    }

    /// Whether only policies of its gateway get there.
    pub fn is_internal(&self) -> bool {
        match &self.host {
            HostPattern::Exact(host) | HostPattern::Wildcard(host) => is_internal(host.as_str()),
            HostPattern::Random => false,
        }
    }

    /// The port where traffic arrives: the one given, or the scheme's default; `None` for a tcp endpoint without one.
    pub fn effective_port(&self) -> Option<u16> {
        self.port.or_else(|| self.scheme.default_port())
    }
}

impl FromStr for EndpointUrl {
    type Err = BadEndpointUrl;

    fn from_str(text: &str) -> Result<Self, BadEndpointUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        write!(f, "{scheme}://{host}")?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'de> Deserialize<'de> for EndpointUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Url;

        impl Visitor<'_> for Url {
            type Value = EndpointUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an endpoint url, as in https://app.example.com")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EndpointUrl, E> {
                EndpointUrl::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Url)
    }
}

// === impl Scheme ===

impl Scheme {
    /// The scheme's name in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port that a URL of this scheme leaves out.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https | Self::Tls => Some(443),
            Self::Tcp => None,
        }
    }

    fn parse(text: &str) -> Result<Self, BadEndpointUrl> {
        let all = [Self::Http, Self::Https, Self::Tcp, Self::Tls];
        let found = all
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| BadEndpointUrl::Scheme(text.to_owned()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl HostPattern ===

impl HostPattern {
    fn parse(scheme: Scheme, text: &str) -> Result<Self, BadEndpointUrl> {
        if text.is_empty() {
            return Ok(Self::Random);
        }
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') || (wildcard && scheme == Scheme::Tcp) {
            return Err(BadEndpointUrl::Wildcard);
        }
        if name.contains('_') {
            return Err(BadEndpointUrl::Underscore);
        }
        let host = Host::parse(name).map_err(|bad| match bad {
            BadHost::Idna => BadEndpointUrl::Idna,
            bad => BadEndpointUrl::Host(bad),
        })?;
        match wildcard {
            true if host.is_address() => Err(BadEndpointUrl::Wildcard),
            true => Ok(Self::Wildcard(host)),
            false => Ok(Self::Exact(host)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Wildcard(host) => write!(f, "*.{host}"),
            Self::Random => Ok(()),
        }
    }
}

/// Whether a canonical host is one that no client gets to.
pub fn is_internal(host: &str) -> bool {
    host.ends_with(".internal") || host == "internal"
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), BadEndpointUrl> {
    let literal_end = text.rfind(']').map_or(0, |at| at + 1);
    let Some((_, behind)) = text.split_at_checked(literal_end) else {
        return Ok((text, None));
    };
    let Some((_, digits)) = behind.split_once(':') else {
        return Ok((text, None));
    };
    let host = text
        .get(..text.len() - digits.len() - 1)
        .unwrap_or_default();
    let plain = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| plain && *port != 0);
    port.map(|port| (host, Some(port)))
        .ok_or(BadEndpointUrl::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        EndpointUrl::parse(text)
            .map(|url| url.to_string())
            .unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn every_input_form_has_one_canonical_form() {
        for (text, expected) in [
            ("example.com", "https://example.com"),
            ("https://example.com", "https://example.com"),
            ("HTTPS://Example.com.:443", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://example.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("tls://example.com", "tls://example.com"),
            ("tls://example.com:443", "tls://example.com"),
            ("tcp://example.com:2222", "tcp://example.com:2222"),
            ("tcp://:2222", "tcp://:2222"),
            ("tcp://", "tcp://"),
            ("tls://", "tls://"),
            ("http://", "http://"),
            ("https://", "https://"),
            ("", "https://"),
            ("foo.internal", "https://foo.internal"),
            ("*.example.com", "https://*.example.com"),
            (
                "https://*.a.example.com:8443",
                "https://*.a.example.com:8443",
            ),
            ("bücher.example", "https://xn--bcher-kva.example"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]"),
            ("127.0.0.1:8443", "https://127.0.0.1:8443"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
            assert_eq!(canonical(expected), expected, "{text}");
        }
    }

    #[test]
    fn names_below_internal_are_for_policies() {
        for (text, is) in [
            ("https://x.internal", true),
            ("tcp://DB.INTERNAL.:5432", true),
            ("https://*.x.internal", true),
            ("https://internal", true),
            ("https://xinternal", false),
            ("https://internal.example.com", false),
            ("tcp://:22", false),
        ] {
            assert_eq!(
                EndpointUrl::parse(text).unwrap().is_internal(),
                is,
                "{text}"
            );
        }
    }

    #[test]
    fn the_parts_say_what_the_text_says() {
        let url = EndpointUrl::parse("tcp://:2222").unwrap();
        assert_eq!(
            (url.scheme, url.host, url.port),
            (Scheme::Tcp, HostPattern::Random, Some(2222))
        );
        let url = EndpointUrl::parse("tls://*.example.com").unwrap();
        assert_eq!(url.effective_port(), Some(443));
        assert_eq!(
            url.host,
            HostPattern::Wildcard(Host::parse("example.com").unwrap())
        );
    }

    #[test]
    fn what_is_no_endpoint_url_is_refused_with_a_reason() {
        for (text, expected) in [
            (
                "ftp://a",
                "scheme `ftp` is not http, https, tcp or tls (ERR_ADIT_332)",
            ),
            (
                "https://a/b",
                "an endpoint url has no path, only scheme, host and port (ERR_ADIT_249)",
            ),
            (
                "https://a/",
                "an endpoint url has no path, only scheme, host and port (ERR_ADIT_249)",
            ),
            (
                "https://a?b",
                "an endpoint url has no query, only scheme, host and port (ERR_ADIT_249)",
            ),
            (
                "https://a#b",
                "an endpoint url has no fragment, only scheme, host and port (ERR_ADIT_249)",
            ),
            (
                "https://u@a",
                "an endpoint url has no user information, only scheme, host and port (ERR_ADIT_249)",
            ),
            (
                "https://a:0",
                "the port of an endpoint url is a number from 1 to 65535 (ERR_ADIT_301)",
            ),
            (
                "https://a:x",
                "the port of an endpoint url is a number from 1 to 65535 (ERR_ADIT_301)",
            ),
            (
                "https://a:",
                "the port of an endpoint url is a number from 1 to 65535 (ERR_ADIT_301)",
            ),
            (
                "a_b.example",
                "the host of an endpoint url has no `_` (ERR_ADIT_355)",
            ),
            (
                "xn--ü.example",
                "the host of an endpoint url is not a valid international name (ERR_ADIT_347)",
            ),
            (
                "a.*.com",
                "`*` stands only as the first part of a name, as in *.example.com, and not with tcp (ERR_ADIT_326)",
            ),
            (
                "a b",
                "in an endpoint url the host holds a byte other than letters, digits, `-`, `_` and `.` (ERR_ADIT_326)",
            ),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
        for text in [
            "*",
            "*.",
            "tcp://*.a:1",
            "*.1.2.3.4",
            "a..b",
            "https://a:1:2",
            "https:////",
            "::1",
        ] {
            assert!(EndpointUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_url_in_a_document_has_a_place() {
        let mistake =
            crate::document::read::<Vec<EndpointUrl>>("f", "- a.example\n- https://a/b\n")
                .unwrap_err();
        assert_eq!(
            (mistake.first().line(), mistake.first().column()),
            (Some(2), Some(3))
        );
    }
}
