//! What a user may write for the service behind an endpoint, and what it means.

use std::{fmt, net::Ipv6Addr, path::PathBuf, str::FromStr};

use crate::{
    HealthCheck,
    tls::{ConnectCas, Verify},
};

/// The service that an endpoint forwards to.
///
/// | written | means |
/// |---|---|
/// | `3000` | `http://localhost:3000` |
/// | `host:3000` | `http://host:3000` |
/// | `host` | `http://host:80` |
/// | `443`, `host:443`, `https://host` | `https://…:443` |
/// | `unix:/run/app.sock` | HTTP over that socket |
/// | `tcp://host:22` | bytes, whatever they say |
///
/// Behind a `tcp://` endpoint all that names no other scheme means bytes: `22` is `tcp://localhost:22`.
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
    /// What was written, if it says nothing of how to speak.
    bare: Option<String>,
    pub(crate) check: Option<HealthCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp {
        host: String,
        port: u16,
        speaks: Speaks,
    },
    Unix(PathBuf),
}

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    Https,
    /// Whatever the client says.
    Bytes,
}

/// Why a text names no service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was written.
    #[error(
        "no upstream: write a port, host:port, an http://, https:// or tcp:// URL, or unix:/path"
    )]
    Empty,
    /// A scheme that is not served.
    #[error("{scheme}:// upstreams are not available: {hint}")]
    Scheme {
        /// What was written before `://`.
        scheme: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// Bytes go to a port, and none was named.
    #[error("\"{0}\" has no port: write host:port, as in localhost:22")]
    NoPort(String),
    /// HTTP behind an endpoint without it.
    #[error("a tcp:// endpoint carries bytes, so its upstream is tcp://host:port, not {0}")]
    NotBytes(String),
    /// No HTTP behind an endpoint with it.
    #[error(
        "{0} is no upstream of an http endpoint: write http:// or https://, or give the endpoint a tcp:// url"
    )]
    NotHttp(String),
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
        let text = text.trim();
        let place = Place::parse(text)?;
        let is_bare = matches!(place, Place::Tcp { .. }) && !text.contains("://");
        Ok(Self {
            place,
            verify: Verify::No,
            bare: is_bare.then(|| text.to_owned()),
            check: None,
        })
    }

    /// The same for an endpoint of this URL, in any form that [`EndpointOptions::url`](crate::EndpointOptions::url)
    /// takes: behind `tcp://` a service is given bytes, and speaks HTTP behind all others.
    ///
    /// # Errors
    /// When it is of the other kind.
    pub fn for_url(self, url: &str) -> Result<Self, UpstreamError> {
        match (is_tcp(url), &self.place, &self.bare) {
            (_, Place::Unix(_), _) => Ok(self),
            (true, Place::Tcp { .. }, Some(bare)) => Ok(Self {
                place: Place::parse_after(Some("tcp"), bare)?,
                ..self
            }),
            (is_tcp, Place::Tcp { speaks, .. }, _) => match (is_tcp, *speaks == Speaks::Bytes) {
                (true, false) => Err(UpstreamError::NotBytes(self.to_string())),
                (false, true) => Err(UpstreamError::NotHttp(self.to_string())),
                _ => Ok(self),
            },
        }
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

    /// Checks the service for as long as the endpoint is held, and takes traffic only while it is well.
    #[must_use]
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.check = Some(check);
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
            Place::Tcp { host, port, speaks } => {
                let scheme = match speaks {
                    Speaks::Http => "http",
                    Speaks::Https => "https",
                    Speaks::Bytes => "tcp",
                };
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
        match text.split_once("://") {
            Some((scheme, rest)) => Self::parse_after(Some(&scheme.to_ascii_lowercase()), rest),
            None => Self::parse_after(None, text),
        }
    }

    /// `rest`: what stands behind the scheme.
    fn parse_after(scheme: Option<&str>, rest: &str) -> Result<Self, UpstreamError> {
        let speaks = match scheme {
            None => None,
            Some("http") => Some(Speaks::Http),
            Some("https") => Some(Speaks::Https),
            Some("tcp") => Some(Speaks::Bytes),
            Some(other) => return Err(not_served(other)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#']) {
            return Err(UpstreamError::Rest(rest.get(at..).unwrap_or(rest).into()));
        }
        let lone_port = matches!(speaks, None | Some(Speaks::Bytes));
        let (host, port) = split(rest, lone_port)?;
        let port = match (port, speaks) {
            (Some(port), _) => parse_port(port)?,
            (None, Some(Speaks::Https)) => 443,
            (None, Some(Speaks::Bytes)) => return Err(UpstreamError::NoPort(rest.into())),
            (None, _) => 80,
        };
        let by_port = match port {
            443 => Speaks::Https,
            _ => Speaks::Http,
        };
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self::Tcp {
            host: host.into(),
            port,
            speaks: speaks.unwrap_or(by_port),
        })
    }
}

/// Whether an endpoint's URL, in any form, is one without HTTP.
pub(crate) fn is_tcp(url: &str) -> bool {
    let scheme = url.trim_start().split_once("://");
    scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("tcp"))
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
        "tls" => "this version forwards http, https and tcp services",
        _ => "use http://, https:// or tcp://",
    };
    UpstreamError::Scheme {
        scheme: scheme.into(),
        hint,
    }
}

/// Host and port, each as written. A lone number is a port, but not behind http:// and https://.
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
            ("tcp://h:22", "tcp://h:22"),
            ("TCP://[::1]:443", "tcp://[::1]:443"),
            ("tcp://22", "tcp://localhost:22"),
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
        for text in [
            "3000",
            "host:443",
            "http://h:443",
            "[::1]:3000",
            "unix:/a",
            "tcp://h:22",
        ] {
            let upstream = Upstream::parse(text).unwrap();
            let again = Upstream::parse(&upstream.to_string()).unwrap();
            assert_eq!(again.place, upstream.place);
        }
    }

    #[test]
    fn behind_a_tcp_endpoint_there_are_bytes() {
        let fitted = |upstream: &str, url: &str| {
            let fitted = Upstream::parse(upstream).unwrap().for_url(url);
            fitted.map(|upstream| upstream.to_string())
        };
        for (written, means) in [
            ("22", "tcp://localhost:22"),
            (":22", "tcp://localhost:22"),
            ("443", "tcp://localhost:443"),
            ("db:5432", "tcp://db:5432"),
            ("[::1]:22", "tcp://[::1]:22"),
            ("tcp://h:22", "tcp://h:22"),
            ("unix:/run/db.sock", "unix:/run/db.sock"),
        ] {
            for url in ["tcp://", "TCP://:20022", "tcp://db.internal:5432"] {
                assert_eq!(
                    fitted(written, url).as_deref(),
                    Ok(means),
                    "{written} {url}"
                );
            }
        }
        for (written, url, says) in [
            ("http://h:80", "tcp://:20022", "not http://h:80"),
            ("https://h", "tcp://", "not https://h:443"),
            ("db", "tcp://", "\"db\" has no port"),
            (
                "tcp://h:22",
                "https://app.example.com",
                "give the endpoint a tcp:// url",
            ),
            ("tcp://h:22", "", "give the endpoint a tcp:// url"),
        ] {
            let error = fitted(written, url).unwrap_err().to_string();
            assert!(error.contains(says), "{written} {url}: {error}");
        }
        assert_eq!(
            fitted("22", "tcp.example.com").as_deref(),
            Ok("http://localhost:22")
        );
    }

    #[test]
    fn says_what_to_write_instead() {
        for (written, says) in [
            ("", "write a port"),
            ("file:///srv", "run a web server"),
            ("tls://h:22", "forwards http"),
            ("tcp://h", "\"h\" has no port"),
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
