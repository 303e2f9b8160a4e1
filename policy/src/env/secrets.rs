//! Named texts that policies may use and nobody may see.

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
