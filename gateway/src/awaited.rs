//! After a restart that nobody is to notice, agents are still on their way: requests for their endpoints wait for them.

use std::{
    future::Future,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::pools::pool::Pool;

/// The time in which agents arrive, and the requests that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    until: OnceLock<Instant>,
    held: AtomicUsize,
    /// Told when an endpoint has got a member.
    came: Notify,
}

/// What became of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited<T> {
    /// It is there.
    Found(T),
    /// It did not come in time.
    InVain,
    /// As many wait already as may.
    Full,
}

// === impl Awaited ===

impl Awaited {
    /// Agents arrive from now on. Without this they are all thought to be here.
    pub(crate) fn begin(&self, lasts: Duration) {
        self.until.get_or_init(|| Instant::now() + lasts);
    }

    /// Whether some may still be on their way.
    pub(crate) fn is_on(&self) -> bool {
        self.until
            .get()
            .is_some_and(|until| Instant::now() < *until)
    }

    /// Requests that wait at this moment.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// An endpoint has got a member.
    pub(crate) fn one_came(&self) {
        // Nobody has waited on most days.
        if self.until.get().is_some() {
            self.came.notify_waiters();
        }
    }

    /// Looks until `find` finds something, again whenever a member has come.
    pub(crate) async fn look<T>(&self, mut find: impl FnMut() -> Option<T>) -> T {
        loop {
            let came = self.came.notified();
            if let Some(found) = find() {
                return found;
            }
            came.await;
        }
    }

    /// Waits for something that is `coming`, but not longer than agents are awaited nor than `at_most`, and not if so
    /// many wait already.
    pub(crate) async fn hold<T>(
        &self,
        places: usize,
        at_most: Duration,
        coming: impl Future<Output = T>,
    ) -> Waited<T> {
        let Some(until) = self.until.get() else {
            return Waited::InVain;
        };
        let Some(_place) = self.place(places) else {
            return Waited::Full;
        };
        let patience = Instant::now().checked_add(at_most);
        let until = patience.map_or(*until, |patience| patience.min(*until));
        match timeout_at(until, coming).await {
            Ok(found) => Waited::Found(found),
            Err(_) => Waited::InVain,
        }
    }

    /// Waits for the first member of a pool, if it has none and one may be on its way.
    pub(crate) async fn member_of(&self, pool: &Pool, places: usize) {
        if self.is_on() && pool.is_empty() {
            let coming = pool.when_joined(|| (!pool.is_empty()).then_some(()));
            // Whoever waits in vain, or cannot wait, finds no member.
            self.hold(places, Duration::MAX, coming).await;
        }
    }

    fn place(&self, places: usize) -> Option<Held<'_>> {
        let held = Held(&self.held);
        (self.held.fetch_add(1, Ordering::Relaxed) < places).then_some(held)
    }
}

/// One that waits; dropping it makes room.
struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::{pending, ready},
    };

    use futures_util::poll;
    use tokio::pin;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn begun() -> Awaited {
        let awaited = Awaited::default();
        awaited.begin(Duration::from_secs(10));
        awaited
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_a_member_has_come() {
        let (awaited, there) = (begun(), Cell::new(None));
        let waiting = awaited.hold(1, LONG, awaited.look(|| there.get()));
        pin!(waiting);
        assert!(poll!(&mut waiting).is_pending());
        awaited.one_came();
        assert!(poll!(&mut waiting).is_pending(), "it was another one's");
        there.set(Some(7));
        awaited.one_came();
        assert_eq!(waiting.await, Waited::Found(7));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_agents_arrive_nor_than_wanted() {
        let awaited = begun();
        let began = Instant::now();
        let short = Duration::from_secs(1);
        assert_eq!(
            awaited.hold(1, short, pending::<()>()).await,
            Waited::InVain
        );
        assert_eq!(began.elapsed().as_secs(), 1);
        assert_eq!(awaited.hold(1, LONG, pending::<()>()).await, Waited::InVain);
        assert_eq!(began.elapsed().as_secs(), 10);
        assert!(!awaited.is_on());
        let idle = Awaited::default();
        assert_eq!(idle.hold(1, LONG, pending::<()>()).await, Waited::InVain);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_are_places() {
        let awaited = begun();
        {
            let first = awaited.hold(1, LONG, pending::<()>());
            pin!(first);
            assert!(poll!(&mut first).is_pending());
            assert_eq!(awaited.hold(1, LONG, ready(())).await, Waited::Full);
        }
        assert_eq!(awaited.hold(1, LONG, ready(())).await, Waited::Found(()));
    }
}
