//! Servers outside: only those that may be asked for the purpose, and only at addresses that were looked at.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use adit_policy::{
    endpoint_url::{Scheme, is_internal},
    env::{FetchError, Purpose},
};
use async_trait::async_trait;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Target, address, dial::dial, trust::Trust};
use crate::{config, front::tls::TlsError};

/// The way to servers outside.
pub(crate) struct Outside {
    config: config::Fetch,
    names: Box<dyn Names>,
    trust: Trust,
}

/// Which addresses a server may have.
enum Reach {
    /// Those of the internet.
    Public,
    /// Those of the internet, and this machine's loopback.
    Loopback,
    /// Any: the operator means it.
    Any,
}

/// Looks up the addresses of a host.
#[async_trait]
pub(super) trait Names: Send + Sync {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's own way.
struct System;

#[async_trait]
impl Names for System {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(tokio::net::lookup_host((bare, port)).await?.collect())
    }
}

pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

// === impl Outside ===

impl Outside {
    pub(super) fn new(config: config::Fetch) -> Result<Self, TlsError> {
        let trust = Trust::read(&config.ca_files)?;
        Ok(Self::with(config, Box::new(System), trust))
    }

    fn with(config: config::Fetch, names: Box<dyn Names>, trust: Trust) -> Self {
        Self {
            config,
            names,
            trust,
        }
    }

    /// A connection to one of the addresses that the name has at this moment, and which.
    pub(super) async fn connect(
        &self,
        target: &Target,
        purpose: Purpose,
    ) -> Result<(Box<dyn Io>, IpAddr), FetchError> {
        let addresses = self.allowed(target, purpose).await?;
        // The addresses that were looked at, and not the name: it may lead elsewhere the next time.
        let connected = dial(&addresses, TcpStream::connect).await;
        let (tcp, address) = connected.map_err(|error| failed(target, error))?;
        Ok((self.secure(target, tcp).await?, address.ip()))
    }

    async fn allowed(
        &self,
        target: &Target,
        purpose: Purpose,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let Target { host, port, .. } = target;
        if is_internal(host.as_str()) {
            return Err(failed(target, "there is no such endpoint here"));
        }
        let reach = self.reach(target, purpose)?;
        let found = self.names.addresses(host.as_str(), *port).await;
        let addresses = found.map_err(|error| failed(target, error))?;
        let bad = addresses.iter().find_map(|found| reach.refuses(found.ip()));
        if let Some(kind) = bad {
            return Err(FetchError::Refused(format!(
                "{} has an address that is {kind}; if that is meant, set `fetch: {{ allow: [\"{host}:{port}\"], \
                 allow_private: true }}` in gateway.yaml",
                target.endpoint
            )));
        }
        if target.endpoint.scheme == Scheme::Http
            && matches!(reach, Reach::Loopback)
            && !addresses.iter().all(|found| found.ip().is_loopback())
        {
            return Err(plain(target));
        }
        Ok(addresses)
    }

    /// How far a request may reach, if the server may be asked at all. What the operator names may be asked for
    /// everything; without being named, those who say who people are may, where nobody can listen or answer for them.
    fn reach(&self, target: &Target, purpose: Purpose) -> Result<Reach, FetchError> {
        let usual = target.endpoint.port.is_none();
        let mut allowed = self.config.allow.iter();
        if allowed.any(|allowed| allowed.covers(&target.host, target.port, usual)) {
            return Ok(match self.config.allow_private {
                true => Reach::Any,
                false => Reach::Public,
            });
        }
        match (purpose, target.endpoint.scheme) {
            (Purpose::Policy, _) => Err(FetchError::Refused(format!(
                "{} may not be asked; `fetch: {{ allow: [...] }}` in gateway.yaml names the servers that may",
                target.endpoint
            ))),
            (Purpose::Identity, _) if self.config.loopback_providers => Ok(Reach::Loopback),
            (Purpose::Identity, Scheme::Https) => Ok(Reach::Public),
            (Purpose::Identity, _) => Err(plain(target)),
        }
    }

    async fn secure(&self, target: &Target, tcp: TcpStream) -> Result<Box<dyn Io>, FetchError> {
        if target.endpoint.scheme == Scheme::Http {
            return Ok(Box::new(tcp));
        }
        let tls = self.trust.connector();
        let tls = tls.map_err(|why| failed(target, why))?;
        let bare = target
            .host
            .as_str()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(target, error))?;
        let connected = tls.connect(name, tcp).await;
        let connected = connected.map_err(|error| failed(target, distrusted(&error)))?;
        Ok(Box::new(connected))
    }
}

// === impl Reach ===

impl Reach {
    /// Why an address is out of reach.
    fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        match self {
            Self::Public => address::refused(address),
            Self::Loopback if address.is_loopback() => None,
            Self::Loopback => address::refused(address),
            Self::Any => None,
        }
    }
}

fn plain(target: &Target) -> FetchError {
    FetchError::Refused(format!(
        "{} says over plain http who people are, so that anybody on the way can lie; use https, or name the server in \
         `fetch: {{ allow: [\"{}:{}\"] }}` in gateway.yaml",
        target.endpoint, target.host, target.port
    ))
}

/// What went wrong with TLS, and what to do if the server shows a certificate that nobody here knows.
fn distrusted(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|error| error.downcast_ref());
    match tls {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            format!(
                "{error}; if it has a certificate authority of its own, add its PEM file to `fetch: {{ ca_files: [...] }}` in \
             gateway.yaml"
            )
        }
        _ => error.to_string(),
    }
}

fn failed(target: &Target, why: impl fmt::Display) -> FetchError {
    FetchError::Failed(format!("{}: {why}", target.endpoint))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Answers with one list after the other.
    struct Told(Vec<&'static [&'static str]>, Arc<AtomicUsize>);

    #[async_trait]
    impl Names for Told {
        async fn addresses(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            let turn = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
            let addresses = self.0[turn].iter();
            Ok(addresses
                .map(|address| SocketAddr::new(address.parse().unwrap(), port))
                .collect())
        }
    }

    fn outside(
        allow_private: bool,
        told: Vec<&'static [&'static str]>,
    ) -> (Outside, Arc<AtomicUsize>) {
        let config = config::Fetch {
            allow_private,
            ..config::Fetch::default()
        };
        with(config, told)
    }

    fn with(
        config: config::Fetch,
        told: Vec<&'static [&'static str]>,
    ) -> (Outside, Arc<AtomicUsize>) {
        let allow = ["api.example.com", "*.example.org:8443"];
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        let config = config::Fetch { allow, ..config };
        let asked = Arc::<AtomicUsize>::default();
        let names = Box::new(Told(told, Arc::clone(&asked)));
        let trust = Trust::read(&[]).unwrap();
        (Outside::with(config, names, trust), asked)
    }

    async fn allowed(outside: &Outside, url: &str) -> Result<Vec<SocketAddr>, FetchError> {
        let target = Target::parse(url).unwrap();
        outside.allowed(&target, Purpose::Policy).await
    }

    /// Why a provider may not be asked; empty if it may.
    async fn refusal(outside: &Outside, url: &str) -> String {
        let target = Target::parse(url).unwrap();
        match outside.allowed(&target, Purpose::Identity).await {
            Ok(_) => String::new(),
            Err(FetchError::Refused(why)) => why,
            Err(other) => panic!("{url}: {other}"),
        }
    }

    #[tokio::test]
    async fn only_servers_that_the_operator_names_are_looked_up() {
        let (outside, asked) = outside(false, vec![&["1.1.1.1"]]);
        for url in [
            "https://example.com/",
            "https://api.example.com:8443/",
            "https://example.org:8443/",
            "https://x.example.org/",
            "https://api.example.com.evil.example/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            let refused = allowed(&outside, url).await;
            assert!(
                matches!(refused, Err(FetchError::Refused(_))),
                "{url}: {refused:?}"
            );
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        for url in [
            "https://api.example.com/",
            "http://API.example.com./",
            "https://x.example.org:8443/",
        ] {
            assert!(allowed(&outside, url).await.is_ok(), "{url}");
        }
    }

    #[tokio::test]
    async fn a32_a_name_that_leads_behind_the_gateway_is_refused_unless_the_operator_means_it() {
        let behind: [&'static [&'static str]; 4] = [
            &["127.0.0.1"],
            &["169.254.169.254"],
            &["::ffff:10.0.0.1"],
            &["1.1.1.1", "192.168.0.1"],
        ];
        for addresses in behind {
            let url = "https://api.example.com/keys";
            let refused = allowed(&outside(false, vec![addresses]).0, url).await;
            assert!(
                matches!(refused, Err(FetchError::Refused(_))),
                "{addresses:?}: {refused:?}"
            );
            assert!(
                allowed(&outside(true, vec![addresses]).0, url)
                    .await
                    .is_ok()
            );
        }
    }

    #[tokio::test]
    async fn a32_c_a_name_is_looked_up_once_and_what_was_checked_is_connected_to() {
        let (outside, asked) = outside(false, vec![&["1.1.1.1"], &["127.0.0.1"]]);
        let first = allowed(&outside, "http://api.example.com/").await.unwrap();
        assert_eq!(first, ["1.1.1.1:80".parse().unwrap()]);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let second = allowed(&outside, "http://api.example.com/").await;
        assert!(matches!(second, Err(FetchError::Refused(_))), "{second:?}");
    }

    #[tokio::test]
    async fn a_provider_need_not_be_named_if_it_speaks_https_from_a_public_address() {
        let (public, _) = outside(false, vec![&["1.1.1.1", "2606:4700::1111"]]);
        assert_eq!(refusal(&public, "https://id.example.net/keys").await, "");
        assert_eq!(refusal(&public, "https://id.example.net:9443/").await, "");
        let plain = refusal(&public, "http://id.example.net/").await;
        assert!(
            plain.contains(
                "use https, or name the server in `fetch: { allow: [\"id.example.net:80\"] }`"
            ),
            "{plain}"
        );
        // Named, it may do without.
        assert_eq!(refusal(&public, "http://api.example.com/").await, "");
    }

    #[tokio::test]
    async fn a32_a_a_provider_behind_the_gateway_is_refused_unless_the_operator_names_it() {
        let behind: [(&'static [&'static str], _); 6] = [
            (&["127.0.0.1"], "loopback"),
            (&["::1"], "loopback"),
            (&["169.254.169.254"], "link-local"),
            (&["10.0.0.1"], "private"),
            (&["::ffff:10.0.0.1"], "private"),
            (&["1.1.1.1", "192.168.0.1"], "private"),
        ];
        for (addresses, kind) in behind {
            let why = refusal(
                &outside(false, vec![addresses]).0,
                "https://id.example.net/",
            )
            .await;
            assert!(why.contains(&format!("an address that is {kind}")), "{why}");
            assert!(
                why.contains("`fetch: { allow: [\"id.example.net:443\"], allow_private: true }`"),
                "{why}"
            );
            // To allow private addresses is to allow them to the servers that are named.
            let (private, _) = outside(true, vec![addresses]);
            assert_ne!(refusal(&private, "https://id.example.net/").await, "");
            assert_eq!(refusal(&private, "https://api.example.com/").await, "");
            assert_eq!(refusal(&private, "http://api.example.com/").await, "");
        }
    }

    #[tokio::test]
    async fn a32_c_a_provider_is_checked_at_each_lookup() {
        let (outside, asked) = outside(false, vec![&["1.1.1.1"], &["127.0.0.1"]]);
        assert_eq!(refusal(&outside, "https://id.example.net/").await, "");
        assert_ne!(refusal(&outside, "https://id.example.net/").await, "");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_embedded_gateway_asks_providers_of_the_same_machine_and_no_further() {
        let at = |addresses: &'static [&'static str]| {
            let config = config::Fetch {
                loopback_providers: true,
                ..config::Fetch::default()
            };
            with(config, vec![addresses]).0
        };
        let local = at(&["127.0.0.1", "::1"]);
        assert_eq!(refusal(&local, "http://localhost:9000/").await, "");
        assert_eq!(refusal(&local, "https://localhost:9000/").await, "");
        assert!(allowed(&local, "http://localhost:9000/").await.is_err());
        assert_ne!(
            refusal(&at(&["10.0.0.1"]), "https://id.example.net/").await,
            ""
        );
        let mixed = at(&["127.0.0.1", "1.1.1.1"]);
        assert_ne!(refusal(&mixed, "http://id.example.net/").await, "");
        assert_eq!(
            refusal(&at(&["1.1.1.1"]), "https://id.example.net/").await,
            ""
        );
    }
}
