//! How many retries a pool may make, so that a service in trouble is not drowned in them.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::config::RetryBudget;

/// First tries are remembered for so many seconds.
const SECONDS: u64 = 10;

/// One place more than seconds are remembered: the second that has just begun needs one, too.
const PLACES: usize = SECONDS as usize + 1;

/// Counts first tries and retries of the last seconds, without locks.
#[derive(Debug)]
pub(crate) struct Budget {
    began: Instant,
    firsts: [Second; PLACES],
    retries: [Second; PLACES],
    granted: AtomicU64,
    denied: AtomicU64,
}

/// What was counted in one second: its number in the upper half, the count in the lower one.
#[derive(Debug, Default)]
struct Second(AtomicU64);

// === impl Budget ===

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            firsts: Default::default(),
            retries: Default::default(),
            granted: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        }
    }

    /// A request is tried for the first time.
    pub(crate) fn first_try(&self, now: Instant) {
        count(&self.firsts, self.second(now), 1);
    }

    /// Whether a request may be tried once more; then that is counted.
    pub(crate) fn take(&self, now: Instant, terms: &RetryBudget) -> bool {
        let second = self.second(now);
        // Counted first, so that two of them cannot both be the last one.
        let in_this_second = count(&self.retries, second, 1);
        let (firsts, retries) = (sum(&self.firsts, second), sum(&self.retries, second));
        #[allow(clippy::cast_precision_loss)]
        let in_proportion = retries as f64 <= terms.ratio * firsts as f64;
        let may = in_proportion || in_this_second <= u64::from(terms.per_second);
        if may {
            self.granted.fetch_add(1, Ordering::Relaxed);
        } else {
            count(&self.retries, second, -1);
            self.denied.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// Retries that were made, and requests that could have been tried again and were not.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.granted), load(&self.denied))
    }

    /// Seconds are counted from 1: 0 is what an empty place says.
    fn second(&self, now: Instant) -> u64 {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        (seconds + 1).min(u64::from(u32::MAX))
    }
}

/// Adds to a second's count and tells it. Of a second that is too long ago nothing is kept.
fn count(places: &[Second; PLACES], second: u64, by: i32) -> u64 {
    let place = usize::try_from(second % PLACES as u64).unwrap_or_default();
    let Some(Second(place)) = places.get(place) else {
        return 0;
    };
    let added = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
        let (of, count) = (held >> 32, held & u64::from(u32::MAX));
        let count = match of == second {
            true => count,
            false if of < second => 0,
            false => return None,
        };
        let count = count.saturating_add_signed(by.into());
        Some(second << 32 | count.min(u64::from(u32::MAX)))
    });
    let held = added.map_or(0, |before| match before >> 32 == second {
        true => before & u64::from(u32::MAX),
        false => 0,
    });
    held.saturating_add_signed(by.into())
}

/// What was counted in a second and those before it, as far as they are remembered.
fn sum(places: &[Second; PLACES], second: u64) -> u64 {
    let held = places
        .iter()
        .map(|Second(place)| place.load(Ordering::Relaxed));
    held.filter(|held| (held >> 32) <= second && (held >> 32) + SECONDS > second)
        .map(|held| held & u64::from(u32::MAX))
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DEFAULT: RetryBudget = RetryBudget {
        ratio: 0.2,
        per_second: 10,
    };

    #[test]
    fn ten_thousand_failing_requests_make_a_fifth_of_retries() {
        let began = Instant::now();
        let budget = Budget::new(began);
        let mut retries = 0;
        for at in 0..10_000 {
            let now = began + Duration::from_micros(100 * at);
            budget.first_try(now);
            retries += u32::from(budget.take(now, &DEFAULT));
        }
        assert!((2000..=2010).contains(&retries), "{retries}");
        assert_eq!(budget.totals(), (retries.into(), (10_000 - retries).into()));
    }

    #[test]
    fn a_few_in_each_second_are_free() {
        let began = Instant::now();
        let budget = Budget::new(began);
        for second in 0..100 {
            let now = began + Duration::from_secs(second);
            let retries = (0..50).filter(|_| budget.take(now, &DEFAULT)).count();
            assert_eq!(retries, 10);
        }
    }

    #[test]
    fn first_tries_of_more_than_ten_seconds_ago_do_not_count() {
        let began = Instant::now();
        let budget = Budget::new(began);
        let strict = RetryBudget {
            ratio: 0.5,
            per_second: 0,
        };
        (0..100).for_each(|_| budget.first_try(began));
        let at = |second| began + Duration::from_secs(second);
        assert!(budget.take(at(9), &strict));
        assert!(!budget.take(at(10), &strict));
        budget.first_try(at(11));
        budget.first_try(at(11));
        // The retry of second 9 is remembered: one retry to two first tries is all there may be.
        assert!(!budget.take(at(11), &strict));
        budget.first_try(at(12));
        budget.first_try(at(12));
        assert!(budget.take(at(12), &strict));
    }

    #[test]
    fn nothing_is_granted_by_a_budget_of_nothing() {
        let now = Instant::now();
        let budget = Budget::new(now);
        let none = RetryBudget {
            ratio: 0.0,
            per_second: 0,
        };
        (0..1000).for_each(|_| budget.first_try(now));
        assert!(!budget.take(now, &none));
    }

    #[test]
    fn threads_that_race_take_no_more_than_there_is() {
        let now = Instant::now();
        let budget = Budget::new(now);
        (0..1000).for_each(|_| budget.first_try(now));
        let granted: usize = std::thread::scope(|scope| {
            let threads = [(); 4]
                .map(|()| scope.spawn(|| (0..1000).filter(|_| budget.take(now, &DEFAULT)).count()));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!((190..=200).contains(&granted), "{granted}");
    }
}
