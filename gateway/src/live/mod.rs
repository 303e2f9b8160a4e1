//! Exchanges that can be ended while they run: because their caller's session is over, or because a policy that let them
//! in is not the one of its endpoint any longer.
//!
//! Each core keeps a list of its own, so that nobody waits for anybody. An exchange is on it only if there is something
//! to be ended by: a caller with a session, from the moment in which the policies let it in; or it turns out to be a
//! stream ([`Endable::is_stream`]): a WebSocket, an event stream, a call of gRPC. Everything else costs nothing here.
//!
//! Who changes something (a sign-out, a reload, an agent's new policy) does that first and then says
//! [`crate::edge::Edge::review`]. An exchange is listed first and then looked at. So no change is missed in between.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::info;

mod endable;
mod passed;

pub(crate) use endable::{Client, Endable, Why};
pub(crate) use passed::Passed;

use crate::edge::Edge;

/// How often the clock is looked at for those whose session has an end, and for those that were told and go on.
const TICK: Duration = Duration::from_secs(1);

/// One core's list.
#[derive(Debug, Default)]
pub(crate) struct Live {
    inside: Mutex<Inside>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    running: HashMap<u64, Arc<Endable>>,
    next: u64,
}

/// An exchange's place on the list. Dropping it takes the exchange off.
#[derive(Debug)]
pub(crate) struct Listed {
    endable: Arc<Endable>,
    number: u64,
    live: Arc<Live>,
}

// === impl Live ===

impl Live {
    /// Puts an exchange on the list, and looks at it: what let it in may have changed since.
    pub(crate) fn list(self: &Arc<Self>, endable: Endable, edge: &Edge) -> Listed {
        let endable = Arc::new(endable);
        let number = {
            let mut inside = self.lock();
            inside.next += 1;
            let number = inside.next;
            inside.running.insert(number, Arc::clone(&endable));
            if inside.running.len() == 1 {
                self.filled.notify_one();
            }
            number
        };
        endable.review(edge, now());
        Listed {
            endable,
            number,
            live: Arc::clone(self),
        }
    }

    /// Looks at all of them, and ends those that would not be let in any more.
    pub(crate) fn review(&self, edge: &Edge) {
        let now = now();
        let ended = self
            .all()
            .iter()
            .filter(|one| one.review(edge, now))
            .count();
        if ended > 0 {
            info!(exchanges = ended, "what ran without permission was ended");
        }
    }

    /// Looks at the clock while there is somebody for whom it matters.
    pub(crate) async fn watch(self: Arc<Self>, edge: Arc<Edge>) {
        loop {
            self.filled.notified().await;
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !self.lock().running.is_empty() {
                tick.tick().await;
                let now = now();
                self.all().iter().for_each(|one| one.tick(&edge, now));
            }
        }
    }

    /// A copy, for an exchange that is ended may leave the list at once.
    fn all(&self) -> Vec<Arc<Endable>> {
        self.lock().running.values().map(Arc::clone).collect()
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The moment, on the stopwatch and on the wall.
fn now() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

// === impl Listed ===

impl Listed {
    /// Looks at it anew.
    pub(crate) fn look(&self, edge: &Edge) {
        self.endable.review(edge, now());
    }
}

impl Deref for Listed {
    type Target = Endable;

    fn deref(&self) -> &Endable {
        &self.endable
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.live.lock().running.remove(&self.number);
    }
}
