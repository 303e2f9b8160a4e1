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
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    time::SystemTime,
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

/// Remembers sessions.
pub(crate) struct Logins {
    memory: InMemory,
    changes: SyncSender<Change>,
    on_end: OnceLock<Box<OnEnd>>,
}

/// Hears which sessions have ended.
type OnEnd = dyn Fn(&Ended) + Send + Sync;

enum Change {
    Record(Record),
    /// Everything before it is to be on the disk; then this is told.
    Flush(SyncSender<()>),
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
            let memory = InMemory::default();
            let now = env.clock().now();
            let journal = Journal::open(&path, env.clone(), &mut |record| {
                if record.until() > now {
                    record.tell(&memory, now);
                }
            })?;
            let (changes, waiting) = mpsc::sync_channel(WAITING_MAX);
            std::thread::Builder::new()
                .name("adit-sessions".into())
                .spawn(move || write(journal, &waiting))?;
            Ok(Self {
                memory,
                changes,
                on_end: OnceLock::new(),
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

/// Writes changes until nobody is there to make any.
fn write(mut journal: Journal, changes: &Receiver<Change>) {
    let mut told = false;
    while let Ok(first) = changes.recv() {
        let mut records = Vec::new();
        let mut flushed = Vec::new();
        for change in [first]
            .into_iter()
            .chain(changes.try_iter().take(BATCH_MAX))
        {
            match change {
                Change::Record(record) => records.push(record),
                Change::Flush(done) => flushed.push(done),
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
        for done in flushed {
            // Whoever waited may have gone.
            done.send(()).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests;
