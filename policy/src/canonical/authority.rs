//! Host and port as requests name them.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::host::{BadHost, Host, canonical_host};

/// `host` or `host:port`, as the Host header and `:authority` carry it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The canonical host.
    pub host: Host,
    /// The port, if the text names one.
    pub port: Option<u16>,
}

/// An [`Authority`] that borrows its host from the text when the text was canonical already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRef<'a> {
    /// The canonical host.
    pub host: Cow<'a, str>,
    /// The port, if the text names one.
    pub port: Option<u16>,
}

/// Why a text is no authority.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadAuthority {
    /// The host part is wrong.
    #[error(transparent)]
    Host(#[from] BadHost),
    /// `user@host`: nobody needs it, and it hides the real host from a reader.
    #[error("user information before the host is not allowed")]
    UserInfo,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

// === impl Authority ===

impl Authority {
    /// Reads what a peer sent. International names must come as punycode: raw UTF-8 on the wire is refused.
    pub fn parse(text: &[u8]) -> Result<Self, BadAuthority> {
        let AuthorityRef { host, port } = Self::parse_borrowed(text)?;
        Ok(Self {
            host: Host::of_canonical(&host),
            port,
        })
    }

    /// As [`Authority::parse`], without an allocation when the host is canonical already, as almost every one is.
    pub fn parse_borrowed(text: &[u8]) -> Result<AuthorityRef<'_>, BadAuthority> {
        if text.contains(&b'@') {
            return Err(BadAuthority::UserInfo);
        }
        let (host, port) = split_port(text)?;
        Ok(AuthorityRef {
            host: canonical_host(host)?,
            port,
        })
    }
}

impl AuthorityRef<'_> {
    /// The canonical text, if the text this was read from spells it in another way.
    pub fn respelled(&self, read_from: &[u8]) -> Option<String> {
        let same = match (read_from.strip_prefix(self.host.as_bytes()), self.port) {
            (Some(rest), None) => rest.is_empty(),
            (Some([b':', digit, ..]), Some(_)) => *digit != b'0',
            _ => false,
        };
        (!same).then(|| match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone().into_owned(),
        })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Cuts `:port` off; the colons inside an IPv6 literal are not the port's.
fn split_port(text: &[u8]) -> Result<(&[u8], Option<u16>), BadAuthority> {
    let host_end = match text.first() {
        Some(b'[') => text.iter().position(|byte| *byte == b']').map(|at| at + 1),
        _ => text.iter().position(|byte| *byte == b':'),
    };
    let Some((host, rest)) = host_end.and_then(|at| text.split_at_checked(at)) else {
        return Ok((text, None));
    };
    match rest.split_first() {
        None => Ok((host, None)),
        Some((b':', digits)) => parse_port(digits).map(|port| (host, Some(port))),
        Some(_) => Err(BadHost::Byte.into()),
    }
}

fn parse_port(digits: &[u8]) -> Result<u16, BadAuthority> {
    let plain = (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let port = std::str::from_utf8(digits)
        .ok()
        .filter(|_| plain)
        .and_then(|text| text.parse().ok());
    port.filter(|port| *port != 0).ok_or(BadAuthority::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_authority_is_borrowed() {
        for text in ["example.com:8443", "[::1]:8443", "192.0.2.1:8443"] {
            let authority = Authority::parse_borrowed(text.as_bytes()).unwrap();
            assert!(matches!(authority.host, Cow::Borrowed(_)), "{text}");
            assert_eq!(authority.port, Some(8443));
        }
        let authority = Authority::parse(b"EXAMPLE.com.:443").unwrap();
        assert_eq!(authority.to_string(), "example.com:443");
    }

    #[test]
    fn a08_another_spelling_is_told_from_the_canonical_one() {
        let respelled = |text: &str| {
            let authority = Authority::parse_borrowed(text.as_bytes()).unwrap();
            authority.respelled(text.as_bytes())
        };
        for text in ["example.com", "example.com:8443", "[::1]", "[::1]:80"] {
            assert_eq!(respelled(text), None, "{text}");
        }
        for (text, canonical) in [
            ("EXAMPLE.com", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com:80"),
            ("example.com:080", "example.com:80"),
            ("[::0:1]:80", "[::1]:80"),
        ] {
            assert_eq!(respelled(text).as_deref(), Some(canonical), "{text}");
        }
    }

    #[test]
    fn a08_a_doubtful_authority_is_refused() {
        let refused = |text: &str| Authority::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused("user@example.com"), BadAuthority::UserInfo);
        for text in [
            "a:", "a:0", "a:65536", "a:+80", "a:8 0", "a:1:2", "[::1]:", "a:000080",
        ] {
            assert_eq!(refused(text), BadAuthority::Port, "{text}");
        }
        assert_eq!(refused("[::1]80"), BadHost::Byte.into());
        assert_eq!(refused(""), BadHost::Empty.into());
        assert_eq!(refused(":80"), BadHost::Empty.into());
        assert_eq!(refused("a, b"), BadHost::Byte.into());
        assert_eq!(refused("bücher.example"), BadHost::Byte.into());
        assert_eq!(refused("a/b"), BadHost::Byte.into());
    }
}
