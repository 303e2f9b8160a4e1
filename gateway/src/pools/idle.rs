//! Streams whose exchange has ended and whose service keeps its connection open.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use adit_wire::Stream;
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};

/// Streams kept per member and core; beyond it the longest unused one goes.
const KEPT: usize = 128;

/// A stream unused for this long is closed, and with it the connection to the service.
pub(crate) const AGE: Duration = Duration::from_secs(60);

/// The idle streams of one member, a list for each core so that cores do not wait for each other.
#[derive(Debug)]
pub(crate) struct Idle {
    cores: Box<[Mutex<VecDeque<Rested>>]>,
}

#[derive(Debug)]
struct Rested {
    stream: Stream,
    since: Instant,
}

impl Idle {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            cores: (0..cores.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The stream used last that is still silent: not ended, and without bytes nobody asked for.
    pub(crate) fn take(&self, core: usize) -> Option<Stream> {
        let mut list = self.list(core)?;
        loop {
            let mut stream = list.pop_back()?.stream;
            if is_silent(&mut stream) {
                return Some(stream);
            }
        }
    }

    pub(crate) fn give_back(&self, core: usize, stream: Stream) {
        let Some(mut list) = self.list(core) else {
            return;
        };
        if list.len() >= KEPT {
            list.pop_front();
        }
        list.push_back(Rested {
            stream,
            since: Instant::now(),
        });
    }

    /// Closes what has not been used for [`AGE`].
    pub(crate) fn sweep(&self) {
        for core in 0..self.cores.len() {
            let Some(mut list) = self.list(core) else {
                continue;
            };
            while list
                .front()
                .is_some_and(|rested| rested.since.elapsed() >= AGE)
            {
                list.pop_front();
            }
        }
    }

    /// Closes the stream that was unused longest on some core; `false` if there is none.
    pub(crate) fn drop_oldest(&self) -> bool {
        (0..self.cores.len()).any(|core| {
            let oldest = self.list(core).and_then(|mut list| list.pop_front());
            oldest.is_some()
        })
    }

    pub(crate) fn clear(&self) {
        for core in 0..self.cores.len() {
            if let Some(mut list) = self.list(core) {
                list.clear();
            }
        }
    }

    // Nothing panics while it holds the lock.
    fn list(&self, core: usize) -> Option<MutexGuard<'_, VecDeque<Rested>>> {
        let list = self.cores.get(core)?;
        Some(list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_silent(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut probe = ReadBuf::new(&mut byte);
    Pin::new(stream)
        .poll_read(&mut Context::from_waker(Waker::noop()), &mut probe)
        .is_pending()
}
