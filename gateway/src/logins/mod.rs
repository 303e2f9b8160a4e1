//! Who has signed in, and who no more, over restarts too: what a session's cookie cannot say by itself.
//!
//! - [`journal`]: the file that remembers it
//! - [`record`]: its lines
//!
//! Everything is answered from memory. What changes is written by a thread of its own, some milliseconds later.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        mpsc::{self, Receiver, RecvError, RecvTimeoutError, SyncSender, TrySendError},
    },
    time::{Duration, SystemTime},
};

use adit_policy::env::{Ended, Env, InMemory, SessionKeys, Sessions};
use tracing::warn;

use self::{journal::Journal, record::Record};

mod journal;
mod record;

/// So many changes may wait for the disk; more are known while the process lives, and lost with it.
const WAITING_MAX: usize = 4096;
/// So many changes are written in one go.
const BATCH_MAX: usize = 256;
/// How often another gateway's changes are looked for while two of them serve on one data directory.
const FOLLOWED: Duration = Duration::from_millis(250);

/// Remembers sessions.
pub(crate) struct Logins {
    memory: Arc<InMemory>,
    changes: SyncSender<Change>,
    on_end: Arc<OnceLock<Box<OnEnd>>>,
}

/// Hears which sessions have ended.
type OnEnd = dyn Fn(&Ended) + Send + Sync;

enum Change {
    Record(Record),
    /// Everything before it is to be on the disk; then this is told.
    Flush(SyncSender<()>),
    /// Whether another gateway writes the same file, whose changes are to be known here.
    Follow(bool),
}

/// Why sessions cannot be remembered.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: {source}; sessions are kept there, so that who has signed out stays out after a restart",
    path.display()
)]
pub struct LoginsError {
    path: PathBuf,
    source: io::Error,
}

// === impl Logins ===

impl Logins {
    /// Remembers what is kept under `data_dir`, sealed with the keys of `env`.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn open(data_dir: &Path, env: Env) -> Result<Self, LoginsError> {
        let path = data_dir.join("sessions");
        let open = || {
            let memory = Arc::<InMemory>::default();
            let on_end = Arc::<OnceLock<Box<OnEnd>>>::default();
            let now = env.clock().now();
            let journal = Journal::open(&path, env.clone(), &mut |record| {
                if record.until() > now {
                    record.tell(&*memory, now);
                }
            })?;
            let (changes, waiting) = mpsc::sync_channel(WAITING_MAX);
            let others = Others {
                memory: Arc::clone(&memory),
                on_end: Arc::clone(&on_end),
                env: env.clone(),
            };
            std::thread::Builder::new()
                .name("adit-sessions".into())
                .spawn(move || write(journal, &waiting, &others))?;
            Ok(Self {
                memory,
                changes,
                on_end,
            })
        };
        open().map_err(|source| LoginsError {
            path: path.clone(),
            source,
        })
    }

    /// From now on, this hears of every end, on the thread of whoever ends sessions: it must not wait for anything. There
    /// is one; a second one is not heard.
    pub(crate) fn on_end(&self, hears: Box<OnEnd>) {
        drop(self.on_end.set(hears));
    }

    /// Waits until everything is on the disk.
    pub(crate) fn flush(&self) {
        let (done, flushed) = mpsc::sync_channel(1);
        if self.changes.send(Change::Flush(done)).is_ok() {
            // The thread drops it unsaid only when it ends, and it ends with us.
            flushed.recv().unwrap_or_default();
        }
    }

    /// Another gateway serves on the same data directory, until [`Self::follow_no_more`]: what it writes is known here
    /// soon, and who signs out there is signed out here.
    pub(crate) fn follow(&self) {
        // The thread ends with us.
        self.changes.send(Change::Follow(true)).unwrap_or_default();
    }

    /// The other gateway has ended. What it wrote last is still read.
    pub(crate) fn follow_no_more(&self) {
        self.changes.send(Change::Follow(false)).unwrap_or_default();
    }

    fn keep(&self, record: Record) {
        match self.changes.try_send(Change::Record(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                warn!("the disk is too slow: a change of sessions will not outlive a restart");
            }
        }
    }
}

impl Sessions for Logins {
    fn is_ended(&self, session: &SessionKeys) -> bool {
        self.memory.is_ended(session)
    }

    fn end(&self, which: Ended, now: SystemTime, until: SystemTime) {
        self.memory.end(which.clone(), now, until);
        self.keep(Record::ended(&which, now, until));
        if let Some(hears) = self.on_end.get() {
            hears(&which);
        }
    }

    fn get(&self, name: &str) -> Option<Arc<[u8]>> {
        self.memory.get(name)
    }

    fn put(&self, name: &str, value: Arc<[u8]>, now: SystemTime, until: SystemTime) {
        self.keep(Record::kept(name, &value, until));
        self.memory.put(name, value, now, until);
    }

    fn use_once(&self, value: &str, now: SystemTime, until: SystemTime) -> bool {
        let first = self.memory.use_once(value, now, until);
        if first {
            self.keep(Record::used(value, until));
        }
        first
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

/// Who hears what another gateway has written.
struct Others {
    memory: Arc<InMemory>,
    on_end: Arc<OnceLock<Box<OnEnd>>>,
    env: Env,
}

/// Writes changes until nobody is there to make any.
fn write(mut journal: Journal, changes: &Receiver<Change>, others: &Others) {
    let mut told = false;
    let mut following = false;
    loop {
        let first = match following {
            true => changes.recv_timeout(FOLLOWED),
            false => changes
                .recv()
                .map_err(|RecvError| RecvTimeoutError::Disconnected),
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let mut records = Vec::new();
        let mut flushed = Vec::new();
        let mut follow = following;
        let more = changes.try_iter().take(BATCH_MAX);
        for change in first.into_iter().chain(more) {
            match change {
                Change::Record(record) => records.push(record),
                Change::Flush(done) => flushed.push(done),
                Change::Follow(wanted) => follow = wanted,
            }
        }
        match journal.append(&records) {
            Ok(()) => told = false,
            Err(error) if !told => {
                warn!(%error, "sessions cannot be written to the disk, and will not outlive a restart");
                told = true;
            }
            Err(_) => {}
        }
        if following || follow {
            others.catch_up(&mut journal);
        }
        following = follow;
        for done in flushed {
            // Whoever waited may have gone.
            done.send(()).unwrap_or_default();
        }
    }
}

// === impl Others ===

impl Others {
    fn catch_up(&self, journal: &mut Journal) {
        let now = self.env.clock().now();
        let read = journal.catch_up(&mut |record| {
            if record.until() <= now {
                return;
            }
            let ended = record.which_ended();
            record.tell(&*self.memory, now);
            if let (Some(ended), Some(hears)) = (ended, self.on_end.get()) {
                hears(&ended);
            }
        });
        if let Err(error) = read {
            warn!(%error, "what another gateway has written of sessions cannot be read");
        }
    }
}

#[cfg(test)]
mod tests;
