//! Access lists: which URLs a credential may serve.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use adit_policy::{
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
};
use serde::{Deserialize, Deserializer, de};

/// Patterns like `bind:*.example.com`, `bind:app.example.com`, `bind:https://app.example.com`, `bind:*.internal` or
/// `bind:tcp://:20000-20010`. A URL is allowed if any of them matches. `bind:*` matches every host. A pattern without a
/// scheme matches all that is found by its name: every http and https endpoint, and internal tcp ones. Public ports are
/// few, so they are only matched by patterns that begin with `bind:tcp://`, and those without a host match nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Acl(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// `None` is every kind of endpoint that is found by its name.
    scheme: Option<Scheme>,
    host: Hosts,
    /// `None` is every port.
    ports: Option<RangeInclusive<u16>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Any,
    /// Whatever is reached from outside.
    Public,
    Exact(Host),
    Under(Host),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BadPattern(String);

// === impl Acl ===

impl Acl {
    /// Whether the URL, already canonical, may be bound.
    pub(crate) fn allows(&self, url: &EndpointUrl) -> bool {
        self.0.iter().any(|pattern| pattern.allows(url))
    }

    /// The list that allows everything.
    pub(crate) fn everything() -> Self {
        let all = |scheme| Pattern {
            scheme,
            host: Hosts::Any,
            ports: None,
        };
        Self(vec![all(None), all(Some(Scheme::Tcp))])
    }
}

impl Pattern {
    fn allows(&self, url: &EndpointUrl) -> bool {
        let scheme = match self.scheme {
            Some(scheme) => scheme == url.scheme,
            None => url.scheme != Scheme::Tcp || url.is_internal(),
        };
        let port = match (&self.ports, url.effective_port()) {
            (None, _) => true,
            (Some(ports), Some(port)) => ports.contains(&port),
            (Some(_), None) => false,
        };
        let host = match self.host {
            Hosts::Public => !url.is_internal(),
            _ => self.host.covers(&url.host),
        };
        scheme && port && host
    }
}

impl Hosts {
    fn covers(&self, host: &HostPattern) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Exact(allowed), HostPattern::Exact(host)) => allowed == host,
            (Self::Under(parent), HostPattern::Exact(host)) => is_under(host, parent),
            // `*.a.b` holds every name of `*.x.a.b`, and of itself.
            (Self::Under(parent), HostPattern::Wildcard(host)) => {
                host == parent || is_under(host, parent)
            }
            (Self::Public | Self::Exact(_) | Self::Under(_), _) => false,
        }
    }
}

fn is_under(host: &Host, parent: &Host) -> bool {
    host.as_str()
        .strip_suffix(parent.as_str())
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = |why: &str| BadPattern(format!("`{text}`: {why}"));
        let rest = text
            .strip_prefix("bind:")
            .ok_or_else(|| bad("an access pattern begins with `bind:`"))?;
        let (scheme, rest) = match rest.split_once("://") {
            Some((scheme, rest)) => {
                let scheme = match scheme {
                    "http" => Scheme::Http,
                    "https" => Scheme::Https,
                    "tcp" => Scheme::Tcp,
                    "tls" => Scheme::Tls,
                    _ => return Err(bad("the scheme is http, https, tcp or tls")),
                };
                (Some(scheme), rest)
            }
            None => (None, rest),
        };
        let (host, ports) = match rest.rsplit_once(':') {
            Some((host, ports)) if !ports.ends_with(']') => (
                host,
                Some(parse_ports(ports).ok_or_else(|| bad("ports are `20000` or `20000-20010`"))?),
            ),
            _ => (rest, None),
        };
        let named = |name: &str| Host::parse(name).map_err(|error| bad(&error.to_string()));
        let host = match host {
            "*" => Hosts::Any,
            "" if scheme == Some(Scheme::Tcp) => Hosts::Public,
            "" => return Err(bad("a host is missing; `bind:*` allows every host")),
            name => match name.strip_prefix("*.") {
                Some(parent) => Hosts::Under(named(parent)?),
                None => Hosts::Exact(named(name)?),
            },
        };
        Ok(Self {
            scheme,
            host,
            ports,
        })
    }
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (1 <= low && low <= high).then_some(low..=high)
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read in the visitor, so that a mistake is told at its own place.
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Pattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an access pattern, as in bind:*.example.com")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pattern, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, url: &str) -> bool {
        Acl(vec![pattern.parse().unwrap()]).allows(&EndpointUrl::parse(url).unwrap())
    }

    #[test]
    fn a43_a_an_agent_stays_inside_its_names() {
        assert!(allows("bind:app.example.com", "https://app.example.com"));
        assert!(allows("bind:*.example.com", "http://a.b.example.com"));
        assert!(!allows("bind:app.example.com", "https://other.example.com"));
        assert!(!allows("bind:*.example.com", "https://example.com"));
        assert!(!allows("bind:*.example.com", "https://evilexample.com"));
        assert!(!allows(
            "bind:https://app.example.com",
            "http://app.example.com"
        ));
    }

    #[test]
    fn a43_b_a_wildcard_above_it_is_not_inside() {
        assert!(allows("bind:*.example.com", "https://*.example.com"));
        assert!(allows("bind:*.example.com", "https://*.a.example.com"));
        assert!(!allows("bind:*.a.example.com", "https://*.example.com"));
        assert!(!allows("bind:app.example.com", "https://*.app.example.com"));
    }

    #[test]
    fn a43_c_ports_are_part_of_the_pattern() {
        assert!(allows("bind:tcp://:20000-20010", "tcp://:20005"));
        assert!(!allows("bind:tcp://:20000-20010", "tcp://:20011"));
        assert!(!allows("bind:*", "tcp://:20011"));
        assert!(allows("bind:tcp://:20005", "tcp://example.com:20005"));
        assert!(!allows(
            "bind:tcp://:20000-20010",
            "tcp://db.internal:20005"
        ));
        assert!(allows("bind:tcp://*.internal", "tcp://db.internal:5432"));
        assert!(!allows("bind:tcp://*.internal", "tcp://example.com:5432"));
        assert!(allows("bind:*.internal:5432", "tcp://db.internal:5432"));
        assert!(!allows("bind:*.internal:5432", "tcp://db.internal:22"));
        assert!(allows("bind:*", "tcp://db.internal:5432"));
        assert!(allows(
            "bind:app.example.com:443",
            "https://app.example.com"
        ));
        assert!(!allows(
            "bind:app.example.com:8443",
            "https://app.example.com"
        ));
    }

    #[test]
    fn a43_d_other_spellings_are_the_same_name() {
        for url in ["https://APP.example.com.", "https://app.Example.COM"] {
            assert!(allows("bind:App.example.com", url), "{url}");
        }
        assert!(allows(
            "bind:bücher.example",
            "https://xn--bcher-kva.example"
        ));
    }

    #[test]
    fn a_pattern_that_is_none_says_why() {
        for text in [
            "app.example.com",
            "bind:",
            "bind:ftp://a",
            "bind:a:b",
            "bind:a:9-1",
            "bind:a b",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
