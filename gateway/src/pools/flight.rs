//! What a member has at work, and how fast it warms up: counted without locks, read whenever one is chosen.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::member::Member;

/// A full share, in thousandths.
pub(super) const FULL: u32 = 1000;

/// The share that a member begins with while it warms up, in thousandths.
const FIRST: u32 = 100;

/// One request or connection at work at a member. Counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Flight(Arc<Member>);

/// How much a member has to do.
#[derive(Debug, Default)]
pub(super) struct Load {
    in_flight: AtomicU32,
    begun: AtomicU64,
}

/// Since when a member has served, this time.
#[derive(Debug)]
pub(super) struct Warmth {
    /// Whether it may still get less than its share. Until it is looked at for the first time after that, it may.
    rising: AtomicBool,
    since: Mutex<Instant>,
}

// === impl Flight ===

impl Flight {
    /// Begins one.
    pub(crate) fn of(member: &Arc<Member>) -> Self {
        member.load.in_flight.fetch_add(1, Ordering::Relaxed);
        member.load.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(member))
    }

    /// The member at which it is.
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.0
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Load ===

impl Load {
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}

// === impl Warmth ===

impl Warmth {
    pub(super) fn new() -> Self {
        Self {
            rising: AtomicBool::new(true),
            since: Mutex::new(Instant::now()),
        }
    }

    /// It begins again.
    pub(super) fn begin(&self) {
        *self.since() = Instant::now();
        self.rising.store(true, Ordering::Relaxed);
    }

    /// Its share in thousandths if it takes so long to come to the full one.
    pub(super) fn share(&self, slow_start: Duration) -> u32 {
        if slow_start.is_zero() || !self.rising.load(Ordering::Relaxed) {
            return FULL;
        }
        let warm = self.since().elapsed();
        if warm >= slow_start {
            self.rising.store(false, Ordering::Relaxed);
            return FULL;
        }
        let risen = warm.as_nanos() * u128::from(FULL - FIRST) / slow_start.as_nanos();
        FIRST + u32::try_from(risen).unwrap_or_default()
    }

    // Nothing panics while it holds the lock.
    fn since(&self) -> MutexGuard<'_, Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_share_rises_evenly_from_a_tenth_to_the_whole() {
        let slow_start = Duration::from_secs(10);
        let warmth = Warmth::new();
        let mut shares = Vec::new();
        for _ in 0..6 {
            shares.push(warmth.share(slow_start));
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(shares, [100, 280, 460, 640, 820, 1000]);
        assert_eq!(
            warmth.share(Duration::from_secs(3600)),
            FULL,
            "it is warm for good"
        );
        warmth.begin();
        assert_eq!(warmth.share(slow_start), FIRST);
        assert_eq!(warmth.share(Duration::ZERO), FULL);
    }
}
