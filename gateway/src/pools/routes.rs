//! From a host to its endpoint: all endpoints at one moment, in one value that exchanges hold on to.

use std::sync::Arc;

use adit_policy::{
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme, is_internal},
};

use super::{endpoints::Endpoint, parted::Parted};

/// All endpoints at one moment.
///
/// A change makes another value that shares with this one all that stays the same, so that it costs as much among ten
/// thousand endpoints as among ten.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    https: Table,
    http: Table,
    /// Nothing that a client says tells these apart but the port; policies know them by name, too.
    tcp: Parted<(Host, u16), Arc<Endpoint>>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    exact: Hosts,
    /// By the name behind `*.`.
    wildcard: Hosts,
}

type Hosts = Parted<Host, Arc<Endpoint>>;

// === impl Routes ===

impl Routes {
    /// The endpoint that answers for a canonical host. An exact name beats a wildcard, and a longer
    /// wildcard a shorter one. Internal ones are not found: no client gets to them.
    pub(crate) fn find(&self, scheme: Scheme, host: &str) -> Option<&Arc<Endpoint>> {
        match is_internal(host) {
            true => None,
            false => self.find_any(scheme, host),
        }
    }

    /// The same for the gateway itself, which gets to internal ones, too.
    pub(crate) fn find_any(&self, scheme: Scheme, host: &str) -> Option<&Arc<Endpoint>> {
        let table = self.table(scheme)?;
        if let Some(endpoint) = table.exact.get(host) {
            return Some(endpoint);
        }
        if table.wildcard.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(endpoint) = table.wildcard.get(parent) {
                return Some(endpoint);
            }
            rest = parent;
        }
        None
    }

    /// The endpoint of exactly this URL.
    pub(crate) fn at(&self, url: &EndpointUrl) -> Option<&Arc<Endpoint>> {
        if url.scheme == Scheme::Tcp {
            return self.tcp.get(&tcp_place(url)?);
        }
        let table = self.table(url.scheme)?;
        match &url.host {
            HostPattern::Exact(host) => table.exact.get(host),
            HostPattern::Wildcard(host) => table.wildcard.get(host),
            HostPattern::Random => None,
        }
    }

    /// Every endpoint that is declared or has members.
    pub(crate) fn online(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        [&self.https, &self.http]
            .into_iter()
            .flat_map(|table| table.exact.values().chain(table.wildcard.values()))
            .chain(self.tcp.values())
            .filter(|endpoint| endpoint.declared || !endpoint.pool.is_empty())
    }

    /// Puts an endpoint where its URL says. Whether there is such a place.
    pub(super) fn put(&mut self, endpoint: Arc<Endpoint>) -> bool {
        if let Some(place) = tcp_place(&endpoint.url) {
            self.tcp.insert(place, endpoint);
            return true;
        }
        let place = self.place(&endpoint.url);
        let is_there = place.is_some();
        if let Some((hosts, host)) = place {
            hosts.insert(host, endpoint);
        }
        is_there
    }

    /// Takes the endpoint of a URL out.
    pub(super) fn take_out(&mut self, url: &EndpointUrl) {
        if let Some(place) = tcp_place(url) {
            self.tcp.remove(&place);
        } else if let Some((hosts, host)) = self.place(url) {
            hosts.remove(&host);
        }
    }

    fn table(&self, scheme: Scheme) -> Option<&Table> {
        match scheme {
            Scheme::Https => Some(&self.https),
            Scheme::Http => Some(&self.http),
            Scheme::Tcp | Scheme::Tls => None,
        }
    }

    fn place(&mut self, url: &EndpointUrl) -> Option<(&mut Hosts, Host)> {
        let table = match url.scheme {
            Scheme::Https => &mut self.https,
            Scheme::Http => &mut self.http,
            Scheme::Tcp | Scheme::Tls => return None,
        };
        match &url.host {
            HostPattern::Exact(host) => Some((&mut table.exact, host.clone())),
            HostPattern::Wildcard(host) => Some((&mut table.wildcard, host.clone())),
            HostPattern::Random => None,
        }
    }
}

/// The place of a tcp endpoint; `None` if the URL is none, or any of several.
fn tcp_place(url: &EndpointUrl) -> Option<(Host, u16)> {
    match (url.scheme, &url.host, url.port) {
        (Scheme::Tcp, HostPattern::Exact(host), Some(port)) => Some((host.clone(), port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(urls: &[&str]) -> Routes {
        let mut routes = Routes::default();
        for url in urls {
            let url = EndpointUrl::parse(url).unwrap();
            assert!(routes.put(Arc::new(Endpoint::of_agents(url, Arc::default(), 1))));
        }
        routes
    }

    fn found(routes: &Routes, host: &str) -> Option<String> {
        let endpoint = routes.find(Scheme::Https, host)?;
        Some(endpoint.url.to_string())
    }

    #[test]
    fn an_exact_name_beats_a_wildcard_and_a_longer_one_a_shorter_one() {
        let routes = routes(&[
            "https://a.b.example.com",
            "https://*.b.example.com",
            "https://*.example.com",
            "http://c.example.com",
            "https://x.internal",
        ]);
        for (host, url) in [
            ("a.b.example.com", Some("https://a.b.example.com")),
            ("z.b.example.com", Some("https://*.b.example.com")),
            ("z.a.b.example.com", Some("https://*.b.example.com")),
            ("c.example.com", Some("https://*.example.com")),
            ("example.com", None),
            ("x.internal", None),
        ] {
            assert_eq!(found(&routes, host).as_deref(), url, "{host}");
        }
        assert!(routes.find_any(Scheme::Https, "x.internal").is_some());
    }

    #[test]
    fn tcp_endpoints_have_a_host_and_a_port() {
        let mut routes = routes(&[
            "tcp://example.com:22",
            "tcp://db.internal:22",
            "https://example.com",
        ]);
        for (url, known) in [
            ("tcp://example.com:22", true),
            ("tcp://db.internal:22", true),
            ("tcp://db.internal:23", false),
            ("tcp://other.internal:22", false),
        ] {
            let url = EndpointUrl::parse(url).unwrap();
            let found = routes.at(&url);
            assert_eq!(found.map(|one| &one.url), known.then_some(&url), "{url}");
        }
        assert_eq!(routes.online().count(), 0, "nobody serves them");
        routes.take_out(&EndpointUrl::parse("tcp://db.internal:22").unwrap());
        assert!(routes.find(Scheme::Tcp, "db.internal").is_none());
        assert_eq!(routes.tcp.values().count(), 1);
    }

    #[test]
    fn a_change_leaves_older_values_as_they_were() {
        let mut newer = routes(&["https://a.example.com", "https://b.example.com"]);
        let older = newer.clone();
        newer.take_out(&EndpointUrl::parse("https://a.example.com").unwrap());
        assert!(
            found(&newer, "a.example.com").is_none() && found(&older, "a.example.com").is_some()
        );
        let kept = [&newer, &older].map(|one| one.find(Scheme::Https, "b.example.com").unwrap());
        assert!(Arc::ptr_eq(kept[0], kept[1]));
    }
}
