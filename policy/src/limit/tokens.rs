//! The token bucket: `governor`'s generic cell rate algorithm over one stored number.

use std::cell::Cell;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::buckets::Bucket;
use super::{Outcome, Settings, nanos};

/// When the bucket will be full again, in nanoseconds of the clock. Zero is a full bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    full_at: u64,
}

// === impl Tokens ===

impl Tokens {
    pub(super) fn check(&mut self, settings: &Settings, now: Duration) -> Outcome {
        let slot = Slot(Cell::new(self.full_at));
        // governor reads its clock first for the zero that stored times count from, which must be the same each time.
        let limiter = Gcra::new(settings.quota(), slot, Reading(Cell::new(Duration::ZERO)));
        limiter.clock().0.set(now);
        let decision = limiter.check();
        self.full_at = limiter.into_state_store().0.get();
        let reset = Duration::from_nanos(self.full_at.saturating_sub(nanos(now)));
        match decision {
            Ok(state) => Outcome::Passed {
                remaining: state.remaining_burst_capacity(),
                reset,
            },
            Err(refusal) => Outcome::Limited {
                retry_after: refusal.wait_time_from(now),
                reset,
            },
        }
    }
}

impl From<Bucket> for Tokens {
    fn from([high, low, ..]: Bucket) -> Self {
        Self {
            full_at: u64::from(high) << 32 | u64::from(low),
        }
    }
}

impl From<Tokens> for Bucket {
    fn from(Tokens { full_at }: Tokens) -> Self {
        [
            (full_at >> 32) as u32,
            full_at as u32,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]
    }
}

impl Settings {
    /// The whole capacity at once, and one token more each part of the time.
    fn quota(&self) -> Quota {
        let interval = nanos(self.window()).div_ceil(u64::from(self.capacity.get()));
        Quota::with_period(Duration::from_nanos(interval))
            // Not reached: rounded up, the interval is at least a nanosecond.
            .unwrap_or_else(|| Quota::per_second(self.capacity))
            .allow_burst(self.capacity)
    }
}

type Gcra = RateLimiter<NotKeyed, Slot, Reading, StateInformationMiddleware>;

/// The place of the one number that governor keeps for a bucket.
struct Slot(Cell<u64>);

impl StateStore for Slot {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let full_at = Some(self.0.get()).filter(|full_at| *full_at > 0);
        let (answer, full_at) = decide(full_at.map(Nanos::from))?;
        self.0.set(full_at.as_u64());
        Ok(answer)
    }
}

struct Reading(Cell<Duration>);

impl Clock for Reading {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Algorithm;
    use super::*;

    fn passes(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Passed { .. })
    }

    fn settings(capacity: u32, seconds: u32) -> Settings {
        Settings {
            algorithm: Algorithm::TokenBucket,
            capacity: capacity.try_into().unwrap(),
            seconds: seconds.try_into().unwrap(),
        }
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_new_token() {
        let settings = settings(3, 6);
        let mut tokens = Tokens::default();
        let now = Duration::from_secs(100);
        for left in [2, 1, 0] {
            assert_eq!(
                tokens.check(&settings, now),
                Outcome::Passed {
                    remaining: left,
                    reset: Duration::from_secs(2 * u64::from(3 - left)),
                }
            );
        }
        let refused = Outcome::Limited {
            retry_after: Duration::from_millis(500),
            reset: Duration::from_millis(4_500),
        };
        assert_eq!(
            tokens.check(&settings, now + Duration::from_millis(1_500)),
            refused
        );
        assert_eq!(
            tokens.check(&settings, now + Duration::from_secs(2)),
            Outcome::Passed {
                remaining: 0,
                reset: Duration::from_secs(6),
            }
        );
        assert_eq!(
            tokens.check(&settings, now + Duration::from_secs(60)),
            Outcome::Passed {
                remaining: 2,
                reset: Duration::from_secs(2),
            }
        );
    }

    #[test]
    fn the_bounds_of_the_settings_are_within_governors() {
        for (capacity, seconds) in [
            (1, 1),
            (2_000_000_000, 1),
            (1, 86_400),
            (2_000_000_000, 86_400),
        ] {
            let settings = settings(capacity, seconds);
            let mut tokens = Tokens::default();
            let now = Duration::from_secs(10 * 365 * 86_400);
            assert_eq!(
                tokens.check(&settings, now),
                Outcome::Passed {
                    remaining: capacity - 1,
                    reset: settings.quota().replenish_interval(),
                }
            );
        }
    }

    proptest! {
        #[test]
        fn in_any_stretch_at_most_the_capacity_and_a_request_per_interval_pass(
            capacity in 1..30_u32,
            seconds in 1..10_u32,
            pauses in prop::collection::vec(prop_oneof![Just(0), 0..200_000_000_u64, 0..3_000_000_000_u64], 1..300),
        ) {
            let settings = settings(capacity, seconds);
            let interval = nanos(settings.window()).div_ceil(u64::from(capacity));
            let mut tokens = Tokens::default();
            let mut passed: Vec<u64> = Vec::new();
            let mut now = 0;
            for pause in pauses {
                now += pause;
                match tokens.check(&settings, Duration::from_nanos(now)) {
                    Outcome::Passed { .. } => passed.push(now),
                    Outcome::Limited { retry_after, .. } => {
                        let mut again = tokens;
                        let soon = Duration::from_nanos(now) + retry_after;
                        let sooner = soon - Duration::from_nanos(1);
                        prop_assert!(!passes(again.check(&settings, sooner)));
                        prop_assert!(passes(again.check(&settings, soon)));
                    }
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let most = u64::from(capacity) + (to - from) / interval;
                    prop_assert!(((last - first) as u64) < most);
                }
            }
        }
    }
}
