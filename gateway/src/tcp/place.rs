//! Which tcp URLs this gateway can serve, each in its one form.
//!
//! A client says nothing but a port, so public endpoints are told apart by their ports, and all have the gateway's own
//! host. Internal ones have a name and a port.

use adit_policy::{
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
};

/// The URL with the gateway's host, if it is one of tcp and has none.
pub(crate) fn with_host(url: EndpointUrl, domain: &Host) -> EndpointUrl {
    match (url.scheme, &url.host) {
        (Scheme::Tcp, HostPattern::Random) => EndpointUrl {
            host: HostPattern::Exact(domain.clone()),
            ..url
        },
        _ => url,
    }
}

/// The form of a tcp URL that an agent asks for. A public one may still want a port.
///
/// # Errors
/// Why there can be no such endpoint.
pub(crate) fn place(url: EndpointUrl, domain: &Host) -> Result<EndpointUrl, String> {
    let url = with_host(url, domain);
    if url.is_internal() {
        return match url.port {
            Some(_) => Ok(url),
            None => Err(format!(
                "{url}: an internal tcp endpoint needs a port, as in {url}:5432 (ERR_ADIT_301)"
            )),
        };
    }
    match &url.host {
        HostPattern::Exact(host) if host == domain => Ok(url),
        _ => Err(format!(
            "{url}: tcp endpoints of this gateway are at tcp://{domain}; leave the host out, as in tcp://:20000, or \
             use a name below .internal (ERR_ADIT_307)"
        )),
    }
}

/// Whether the operator can declare a URL, of any scheme.
///
/// # Errors
/// Why not.
pub(crate) fn declarable(url: &EndpointUrl, domain: &Host) -> Result<(), String> {
    match url.scheme {
        Scheme::Http | Scheme::Https => Ok(()),
        Scheme::Tls => Err(format!(
            "endpoint {url}: tls endpoints are not available in this version; use https, or tcp (ERR_ADIT_332)"
        )),
        Scheme::Tcp => {
            let url = place(url.clone(), domain).map_err(|why| format!("endpoint {why}"))?;
            match url.port {
                Some(_) => Ok(()),
                None => Err(format!(
                    "endpoint {url}: a tcp endpoint that is declared needs a port, as in tcp://:20000 (ERR_ADIT_301)"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(text: &str) -> Result<String, String> {
        let domain = Host::parse("example.com").unwrap();
        place(EndpointUrl::parse(text).unwrap(), &domain).map(|url| url.to_string())
    }

    #[test]
    fn each_place_has_one_form() {
        for (text, form) in [
            ("tcp://:20022", "tcp://example.com:20022"),
            ("tcp://Example.COM.:20022", "tcp://example.com:20022"),
            ("tcp://", "tcp://example.com"),
            ("tcp://DB.internal.:5432", "tcp://db.internal:5432"),
        ] {
            assert_eq!(placed(text).as_deref(), Ok(form), "{text}");
        }
    }

    #[test]
    fn what_is_nowhere_says_where_it_could_be() {
        for (text, why) in [
            ("tcp://other.com:20022", "leave the host out"),
            ("tcp://a.example.com:20022", "leave the host out"),
            ("tcp://127.0.0.1:20022", "leave the host out"),
            ("tcp://db.internal", "needs a port"),
        ] {
            let refused = placed(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn the_operator_declares_ports_and_no_tls() {
        let domain = Host::parse("example.com").unwrap();
        for (text, can) in [
            ("https://a.example.com", true),
            ("tcp://:20022", true),
            ("tcp://db.internal:5432", true),
            ("tcp://", false),
            ("tcp://db.internal", false),
            ("tls://a.example.com", false),
        ] {
            let url = EndpointUrl::parse(text).unwrap();
            assert_eq!(declarable(&url, &domain).is_ok(), can, "{text}");
        }
    }
}
