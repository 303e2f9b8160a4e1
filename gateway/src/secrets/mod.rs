//! The secrets that policies may read, as they are now.
//!
//! - [`read`]: from the environment, files and folders, each time that something about them may have changed
//!
//! What is read is one snapshot; exchanges look into it without waiting for anybody. Each policy was built with a view of
//! it: an operator's sees all vaults, one that an agent brought those that the agent's entry names now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use adit_policy::{
    document::{Mistake, Places},
    env,
    secret::Secret,
};
use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::config::{AgentEntry, Config, Kept, Name, Origin, Vault};

mod read;
#[cfg(test)]
mod tests;

/// What an agent's entry says besides: the vaults that policies of this agent may read.
type Grants = BTreeMap<String, Vec<String>>;

/// The secrets of a gateway. Its `Debug` prints names.
#[derive(Debug, Default)]
pub(crate) struct Vaults(ArcSwap<Snapshot>);

/// The secrets at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    vaults: Vec<Held>,
    grants: Grants,
    /// The files and folders that were read or looked for.
    watched: Watched,
    /// What the operator should know of them.
    troubles: BTreeSet<Trouble>,
}

/// What the operator should know of a vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Trouble {
    vault: Name,
    said: String,
}

/// The secrets of one vault.
#[derive(Clone, PartialEq, Eq)]
struct Held {
    vault: Vault,
    secrets: BTreeMap<String, Arc<Secret>>,
}

/// What must be watched to hear of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) files: BTreeSet<PathBuf>,
    /// Everything in these matters.
    pub(crate) folders: BTreeSet<PathBuf>,
}

/// For the operator's policies.
#[derive(Debug)]
struct OfOperator(Arc<Vaults>);

/// For those that an agent brings.
#[derive(Debug)]
struct OfAgent {
    vaults: Arc<Vaults>,
    agent: String,
}

// === impl Vaults ===

impl Vaults {
    /// Reads these vaults.
    pub(crate) fn open(vaults: &[Vault], agents: &[AgentEntry]) -> Arc<Self> {
        let own = Self::default();
        own.renew(vaults, agents);
        Arc::new(own)
    }

    /// The same, and nobody is told of anything.
    pub(crate) fn quietly(vaults: &[Vault]) -> Arc<Self> {
        let now = read::all(vaults, &Snapshot::default());
        Arc::new(Self(ArcSwap::from_pointee(now)))
    }

    /// What the operator should know of a configuration's vaults, each at its place.
    pub(crate) fn warnings(&self, config: &Config) -> Vec<Mistake> {
        let Some(Origin { file, text }) = &config.origin else {
            return Vec::new();
        };
        let file = file.display().to_string();
        let places = Places::of(&file, text);
        let now = self.0.load();
        let told = now.troubles.iter().map(|trouble| {
            let mut vaults = config.secrets.iter();
            let index = vaults.position(|vault| vault.name == trouble.vault);
            let way = ["secrets".into(), index.unwrap_or_default().into()];
            places.warning(&way, trouble.said.clone())
        });
        told.collect()
    }

    /// Reads these vaults instead of those that were read before, and tells what has changed.
    pub(crate) fn renew(&self, vaults: &[Vault], agents: &[AgentEntry]) {
        let before = self.0.load_full();
        let now = Snapshot {
            grants: grants(agents),
            ..read::all(vaults, &before)
        };
        self.take_over(&before, now);
    }

    /// Reads the same vaults again.
    pub(crate) fn refresh(&self) {
        let before = self.0.load_full();
        let vaults: Vec<_> = before
            .vaults
            .iter()
            .map(|held| held.vault.clone())
            .collect();
        let now = Snapshot {
            grants: before.grants.clone(),
            ..read::all(&vaults, &before)
        };
        self.take_over(&before, now);
    }

    fn take_over(&self, before: &Snapshot, now: Snapshot) {
        for trouble in now.troubles.difference(&before.troubles) {
            warn!(target: "adit::secrets", "{}", trouble.said);
        }
        let (old, new) = (before.names(), now.names());
        for gone in old.difference(&new) {
            warn!(target: "adit::secrets", secret = %gone, "the secret is gone; policies that read it fail");
        }
        let is_first = before.vaults.is_empty();
        let changed = now.changed(before);
        if !is_first && !changed.is_empty() {
            info!(target: "adit::secrets", secrets = %changed.join(", "), "secrets reloaded");
        }
        self.0.store(Arc::new(now));
    }

    /// What must be watched to hear of changes.
    pub(crate) fn watched(&self) -> Watched {
        self.0.load().watched.clone()
    }

    /// As policies of the operator's see them.
    pub(crate) fn of_operator(self: &Arc<Self>) -> Arc<dyn env::Secrets> {
        Arc::new(OfOperator(Arc::clone(self)))
    }

    /// As policies that this agent brings see them.
    pub(crate) fn of_agent(self: &Arc<Self>, agent: &str) -> Arc<dyn env::Secrets> {
        Arc::new(OfAgent {
            vaults: Arc::clone(self),
            agent: agent.to_owned(),
        })
    }
}

// === impl Snapshot ===

impl Snapshot {
    fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
        let held = self
            .vaults
            .iter()
            .find(|held| held.vault.name.as_str() == vault)?;
        held.get(name).cloned()
    }

    /// Each secret as `vault/name`.
    fn names(&self) -> BTreeSet<String> {
        let names = self.vaults.iter().flat_map(Held::names);
        names.map(|(name, _)| name).collect()
    }

    /// Those that are new here, or other ones.
    fn changed(&self, before: &Self) -> Vec<String> {
        let old: BTreeMap<_, _> = before.vaults.iter().flat_map(Held::names).collect();
        let new = self.vaults.iter().flat_map(Held::names);
        let changed = new.filter(|(name, secret)| old.get(name) != Some(secret));
        changed.map(|(name, _)| name).collect()
    }
}

// === impl Held ===

impl Held {
    fn get(&self, name: &str) -> Option<&Arc<Secret>> {
        match &self.vault.kept {
            Kept::Prefix(_) => {
                let exact = self.secrets.get(name);
                exact.or_else(|| {
                    let mut all = self.secrets.iter();
                    all.find_map(|(variable, secret)| is_written(name, variable).then_some(secret))
                })
            }
            _ => self.secrets.get(name),
        }
    }

    fn names(&self) -> impl Iterator<Item = (String, &Arc<Secret>)> {
        let vault = &self.vault.name;
        self.secrets
            .iter()
            .map(move |(name, secret)| (format!("{vault}/{name}"), secret))
    }
}

/// Whether the name of a secret is written so as the name of a variable: `api-key` as `API_KEY`.
fn is_written(name: &str, variable: &str) -> bool {
    let written = name.bytes().map(|byte| match byte {
        b'-' | b'.' => b'_',
        byte => byte.to_ascii_uppercase(),
    });
    name.len() == variable.len() && written.eq(variable.bytes())
}

fn grants(agents: &[AgentEntry]) -> Grants {
    let granted = |agent: &AgentEntry| {
        let names = agent.secrets.iter().map(ToString::to_string).collect();
        (agent.name.clone(), names)
    };
    agents.iter().map(granted).collect()
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.names().map(|(name, _)| name))
            .finish()
    }
}

// === impl OfOperator, OfAgent ===

impl env::Secrets for OfOperator {
    fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
        self.0.0.load().get(vault, name)
    }
}

impl env::Secrets for OfAgent {
    fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
        let now = self.vaults.0.load();
        let granted = now.grants.get(&self.agent)?;
        let may_read = granted.iter().any(|known| known == vault);
        may_read.then(|| now.get(vault, name)).flatten()
    }
}
