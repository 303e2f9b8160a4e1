//! `gateway.yaml`: what the operator wrote, and where each mistake in it stands.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use adit_policy::{
    LoadError,
    canonical::Host,
    document::{self, Document, Misplaced, Mistake, Mistakes, Places, Unhandled, scope},
    endpoint_url::{EndpointUrl, Scheme},
};
use ipnet::IpNet;
use serde::Deserialize;

mod api;
mod fetch;
mod limits;
mod listen;
mod log;
mod origin;
mod pool;
mod ports;
mod secrets;
mod traces;

pub use api::Api;
pub use fetch::{AllowedHost, Fetch};
pub use limits::Limits;
pub use listen::Listen;
pub use log::{Access, Field, LineFormat, Log, Sink};
pub(crate) use origin::Origin;
pub use pool::{Balance, Eject, Pool, RetryBudget, Sticky, WeightEntry};
pub use ports::{BadPortRange, PortRange};
pub use secrets::Vault;
pub(crate) use secrets::{Kept, Name, folder};
pub use traces::{Begin, Traces};

use crate::{agents::Acl, front::tls::TlsError, secrets::Vaults, tcp, token::TokenHash};

/// The gateway's configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Agents that ask for no particular URL get a random name under this domain.
    pub domain: Host,
    /// The name of this gateway's location; policies see it as `conn.server_region`. Default `default`.
    #[serde(default = "default_region")]
    pub region: String,
    /// Addresses to listen on.
    #[serde(default)]
    pub listen: Listen,
    /// Where the gateway keeps its keys. Created with access for its owner only.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Certificates for the public HTTPS port.
    #[serde(default)]
    pub tls: Tls,
    /// Networks whose `X-Forwarded-*` headers are believed. Nobody's by default.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// Who may connect, and what they may serve.
    #[serde(default)]
    pub agents: Vec<AgentEntry>,
    /// URLs that the operator declares; agents that bind one join its pool.
    #[serde(default)]
    pub endpoints: Vec<EndpointEntry>,
    /// Whom policies may ask.
    #[serde(default)]
    pub fetch: Fetch,
    /// Where the secrets are that policies may read.
    #[serde(default)]
    pub secrets: Vec<Vault>,
    /// What one client or agent may use up.
    #[serde(default)]
    pub limits: Limits,
    /// Who may use the admin API.
    #[serde(default)]
    pub api: Api,
    /// What the gateway writes down of each exchange.
    #[serde(default)]
    pub log: Log,
    /// What it remembers of the last ones.
    #[serde(default)]
    pub traces: Traces,
    /// The file it was read from, to be read again.
    #[serde(skip)]
    pub(crate) origin: Option<Origin>,
    /// What is right in that file, and probably not what was meant.
    #[serde(skip)]
    pub(crate) warnings: Vec<Mistake>,
}

/// The `tls:` block.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chains with their keys; the client's SNI chooses among them.
    #[serde(default)]
    pub certificates: Vec<CertificateEntry>,
    /// Issue certificates from a certificate authority of our own, kept in `data_dir`.
    /// For development: browsers have to be told to trust it.
    #[serde(default)]
    pub local_ca: bool,
}

/// One certificate on disk. Relative paths start at the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// PEM file with the chain, leaf first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// One agent's credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentEntry {
    /// Name for logs and for take-over: sessions of one name are one owner.
    pub name: String,
    /// From `adit gateway token`; the token itself is not kept.
    pub token_hash: TokenHash,
    /// URLs this agent may serve, as `bind:` patterns. Without any, only the random names that
    /// the gateway gives it.
    #[serde(default)]
    pub(crate) acl: Acl,
    /// The vaults that policies may read which this agent brings. Without any, they may read none.
    #[serde(default)]
    pub(crate) secrets: Vec<Name>,
}

/// One URL of the operator's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointEntry {
    /// The URL, without a path.
    pub url: EndpointUrl,
    /// The policy that runs before any policy of the agents.
    #[serde(default)]
    pub traffic_policy: Option<Document>,
    /// The same from a file, relative to the configuration file.
    #[serde(default)]
    pub traffic_policy_file: Option<PathBuf>,
    /// Normalize paths that services read in different ways (`//`, `\`, `%2e%2e`, `..%2f`, `..;`) before routing,
    /// policies and the service see them, instead of refusing them with 400. For services that need such requests;
    /// the table in `adit_policy::canonical` says what becomes of each. Default false.
    #[serde(default)]
    pub normalize_paths: bool,
    /// How the agents that bind the URL share its traffic. `none`: no agent may bind it, the policy alone serves it.
    #[serde(default, deserialize_with = "pool::or_none")]
    pub pool: Pool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The text has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// A policy has a mistake, or cannot be built.
    #[error(transparent)]
    Policy(#[from] Box<LoadError>),
    /// A policy cannot stand at its endpoint.
    #[error("endpoint {url}: {misplaced}")]
    Endpoint {
        /// Which endpoint.
        url: String,
        /// The phase that never runs there.
        misplaced: Misplaced,
    },
    /// A certificate, its key, or a file of authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port of a tcp endpoint cannot be listened on.
    #[error("endpoint {url}: its port cannot be listened on: {source} (ERR_ADIT_307)")]
    Port {
        /// Which endpoint.
        url: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A policy lets something past at an endpoint without a pool.
    #[error("endpoint {url}: {source}")]
    Unhandled {
        /// Which endpoint.
        url: String,
        /// What the policy lacks.
        source: Unhandled,
    },
    /// Two parts of the file contradict each other.
    #[error("{path}: {message}")]
    Contradiction {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
}

// === impl Config ===

impl Config {
    /// Reads and checks a file. Paths inside it become relative to it.
    ///
    /// # Errors
    /// When the file cannot be read, has a mistake, or contradicts itself.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, Arc::from(text))
    }

    /// The same for a text that was read already.
    pub(crate) fn parse(path: &Path, text: Arc<str>) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        // Policies that stand in the file are read with it, and tell which secrets they miss.
        let vaults = Vaults::quietly(&secrets::peek(&file, &text, base));
        let read =
            scope::with_secrets(vaults.of_operator(), || document::read_warned(&file, &text));
        let (mut config, warnings): (Self, _) = read?;
        config.warnings = warnings;
        config.resolve(base);
        let agreed = secrets::agree(&config.secrets, &config.agents)
            .and_then(|()| pool::agree(&config.endpoints, &config.agents));
        if let Err((way, message)) = agreed {
            let mistake = Places::of(&file, &text).mistake(&way, message);
            return Err(Mistakes::from(mistake).into());
        }
        config.origin = Some(Origin {
            file: path.to_owned(),
            text,
        });
        config
            .agree()
            .map_err(|message| ConfigError::Contradiction {
                path: path.to_owned(),
                message,
            })?;
        Ok(config)
    }

    fn resolve(&mut self, base: &Path) {
        let at = |path: &mut PathBuf| *path = base.join(&path);
        at(&mut self.data_dir);
        for entry in &mut self.tls.certificates {
            at(&mut entry.cert);
            at(&mut entry.key);
        }
        self.fetch.ca_files.iter_mut().for_each(at);
        self.log.resolve(base);
        for vault in &mut self.secrets {
            vault.resolve(base);
        }
        self.endpoints
            .iter_mut()
            .filter_map(|entry| entry.traffic_policy_file.as_mut())
            .for_each(at);
        for entry in &mut self.endpoints {
            entry.url = tcp::with_host(entry.url.clone(), &self.domain);
        }
    }

    fn agree(&self) -> Result<(), String> {
        self.log.agree()?;
        self.traces.agree()?;
        if self.listen.https.is_some() && self.tls.certificates.is_empty() && !self.tls.local_ca {
            return Err("listen.https needs a certificate: add `tls: { certificates: [{ cert: fullchain.pem, \
                 key: key.pem }] }`, or `tls: { local_ca: true }` for development"
                .into());
        }
        let limits = &self.limits;
        if limits.heartbeat_interval.0.is_zero()
            || limits.heartbeat_dead_after.0 < limits.heartbeat_interval.0 * 2
        {
            return Err(
                "limits: heartbeat_dead_after must be at least two times heartbeat_interval, which must not be 0"
                    .into(),
            );
        }
        let mut names = HashSet::new();
        if let Some(twice) = self.agents.iter().find(|agent| !names.insert(&agent.name)) {
            return Err(format!("agents: the name `{}` stands twice", twice.name));
        }
        for entry in &self.endpoints {
            tcp::declarable(&entry.url, &self.domain)?;
            if entry.traffic_policy.is_some() && entry.traffic_policy_file.is_some() {
                return Err(format!(
                    "endpoint {}: give `traffic_policy` or `traffic_policy_file`, not both",
                    entry.url
                ));
            }
        }
        let mut places = HashSet::new();
        let mut endpoints = self.endpoints.iter();
        if let Some(twice) = endpoints.find(|entry| !places.insert(entry.place())) {
            return Err(format!("endpoints: the url {} stands twice", twice.url));
        }
        Ok(())
    }
}

// === impl EndpointEntry ===

impl EndpointEntry {
    /// What tells it from other endpoints: its URL, of http and https without the port, which is the listener's.
    pub(crate) fn place(&self) -> EndpointUrl {
        let port = self.url.port.filter(|_| self.url.scheme == Scheme::Tcp);
        EndpointUrl {
            port,
            ..self.url.clone()
        }
    }
}

fn default_region() -> String {
    "default".into()
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/adit")
}
