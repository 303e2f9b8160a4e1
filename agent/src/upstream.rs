//! What a user may write for the service behind an endpoint, and what it means.

use std::{fmt, net::Ipv6Addr, path::PathBuf, str::FromStr};

use crate::tls::{ConnectCas, Verify};

/// The service that an endpoint forwards to.
///
/// | written | means |
/// |---|---|
/// | `3000` | `http://localhost:3000` |
/// | `host:3000` | `http://host:3000` |
/// | `host` | `http://host:80` |
/// | `443`, `host:443`, `https://host` | `https://…:443` |
/// | `unix:/run/app.sock` | HTTP over that socket |
///
/// ```
/// use adit_agent::Upstream;
/// assert_eq!(Upstream::parse("3000")?.to_string(), "http://localhost:3000");
/// # Ok::<(), adit_agent::UpstreamError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub(crate) place: Place,
    pub(crate) verify: Verify,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// Why a text names no service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was written.
    #[error("no upstream: write a port, host:port, an http:// or https:// URL, or unix:/path")]
    Empty,
    /// A scheme that is not served.
    #[error("{scheme}:// upstreams are not available: {hint}")]
    Scheme {
        /// What was written before `://`.
        scheme: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// An IPv6 address whose colons cannot be told from the port's.
    #[error("\"{0}\" is ambiguous: write an IPv6 address in brackets, [::1]:3000")]
    Brackets(String),
    /// No port number.
    #[error("\"{0}\" is not a port: use 1 to 65535")]
    Port(String),
    /// No host name.
    #[error("\"{0}\" is not a host name or address")]
    Host(String),
    /// More than an address.
    #[error("an upstream is only an address: remove \"{0}\"")]
    Rest(String),
}

// === impl Upstream ===

impl Upstream {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// When it names no service that can be forwarded to.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        Ok(Self {
            place: Place::parse(text.trim())?,
            verify: Verify::No,
        })
    }

    /// Whether an `https://` service must show a certificate that the operating system trusts.
    /// Without it any certificate is taken.
    #[must_use]
    pub fn tls_verify(mut self, verify: bool) -> Self {
        self.verify = if verify {
            Verify::Against(ConnectCas::Host)
        } else {
            Verify::No
        };
        self
    }

    /// Verifies the service's certificate against the authorities of this PEM file.
    #[must_use]
    pub fn tls_verify_cas(mut self, path: impl Into<PathBuf>) -> Self {
        self.verify = Verify::Against(ConnectCas::File(path.into()));
        self
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Tcp { host, port, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                match host.contains(':') {
                    true => write!(f, "{scheme}://[{host}]:{port}"),
                    false => write!(f, "{scheme}://{host}:{port}"),
                }
            }
        }
    }
}

// === impl Place ===

impl Place {
    fn parse(text: &str) -> Result<Self, UpstreamError> {
        if text.is_empty() {
            return Err(UpstreamError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let wants_tls = match scheme.as_deref() {
            None => None,
            Some("http") => Some(false),
            Some("https") => Some(true),
            Some(other) => return Err(not_served(other)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#']) {
            return Err(UpstreamError::Rest(rest.get(at..).unwrap_or(rest).into()));
        }
        let (host, port) = split(rest, scheme.is_none())?;
        let port = match port {
            Some(port) => parse_port(port)?,
            None => {
                if wants_tls == Some(true) {
                    443
                } else {
                    80
                }
            }
        };
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self::Tcp {
            host: host.into(),
            port,
            tls: wants_tls.unwrap_or(port == 443),
        })
    }
}

fn unix(path: &str) -> Result<Place, UpstreamError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        Err(UpstreamError::Empty)
    } else {
        Ok(Place::Unix(path.into()))
    }
}

fn not_served(scheme: &str) -> UpstreamError {
    let hint = match scheme {
        "file" => "run a web server over the directory and give its port",
        "tcp" | "tls" => "this version forwards http and https services",
        _ => "use http:// or https://",
    };
    UpstreamError::Scheme {
        scheme: scheme.into(),
        hint,
    }
}

/// Host and port, each as written. A lone number is a port only where no scheme stands before it.
fn split(text: &str, lone_port: bool) -> Result<(&str, Option<&str>), UpstreamError> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, after) = bracketed
            .split_once(']')
            .ok_or_else(|| UpstreamError::Brackets(text.into()))?;
        host.parse::<Ipv6Addr>()
            .map_err(|_| UpstreamError::Host(host.into()))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(UpstreamError::Rest(after.into())),
        };
    }
    if lone_port && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(("", Some(text)));
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => return Err(UpstreamError::Brackets(text.into())),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if !host.bytes().all(plain) {
        return Err(UpstreamError::Host(host.into()));
    }
    Ok((host, port))
}

fn parse_port(text: &str) -> Result<u16, UpstreamError> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(UpstreamError::Port(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_the_reference() {
        for (written, means) in [
            ("8080", "http://localhost:8080"),
            (" 8080 ", "http://localhost:8080"),
            (":8080", "http://localhost:8080"),
            ("443", "https://localhost:443"),
            ("host:443", "https://host:443"),
            ("host", "http://host:80"),
            ("host:3000", "http://host:3000"),
            ("my_app.internal:3000", "http://my_app.internal:3000"),
            ("http://", "http://localhost:80"),
            ("https://", "https://localhost:443"),
            ("https://h", "https://h:443"),
            ("HTTPS://h:8443/", "https://h:8443"),
            ("http://h:443", "http://h:443"),
            ("http://8080", "http://8080:80"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
        ] {
            assert_eq!(
                Upstream::parse(written).unwrap().to_string(),
                means,
                "{written}"
            );
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_itself() {
        for text in ["3000", "host:443", "http://h:443", "[::1]:3000", "unix:/a"] {
            let upstream = Upstream::parse(text).unwrap();
            assert_eq!(Upstream::parse(&upstream.to_string()).unwrap(), upstream);
        }
    }

    #[test]
    fn says_what_to_write_instead() {
        for (written, says) in [
            ("", "write a port"),
            ("file:///srv", "run a web server"),
            ("tcp://h:22", "forwards http"),
            ("gopher://h", "use http://"),
            ("::1:3000", "[::1]:3000"),
            ("[::1:3000", "brackets"),
            ("[nonsense]:1", "not a host"),
            ("h:0", "1 to 65535"),
            ("99999", "1 to 65535"),
            ("h:x", "1 to 65535"),
            ("user@h:1", "not a host"),
            ("http://h/path", "remove \"/path\""),
            ("unix:", "write a port"),
        ] {
            let error = Upstream::parse(written).unwrap_err().to_string();
            assert!(error.contains(says), "{written}: {error}");
        }
    }
}
