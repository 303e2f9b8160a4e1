//! The sliding window: counts of passed requests in sub-windows, the oldest of which counts in part.

use std::time::Duration;

use super::buckets::Bucket;
use super::{Outcome, Settings, nanos};

/// How many sub-windows make a window. One more is kept: the one that the window has left in part.
const PARTS: usize = 10;

/// One bucket's counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Number of the newest sub-window, counted from the clock's zero. It wraps, after years; only differences matter.
    newest: u32,
    /// How many requests passed in each sub-window, the newest first.
    passed: [u32; PARTS + 1],
}

/// A moment within a sub-window.
struct Moment {
    /// The length of a sub-window, in nanoseconds.
    part: u64,
    number: u32,
    /// Nanoseconds since the sub-window began.
    offset: u64,
}

// === impl Window ===

impl Window {
    pub(super) fn new(settings: &Settings, now: Duration) -> Self {
        Self {
            newest: settings.moment(now).number,
            passed: [0; PARTS + 1],
        }
    }

    pub(super) fn check(&mut self, settings: &Settings, now: Duration) -> Outcome {
        let mut moment = settings.moment(now);
        self.advance(&mut moment);
        if self.free(settings, &moment) == 0 {
            return Outcome::Limited {
                retry_after: Duration::from_nanos(self.wait(settings, &moment)),
                reset: self.reset(&moment),
            };
        }
        // Refused requests are not counted, so the capacity bounds each count.
        self.passed[0] += 1;
        Outcome::Passed {
            remaining: self.free(settings, &moment),
            reset: self.reset(&moment),
        }
    }

    /// Moves on to the sub-window of this moment.
    fn advance(&mut self, moment: &mut Moment) {
        let ahead = moment.number.wrapping_sub(self.newest);
        if ahead > u32::MAX / 2 {
            // Two cores brought their readings in the wrong order: this one counts as the begin of the newest.
            moment.number = self.newest;
            moment.offset = 0;
            return;
        }
        self.newest = moment.number;
        let ahead = usize::try_from(ahead).map_or(PARTS + 1, |ahead| ahead.min(PARTS + 1));
        self.passed.copy_within(..PARTS + 1 - ahead, ahead);
        self.passed[..ahead].fill(0);
    }

    /// How many more requests may pass at this moment. The part of the oldest sub-window is rounded down.
    fn free(&self, settings: &Settings, moment: &Moment) -> u32 {
        let (recent, oldest) = self.seen_after(0);
        let left = u128::from(oldest) * u128::from(moment.part - moment.offset);
        let left = (left / u128::from(moment.part)) as u64;
        let weighted = settings.capacity().saturating_sub(recent + left);
        let whole = settings.most().saturating_sub(recent + oldest);
        u32::try_from(weighted.min(whole)).unwrap_or(u32::MAX)
    }

    /// What the counts will be in so many sub-windows if nothing else passes: those of the ten newest, and the oldest.
    fn seen_after(&self, steps: usize) -> (u64, u64) {
        let mut left = self
            .passed
            .iter()
            .take(PARTS + 1 - steps)
            .map(|count| u64::from(*count));
        let oldest = left.next_back().unwrap_or_default();
        (left.sum(), oldest)
    }

    /// Nanoseconds until a request may pass.
    fn wait(&self, settings: &Settings, moment: &Moment) -> u64 {
        let capacity = settings.capacity();
        for steps in 0..=PARTS {
            let (recent, oldest) = self.seen_after(steps);
            if recent >= capacity || recent + oldest >= settings.most() {
                continue;
            }
            // So much of the sub-window must be left that the oldest still counts for less than is free.
            let free = u128::from(capacity - recent) * u128::from(moment.part);
            let left = (free - 1)
                .checked_div(u128::from(oldest))
                .and_then(|left| u64::try_from(left).ok())
                .map_or(moment.part, |left| left.min(moment.part));
            let begin = if steps == 0 { moment.offset } else { 0 };
            let offset = begin.max(moment.part - left);
            if offset < moment.part {
                return steps as u64 * moment.part + offset - moment.offset;
            }
        }
        (PARTS as u64 + 1) * moment.part - moment.offset
    }

    /// Time until everything that passed has left the window.
    fn reset(&self, moment: &Moment) -> Duration {
        let age = self.passed.iter().position(|count| *count > 0);
        let parts = age.map_or(0, |age| PARTS + 1 - age) as u64;
        Duration::from_nanos((parts * moment.part).saturating_sub(moment.offset))
    }
}

impl From<Bucket> for Window {
    fn from([newest, passed @ ..]: Bucket) -> Self {
        Self { newest, passed }
    }
}

impl From<Window> for Bucket {
    fn from(Window { newest, passed }: Window) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k] = passed;
        [newest, a, b, c, d, e, f, g, h, i, j, k]
    }
}

// === impl Settings ===

impl Settings {
    fn moment(&self, now: Duration) -> Moment {
        let part = nanos(self.window()) / PARTS as u64;
        let now = nanos(now);
        Moment {
            part,
            number: (now / part) as u32,
            offset: now % part,
        }
    }

    fn capacity(&self) -> u64 {
        u64::from(self.capacity.get())
    }

    /// The most that may pass in eleven sub-windows, and so in any stretch of the window's length: a tenth more than
    /// the capacity, which is what evenly spread requests need to reach the capacity.
    fn most(&self) -> u64 {
        self.capacity() + self.capacity().div_ceil(PARTS as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Algorithm;
    use super::*;

    fn settings(capacity: u32, seconds: u32) -> Settings {
        Settings {
            algorithm: Algorithm::SlidingWindow,
            capacity: capacity.try_into().unwrap(),
            seconds: seconds.try_into().unwrap(),
        }
    }

    fn passes(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Passed { .. })
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_capacity_passes_at_once_and_comes_back() {
        let settings = settings(3, 10);
        let mut window = Window::new(&settings, millis(500));
        for remaining in [2, 1, 0] {
            assert_eq!(
                window.check(&settings, millis(500)),
                Outcome::Passed {
                    remaining,
                    reset: millis(10_500),
                }
            );
        }
        // The sub-window from 0 s to 1 s must have left the window in part, which ends 10 s later.
        assert_eq!(
            window.check(&settings, millis(500)),
            Outcome::Limited {
                retry_after: millis(9_500) + Duration::from_nanos(1),
                reset: millis(10_500),
            }
        );
        assert!(!passes(window.check(&settings, millis(10_000))));
        assert!(passes(window.check(&settings, millis(10_001))));
        // One of the three may come early, for they might have been spread; not two.
        assert!(!passes(window.check(&settings, millis(10_999))));
        assert_eq!(
            window.check(&settings, millis(11_000)),
            Outcome::Passed {
                remaining: 1,
                reset: millis(11_000),
            }
        );
    }

    #[test]
    fn evenly_spread_requests_reach_the_capacity() {
        let settings = settings(100, 10);
        let mut window = Window::new(&settings, Duration::ZERO);
        for request in 0..10_000 {
            assert!(
                passes(window.check(&settings, millis(request * 100 + 50))),
                "{request}"
            );
        }
    }

    #[test]
    fn a_reading_that_comes_late_is_counted_in_the_newest_sub_window() {
        let settings = settings(2, 10);
        let mut window = Window::new(&settings, millis(50_000));
        assert!(passes(window.check(&settings, millis(50_000))));
        assert!(passes(window.check(&settings, millis(3_000))));
        assert!(!passes(window.check(&settings, millis(3_000))));
        assert!(!passes(window.check(&settings, millis(50_100))));
    }

    #[test]
    fn numbers_wrap_without_a_seam() {
        let settings = settings(2, 1);
        let seam = (u64::from(u32::MAX) + 1) * 100;
        let mut window = Window::new(&settings, millis(seam - 100));
        assert!(passes(window.check(&settings, millis(seam - 100))));
        assert!(passes(window.check(&settings, millis(seam))));
        assert!(!passes(window.check(&settings, millis(seam + 100))));
        assert!(passes(window.check(&settings, millis(seam + 1_100))));
    }

    #[test]
    fn the_largest_settings_do_not_overflow() {
        let settings = settings(2_000_000_000, 86_400);
        let mut window = Window {
            newest: 0,
            passed: [2_000_000_000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        let last = millis(11 * 8_640_000 - 1);
        assert!(!passes(window.check(&settings, Duration::ZERO)));
        assert!(passes(window.check(&settings, last)));
        assert!(passes(window.check(&settings, Duration::MAX)));
    }

    /// Bursts, pauses of a few sub-windows, and everything between; in milliseconds.
    fn pauses() -> impl Strategy<Value = Vec<u64>> {
        let pause =
            prop_oneof![6 => Just(0), 3 => 0..40_u64, 3 => 0..1_500_u64, 1 => 0..15_000_u64];
        prop::collection::vec(pause, 1..400)
    }

    /// The definition, from the times at which requests passed: what counts at `now`, times the sub-window's length.
    fn weighted(passed: &[u64], now: u64, part: u64) -> u64 {
        let weight = |at: &u64| match now / part - at / part {
            0..10 => part,
            10 => part - now % part,
            _ => 0,
        };
        passed.iter().map(weight).sum()
    }

    proptest! {
        #[test]
        fn the_window_does_what_the_list_of_times_says(capacity in 1..60_u32, seconds in 1..12_u32, pauses in pauses()) {
            let settings = settings(capacity, seconds);
            let part = u64::from(seconds) * 100;
            let (capacity, most) = (u64::from(capacity), settings.most());
            let mut window = Window::new(&settings, Duration::ZERO);
            let mut times: Vec<u64> = Vec::new();
            let mut now = 0;
            for pause in pauses {
                now += pause;
                let eleven = times.iter().filter(|at| now / part - *at / part <= 10).count() as u64;
                let expected = weighted(&times, now, part) / part < capacity && eleven < most;
                match window.check(&settings, millis(now)) {
                    Outcome::Passed { remaining, reset } => {
                        prop_assert!(expected);
                        times.push(now);
                        // Exactly so many more pass now, and at the reset all do again.
                        let mut copy = window;
                        for _ in 0..remaining {
                            prop_assert!(passes(copy.check(&settings, millis(now))));
                        }
                        prop_assert!(!passes(copy.check(&settings, millis(now))));
                        let mut copy = window;
                        let Outcome::Passed { remaining, .. } = copy.check(&settings, millis(now) + reset) else {
                            panic!("refused after the reset");
                        };
                        prop_assert_eq!(u64::from(remaining), capacity - 1);
                    }
                    Outcome::Limited { retry_after, .. } => {
                        prop_assert!(!expected);
                        let soon = millis(now) + retry_after;
                        let mut copy = window;
                        prop_assert!(!passes(copy.check(&settings, soon - Duration::from_nanos(1))));
                        prop_assert!(passes(copy.check(&settings, soon)));
                    }
                }
            }
            // In any ten sub-windows in a row at most the capacity, and in any stretch of the window's length at
            // most a tenth more: it is enough to look at stretches that begin with a request.
            for from in &times {
                let ten = times.iter().filter(|at| (from / part..from / part + 10).contains(&(*at / part)));
                prop_assert!(ten.count() as u64 <= capacity);
                let stretch = times.iter().filter(|at| (*from..from + 10 * part).contains(at));
                prop_assert!(stretch.count() as u64 <= most);
            }
        }
    }
}
