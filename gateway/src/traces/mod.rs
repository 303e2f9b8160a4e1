//! What is remembered of the last exchanges, for whoever asks what has just happened.
//!
//! Each core has a ring of its own, whose records are written over in place: remembering an exchange takes no memory and
//! waits for nobody but a reader. What policies did step by step costs more, so it is kept of those exchanges only that
//! somebody has asked for, see [`capture`].

use std::sync::{Mutex, MutexGuard, PoisonError};

mod capture;
mod record;

pub(crate) use capture::{Capture, Plan};
pub(crate) use record::{Record, Steps, Try};

use crate::config;

/// The rings of all cores.
#[derive(Debug)]
pub(crate) struct Traces {
    rings: Vec<Mutex<Ring>>,
    pub(crate) capture: Capture,
}

#[derive(Debug)]
struct Ring {
    /// Those that were never written have the number 0.
    records: Vec<Record>,
    /// The one that is written over next.
    oldest: usize,
    /// Of the last record.
    number: u64,
}

/// Bits of a record's number that name its core.
const CORE_BITS: u32 = 6;

// === impl Traces ===

impl Traces {
    pub(crate) fn new(cores: usize, config: &config::Traces) -> Self {
        Self {
            rings: (0..cores)
                .map(|_| Mutex::new(Ring::of(config.kept)))
                .collect(),
            capture: Capture::new(config.sample),
        }
    }

    /// Remembers an exchange that ended on a core. `write` fills a record that may be an old one, whose room it takes.
    pub(crate) fn remember(&self, core: usize, now_micros: u64, write: impl FnOnce(&mut Record)) {
        let Some(ring) = self.rings.get(core) else {
            return;
        };
        let ring = &mut *lock(ring);
        let kept = ring.records.len();
        let Some(record) = ring.records.get_mut(ring.oldest) else {
            return;
        };
        // By time, so that those of all cores have an order; and never the same twice, whatever the clock does.
        let core = u64::try_from(core).unwrap_or_default();
        let number = (now_micros << CORE_BITS) | (core & ((1 << CORE_BITS) - 1));
        let number = number.max(ring.number + (1 << CORE_BITS));
        ring.number = number;
        ring.oldest = (ring.oldest + 1) % kept;
        record.begin();
        record.number = number;
        write(record);
    }

    /// The newest records that `wanted` likes, at most so many, the newest first. `before`: only older ones.
    pub(crate) fn last(
        &self,
        most: usize,
        before: Option<u64>,
        wanted: impl Fn(&Record) -> bool,
    ) -> Vec<Record> {
        let mut found = Vec::new();
        for ring in &self.rings {
            let ring = lock(ring);
            let (newer, older) = ring.records.split_at(ring.oldest);
            let newest_first = newer.iter().rev().chain(older.iter().rev());
            let older_than = |record: &&Record| {
                record.number > 0 && before.is_none_or(|before| record.number < before)
            };
            let wanted = newest_first
                .filter(older_than)
                .filter(|record| wanted(record));
            found.extend(wanted.take(most).cloned());
        }
        found.sort_by_key(|record| std::cmp::Reverse(record.number));
        found.truncate(most);
        found
    }
}

// Nothing panics while it holds the lock.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Ring ===

impl Ring {
    fn of(kept: usize) -> Self {
        Self {
            records: vec![Record::default(); kept],
            oldest: 0,
            number: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(cores: usize, kept: usize) -> Traces {
        let config = config::Traces {
            kept,
            ..config::Traces::default()
        };
        Traces::new(cores, &config)
    }

    fn paths(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| record.path.as_str()).collect()
    }

    #[test]
    fn the_last_ones_of_all_cores_are_told_newest_first() {
        let traces = traces(2, 3);
        for at in 0..10_u64 {
            let core = usize::from(at % 2 == 1);
            traces.remember(core, at * 1000, |record| {
                record.path.push_str(&at.to_string());
            });
        }
        let all = traces.last(100, None, |_| true);
        assert_eq!(paths(&all), ["9", "8", "7", "6", "5", "4"]);
        assert_eq!(paths(&traces.last(2, None, |_| true)), ["9", "8"]);
        let page = traces.last(2, Some(all[1].number), |_| true);
        assert_eq!(paths(&page), ["7", "6"]);
        let even = traces.last(2, None, |record| record.path == "6" || record.path == "4");
        assert_eq!(paths(&even), ["6", "4"]);
    }

    #[test]
    fn numbers_grow_even_if_the_clock_stands_still_or_goes_back() {
        let traces = traces(1, 4);
        for micros in [5, 5, 3, 9] {
            traces.remember(0, micros, |_| {});
        }
        let numbers: Vec<_> = traces.last(4, None, |_| true);
        assert!(
            numbers
                .windows(2)
                .all(|pair| pair[0].number > pair[1].number)
        );
    }

    #[test]
    fn nothing_is_remembered_where_nothing_is_to_be_kept() {
        let traces = traces(1, 0);
        traces.remember(0, 1, |_| panic!("written"));
        assert!(traces.last(1, None, |_| true).is_empty());
    }
}
