//! How an agent finds out whether the service behind an endpoint is well.

mod grpc;
mod probe;
mod statuses;
mod watching;

use std::{str::FromStr, time::Duration};

use hyper::{Uri, http::uri::Authority};

pub(crate) use self::{
    statuses::Statuses,
    watching::{Checking, Checks, Health},
};

/// The shortest time between two checks.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The longest time between two checks, and the longest that one may take.
const LONGEST: Duration = Duration::from_secs(3600);

/// Bytes of a path or a service's name.
const TEXT: usize = 1024;

/// A check of an endpoint's service. While it fails, the gateway sends the endpoint no new traffic; before the first
/// check that passes, it sends none either.
///
/// The check goes the way that the traffic goes: the same address, TLS, unix socket, and version of HTTP; each time on
/// a connection of its own. It goes on for as long as the endpoint is held, with a session or without.
///
/// | written | passes when |
/// |---|---|
/// | `/healthz` | `GET /healthz` is answered with a status from 200 to 399 |
/// | `tcp` | the service takes a connection (with TLS, where the upstream has it) |
/// | `grpc`, `grpc:my.Service` | `grpc.health.v1.Health/Check` says `SERVING`, for the server or for one service of it |
///
/// ```
/// use adit_agent::{HealthCheck, Upstream};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let check = HealthCheck::http("/healthz")?.statuses("200-299,404")?.down_after(3);
/// let upstream = Upstream::parse("3000")?.health_check(check);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    kind: Kind,
    /// What stands in `host`; the upstream's address unless set.
    host: Option<Authority>,
    interval: Duration,
    timeout: Duration,
    up_after: u32,
    down_after: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http { path: Uri, statuses: Statuses },
    Grpc { service: String },
}

/// Why there can be no such check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealthCheckError {
    /// Neither of the kinds.
    #[error("\"{0}\" is no health check: write a path such as /healthz, tcp, grpc, or grpc:NAME")]
    Kind(String),
    /// No path to ask for.
    #[error("\"{0}\" is not a path: it begins with / and has no spaces, as in /healthz")]
    Path(String),
    /// No host name.
    #[error("\"{0}\" is not a host, with or without a port")]
    Host(String),
    /// No name of a gRPC service.
    #[error("\"{0}\" is not the name of a gRPC service, as in my.package.Service")]
    Service(String),
    /// No list of statuses.
    #[error("\"{0}\" is no list of statuses: write 200-399, or 200-299,401")]
    Statuses(String),
    /// An option of another kind of check.
    #[error("{option} belongs to a check by {kind}")]
    Option {
        /// Which option.
        option: &'static str,
        /// Where it belongs.
        kind: &'static str,
    },
}

// === impl HealthCheck ===

impl HealthCheck {
    /// `GET path`, answered with a status from 200 to 399.
    ///
    /// # Errors
    /// When it is no path.
    pub fn http(path: &str) -> Result<Self, HealthCheckError> {
        let wrong = || HealthCheckError::Path(path.into());
        if !path.starts_with('/') || path.contains('#') || path.len() > TEXT {
            return Err(wrong());
        }
        let path = path.parse().map_err(|_| wrong())?;
        let statuses = Statuses::default();
        Ok(Self::of(Kind::Http { path, statuses }))
    }

    /// A connection that is taken.
    #[must_use]
    pub fn tcp() -> Self {
        Self::of(Kind::Tcp)
    }

    /// The [health protocol of gRPC](https://grpc.io/docs/guides/health-checking/), for one service or, without a name,
    /// for the whole server.
    ///
    /// # Errors
    /// When it is no name.
    pub fn grpc(service: &str) -> Result<Self, HealthCheckError> {
        let plain = |b: u8| b.is_ascii_graphic();
        if service.len() > TEXT || !service.bytes().all(plain) {
            return Err(HealthCheckError::Service(service.into()));
        }
        let service = service.into();
        Ok(Self::of(Kind::Grpc { service }))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            host: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            up_after: 1,
            down_after: 2,
        }
    }

    /// What the service is told as the `host` it is asked for; the upstream's address unless set.
    ///
    /// # Errors
    /// When it is no host, or the check sends none.
    pub fn host(mut self, host: &str) -> Result<Self, HealthCheckError> {
        if self.kind == Kind::Tcp {
            return Err(HealthCheckError::Option {
                option: "host",
                kind: "http or grpc",
            });
        }
        let wrong = || HealthCheckError::Host(host.into());
        if host.contains('@') {
            return Err(wrong());
        }
        self.host = Some(host.parse().map_err(|_| wrong())?);
        Ok(self)
    }

    /// The statuses that pass: `200-399` unless set, or a list, `200-299,401`.
    ///
    /// # Errors
    /// When it is no such list, or the check is not by http.
    pub fn statuses(self, list: &str) -> Result<Self, HealthCheckError> {
        self.with_statuses(list.parse()?)
    }

    pub(crate) fn with_statuses(mut self, list: Statuses) -> Result<Self, HealthCheckError> {
        let Kind::Http { statuses, .. } = &mut self.kind else {
            return Err(HealthCheckError::Option {
                option: "statuses",
                kind: "http",
            });
        };
        *statuses = list;
        Ok(self)
    }

    /// From the beginning of one check to that of the next, give or take a tenth; 5 seconds unless set, from 100
    /// milliseconds to an hour.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(SHORTEST_INTERVAL, LONGEST);
        self
    }

    /// How long one check may take, connecting included; 2 seconds unless set, an hour at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
        self
    }

    /// How many checks in a row must pass before a service that was down is up; 1 unless set.
    #[must_use]
    pub fn up_after(mut self, checks: u32) -> Self {
        self.up_after = checks.max(1);
        self
    }

    /// How many checks in a row must fail before a service that was up is down; 2 unless set. The very first check
    /// decides alone.
    #[must_use]
    pub fn down_after(mut self, checks: u32) -> Self {
        self.down_after = checks.max(1);
        self
    }
}

impl FromStr for HealthCheck {
    type Err = HealthCheckError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tcp" => Ok(Self::tcp()),
            "grpc" => Self::grpc(""),
            path if path.starts_with('/') => Self::http(path),
            other => match other.strip_prefix("grpc:") {
                Some(service) if !service.is_empty() => Self::grpc(service),
                _ => Err(HealthCheckError::Kind(other.into())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_in_short() {
        assert_eq!("/up?a=1".parse(), HealthCheck::http("/up?a=1"));
        assert_eq!("tcp".parse(), Ok(HealthCheck::tcp()));
        assert_eq!("grpc".parse(), HealthCheck::grpc(""));
        assert_eq!("grpc:a.B".parse(), HealthCheck::grpc("a.B"));
    }

    #[test]
    fn says_what_to_write_instead() {
        for (text, says) in [
            ("healthz", "a path such as /healthz"),
            ("", "a path such as /healthz"),
            ("grpc:", "a path such as /healthz"),
            ("grpc:a b", "my.package.Service"),
            ("/a b", "begins with /"),
            ("/a#b", "begins with /"),
        ] {
            let error = text.parse::<HealthCheck>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for host in ["", "a b", "user@host", "a/b"] {
            assert!(
                HealthCheck::http("/").unwrap().host(host).is_err(),
                "{host}"
            );
        }
        assert!(HealthCheck::tcp().host("a").is_err());
        assert!(HealthCheck::grpc("").unwrap().statuses("200").is_err());
    }
}
