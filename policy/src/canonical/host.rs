//! A host in its one spelling.

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

    /// The text must have come out of [`canonical_host`].
    pub(super) fn of_canonical(text: &str) -> Self {
        Self(Arc::from(text))
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

/// The canonical form of an ASCII host, borrowed if it is the text itself.
pub(super) fn canonical_host(text: &[u8]) -> Result<Cow<'_, str>, BadHost> {
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
    fn a_host_in_a_map_is_found_by_its_text() {
        let map = std::collections::HashMap::from([(Host::parse("Example.com").unwrap(), 7)]);
        assert_eq!(map.get("example.com"), Some(&7));
    }
}
