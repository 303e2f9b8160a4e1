//! Named texts that policies may use and nobody may see.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::secret::Secret;

/// Knows secrets by vault and name. What it answers may change from one exchange to the next.
pub trait Secrets: fmt::Debug + Send + Sync {
    /// The secret of this name; `None` if there is none, or this policy may not know it.
    fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>>;
}

/// Knows none.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn get(&self, _: &str, _: &str) -> Option<Arc<Secret>> {
        None
    }
}

/// Knows those that it was given. Its `Debug` prints their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSecrets(BTreeMap<String, BTreeMap<String, Arc<Secret>>>);

// === impl KnownSecrets ===

impl KnownSecrets {
    /// One more, or another in the place of the one of this name.
    pub fn insert(&mut self, vault: impl Into<String>, name: impl Into<String>, secret: Secret) {
        let vault = self.0.entry(vault.into()).or_default();
        vault.insert(name.into(), Arc::new(secret));
    }

    /// All of them, by vault and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Arc<Secret>)> {
        self.0.iter().flat_map(|(vault, secrets)| {
            let secrets = secrets.iter();
            secrets.map(move |(name, secret)| (vault.as_str(), name.as_str(), secret))
        })
    }
}

impl Secrets for KnownSecrets {
    fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
        self.0.get(vault)?.get(name).cloned()
    }
}
