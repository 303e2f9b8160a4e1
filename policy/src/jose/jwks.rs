//! The keys of a provider, by the URL at which it publishes them.

use std::sync::Arc;
use std::time::Duration;

use super::identity_url::IdentityUrl;
use super::key_set::KeySet;
use super::published::{Published, Unavailable};
use crate::env::Env;

/// Keys are good for so long at most; a shorter `max-age` is honoured, down to a minute.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The keys at one URL, kept for all policies of a gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Jwks(Arc<Published<KeySet>>);

impl Jwks {
    /// The keys at a URL. Nothing is fetched before somebody asks.
    pub(crate) fn of(url: &IdentityUrl, env: &Env) -> Self {
        let make = || Self(Arc::new(Published::new(url.clone(), LASTS, KeySet::read)));
        let shared = env.common_state(&format!("jwks {url}"), make);
        Self::clone(&shared)
    }

    /// Where they are published.
    #[cfg(test)]
    pub(super) fn url(&self) -> &IdentityUrl {
        self.0.url()
    }

    /// The keys, if nobody need wait for them. From 80 % of their time on they are renewed in the background.
    pub(crate) fn at_hand(&self, env: &Env) -> Option<Arc<KeySet>> {
        self.0.at_hand(env)
    }

    /// Has them fetched in the background if they are not at hand.
    pub(crate) fn prepare(&self, env: &Env) {
        self.0.prepare(env);
    }

    /// The keys. If they are not what is wanted, such as when a token names another one, they are fetched anew, at most once
    /// a minute: a provider may have begun to sign with a new key.
    pub(crate) async fn wanted(
        &self,
        env: &Env,
        is_wanted: impl Fn(&KeySet) -> bool,
    ) -> Result<Arc<KeySet>, Unavailable> {
        self.0.get(env, is_wanted).await
    }

    /// The keys, with the one of this name if its provider has it: if not, they are fetched anew, at most once a minute.
    pub(crate) async fn keys(
        &self,
        id: Option<&str>,
        env: &Env,
    ) -> Result<Arc<KeySet>, Unavailable> {
        self.wanted(env, |keys| id.is_none_or(|id| keys.has(id)))
            .await
    }
}
