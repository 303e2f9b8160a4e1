//! The one spelling of a host, an authority and a request target; what has none is refused.
//!
//! Routing, policy, logs and forwarding all read these values and never the raw bytes again, so no two of them can
//! read one request differently.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use thiserror::Error;

/// Longest host name that DNS can carry; a longer one is refused.
const HOST_MAX: usize = 253;
/// Longest label between two dots that DNS can carry; a longer one is refused.
const LABEL_MAX: usize = 63;

/// A host in canonical form: lower case, punycode, no trailing dot, an IPv6 literal in brackets. Cheap to clone.
///
/// It hashes as its text does, so a `HashMap<Host, _>` can be asked with a `&str`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

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

/// The target of a request in origin form: a path, and what stands behind the first `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Begins with `/`.
    pub path: &'a str,
    /// Without the `?`; `None` if there is no `?`.
    pub query: Option<&'a str>,
}

/// Why a text is no host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadHost {
    /// Nothing, or nothing but a dot.
    #[error("the host is empty")]
    Empty,
    /// Longer than DNS can carry.
    #[error("the host is longer than {HOST_MAX} bytes")]
    TooLong,
    /// Two dots in a row, or one in front, or a part longer than DNS can carry.
    #[error("a part between two dots of the host is empty or longer than {LABEL_MAX} bytes")]
    Label,
    /// A byte that no host name has.
    #[error("the host holds a byte other than letters, digits, `-`, `_` and `.`")]
    Byte,
    /// It looks like an address and is none.
    #[error("the host looks like an IP address and is none")]
    Address,
    /// An international name that cannot be written in punycode.
    #[error("the host is not a valid international name")]
    Idna,
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

/// Why a text is no request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// Absolute form, `*`, or nothing.
    #[error("the request target does not begin with `/`")]
    Form,
    /// A control byte, a space, `#`, or a byte outside ASCII.
    #[error("the request target holds a control byte, a space, `#` or a byte outside ASCII")]
    Byte,
    /// `%00`, `%0a` or `%0d` in the path: whoever decodes it has a name cut short or a line split in two.
    #[error("the path holds an encoded NUL, CR or LF")]
    Encoded,
}

// === impl Host ===

impl Host {
    /// Reads a host as people write it in configuration: any case, international names, one trailing dot.
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        // ASCII can hold punycode, which is international too and may be wrong.
        let plain = text.is_ascii() && !text.to_ascii_lowercase().contains("xn--");
        let ascii = match plain {
            true => Cow::Borrowed(text),
            false => {
                let name = text.strip_suffix('.').unwrap_or(text);
                Cow::Owned(idna::domain_to_ascii_strict(name).map_err(|_| BadHost::Idna)?)
            }
        };
        canonical_host(ascii.as_bytes()).map(|host| Self(Arc::from(host)))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an IPv4 or IPv6 address and not a name.
    pub fn is_address(&self) -> bool {
        self.0.starts_with('[') || self.0.parse::<Ipv4Addr>().is_ok()
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read in the visitor, so that a mistake is told at its own place.
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Host;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host name or an address")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Host, E> {
                Host::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

impl AsRef<str> for Host {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

// === impl Authority ===

impl Authority {
    /// Reads what a peer sent. International names must come as punycode: raw UTF-8 on the wire is refused.
    pub fn parse(text: &[u8]) -> Result<Self, BadAuthority> {
        let AuthorityRef { host, port } = Self::parse_borrowed(text)?;
        Ok(Self {
            host: Host(Arc::from(host)),
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

// === impl Target ===

impl<'a> Target<'a> {
    /// Reads a target in origin form, byte for byte as it came; nothing is decoded here.
    pub fn parse(target: &'a [u8]) -> Result<Self, BadTarget> {
        if target.first() != Some(&b'/') {
            return Err(BadTarget::Form);
        }
        if !target
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'#')
        {
            return Err(BadTarget::Byte);
        }
        let text = std::str::from_utf8(target).map_err(|_| BadTarget::Byte)?;
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        if hides_a_line_end(path) {
            return Err(BadTarget::Encoded);
        }
        Ok(Self { path, query })
    }
}

fn hides_a_line_end(path: &str) -> bool {
    let mut encoded = path.split("%0").skip(1);
    encoded.any(|rest| {
        matches!(
            rest.as_bytes().first(),
            Some(b'0' | b'a' | b'A' | b'd' | b'D')
        )
    })
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

/// The canonical form of an ASCII host, borrowed if it is the text itself.
fn canonical_host(text: &[u8]) -> Result<Cow<'_, str>, BadHost> {
    if text.first() == Some(&b'[') {
        return canonical_ipv6(text);
    }
    let text = text.strip_suffix(b".").unwrap_or(text);
    let mut lower = true;
    let mut label = 0;
    for byte in text {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            b'A'..=b'Z' => {
                lower = false;
                label += 1;
            }
            b'.' if label == 0 => return Err(BadHost::Label),
            b'.' => label = 0,
            _ => return Err(BadHost::Byte),
        }
        if label > LABEL_MAX {
            return Err(BadHost::Label);
        }
    }
    if text.is_empty() {
        return Err(BadHost::Empty);
    }
    if label == 0 {
        return Err(BadHost::Label);
    }
    if text.len() > HOST_MAX {
        return Err(BadHost::TooLong);
    }
    let text = std::str::from_utf8(text).map_err(|_| BadHost::Byte)?;
    if ends_in_a_number(text) && text.parse::<Ipv4Addr>().is_err() {
        return Err(BadHost::Address);
    }
    Ok(if lower {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_ascii_lowercase())
    })
}

fn canonical_ipv6(text: &[u8]) -> Result<Cow<'_, str>, BadHost> {
    let text = std::str::from_utf8(text).map_err(|_| BadHost::Byte)?;
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(BadHost::Address)?;
    let address: Ipv6Addr = inner.parse().map_err(|_| BadHost::Address)?;
    let canonical = format!("[{address}]");
    Ok(if canonical == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(canonical)
    })
}

/// Browsers and resolvers read such a name as an IPv4 address, so it must be one: `127.1` and `0x7f.1` are traps.
fn ends_in_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<String, BadHost> {
        Host::parse(text).map(|host| host.to_string())
    }

    #[test]
    fn a08_one_host_has_one_canonical_spelling() {
        for text in ["example.com", "EXAMPLE.com.", "Example.COM"] {
            assert_eq!(host(text).as_deref(), Ok("example.com"));
        }
        assert_eq!(host("[::0:1]").as_deref(), Ok("[::1]"));
        assert_eq!(host("[2001:DB8::1]").as_deref(), Ok("[2001:db8::1]"));
        assert_eq!(host("192.0.2.1").as_deref(), Ok("192.0.2.1"));
        assert_eq!(host("my_host.example").as_deref(), Ok("my_host.example"));
    }

    #[test]
    fn an_international_name_becomes_punycode() {
        assert_eq!(
            host("Bücher.example").as_deref(),
            Ok("xn--bcher-kva.example")
        );
        assert_eq!(
            host("XN--bcher-KVA.example.").as_deref(),
            Ok("xn--bcher-kva.example")
        );
        assert_eq!(host("１２７.0.0.1").as_deref(), Ok("127.0.0.1"));
        assert_eq!(host("b\u{0}ü.example"), Err(BadHost::Idna));
        assert_eq!(host("xn--999999999.example"), Err(BadHost::Idna));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        assert_eq!(host(""), Err(BadHost::Empty));
        assert_eq!(host("."), Err(BadHost::Empty));
        assert_eq!(host("a..b"), Err(BadHost::Label));
        assert_eq!(host("a.."), Err(BadHost::Label));
        assert_eq!(host(".a"), Err(BadHost::Label));
        assert_eq!(host(&"a".repeat(64)), Err(BadHost::Label));
        assert_eq!(
            host(&"a.".repeat(127)),
            Ok("a.".repeat(127).trim_end_matches('.').to_owned())
        );
        assert_eq!(host(&"ab.".repeat(85)), Err(BadHost::TooLong));
        assert_eq!(host("a b"), Err(BadHost::Byte));
        assert_eq!(host("a%2eb"), Err(BadHost::Byte));
        assert_eq!(host("a\\b"), Err(BadHost::Byte));
        assert_eq!(host("127.1"), Err(BadHost::Address));
        assert_eq!(host("0x7f.0.0.0x1"), Err(BadHost::Address));
        assert_eq!(host("127.0.0.01"), Err(BadHost::Address));
        assert_eq!(host("[::1"), Err(BadHost::Address));
        assert_eq!(host("[::1%eth0]"), Err(BadHost::Address));
    }

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

    #[test]
    fn a_host_in_a_map_is_found_by_its_text() {
        let map = std::collections::HashMap::from([(Host::parse("Example.com").unwrap(), 7)]);
        assert_eq!(map.get("example.com"), Some(&7));
    }

    #[test]
    fn a_target_is_cut_at_its_first_question_mark() {
        let target = Target::parse(b"/a?b?c").unwrap();
        assert_eq!((target.path, target.query), ("/a", Some("b?c")));
        assert_eq!(Target::parse(b"/").unwrap().query, None);
    }

    #[test]
    fn a05_a07_a_target_with_a_hidden_byte_or_another_form_is_refused() {
        for target in ["", "*", "http://evil/", "admin", "?x"] {
            assert_eq!(
                Target::parse(target.as_bytes()),
                Err(BadTarget::Form),
                "{target}"
            );
        }
        for target in ["/%00", "/a%0d%0ab", "/a/%0A", "/%0D?x", "/%0%00"] {
            assert_eq!(
                Target::parse(target.as_bytes()),
                Err(BadTarget::Encoded),
                "{target:?}"
            );
        }
        for target in ["/?%00", "/a?b=%0d%0a", "/%09", "/%250a", "/%0", "/%"] {
            assert!(Target::parse(target.as_bytes()).is_ok(), "{target:?}");
        }
        for target in ["/a#b", "/a b", "/a\r\nb", "/a\0", "/\u{7f}", "/ü", "/a\tb"] {
            assert_eq!(
                Target::parse(target.as_bytes()),
                Err(BadTarget::Byte),
                "{target:?}"
            );
        }
    }
}
