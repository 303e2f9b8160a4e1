//! A bounded set that forgets what was not used for a while.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Things that were used within the last `lifetime`. Two halves take turns: what is used goes into the young one, which
/// becomes the old one when half the time is over or half the room is taken; the old one before it is forgotten.
pub(super) struct Recent<T> {
    halves: Mutex<Halves<T>>,
    half_life: Duration,
    half_max: usize,
}

struct Halves<T> {
    young: HashSet<T>,
    old: HashSet<T>,
    /// When the young half began.
    since: Duration,
}

// === impl Recent ===

impl<T: Eq + Hash> Recent<T> {
    /// Keeps up to `max` things for half of `lifetime` to all of it.
    pub(super) fn new(lifetime: Duration, max: usize) -> Self {
        Self {
            halves: Mutex::new(Halves {
                young: HashSet::new(),
                old: HashSet::new(),
                since: Duration::ZERO,
            }),
            half_life: lifetime / 2,
            half_max: max.div_ceil(2),
        }
    }

    /// Uses a thing, which may be new.
    pub(super) fn add(&self, thing: T, now: Duration) {
        self.at(now, |halves| {
            halves.young.insert(thing);
        });
    }

    /// Uses a thing if it is not forgotten; whether that is so.
    pub(super) fn has(&self, thing: &T, now: Duration) -> bool {
        self.at(now, |halves| {
            if halves.young.contains(thing) {
                return true;
            }
            let old = halves.old.take(thing);
            let is_old = old.is_some();
            halves.young.extend(old);
            is_old
        })
    }

    fn at<R>(&self, now: Duration, using: impl FnOnce(&mut Halves<T>) -> R) -> R {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_sub(halves.since);
        if age >= self.half_life || halves.young.len() >= self.half_max {
            halves.old = std::mem::take(&mut halves.young);
            halves.since = now;
            if age >= self.half_life * 2 {
                halves.old.clear();
            }
        }
        using(&mut halves)
    }
}

impl<T> fmt::Debug for Recent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let recent = Recent::new(seconds(10), 100);
        recent.add("used", seconds(100));
        recent.add("unused", seconds(100));
        for now in [104, 108, 112, 116] {
            assert!(recent.has(&"used", seconds(now)), "{now}");
        }
        assert!(!recent.has(&"unused", seconds(116)));
        assert!(!recent.has(&"used", seconds(127)));
        assert!(!recent.has(&"never", seconds(127)));
    }

    #[test]
    fn a_thing_stays_for_half_its_time_at_least_and_no_longer_than_all_of_it() {
        for begin in 100..110 {
            let recent = Recent::new(seconds(10), 100);
            recent.has(&0, seconds(100));
            recent.add(1, seconds(begin));
            assert!(recent.has(&1, seconds(begin + 4)), "{begin}");
            let recent = Recent::new(seconds(10), 100);
            recent.has(&0, seconds(100));
            recent.add(1, seconds(begin));
            assert!(!recent.has(&1, seconds(begin + 10)), "{begin}");
        }
    }

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let recent = Recent::new(seconds(10), 100);
        for number in 0..1_000 {
            recent.add(number, seconds(1));
            assert!(recent.has(&number, seconds(1)));
            let halves = recent.halves.lock().unwrap();
            assert!(halves.young.len() + halves.old.len() <= 100);
        }
        assert!(!recent.has(&0, seconds(1)));
    }
}
