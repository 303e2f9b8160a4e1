//! When a key is made, used and forgotten. Keys stand in the order in which they were made.

use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);
/// A new key is made after so long.
const PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);
/// A new key is used after so long: by then every process on the same directory has read it, and every service that
/// keeps the public keys for a day.
pub(super) const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// How long keys of one kind are kept after the next one is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    kept: Duration,
}

/// What was sealed last must open for as long as the longest session lasts: 8760 hours.
pub(super) const SEALING: Schedule = Schedule {
    kept: Duration::from_secs(8760 * 3600),
};
/// What was signed last lives for ten minutes, and clocks differ.
pub(super) const SIGNING: Schedule = Schedule { kept: HOUR };

impl Schedule {
    /// Whether it is time for a new key. One that was made with a clock that ran far ahead does not count.
    pub(super) fn is_due(self, made: &[SystemTime], now: SystemTime) -> bool {
        made.last()
            .is_none_or(|newest| *newest + PERIOD <= now || now + PERIOD < *newest)
    }

    /// Which key is used: the newest whose time has come, and the first one at once.
    pub(super) fn used(self, made: &[SystemTime], now: SystemTime) -> usize {
        let ready = made.iter().rposition(|made| *made + AHEAD <= now);
        // None was made long enough ago, says the clock: the oldest is known best.
        ready.unwrap_or_default()
    }

    /// Whether a key is still needed.
    pub(super) fn keeps(self, index: usize, made: &[SystemTime], now: SystemTime) -> bool {
        let (Some(own), Some(next)) = (made.get(index), made.get(index + 1)) else {
            return true;
        };
        // A clock that was far behind when the next one was made does not make this one older.
        now < *own.max(next) + AHEAD + self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY + days * DAY
    }

    #[test]
    fn a_key_is_made_every_thirty_days_and_used_a_day_later() {
        for kind in [SEALING, SIGNING] {
            assert!(kind.is_due(&[], at(0)));
            let first = [at(0)];
            assert_eq!(kind.used(&first, at(0)), 0, "there is no other");
            assert!(!kind.is_due(&first, at(29)));
            assert!(kind.is_due(&first, at(30)));
            let both = [at(0), at(30)];
            assert_eq!(kind.used(&both, at(30)), 0);
            assert_eq!(kind.used(&both, at(31)), 1);
            assert!(kind.keeps(0, &both, at(31)));
            assert!(kind.keeps(1, &both, at(400)), "the newest always");
        }
    }

    #[test]
    fn an_old_key_is_kept_as_long_as_something_of_it_lives() {
        let both = [at(0), at(30)];
        assert!(SEALING.keeps(0, &both, at(31 + 364)));
        assert!(!SEALING.keeps(0, &both, at(31 + 365)));
        assert!(SIGNING.keeps(0, &both, at(31) + HOUR / 2));
        assert!(!SIGNING.keeps(0, &both, at(31) + HOUR));
    }

    #[test]
    fn a_gateway_that_was_off_for_long_goes_on_with_its_old_key_for_a_day() {
        let both = [at(0), at(300)];
        assert_eq!(SIGNING.used(&both, at(300)), 0);
        assert!(SIGNING.keeps(0, &both, at(300)));
    }

    #[test]
    fn a_clock_that_goes_wrong_for_a_while_costs_no_session() {
        let ahead = [at(10_000)];
        assert!(SEALING.is_due(&ahead, at(0)));
        assert_eq!(SEALING.used(&[at(10_000), at(0)], at(0)), 0);
        assert_eq!(SEALING.used(&[at(10_000), at(0)], at(1)), 1);
        let behind = [at(100), SystemTime::UNIX_EPOCH];
        assert!(SEALING.keeps(0, &behind, at(100 + 365)));
        assert!(!SEALING.keeps(0, &behind, at(100 + 366)));
    }
}
