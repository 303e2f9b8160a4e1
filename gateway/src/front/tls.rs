//! Certificates of the public port: which one answers which name, and with which protocols.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use adit_policy::canonical::Host;
use adit_wire::limits::ALPN;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::local_ca::LocalCa;
use crate::config::CertificateEntry;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the expected kind.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate and its key cannot be used together.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What TLS said.
        source: rustls::Error,
    },
    /// The local certificate authority cannot be kept or used.
    #[error("local certificate authority: {0}")]
    LocalCa(String),
    /// Nothing to answer with.
    #[error("no certificate is configured")]
    Nothing,
}

/// Every certificate, ready to serve.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// By exact name, and by `*.` name without its first label.
    exact: HashMap<Host, Arc<Identity>>,
    wildcard: HashMap<Host, Arc<Identity>>,
    /// The first of the file: for clients that name nobody.
    default: Option<Arc<Identity>>,
    local_ca: Option<LocalCa>,
}

/// One certificate in its two roles. They share no session cache: a session begun as one cannot be
/// resumed as the other.
#[derive(Debug)]
pub(crate) struct Identity {
    clients: Arc<ServerConfig>,
    agents: Arc<ServerConfig>,
}

// === impl Certificates ===

impl Certificates {
    /// Loads what the configuration names.
    pub(crate) fn load(
        entries: &[CertificateEntry],
        local_ca: Option<LocalCa>,
    ) -> Result<Self, TlsError> {
        let mut all = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: None,
            local_ca,
        };
        for entry in entries {
            all.add(entry)?;
        }
        Ok(all)
    }

    /// What a client that asks for this name is answered with. `None` ends the handshake.
    pub(crate) fn for_clients(&self, sni: Option<&Host>) -> Option<Arc<ServerConfig>> {
        self.identity(sni)
            .map(|identity| Arc::clone(&identity.clients))
    }

    /// The same for an agent.
    pub(crate) fn for_agents(&self, sni: Option<&Host>) -> Option<Arc<ServerConfig>> {
        self.identity(sni)
            .map(|identity| Arc::clone(&identity.agents))
    }

    fn identity(&self, sni: Option<&Host>) -> Option<Arc<Identity>> {
        let Some(name) = sni else {
            // Agents and health checks that connect by address name nobody.
            return self
                .default
                .clone()
                .or_else(|| self.local_ca.as_ref()?.default_identity());
        };
        if let Some(identity) = self.exact.get(name) {
            return Some(Arc::clone(identity));
        }
        let parent = name.as_str().split_once('.').map(|(_, parent)| parent);
        if let Some(identity) = parent.and_then(|parent| self.wildcard.get(parent)) {
            return Some(Arc::clone(identity));
        }
        self.local_ca.as_ref()?.identity(name)
    }

    fn add(&mut self, entry: &CertificateEntry) -> Result<(), TlsError> {
        let chain = read_chain(&entry.cert)?;
        let key = PrivateKeyDer::from_pem_file(&entry.key).map_err(|error| TlsError::File {
            path: entry.key.clone(),
            reason: format!("no private key in PEM form: {error}"),
        })?;
        let unusable = |source| TlsError::Unusable {
            path: entry.cert.clone(),
            source,
        };
        let certified =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(unusable)?;
        let names = names(&certified, &entry.cert)?;
        let identity = Arc::new(Identity::new(certified).map_err(unusable)?);
        for name in names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            if let Ok(host) = Host::parse(name) {
                map.entry(host).or_insert_with(|| Arc::clone(&identity));
            }
        }
        self.default.get_or_insert(identity);
        Ok(())
    }
}

// === impl Identity ===

impl Identity {
    pub(crate) fn new(certified: CertifiedKey) -> Result<Self, rustls::Error> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(certified));
        Ok(Self {
            clients: Arc::new(server_config(
                &[&TLS13, &TLS12],
                &resolver,
                &[b"h2", b"http/1.1"],
            )?),
            agents: Arc::new(server_config(&[&TLS13], &resolver, &[ALPN])?),
        })
    }
}

fn server_config(
    versions: &[&'static rustls::SupportedProtocolVersion],
    resolver: &Arc<dyn ResolvesServerCert>,
    protocols: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(resolver));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Early data can be replayed, and nothing behind us could tell.
    config.max_early_data_size = 0;
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// The one crypto provider of the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::File {
        path: path.to_owned(),
        reason,
    };
    let pem = fs::read(path).map_err(|error: io::Error| bad(error.to_string()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(format!("no certificate in PEM form: {error}")))?;
    if chain.is_empty() {
        return Err(bad("no certificate in PEM form".into()));
    }
    Ok(chain)
}

fn names(certified: &CertifiedKey, path: &Path) -> Result<Vec<String>, TlsError> {
    let bad = |reason: String| TlsError::File {
        path: path.to_owned(),
        reason,
    };
    let leaf = certified
        .end_entity_cert()
        .map_err(|error| bad(error.to_string()))?;
    let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|error| bad(error.to_string()))?;
    let names: Vec<_> = parsed.valid_dns_names().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(bad("the certificate names no host (subjectAltName)".into()));
    }
    Ok(names)
}
