//! Whom a request names as its host: a page of a stranger names the stranger, wherever its name leads to.

use std::net::IpAddr;

use http::{HeaderValue, Request, header, uri::Authority};

/// Whether every host that a request names is this machine's own name or an address. There must be one.
pub(super) fn is_local<B>(request: &Request<B>) -> bool {
    let mut lines = request.headers().get_all(header::HOST).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let named = request.uri().authority().map(Authority::host);
    named.is_none_or(is_own) && host(line).is_some_and(|authority| is_own(authority.host()))
}

fn host(line: &HeaderValue) -> Option<Authority> {
    let authority: Authority = line.to_str().ok()?.parse().ok()?;
    // A host header has no user.
    (!authority.as_str().contains('@')).then_some(authority)
}

fn is_own(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        is_local(&request.body(()).unwrap())
    }

    #[test]
    fn a50_d_only_localhost_and_addresses_are_hosts() {
        for host in [
            "localhost",
            "LOCALHOST:9180",
            "127.0.0.1:9180",
            "[::1]:9180",
            "192.0.2.1",
        ] {
            assert!(named("/health", &[host]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9180",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "",
            "local host",
        ] {
            assert!(!named("/health", &[host]), "{host}");
        }
        assert!(!named("/health", &[]));
        assert!(!named("/health", &["localhost", "localhost"]));
        assert!(!named("http://evil.example/health", &["localhost"]));
        assert!(named("http://localhost:9180/health", &["localhost:9180"]));
    }
}
