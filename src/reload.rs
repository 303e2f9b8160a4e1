//! The policies and weights of endpoints that are online follow their files.

mod origin;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use adit_agent::{EndpointOptions, Forwarder, PoolPlace, UpdateError, config::Written};
use adit_gateway::Watch;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};
use tracing::error;

pub(crate) use self::origin::Origin;
use self::origin::Read;
use crate::{exit::Failure, signals::Hangups};

/// From the first sign of a change to the reading: whoever changes one file may be about to change another.
const SETTLE: Duration = Duration::from_millis(200);

/// How often the files are looked at without a sign: some file systems give none.
const LOOK: Duration = Duration::from_secs(60);

/// The same while there is a mistake: what mends it may be a file that nothing names yet.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What is worth telling.
#[derive(Debug)]
pub(crate) enum News {
    /// The files have mistakes, and what is in use stays.
    Refused(String),
    /// They have none any more.
    Right,
    /// Settings that have changed and wait for a restart.
    Waiting(Vec<String>),
    /// The files cannot be watched.
    Deaf(String),
    /// What is right and probably not what was meant.
    Warning(String),
    /// Somebody has sent a signal: how many endpoints have changed, or that there are mistakes.
    Answer(Option<usize>),
}

/// What an endpoint takes over while it is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Blank for none.
    policy: String,
    place: PoolPlace,
}

/// The same by the names of the endpoints, as it was read last; each endpoint follows its own.
pub(crate) struct Online(BTreeMap<String, watch::Sender<Wanted>>);

/// Reads again when there is a reason to.
struct Reload {
    origin: Origin,
    online: Online,
    files: BTreeSet<PathBuf>,
    used: Written,
    warned: Vec<String>,
    refused: Option<String>,
    waiting: Vec<String>,
    deaf: bool,
    news: mpsc::UnboundedSender<News>,
}

/// Begins to watch the files. The settings are those in use, and the warnings were told.
pub(crate) fn start(
    origin: Origin,
    online: Online,
    used: Written,
    warned: Vec<String>,
) -> Result<mpsc::UnboundedReceiver<News>, Failure> {
    // A terminal's hang-up is its end, and so is the process's.
    let attached =
        io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    let hangups = match attached {
        true => None,
        false => Some(Hangups::take_over().map_err(Failure::mistake)?),
    };
    let (news, told) = mpsc::unbounded_channel();
    let reload = Reload {
        origin,
        online,
        files: BTreeSet::new(),
        used,
        warned,
        refused: None,
        waiting: Vec::new(),
        deaf: false,
        news,
    };
    tokio::spawn(reload.run(hangups));
    Ok(told)
}

/// Gives an endpoint what it takes over whenever that has changed. What comes of it is an event of the agent's.
pub(crate) async fn follow(
    forwarder: &Forwarder,
    mut wanted: watch::Receiver<Wanted>,
) -> Infallible {
    while wanted.changed().await.is_ok() {
        let Wanted { policy, place } = wanted.borrow_and_update().clone();
        // A place that is no other is not sent; it is only heard of by the agent, which answers at once.
        let placed = forwarder.set_place(place).await;
        tell(forwarder, placed, "weight not changed");
        let updated = tokio::select! {
            updated = forwarder.update_policy(policy) => updated,
            changed = wanted.changed() => {
                if changed.is_ok() {
                    wanted.mark_changed();
                }
                continue;
            }
        };
        tell(
            forwarder,
            updated,
            "traffic policy not updated; the one in use stays",
        );
    }
    std::future::pending().await
}

/// The agent does not ask for what no gateway would take; everything else is an event.
fn tell(forwarder: &Forwarder, outcome: Result<(), UpdateError>, what: &str) {
    if let Err(UpdateError::Options(error)) = outcome {
        error!(obj = "policies", name = forwarder.name(), err = %error, "{what}");
    }
}

// === impl Wanted ===

impl Wanted {
    /// What is wanted of an endpoint with these options.
    pub(crate) fn of(options: &EndpointOptions) -> Self {
        Self {
            policy: options.policy().unwrap_or_default().to_owned(),
            place: options.place(),
        }
    }
}

// === impl Online ===

impl Online {
    /// What endpoints begin with.
    pub(crate) fn of<'a>(endpoints: impl Iterator<Item = &'a EndpointOptions>) -> Self {
        let wanted = endpoints.map(|options| {
            let wanted = watch::Sender::new(Wanted::of(options));
            (options.name().to_owned(), wanted)
        });
        Self(wanted.collect())
    }

    /// What is wanted of an endpoint, from now on.
    pub(crate) fn of_endpoint(&self, name: &str) -> Option<watch::Receiver<Wanted>> {
        self.0.get(name).map(watch::Sender::subscribe)
    }

    /// Takes over what was read, and tells the endpoints; those for which it is the same only if `again`. Answers how
    /// many have changed.
    fn renew(&self, mut read: BTreeMap<String, Wanted>, again: bool) -> usize {
        let mut changed = 0;
        for (name, wanted) in &self.0 {
            // An endpoint that was taken out stays as it is until a restart.
            let Some(new) = read.remove(name) else {
                continue;
            };
            wanted.send_if_modified(|old| {
                let differs = *old != new;
                changed += usize::from(differs);
                *old = new;
                differs || again
            });
        }
        changed
    }
}

// === impl Reload ===

impl Reload {
    async fn run(mut self, mut hangups: Option<Hangups>) {
        let (wake, mut woken) = mpsc::channel(1);
        let mut asked = false;
        loop {
            // First listening, then reading: what changes in between is heard.
            let files = self.files.clone();
            let _watch = self.watch(&files, wake.clone());
            self.renew(asked).await;
            asked = false;
            if files == self.files {
                let look = self.refused.as_ref().map_or(LOOK, |_| LOOK_AGAIN);
                asked = next(look, &mut woken, &mut hangups).await;
            }
        }
    }

    fn watch(&mut self, files: &BTreeSet<PathBuf>, wake: mpsc::Sender<()>) -> Option<Watch> {
        // A full queue will wake it already.
        match Watch::on(files, &BTreeSet::new(), move || {
            wake.try_send(()).unwrap_or_default()
        }) {
            Ok(watch) => Some(watch),
            Err(error) => {
                if !std::mem::replace(&mut self.deaf, true) {
                    self.tell(News::Deaf(error.to_string()));
                }
                None
            }
        }
    }

    async fn renew(&mut self, asked: bool) {
        let origin = self.origin.clone();
        // Reading a large policy takes its time, and streams run meanwhile.
        let read = tokio::task::spawn_blocking(move || origin.read()).await;
        let outcome = read.unwrap_or_else(|panicked| Err(panicked.to_string()));
        let changed = match outcome {
            Ok(read) => Some(self.apply(read, asked)),
            Err(mistakes) => {
                if self.refused.as_ref() != Some(&mistakes) {
                    self.tell(News::Refused(mistakes.clone()));
                }
                self.refused = Some(mistakes);
                None
            }
        };
        if asked {
            self.tell(News::Answer(changed));
        }
    }

    fn apply(&mut self, read: Read, asked: bool) -> usize {
        if self.refused.take().is_some() {
            self.tell(News::Right);
        }
        let chosen = |name: &str| self.origin.wants(name);
        let waiting = self.used.differing(&read.written, chosen);
        if !waiting.is_empty() && waiting != self.waiting {
            self.tell(News::Waiting(waiting.clone()));
        }
        self.waiting = waiting;
        for warning in read
            .warnings
            .iter()
            .filter(|new| !self.warned.contains(new))
        {
            self.tell(News::Warning(warning.clone()));
        }
        self.warned = read.warnings;
        self.files = read.files;
        self.online.renew(read.wanted, asked)
    }

    fn tell(&self, news: News) {
        // Nobody listens any more once the process is ending.
        drop(self.news.send(news));
    }
}

/// Waits for the next reason to read, and answers whether somebody has asked for it.
async fn next(
    look: Duration,
    woken: &mut mpsc::Receiver<()>,
    hangups: &mut Option<Hangups>,
) -> bool {
    let mut until = Instant::now() + look;
    loop {
        let sign = async {
            tokio::select! {
                Some(()) = woken.recv() => false,
                () = hangup(hangups) => true,
            }
        };
        match timeout_at(until, sign).await {
            Ok(true) => return true,
            // Counted from the first sign, or a file that always changes would never be read.
            Ok(false) => until = until.min(Instant::now() + SETTLE),
            Err(_) => return false,
        }
    }
}

async fn hangup(hangups: &mut Option<Hangups>) {
    match hangups {
        Some(hangups) => hangups.next().await,
        None => std::future::pending().await,
    }
}
