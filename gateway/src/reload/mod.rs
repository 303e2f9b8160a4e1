//! Hot reload: the policies follow their files, all at once or not at all, and no connection notices.
//!
//! One thread reads, builds and swaps. It is woken by the file system and by [`crate::Gateway::reload`].

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use adit_policy::env::Env;
use tokio::sync::oneshot;
use tracing::{info, warn};

mod policies;
mod restart;
mod status;
mod texts;
mod watch;

pub(crate) use status::Status;

use self::{policies::Policies, texts::Texts, watch::Watch};
use crate::{
    StartError,
    config::{Config, ConfigError, Origin},
    edge::Edge,
    pools::endpoints::Declared,
};

/// From the first sign of a change to the reading: whoever changes one file may be about to change another.
const SETTLE: Duration = Duration::from_millis(200);

/// What a reload has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// How many endpoints have another policy now.
    pub changed: usize,
    /// Keys of `gateway.yaml` that differ from what is in use and wait for a restart.
    pub waiting: Vec<String>,
}

/// Why a reload changed nothing: the policies that were in use stay.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The gateway was not started from a file.
    #[error("this gateway was not started from a file, so there is nothing to read again")]
    NoFile,
    /// The files have mistakes.
    #[error(transparent)]
    Refused(#[from] Mistakes),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// All that is wrong with the configuration's files, each with its place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
pub struct Mistakes(Arc<[ConfigError]>);

/// The policies that a gateway starts with, and all that is needed to renew them.
pub(crate) struct Loaded {
    pub(crate) env: Env,
    origin: Option<Origin>,
    texts: Texts,
    policies: Policies,
}

/// The thread that renews policies. Dropping it stops it.
pub(crate) struct Reloader {
    wake: mpsc::Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    Changed,
    Asked(Answer),
    Stop,
}

type Answer = oneshot::Sender<Result<Reloaded, ReloadError>>;

// === impl Loaded ===

impl Loaded {
    /// Builds the policies of a configuration's endpoints.
    ///
    /// # Errors
    /// When policies cannot be read or built.
    pub(crate) fn of(config: &mut Config, env: Env) -> Result<Self, Mistakes> {
        let texts = Texts::around(config);
        let policies = Policies::build(config, &texts, &Policies::default(), &env)?;
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
        let renewal = Renewal {
            edge: Arc::clone(edge),
            file: origin.file,
            used: origin.text,
            policies: loaded.policies,
            tried: loaded.texts,
            refused: None,
            waiting: Vec::new(),
            deaf: false,
        };
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

/// What the thread knows.
struct Renewal {
    edge: Arc<Edge>,
    file: PathBuf,
    /// The text of `gateway.yaml` that the gateway was started with.
    used: Arc<str>,
    policies: Policies,
    /// What was read last, whether it could be used or not.
    tried: Texts,
    /// Why it could not.
    refused: Option<ReloadError>,
    /// The keys of the last reload that wait for a restart.
    waiting: Vec<String>,
    /// The file system cannot tell us of changes, and that was said.
    deaf: bool,
}

// === impl Renewal ===

impl Renewal {
    fn run(mut self, wakes: &mpsc::Receiver<Wake>, own: &mpsc::Sender<Wake>) {
        let mut asked = Vec::new();
        loop {
            // First listening, then reading: what changes in between is heard.
            let files = self.tried.files();
            let _watch = self.watch(&files, own.clone());
            let outcome = self.renew();
            for answer in std::mem::take(&mut asked) {
                // Who asked may have gone.
                drop(Answer::send(answer, outcome.clone()));
            }
            if files == self.tried.files() {
                match next(wakes) {
                    Some(answers) => asked = answers,
                    None => return,
                }
            }
        }
    }

    fn watch(&mut self, files: &BTreeSet<PathBuf>, wake: mpsc::Sender<Wake>) -> Option<Watch> {
        // The thread that would hear it may have ended.
        match Watch::on(files, move || drop(wake.send(Wake::Changed))) {
            Ok(watch) => {
                self.deaf = false;
                Some(watch)
            }
            Err(error) => {
                if !self.deaf {
                    warn!(%error, "changed files go unnoticed; SIGHUP still reloads");
                }
                self.deaf = true;
                None
            }
        }
    }

    fn renew(&mut self) -> Result<Reloaded, ReloadError> {
        let (texts, config) = Texts::read(&self.file);
        if texts == self.tried {
            return match &self.refused {
                Some(refused) => Err(refused.clone()),
                None => Ok(Reloaded {
                    changed: 0,
                    waiting: self.waiting.clone(),
                }),
            };
        }
        self.tried = texts;
        match self.build(config) {
            Ok((written, policies)) => Ok(self.apply(&written, policies)),
            Err(mistakes) => Err(self.refuse(mistakes)),
        }
    }

    fn build(&self, config: Result<Config, ConfigError>) -> Result<(Arc<str>, Policies), Mistakes> {
        let mut config = config.map_err(|mistake| Mistakes(Arc::from([mistake])))?;
        let env = &self.edge.policy_env;
        let policies = Policies::build(&mut config, &self.tried, &self.policies, env)?;
        let written = config.origin.map(|origin| origin.text);
        Ok((written.unwrap_or_default(), policies))
    }

    fn apply(&mut self, written: &str, policies: Policies) -> Reloaded {
        let changed = self.policies.renew(policies);
        let count = changed.len();
        self.edge.endpoints.set_policies(changed);
        let status = self.edge.policies.load().applied();
        self.edge.policies.store(Arc::new(status));
        if self.refused.take().is_some() {
            info!(changed = count, "the configuration is right again");
        } else if count > 0 {
            info!(changed = count, "policies reloaded");
        }
        let waiting = restart::waiting(&self.used, written);
        if !waiting.is_empty() && waiting != self.waiting {
            warn!(keys = %waiting.join(", "), "changed settings that are applied by a restart only");
        }
        self.waiting.clone_from(&waiting);
        Reloaded {
            changed: count,
            waiting,
        }
    }

    fn refuse(&mut self, mistakes: Mistakes) -> ReloadError {
        for mistake in mistakes.0.iter() {
            warn!(
                err = %status::first_line(mistake),
                "not reloaded, the policies stay as they were; `adit gateway check` shows the place"
            );
        }
        let refused = ReloadError::Refused(mistakes);
        let status = self.edge.policies.load().refused(&refused);
        self.edge.policies.store(Arc::new(status));
        self.refused = Some(refused.clone());
        refused
    }
}

/// Waits for the next reason to read, and tells who asked for it. `None`: no more.
fn next(wakes: &mpsc::Receiver<Wake>) -> Option<Vec<Answer>> {
    match wakes.recv() {
        Ok(Wake::Changed) => {}
        Ok(Wake::Asked(answer)) => return Some(vec![answer]),
        Ok(Wake::Stop) | Err(_) => return None,
    }
    let settled = Instant::now() + SETTLE;
    loop {
        match wakes.recv_timeout(settled.saturating_duration_since(Instant::now())) {
            Ok(Wake::Changed) => {}
            Ok(Wake::Asked(answer)) => return Some(vec![answer]),
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
        }
    }
}
