//! Servers outside: only those that the operator names, and only at addresses that were looked at.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use adit_policy::{endpoint_url::Scheme, env::FetchError};
use async_trait::async_trait;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{Target, address};
use crate::{config, front::tls::provider, pools::endpoints::is_internal};

/// The way to servers outside.
pub(super) struct Outside {
    config: config::Fetch,
    names: Box<dyn Names>,
    tls: OnceLock<Result<TlsConnector, String>>,
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
    pub(super) fn new(config: config::Fetch) -> Self {
        Self::with(config, Box::new(System))
    }

    fn with(config: config::Fetch, names: Box<dyn Names>) -> Self {
        Self {
            config,
            names,
            tls: OnceLock::new(),
        }
    }

    /// A connection to one of the addresses that the name has at this moment, and which.
    pub(super) async fn connect(
        &self,
        target: &Target,
    ) -> Result<(Box<dyn Io>, IpAddr), FetchError> {
        let addresses = self.allowed(target).await?;
        let mut last = None;
        for address in addresses {
            // The address that was looked at, and not the name: it may lead elsewhere the next time.
            match TcpStream::connect(address).await {
                Ok(tcp) => return Ok((self.secure(target, tcp).await?, address.ip())),
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or_else(|| "it has no address".into(), |error| error.to_string());
        Err(failed(target, why))
    }

    async fn allowed(&self, target: &Target) -> Result<Vec<SocketAddr>, FetchError> {
        let Target { host, port, .. } = target;
        if is_internal(host.as_str()) {
            return Err(failed(target, "there is no such endpoint here"));
        }
        let usual = target.endpoint.port.is_none();
        if !self
            .config
            .allow
            .iter()
            .any(|allowed| allowed.covers(host, *port, usual))
        {
            return Err(FetchError::Refused(format!(
                "{} may not be asked; `fetch: {{ allow: [...] }}` in gateway.yaml names the servers that may",
                target.endpoint
            )));
        }
        let found = self.names.addresses(host.as_str(), *port).await;
        let addresses = found.map_err(|error| failed(target, error))?;
        if !self.config.allow_private {
            let bad = addresses
                .iter()
                .find_map(|found| address::refused(found.ip()));
            if let Some(kind) = bad {
                return Err(FetchError::Refused(format!(
                    "{} has an address that is {kind}; if that is meant, set `fetch: {{ allow_private: true }}` in \
                     gateway.yaml",
                    target.endpoint
                )));
            }
        }
        Ok(addresses)
    }

    async fn secure(&self, target: &Target, tcp: TcpStream) -> Result<Box<dyn Io>, FetchError> {
        if target.endpoint.scheme == Scheme::Http {
            return Ok(Box::new(tcp));
        }
        let tls = self.tls.get_or_init(|| self.tls());
        let tls = tls.as_ref().map_err(|why| failed(target, why))?;
        let bare = target
            .host
            .as_str()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(target, error))?;
        let connected = tls.connect(name, tcp).await;
        Ok(Box::new(connected.map_err(|error| failed(target, error))?))
    }

    fn tls(&self) -> Result<TlsConnector, String> {
        let mut roots = RootCertStore::empty();
        // Systems keep some that no program can use; what is missing shows when a server is not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for file in &self.config.ca_files {
            let bad =
                |error: &dyn fmt::Display| format!("fetch.ca_files: {}: {error}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))? {
                let certificate = certificate.map_err(|error| bad(&error))?;
                roots.add(certificate).map_err(|error| bad(&error))?;
            }
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn failed(target: &Target, why: impl fmt::Display) -> FetchError {
    FetchError::Failed(format!("{}: {why}", target.endpoint))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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
        let allow = ["api.example.com", "*.example.org:8443"];
        let config = config::Fetch {
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
            allow_private,
            ca_files: Vec::new(),
        };
        let asked = Arc::<AtomicUsize>::default();
        (
            Outside::with(config, Box::new(Told(told, Arc::clone(&asked)))),
            asked,
        )
    }

    async fn allowed(outside: &Outside, url: &str) -> Result<Vec<SocketAddr>, FetchError> {
        outside.allowed(&Target::parse(url).unwrap()).await
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
}
