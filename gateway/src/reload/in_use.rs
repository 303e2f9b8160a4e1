//! The configuration in use, and how another one takes its place: built as a whole first, and only then applied.

use std::sync::Arc;

use adit_policy::document::scope;
use ipnet::IpNet;

use super::{ConfigErrors, Reloaded, keys, log, policies::Policies, texts::Contents, texts::Texts};
use crate::{
    config::{AgentEntry, Config, ConfigError, Fetch, Limits, Vault},
    edge::Edge,
    fetch::{Fetcher, Outside},
    front::tls::Table,
    secrets::Vaults,
    tcp::Lease,
};

/// What is in use, as far as it has to be known to tell what another configuration changes.
pub(super) struct InUse {
    policies: Policies,
    /// The text of `gateway.yaml`.
    text: Arc<str>,
    fetching: Fetching,
}

/// Whom policies may ask, and whom to trust there.
#[derive(PartialEq)]
struct Fetching {
    settings: Fetch,
    ca_files: Vec<Contents>,
}

/// A configuration that was read and is right.
pub(super) struct Built {
    text: Arc<str>,
    policies: Policies,
    agents: Vec<AgentEntry>,
    secrets: Vec<Vault>,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    region: String,
    certificates: Table,
    /// Of the tcp endpoints that it declares: open before it is taken into use, which cannot fail any more then.
    _ports: Vec<Lease>,
    fetching: Fetching,
    /// If it is another one.
    outside: Option<Outside>,
}

// === impl InUse ===

impl InUse {
    /// What a gateway starts with.
    pub(super) fn new(policies: Policies, text: Arc<str>, texts: &Texts, edge: &Edge) -> Self {
        Self {
            policies,
            text,
            fetching: Fetching::new(edge.config.fetch.clone(), texts),
        }
    }

    /// The text of `gateway.yaml`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Builds all that a configuration needs. Nothing is changed by it.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn build(
        &self,
        mut config: Config,
        texts: &Texts,
        edge: &Edge,
    ) -> Result<Built, ConfigErrors> {
        let vaults = Vaults::quietly(&config.secrets);
        let policies = scope::with_secrets(vaults.of_operator(), || {
            Policies::build(
                &mut config,
                texts,
                &self.policies,
                &edge.policy_env,
                &mut log,
            )
        });
        let certificates = edge.certificates.read(&config.tls.certificates);
        let fetching = Fetching::new(config.fetch, texts);
        let outside = match self.fetching == fetching {
            true => Ok(None),
            false => Fetcher::read(&fetching.settings).map(Some),
        };
        let text = config.origin.map(|origin| origin.text);
        let ports = match &policies {
            Ok(policies) => lease(policies, edge),
            Err(_) => Ok(Vec::new()),
        };
        match (policies, certificates, outside, ports) {
            (Ok(policies), Ok(certificates), Ok(outside), Ok(ports)) => Ok(Built {
                text: text.unwrap_or_default(),
                policies,
                agents: config.agents,
                secrets: config.secrets,
                limits: config.limits,
                trusted_proxies: config.trusted_proxies,
                region: config.region,
                certificates,
                _ports: ports,
                fetching,
                outside,
            }),
            (policies, certificates, outside, ports) => {
                let mut mistakes = policies.err().unwrap_or_default();
                mistakes.extend(certificates.err().map(ConfigError::from));
                mistakes.extend(outside.err().map(ConfigError::from));
                mistakes.extend(ports.err());
                Err(ConfigErrors(mistakes.into()))
            }
        }
    }

    /// Takes another configuration into use, as far as it differs, and tells how far.
    pub(super) fn take_over(&mut self, built: Built, edge: &Edge) -> Reloaded {
        let settings = keys::applied(&self.text, &built.text);
        self.text = built.text;
        if **edge.limits() != built.limits {
            edge.set_limits(built.limits);
        }
        edge.set_trusted_proxies(built.trusted_proxies);
        edge.set_region(&built.region);
        if let Some(outside) = built.outside {
            edge.fetcher.set(outside);
        }
        self.fetching = built.fetching;
        edge.vaults.renew(&built.secrets, &built.agents);
        let certificates = edge.certificates.set(built.certificates);
        let change = self.policies.renew(built.policies);
        let reloaded = Reloaded {
            changed: change.policies,
            added: change.added,
            removed: change.removed.iter().map(ToString::to_string).collect(),
            altered: change.altered,
            certificates,
            settings,
            ..Reloaded::default()
        };
        if !change.declared.is_empty() || !change.removed.is_empty() {
            let expelled = edge.endpoints.redeclare(change.declared, &change.removed);
            expelled.iter().for_each(|member| member.expel());
            let declared = self.policies.declared();
            drop(edge.ports.declare(declared.iter().map(|one| &one.url)));
            edge.review();
        }
        let agents = edge.credentials.set(built.agents);
        Reloaded { agents, ..reloaded }
    }
}

/// Opens the ports of all tcp endpoints.
fn lease(policies: &Policies, edge: &Edge) -> Result<Vec<Lease>, ConfigError> {
    let mut leases = Vec::new();
    for url in policies.declared().into_iter().map(|one| one.url) {
        let lease = edge.ports.lease(&url);
        let lease = lease.map_err(|source| ConfigError::Port {
            url: url.to_string(),
            source,
        })?;
        leases.extend(lease);
    }
    Ok(leases)
}

// === impl Fetching ===

impl Fetching {
    fn new(settings: Fetch, texts: &Texts) -> Self {
        let ca_files = settings.ca_files.iter().map(|file| texts.contents(file));
        Self {
            ca_files: ca_files.collect(),
            settings,
        }
    }
}
