//! The thread that reads, builds and swaps.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;
use tracing::warn;

use super::{
    ConfigErrors, ReloadError, Reloaded,
    expiry::Reminders,
    in_use::{Built, InUse},
    keys,
    policies::Policies,
    status,
    texts::Texts,
    watch::Watch,
};
use crate::{config::Origin, edge::Edge, secrets::Watched};

/// From the first sign of a change to the reading: whoever changes one file may be about to change another.
const SETTLE: Duration = Duration::from_millis(200);

/// How often the files are looked at without a sign: some file systems give none, and there may be more files than
/// the operating system watches for us.
const LOOK: Duration = Duration::from_secs(60);

/// Mistakes that are logged of one reload; `adit gateway check` tells all.
const TOLD: usize = 10;

/// What wakes the thread.
pub(super) enum Wake {
    /// Something about the files, perhaps.
    Changed,
    /// Somebody waits for the outcome.
    Asked(Answer),
    Stop,
}

pub(super) type Answer = oneshot::Sender<Result<Reloaded, ReloadError>>;

/// What the thread knows.
pub(super) struct Renewal {
    edge: Arc<Edge>,
    file: PathBuf,
    /// The text of `gateway.yaml` that the gateway was started with.
    started: Arc<str>,
    in_use: InUse,
    /// What was read last, whether it could be used or not.
    tried: Texts,
    /// Why it could not.
    refused: Option<ReloadError>,
    /// The keys of the last reload that wait for a restart.
    waiting: Vec<String>,
    reminders: Reminders,
    /// The files cannot be watched, and that was said.
    deaf: bool,
}

// === impl Renewal ===

impl Renewal {
    pub(super) fn of(origin: Origin, texts: Texts, policies: Policies, edge: Arc<Edge>) -> Self {
        Self {
            in_use: InUse::new(policies, Arc::clone(&origin.text), &texts, &edge),
            edge,
            file: origin.file,
            started: origin.text,
            tried: texts,
            refused: None,
            waiting: Vec::new(),
            reminders: Reminders::default(),
            deaf: false,
        }
    }

    /// Renews whenever there is a reason to, until it is told to stop.
    pub(super) fn run(mut self, wakes: &mpsc::Receiver<Wake>, own: &mpsc::Sender<Wake>) {
        let mut asked = Vec::new();
        loop {
            // First listening, then reading: what changes in between is heard.
            let watched = self.watched();
            let _watch = self.watch(&watched, own.clone());
            let outcome = self.renew();
            let expiries = self.edge.certificates.expiries();
            self.reminders.remind(&expiries, SystemTime::now());
            for answer in std::mem::take(&mut asked) {
                // Who asked may have gone.
                drop(Answer::send(answer, outcome.clone()));
            }
            if watched == self.watched() {
                match next(wakes) {
                    Some(answers) => asked = answers,
                    None => return,
                }
            }
        }
    }

    /// All that may change.
    fn watched(&self) -> Watched {
        let mut watched = self.edge.vaults.watched();
        watched.files.extend(self.tried.files());
        watched
    }

    fn watch(&mut self, watched: &Watched, wake: mpsc::Sender<Wake>) -> Option<Watch> {
        // The thread that would hear it may have ended.
        match Watch::on(&watched.files, &watched.folders, move || {
            drop(wake.send(Wake::Changed))
        }) {
            Ok(watch) => {
                self.deaf = false;
                Some(watch)
            }
            Err(error) => {
                if !self.deaf {
                    warn!(%error, "the files cannot be watched, so they are looked at once a minute");
                }
                self.deaf = true;
                None
            }
        }
    }

    fn renew(&mut self) -> Result<Reloaded, ReloadError> {
        self.edge.vaults.refresh();
        let (texts, config) = Texts::read(&self.file);
        if texts == self.tried {
            return match &self.refused {
                Some(refused) => Err(refused.clone()),
                None => Ok(Reloaded {
                    waiting: self.waiting.clone(),
                    ..Reloaded::default()
                }),
            };
        }
        self.tried = texts;
        let built = config
            .map_err(|mistake| ConfigErrors(Arc::from([mistake])))
            .and_then(|config| self.in_use.build(config, &self.tried, &self.edge));
        match built {
            Ok(built) => Ok(self.apply(built)),
            Err(mistakes) => Err(self.refuse(mistakes)),
        }
    }

    fn apply(&mut self, built: Built) -> Reloaded {
        let reloaded = self.in_use.take_over(built, &self.edge);
        let status = self.edge.policies.load().applied();
        self.edge.policies.store(Arc::new(status));
        match self.refused.take() {
            Some(_) => reloaded.log("the configuration is right again"),
            None if reloaded == Reloaded::default() => {}
            None => reloaded.log("configuration reloaded"),
        }
        let waiting = keys::waiting(&self.started, self.in_use.text());
        if !waiting.is_empty() && waiting != self.waiting {
            warn!(keys = %waiting.join(", "), "changed settings that are applied by a restart only");
        }
        self.waiting.clone_from(&waiting);
        Reloaded {
            waiting,
            ..reloaded
        }
    }

    fn refuse(&mut self, mistakes: ConfigErrors) -> ReloadError {
        let told: Vec<String> = mistakes.0.iter().flat_map(status::lines).collect();
        for line in told.iter().take(TOLD) {
            warn!(err = %line, "not reloaded, everything stays as it was");
        }
        if let Some(more) = told.len().checked_sub(TOLD).filter(|more| *more > 0) {
            warn!(
                more,
                "there are more mistakes; `adit gateway check` tells each and shows its place"
            );
        }
        let status = self.edge.policies.load().refused(&mistakes);
        self.edge.policies.store(Arc::new(status));
        let refused = ReloadError::Refused(mistakes);
        self.refused = Some(refused.clone());
        refused
    }
}

/// Waits for the next reason to read, and tells who asked for it. `None`: no more.
fn next(wakes: &mpsc::Receiver<Wake>) -> Option<Vec<Answer>> {
    let mut until = Instant::now() + LOOK;
    loop {
        match wakes.recv_timeout(until.saturating_duration_since(Instant::now())) {
            // Counted from the first sign, or a file that always changes would never be read.
            Ok(Wake::Changed) => until = until.min(Instant::now() + SETTLE),
            Ok(Wake::Asked(answer)) => return Some(vec![answer]),
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
        }
    }
}
