//! The `fetch:` block: whom policies may ask.

use std::{fmt, path::PathBuf, str::FromStr};

use adit_policy::canonical::Host;
use serde::{Deserialize, Deserializer, de};

/// Which servers policies may send requests to. This gateway's own endpoints always may be asked, within the process.
///
/// `http-request` may ask no other server than those under `allow`. Identity providers and servers of keys, which an
/// operator or an endpoint's owner names in a policy, may be asked without being listed if they speak https and have
/// public addresses; listed, they may speak http, and with `allow_private` be anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// Servers outside: `api.example.com`, `api.example.com:8443`, `*.example.com`. Without a port, the scheme's own.
    /// Default: none.
    pub allow: Vec<AllowedHost>,
    /// Whether the servers under `allow` may have private addresses, loopback included. Otherwise a name that leads to
    /// the gateway's own network is refused, whatever it is called. Default false.
    pub allow_private: bool,
    /// PEM files with certificate authorities to trust besides the system's.
    pub ca_files: Vec<PathBuf>,
    /// Whether identity providers on this machine's loopback addresses may be asked without being listed, over http as
    /// well: in an embedded gateway, whose only user is the one who runs the provider.
    #[serde(skip)]
    pub(crate) loopback_providers: bool,
}

/// One entry of `fetch.allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    host: Host,
    /// Every name below it instead of the host itself.
    below: bool,
    port: Option<u16>,
}

// === impl AllowedHost ===

impl AllowedHost {
    /// Whether it names this server. `usual`: the port is the scheme's own.
    pub(crate) fn covers(&self, host: &Host, port: u16, usual: bool) -> bool {
        let port = self.port.map_or(usual, |allowed| allowed == port);
        port && match self.below {
            false => self.host == *host,
            true => {
                let rest = host.as_str().strip_suffix(self.host.as_str());
                rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (
                    name,
                    Some(port.ok_or_else(|| format!("`{text}`: a port is 1 to 65535"))?),
                )
            }
            _ => (text, None),
        };
        let (below, name) = match name.strip_prefix("*.") {
            Some(parent) => (true, parent),
            None => (false, name),
        };
        let host = Host::parse(name).map_err(|error| {
            format!("`{text}`: {error}; write `api.example.com` or `*.example.com:8443`")
        })?;
        Ok(Self { host, below, port })
    }
}

impl<'de> Deserialize<'de> for AllowedHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = AllowedHost;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host like `api.example.com` or `*.example.com:8443`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AllowedHost, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_covers_its_host_or_the_names_below_and_one_port() {
        for (entry, host, port, usual, covered) in [
            ("a.example", "a.example", 443, true, true),
            ("a.example", "a.example", 8443, false, false),
            ("a.example:8443", "a.example", 8443, false, true),
            ("a.example:8443", "a.example", 443, true, false),
            ("*.example", "a.example", 443, true, true),
            ("*.example", "b.a.example", 443, true, true),
            ("*.example", "example", 443, true, false),
            ("*.example", "badexample", 443, true, false),
            ("[::1]:3000", "[::1]", 3000, false, true),
        ] {
            let allowed: AllowedHost = entry.parse().unwrap();
            let host = Host::parse(host).unwrap();
            assert_eq!(
                allowed.covers(&host, port, usual),
                covered,
                "{entry} {host}"
            );
        }
        for wrong in [
            "",
            "*",
            "a..b",
            "a.example:0",
            "a.example:x",
            "https://a.example",
        ] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }
}
