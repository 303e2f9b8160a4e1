//! Hot reload: the gateway follows its configuration and the files it names, all at once or not at all, and nothing is
//! touched but what has changed. Only where it listens, its domain and its data directory wait for a restart.
//!
//! Requests that run end under the policy that they began with. Streams have no end of their own, so they end with the
//! policy that let them in ([`crate::live`]). Of agents, those notice whose own entry has changed.
//!
//! One thread reads, builds and swaps. It is woken by the file system and by [`crate::Gateway::reload`].

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use adit_policy::{
    document::{Mistake, scope},
    env::Env,
};
use tokio::sync::oneshot;
use tracing::warn;

mod expiry;
mod in_use;
mod keys;
mod policies;
mod reloaded;
mod renewal;
mod status;
mod texts;
mod watch;

pub use reloaded::Reloaded;
pub(crate) use status::Status;
pub use watch::Watch;

use self::{
    policies::Policies,
    renewal::{Renewal, Wake},
    texts::Texts,
};
use crate::{
    StartError,
    config::{Config, ConfigError, Origin},
    edge::Edge,
    pools::endpoints::Declared,
};

/// Why a reload changed nothing: what was in use stays.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The gateway was not started from a file.
    #[error("this gateway was not started from a file, so there is nothing to read again")]
    NoFile,
    /// The files have mistakes.
    #[error(transparent)]
    Refused(#[from] ConfigErrors),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// All that is wrong with the configuration's files, each with its place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
pub struct ConfigErrors(Arc<[ConfigError]>);

/// The policies that a gateway starts with, and all that is needed to renew them.
pub(crate) struct Loaded {
    pub(crate) env: Env,
    origin: Option<Origin>,
    texts: Texts,
    policies: Policies,
}

/// The thread that renews the configuration. Dropping it stops it.
pub(crate) struct Reloader {
    wake: mpsc::Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the operator of something that is right, and probably not what was meant.
pub(crate) fn log(warning: &Mistake) {
    warn!("{warning}");
}

// === impl Loaded ===

impl Loaded {
    /// Builds the policies of a configuration's endpoints. What they warn of is told.
    ///
    /// # Errors
    /// When policies cannot be read or built.
    pub(crate) fn of(
        config: &mut Config,
        env: Env,
        tell: &mut dyn FnMut(&Mistake),
    ) -> Result<Self, ConfigErrors> {
        let texts = Texts::around(config);
        let policies = scope::with_secrets(Arc::clone(env.secrets()), || {
            Policies::build(config, &texts, &Policies::default(), &env, tell)
        });
        let policies = policies.map_err(|mistakes| ConfigErrors(mistakes.into()))?;
        Ok(Self {
            env,
            origin: config.origin.take(),
            texts,
            policies,
        })
    }

    pub(crate) fn declared(&self) -> Vec<Declared> {
        self.policies.declared()
    }

    pub(crate) fn status(&self) -> Status {
        Status::new(self.origin.as_ref().map(|origin| origin.file.clone()))
    }
}

// === impl Reloader ===

impl Reloader {
    /// Starts the thread; `None` if the configuration did not come from a file.
    pub(crate) fn start(loaded: Loaded, edge: &Arc<Edge>) -> Result<Option<Self>, StartError> {
        let Some(origin) = loaded.origin else {
            return Ok(None);
        };
        let (wake, wakes) = mpsc::channel();
        let renewal = Renewal::of(origin, loaded.texts, loaded.policies, Arc::clone(edge));
        let own = wake.clone();
        let thread = thread::Builder::new()
            .name("adit-reload".into())
            .spawn(move || renewal.run(&wakes, &own))
            .map_err(StartError::Thread)?;
        Ok(Some(Self {
            wake,
            thread: Some(thread),
        }))
    }

    /// Reads the files now and says what came of it.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (answer, answered) = oneshot::channel();
        // Without a thread to hear it, the answer's other end is dropped.
        drop(self.wake.send(Wake::Asked(answer)));
        answered.await.unwrap_or(Err(ReloadError::Stopping))
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        drop(self.wake.send(Wake::Stop));
        if let Some(thread) = self.thread.take() {
            // It has nothing to hand back, and its panic was told.
            drop(thread.join());
        }
    }
}
