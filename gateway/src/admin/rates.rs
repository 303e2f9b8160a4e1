//! What happens in a second, from looking at the counters every now and then.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, interval};

use crate::{
    edge::Edge,
    pools::{health::Standing, member::Member},
};

/// How often the counters are read, and how many readings are kept: rates are those of ten seconds.
const EVERY: Duration = Duration::from_secs(2);
const KEPT: usize = 6;

/// Some readings of all members' counters, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<VecDeque<Reading>>);

#[derive(Debug)]
struct Reading {
    at: Instant,
    members: HashMap<u64, Totals>,
}

/// What a member's counters say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) failures: u64,
}

// === impl Totals ===

impl Totals {
    pub(super) fn of(member: &Member, standing: &Standing) -> Self {
        Self {
            requests: member.begun(),
            failures: standing.failures.iter().sum(),
        }
    }
}

// === impl Rates ===

impl Rates {
    /// Reads the counters for ever.
    pub(super) async fn keep(&self, edge: &Edge) {
        let mut tick = interval(EVERY);
        loop {
            self.read(edge, tick.tick().await);
        }
    }

    fn read(&self, edge: &Edge, now: Instant) {
        let mut members = HashMap::new();
        for endpoint in edge.endpoints.snapshot().online() {
            for member in endpoint.pool.members().iter() {
                let totals = Totals::of(member, &member.health.standing(now));
                members.insert(member.id, totals);
            }
        }
        self.take(Reading { at: now, members });
    }

    fn take(&self, reading: Reading) {
        let mut readings = self.lock();
        if readings.len() >= KEPT {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// A member's requests and failures in a second, since the oldest reading that knows it.
    pub(super) fn of(&self, member: u64, now: Totals) -> (f64, f64) {
        self.since(member, now, Instant::now())
    }

    // Counters of ten seconds are exact in a float.
    #[allow(clippy::cast_precision_loss)]
    fn since(&self, member: u64, now: Totals, at: Instant) -> (f64, f64) {
        let readings = self.lock();
        let known = |reading: &Reading| Some((reading.at, *reading.members.get(&member)?));
        let Some((then, before)) = readings.iter().find_map(known) else {
            return (0.0, 0.0);
        };
        // A member that has only just come has hardly done anything yet.
        let seconds = at.saturating_duration_since(then).as_secs_f64().max(1.0);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        (
            rate(now.requests, before.requests),
            rate(now.failures, before.failures),
        )
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_readings() {
        let (rates, start) = (Rates::default(), Instant::now());
        let totals = |requests| Totals {
            requests,
            failures: requests / 10,
        };
        assert_eq!(rates.since(7, totals(100), start), (0.0, 0.0));
        for turn in 0..10_u64 {
            rates.take(Reading {
                at: start + EVERY * u32::try_from(turn).unwrap(),
                members: HashMap::from([(7, totals(turn * 100))]),
            });
        }
        // The oldest of six readings is the one of 8 s, with 400 requests.
        let at = start + Duration::from_secs(20);
        assert_eq!(rates.since(7, totals(1000), at), (50.0, 5.0));
        assert_eq!(rates.since(8, totals(1000), at), (0.0, 0.0));
    }
}
