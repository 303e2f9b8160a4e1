//! Certificates of the public port: which one answers which name, and with which protocols.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use adit_policy::canonical::Host;
use adit_wire::limits::ALPN;
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{certificate::Certificate, local_ca::LocalCa};
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
    /// Those of files, as they are now.
    table: ArcSwap<Table>,
    local_ca: Option<LocalCa>,
}

/// The certificates of files at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By exact name, and by `*.` name without its first label.
    exact: HashMap<Host, Arc<Identity>>,
    wildcard: HashMap<Host, Arc<Identity>>,
    /// In the order of the configuration. The first one is for clients that name nobody.
    all: Vec<Certificate>,
}

/// When a certificate ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Its file.
    pub(crate) file: PathBuf,
    /// The hosts it is for.
    pub(crate) names: Vec<String>,
    pub(crate) not_after: SystemTime,
}

/// One certificate in its two roles. They share no session cache: a session begun as one cannot be
/// resumed as the other.
#[derive(Debug)]
pub(crate) struct Identity {
    clients: Arc<ServerConfig>,
    agents: Arc<ServerConfig>,
}

/// How long before its end a certificate should have been renewed.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

// === impl Expiry ===

impl Expiry {
    /// Whether it is time to renew it, or too late.
    pub(crate) fn is_soon(&self, now: SystemTime) -> bool {
        self.not_after < now + SOON
    }
}

// === impl Certificates ===

impl Certificates {
    /// Loads what the configuration names.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn load(
        entries: &[CertificateEntry],
        local_ca: Option<LocalCa>,
    ) -> Result<Self, TlsError> {
        let table = Table::read(entries, &Table::default())?;
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            local_ca,
        })
    }

    /// Reads what the configuration names now. Nothing is changed by it yet.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn read(&self, entries: &[CertificateEntry]) -> Result<Table, TlsError> {
        Table::read(entries, &self.table.load())
    }

    /// Answers handshakes that begin from now on with these. Tells the files of those that are new, other or gone.
    pub(crate) fn set(&self, table: Table) -> Vec<PathBuf> {
        let changed = table.differs_from(&self.table.load());
        if !changed.is_empty() {
            self.table.store(Arc::new(table));
        }
        changed
    }

    /// When those of files end, as far as that can be read.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        let table = self.table.load();
        let all = table.all.iter().filter_map(|one| {
            Some(Expiry {
                file: one.entry.cert.clone(),
                names: one.names.clone(),
                not_after: one.not_after?,
            })
        });
        all.collect()
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
        let local_ca = self.local_ca.as_ref();
        match (self.table.load().identity(sni), sni) {
            (Some(identity), _) => Some(identity),
            (None, Some(name)) => local_ca?.identity(name),
            (None, None) => local_ca?.default_identity(),
        }
    }
}

// === impl Table ===

impl Table {
    fn read(entries: &[CertificateEntry], known: &Self) -> Result<Self, TlsError> {
        let mut own = Self::default();
        for entry in entries {
            own.add(Certificate::read(entry, &known.all)?);
        }
        Ok(own)
    }

    fn add(&mut self, certificate: Certificate) {
        for name in &certificate.names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            if let Ok(host) = Host::parse(name) {
                map.entry(host)
                    .or_insert_with(|| Arc::clone(&certificate.identity));
            }
        }
        self.all.push(certificate);
    }

    fn identity(&self, sni: Option<&Host>) -> Option<Arc<Identity>> {
        let Some(name) = sni else {
            // Agents and health checks that connect by address name nobody.
            return self.all.first().map(|first| Arc::clone(&first.identity));
        };
        if let Some(identity) = self.exact.get(name) {
            return Some(Arc::clone(identity));
        }
        let (_, parent) = name.as_str().split_once('.')?;
        self.wildcard.get(parent).map(Arc::clone)
    }

    /// The files of certificates that only one of the two has, or at another place in the order.
    fn differs_from(&self, other: &Self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for at in 0..self.all.len().max(other.all.len()) {
            let pair = [self.all.get(at), other.all.get(at)];
            let [new, old] =
                pair.map(|one| one.map(|one| (&one.entry, Arc::as_ptr(&one.identity))));
            if new != old {
                let entries = [new, old].into_iter().flatten();
                files.extend(entries.map(|(entry, _)| entry.cert.clone()));
            }
        }
        files.sort();
        files.dedup();
        files
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
