//! A circuit breaker: when too many of the last requests failed, the next ones are refused for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// When a breaker trips and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The share of failures that trips, 0 to 1. At least one request must have failed, even at 0.
    pub failures: f64,
    /// Fewer requests than this in the window never trip.
    pub volume: u32,
    /// How long a finished request counts. It is cut into ten buckets, the oldest of which is forgotten as a whole.
    pub window: Duration,
    /// How long all requests are refused before one may try.
    pub tripped: Duration,
}

/// Counts how requests end and decides whether more may pass. Times are readings of one clock that never runs back.
///
/// *Closed*: all pass. When the share of failures among the requests that ended within the window reaches the
/// threshold, and there were enough of them, it opens. *Open*: all are refused. After that time it is *half-open*: one
/// request passes as a probe, the others are refused until it ends; if the probe failed the breaker opens again, if not
/// it closes with an empty window. What began before the breaker last opened or closed says nothing about now, so
/// such a request is not counted when it ends.
#[derive(Debug)]
pub struct Breaker {
    thresholds: Thresholds,
    inner: Mutex<Inner>,
}

/// What a breaker does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All requests pass.
    Closed,
    /// All requests are refused.
    Open,
    /// One request passes as a probe.
    HalfOpen,
}

/// Whether a request may pass.
#[derive(Debug)]
#[must_use]
pub enum Admission {
    /// It may; how it ends is told to the ticket.
    Passed(Ticket),
    /// It may not.
    Refused {
        /// Open, or half-open with a probe under way.
        state: State,
        /// Time until a probe may pass; zero while one is under way.
        retry_after: Duration,
    },
}

/// One request that passed. Dropped without [`Ticket::done`] (nobody waited for the end), it counts for nothing, and if
/// it was a probe the next request is one.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    breaker: Arc<Breaker>,
    state: State,
    era: u64,
    done: bool,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// Counts the changes of phase, so that a ticket of an earlier one is known as such.
    era: u64,
}

#[derive(Debug)]
enum Phase {
    Closed(Window),
    Open { until: Duration },
    HalfOpen { probing: bool },
}

/// The requests that ended lately, in [`BUCKETS`] stretches of time, the newest first.
#[derive(Debug, Default)]
struct Window {
    /// Number of the newest stretch, counted from the clock's zero.
    newest: u128,
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    requests: u64,
    failures: u64,
}

const BUCKETS: usize = 10;

// === impl Breaker ===

impl Breaker {
    /// A closed breaker.
    pub fn new(thresholds: Thresholds) -> Self {
        let inner = Inner {
            phase: Phase::Closed(Window::default()),
            era: 0,
        };
        Self {
            thresholds,
            inner: Mutex::new(inner),
        }
    }

    /// Asks for one request.
    pub fn admit(self: &Arc<Self>, now: Duration) -> Admission {
        let mut inner = self.lock();
        if let Phase::Open { until } = inner.phase
            && until <= now
        {
            inner.enter(Phase::HalfOpen { probing: false });
        }
        let state = match &mut inner.phase {
            Phase::Closed(_) => State::Closed,
            Phase::HalfOpen { probing } if !*probing => {
                *probing = true;
                State::HalfOpen
            }
            Phase::HalfOpen { .. } => {
                return Admission::Refused {
                    state: State::HalfOpen,
                    retry_after: Duration::ZERO,
                };
            }
            Phase::Open { until } => {
                return Admission::Refused {
                    state: State::Open,
                    retry_after: until.saturating_sub(now),
                };
            }
        };
        Admission::Passed(Ticket {
            breaker: Arc::clone(self),
            state,
            era: inner.era,
            done: false,
        })
    }

    fn end(&self, era: u64, failed: bool, now: Duration) {
        let mut inner = self.lock();
        if inner.era != era {
            return;
        }
        let opens = match &mut inner.phase {
            Phase::Closed(window) => {
                window.count(failed, now, self.thresholds.window);
                if !self.thresholds.reached(window) {
                    return;
                }
                true
            }
            Phase::HalfOpen { .. } => failed,
            Phase::Open { .. } => return,
        };
        inner.enter(if opens {
            let until = now.saturating_add(self.thresholds.tripped);
            Phase::Open { until }
        } else {
            Phase::Closed(Window::default())
        });
    }

    fn give_up(&self, era: u64) {
        let mut inner = self.lock();
        if inner.era == era
            && let Phase::HalfOpen { probing } = &mut inner.phase
        {
            *probing = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code under the lock leaves it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.era += 1;
    }
}

// === impl Thresholds ===

impl Thresholds {
    fn reached(&self, window: &Window) -> bool {
        let requests: u64 = window.buckets.iter().map(|bucket| bucket.requests).sum();
        let failures: u64 = window.buckets.iter().map(|bucket| bucket.failures).sum();
        requests >= u64::from(self.volume)
            && failures > 0
            && failures as f64 >= self.failures * requests as f64
    }
}

// === impl Window ===

impl Window {
    fn count(&mut self, failed: bool, now: Duration, length: Duration) {
        let bucket = (length.as_nanos() / BUCKETS as u128).max(1);
        let number = now.as_nanos() / bucket;
        // Two cores may bring their readings in the wrong order: the later one wins.
        let ahead = number.saturating_sub(self.newest);
        self.newest += ahead;
        let ahead = usize::try_from(ahead).map_or(BUCKETS, |ahead| ahead.min(BUCKETS));
        self.buckets.copy_within(..BUCKETS - ahead, ahead);
        self.buckets[..ahead].fill(Bucket::default());
        let [newest, ..] = &mut self.buckets;
        newest.requests += 1;
        newest.failures += u64::from(failed);
    }
}

// === impl Ticket ===

impl Ticket {
    /// Closed, or half-open for a probe.
    pub fn state(&self) -> State {
        self.state
    }

    /// The request has ended.
    pub fn done(mut self, failed: bool, now: Duration) {
        self.done = true;
        self.breaker.end(self.era, failed, now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            self.breaker.give_up(self.era);
        }
    }
}

// === impl State ===

impl State {
    /// The word for it in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds {
        failures: 0.5,
        volume: 4,
        window: Duration::from_secs(10),
        tripped: Duration::from_secs(3),
    };

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn breaker() -> Arc<Breaker> {
        Arc::new(Breaker::new(THRESHOLDS))
    }

    fn pass(breaker: &Arc<Breaker>, now: f64) -> Ticket {
        match breaker.admit(secs(now)) {
            Admission::Passed(ticket) => ticket,
            Admission::Refused { .. } => panic!("refused at {now}"),
        }
    }

    fn refused(breaker: &Arc<Breaker>, now: f64) -> (State, Duration) {
        match breaker.admit(secs(now)) {
            Admission::Passed(ticket) => panic!("passed at {now}: {ticket:?}"),
            Admission::Refused { state, retry_after } => (state, retry_after),
        }
    }

    fn run(breaker: &Arc<Breaker>, now: f64, outcomes: &[bool]) {
        for failed in outcomes {
            pass(breaker, now).done(*failed, secs(now));
        }
    }

    #[test]
    fn half_of_enough_requests_must_fail() {
        let few = breaker();
        run(&few, 1.0, &[true, true, true]);
        assert_eq!(pass(&few, 1.0).state(), State::Closed);

        let healthy = breaker();
        run(
            &healthy,
            1.0,
            &[false, false, false, false, true, true, true],
        );
        assert_eq!(pass(&healthy, 1.0).state(), State::Closed);
        run(&healthy, 1.0, &[true]);
        assert_eq!(refused(&healthy, 1.0), (State::Open, secs(3.0)));
    }

    #[test]
    fn a_success_can_complete_the_volume() {
        let breaker = breaker();
        run(&breaker, 1.0, &[true, true, true, false]);
        assert_eq!(refused(&breaker, 2.5), (State::Open, secs(1.5)));
    }

    #[test]
    fn a_threshold_of_zero_needs_one_failure() {
        let breaker = Arc::new(Breaker::new(Thresholds {
            failures: 0.0,
            ..THRESHOLDS
        }));
        run(&breaker, 1.0, &[false; 50]);
        assert_eq!(pass(&breaker, 1.0).state(), State::Closed);
        run(&breaker, 1.0, &[true]);
        assert_eq!(refused(&breaker, 1.0).0, State::Open);
    }

    #[test]
    fn old_requests_are_forgotten() {
        let breaker = breaker();
        run(&breaker, 0.5, &[true, true, true]);
        run(&breaker, 10.1, &[true]);
        assert_eq!(pass(&breaker, 10.1).state(), State::Closed);
        run(&breaker, 10.2, &[true, true, true]);
        assert_eq!(refused(&breaker, 10.2).0, State::Open);
    }

    #[test]
    fn one_probe_decides() {
        let breaker = breaker();
        run(&breaker, 1.0, &[true; 4]);
        assert_eq!(refused(&breaker, 3.999).0, State::Open);
        let probe = pass(&breaker, 4.0);
        assert_eq!(probe.state(), State::HalfOpen);
        assert_eq!(refused(&breaker, 4.5), (State::HalfOpen, Duration::ZERO));
        probe.done(true, secs(5.0));
        assert_eq!(refused(&breaker, 5.0), (State::Open, secs(3.0)));

        pass(&breaker, 8.0).done(false, secs(8.5));
        // The window is empty: three failures are no volume.
        run(&breaker, 8.6, &[true, true, true]);
        assert_eq!(pass(&breaker, 8.6).state(), State::Closed);
    }

    #[test]
    fn a_probe_that_nobody_waits_for_frees_its_place() {
        let breaker = breaker();
        run(&breaker, 1.0, &[true; 4]);
        drop(pass(&breaker, 4.0));
        let probe = pass(&breaker, 4.0);
        assert_eq!(refused(&breaker, 4.0).0, State::HalfOpen);
        probe.done(false, secs(4.0));
        assert_eq!(pass(&breaker, 4.0).state(), State::Closed);
    }

    #[test]
    fn requests_from_before_a_change_say_nothing() {
        let breaker = breaker();
        let early: Vec<_> = (0..6).map(|_| pass(&breaker, 1.0)).collect();
        run(&breaker, 1.0, &[true; 4]);
        let mut early = early.into_iter();
        early.next().unwrap().done(false, secs(2.0));
        assert_eq!(refused(&breaker, 2.0).0, State::Open);
        let probe = pass(&breaker, 4.0);
        // Neither an early end nor an early loss touches the probe.
        early.next().unwrap().done(true, secs(4.0));
        drop(early.next());
        assert_eq!(refused(&breaker, 4.0).0, State::HalfOpen);
        probe.done(false, secs(4.1));
        early.for_each(|ticket| ticket.done(true, secs(4.2)));
        run(&breaker, 4.2, &[true; 3]);
        assert_eq!(pass(&breaker, 4.2).state(), State::Closed);
    }

    #[test]
    fn a_reading_that_comes_late_counts_as_new() {
        let breaker = breaker();
        run(&breaker, 9.0, &[true, true]);
        run(&breaker, 2.0, &[true, true]);
        assert_eq!(refused(&breaker, 4.9).0, State::Open);
    }

    /// The same rules, from a list of everything that ended since the breaker last closed.
    struct Model {
        ended: Vec<(u64, bool)>,
        open_until: Option<u64>,
    }

    impl Model {
        /// Whether a request that passes and ends at once, at this millisecond, passes.
        fn step(&mut self, now: u64, failed: bool) -> bool {
            match self.open_until {
                Some(until) if now < until => return false,
                Some(_) => {
                    self.ended.clear();
                    self.open_until = failed.then_some(now + 3_000);
                    return true;
                }
                None => self.ended.push((now, failed)),
            }
            let lately = |&&(at, _): &&(u64, bool)| now / 1_000 - at / 1_000 < 10;
            let requests = self.ended.iter().filter(lately).count();
            let failures = self.ended.iter().filter(lately).filter(|end| end.1).count();
            if requests >= 4 && 2 * failures >= requests && failures > 0 {
                self.open_until = Some(now + 3_000);
            }
            true
        }
    }

    proptest! {
        #[test]
        fn the_breaker_does_what_the_list_of_ends_says(
            steps in prop::collection::vec((0..2_500_u64, any::<bool>()), 1..200),
        ) {
            let breaker = breaker();
            let mut model = Model { ended: Vec::new(), open_until: None };
            let mut now = 0;
            for (pause, failed) in steps {
                now += pause;
                let passed = match breaker.admit(Duration::from_millis(now)) {
                    Admission::Passed(ticket) => {
                        ticket.done(failed, Duration::from_millis(now));
                        true
                    }
                    Admission::Refused { .. } => false,
                };
                prop_assert_eq!(passed, model.step(now, failed));
            }
        }

        #[test]
        fn at_most_one_probe_is_under_way(
            steps in prop::collection::vec((0..2_000_u64, 0..4_u8), 1..300),
        ) {
            let breaker = breaker();
            let mut under_way: Vec<Ticket> = Vec::new();
            let mut now = 0;
            for (pause, what) in steps {
                now += pause;
                match (what, under_way.len()) {
                    (0 | 1, _) | (_, 0) => {
                        if let Admission::Passed(ticket) = breaker.admit(Duration::from_millis(now)) {
                            under_way.push(ticket);
                        }
                    }
                    (2, _) => drop(under_way.swap_remove(0)),
                    _ => under_way.swap_remove(0).done(pause % 3 > 0, Duration::from_millis(now)),
                }
                let era = breaker.lock().era;
                let probes = under_way
                    .iter()
                    .filter(|ticket| ticket.era == era && ticket.state == State::HalfOpen)
                    .count();
                prop_assert!(probes <= 1);
            }
        }
    }
}
