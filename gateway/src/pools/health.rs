//! Whether a member is fit to serve, judged by what it does to the requests of clients.
//!
//! A member that fails too often is left out for a while. When that time is over one request at a time tries it: if it
//! fails again, it is left out for twice as long; if it answers, it is back. What clients do never counts, nor does what
//! an agent refuses because it is going or full.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::config::Eject;

/// Responses are judged together that lie within this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Fewer responses than this say nothing about a share.
const ENOUGH: u64 = 20;

/// A member that is tried again gets one request in this time until it has answered one.
const TRIAL: Duration = Duration::from_secs(1);

/// A member's record. Reading it and a success cost an atomic operation or two; only failures take a lock.
#[derive(Debug)]
pub(crate) struct Health {
    began: Instant,
    /// No request before this moment; 0 if it is fit. While it is tried, each trial moves it.
    until: AtomicU64,
    in_a_row: AtomicU32,
    responses: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
    past: Mutex<Past>,
}

/// Moments are microseconds since [`Health::began`].
#[derive(Debug, Default)]
struct Past {
    /// When the present window began, how many responses there were before, and the errors in it.
    window: u64,
    responses: u64,
    errors: u64,
    /// The last ejection: its end, its length, and the moment from which it has served without another.
    ends: u64,
    time: Duration,
    back: Option<u64>,
    why: Option<Cause>,
    ejections: u64,
}

/// What a member did to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    /// No stream to its agent: the session is lost, or breaks the protocol.
    Connect,
    /// Its agent has no connection to the service.
    Dial,
    /// No answer in time.
    Timeout,
    /// The connection broke before the head of the response, or what came was no HTTP.
    Broken,
    /// The connection broke in the middle of a response.
    CutShort,
    /// A response that says that the service is broken: 5xx without 501 and 505, or gRPC's `UNAVAILABLE`.
    ServerError,
}

/// Why a member was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Failures in a row, the last of which was this one.
    Failures(Failure),
    /// The share of responses that were errors.
    ServerErrors,
    /// It was lost and came back again and again.
    Flapping,
}

/// How a member stands, for people who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Why it is ejected and for how long yet, if it is. Zero: it is being tried.
    pub(crate) ejected: Option<(Cause, Duration)>,
    /// How often it was.
    pub(crate) ejections: u64,
    /// Failures by kind, in the order of [`Failure::ALL`].
    pub(crate) failures: [u64; Failure::ALL.len()],
}

// === impl Failure ===

impl Failure {
    /// All kinds.
    pub(crate) const ALL: [Self; 6] = [
        Self::Connect,
        Self::Dial,
        Self::Timeout,
        Self::Broken,
        Self::CutShort,
        Self::ServerError,
    ];

    /// A name for logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dial => "dial",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::CutShort => "cut_short",
            Self::ServerError => "server_error",
        }
    }

    /// Whether it counts among the responses, and not in a row.
    fn is_of_response(self) -> bool {
        matches!(self, Self::CutShort | Self::ServerError)
    }
}

impl Cause {
    /// A name for logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failures(failure) => failure.name(),
            Self::ServerErrors => "server_errors",
            Self::Flapping => "flapping",
        }
    }
}

// === impl Health ===

impl Health {
    /// One of whom nothing is known.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            until: AtomicU64::new(0),
            in_a_row: AtomicU32::new(0),
            responses: AtomicU64::new(0),
            failures: Default::default(),
            past: Mutex::default(),
        }
    }

    /// Whether it may be chosen. `now` is asked only if it was ejected.
    pub(crate) fn is_fit(&self, now: impl FnOnce() -> Instant) -> bool {
        match self.until.load(Ordering::Relaxed) {
            0 => true,
            until => self.at(now()) >= until,
        }
    }

    /// It was chosen. `false`: it is only being tried, and somebody else was faster.
    pub(crate) fn admits(&self, now: impl FnOnce() -> Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.at(now());
        let next = now.saturating_add(micros(TRIAL));
        now >= until
            && self
                .until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// It has answered; whether the answer says that the service is broken, [`Health::failed`] is told as well.
    /// `true`: it was ejected, and is back with this.
    pub(crate) fn answered(&self, well: bool, now: impl FnOnce() -> Instant) -> bool {
        self.responses.fetch_add(1, Ordering::Relaxed);
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
        well && self.until.load(Ordering::Relaxed) != 0 && self.recover(now())
    }

    fn recover(&self, now: Instant) -> bool {
        let (now, mut past) = (self.at(now), self.past());
        // Before the end it is an answer to a request of the time before.
        let is_back = now >= past.ends && past.back.is_none();
        if is_back {
            past.back = Some(now);
            past.errors = 0;
            self.until.store(0, Ordering::Relaxed);
        }
        is_back
    }

    /// It has failed. If that was one failure too many it is ejected, provided that it may be, and for how long is said.
    pub(crate) fn failed(
        &self,
        failure: Failure,
        now: Instant,
        eject: &Eject,
        may_be_ejected: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        self.count(failure);
        let (now, mut past) = (self.at(now), self.past());
        let ejected = self.until.load(Ordering::Relaxed) != 0;
        let cause = if failure.is_of_response() {
            let responses = self.responses.load(Ordering::Relaxed);
            past.is_error(now, responses, eject.server_errors)
        } else {
            let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
            let enough = eject.failures > 0 && in_a_row >= eject.failures;
            enough.then_some(Cause::Failures(failure))
        };
        let cause = match ejected {
            // The end of what began before it was ejected.
            true if now < past.ends => return None,
            true => match failure.is_of_response() {
                true => Cause::ServerErrors,
                false => Cause::Failures(failure),
            },
            false => cause?,
        };
        if !may_be_ejected() {
            return None;
        }
        let time = past.next_time(now, eject);
        self.eject(&mut past, now, time, cause);
        Some(time)
    }

    /// It joined, and is ejected for a while because it was lost too often.
    pub(crate) fn begin_ejected(&self, time: Duration, now: Instant) {
        let (now, mut past) = (self.at(now), self.past());
        self.eject(&mut past, now, time, Cause::Flapping);
    }

    fn eject(&self, past: &mut Past, now: u64, time: Duration, cause: Cause) {
        past.ends = now.saturating_add(micros(time)).max(1);
        past.time = time;
        past.back = None;
        past.why = Some(cause);
        past.ejections += 1;
        past.errors = 0;
        self.in_a_row.store(0, Ordering::Relaxed);
        self.until.store(past.ends, Ordering::Relaxed);
    }

    fn count(&self, failure: Failure) {
        let at = Failure::ALL.iter().position(|one| *one == failure);
        if let Some(count) = at.and_then(|at| self.failures.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How it stands.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        let (now, past) = (self.at(now), self.past());
        let ejected = self.until.load(Ordering::Relaxed) != 0;
        let left = Duration::from_micros(past.ends.saturating_sub(now));
        Standing {
            ejected: past.why.filter(|_| ejected).map(|why| (why, left)),
            ejections: past.ejections,
            failures: self.failures.each_ref().map(|n| n.load(Ordering::Relaxed)),
        }
    }

    fn at(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.began))
    }

    // Nothing panics while it holds the lock.
    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

// === impl Past ===

impl Past {
    /// Takes note of an error among the responses so far; whether errors are too great a share of them by now.
    fn is_error(&mut self, now: u64, responses: u64, most: f64) -> Option<Cause> {
        if self.errors == 0 || now.saturating_sub(self.window) > micros(WINDOW) {
            self.window = now;
            self.responses = responses.saturating_sub(1);
            self.errors = 0;
        }
        self.errors += 1;
        let among = responses.saturating_sub(self.responses);
        #[allow(clippy::cast_precision_loss)]
        let share = self.errors as f64 / among.max(1) as f64;
        (most > 0.0 && among >= ENOUGH && share >= most).then_some(Cause::ServerErrors)
    }

    /// How long the next ejection is: twice the last one, unless it has served as long as that without any.
    fn next_time(&self, now: u64, eject: &Eject) -> Duration {
        let served = self.back.map_or(0, |back| now.saturating_sub(back));
        let forgiven = self.time.is_zero() || self.back.is_some() && served >= micros(self.time);
        let time = match forgiven {
            true => eject.time.0,
            false => self.time.saturating_mul(2).max(eject.time.0),
        };
        time.min(eject.most.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// A member with a clock of its own.
    struct Member {
        health: Health,
        now: Instant,
        eject: Eject,
        last: bool,
    }

    fn member() -> Member {
        let now = Instant::now();
        Member {
            health: Health::new(now),
            now,
            eject: Eject::default(),
            last: false,
        }
    }

    impl Member {
        fn is_fit(&self) -> bool {
            self.health.is_fit(|| self.now)
        }

        fn admits(&self) -> bool {
            self.health.admits(|| self.now)
        }

        fn answers(&self, times: u32) {
            for _ in 0..times {
                self.health.answered(true, || self.now);
            }
        }

        fn fails(&self, failure: Failure) -> Option<Duration> {
            if failure == Failure::ServerError {
                self.health.answered(false, || self.now);
            }
            let (now, eject, last) = (self.now, &self.eject, self.last);
            self.health.failed(failure, now, eject, || !last)
        }

        fn fails_times(&self, failure: Failure, times: u32) -> Option<Duration> {
            (0..times).fold(None, |ejected, _| self.fails(failure).or(ejected))
        }

        fn passes(&mut self, time: Duration) {
            self.now += time;
        }
    }

    #[test]
    fn three_failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let member = member();
        for _ in 0..10 {
            assert_eq!(member.fails_times(Failure::Timeout, 2), None);
            member.answers(1);
        }
        assert!(member.is_fit());
        assert_eq!(member.fails_times(Failure::Dial, 3), Some(5 * SECOND));
        assert!(!member.is_fit() && !member.admits());
        let standing = member.health.standing(member.now);
        let cause = Cause::Failures(Failure::Dial);
        assert_eq!(standing.ejected, Some((cause, 5 * SECOND)));
        assert_eq!(standing.failures, [0, 3, 20, 0, 0, 0]);
    }

    #[test]
    fn a_member_that_still_fails_when_it_is_tried_again_is_left_out_for_twice_as_long() {
        let mut member = member();
        let mut time = member.fails_times(Failure::Connect, 3).unwrap();
        for _ in 0..10 {
            member.passes(time - MS);
            assert!(!member.is_fit());
            member.passes(MS);
            assert!(member.is_fit() && member.admits());
            let next = member.fails(Failure::Connect).unwrap();
            assert_eq!(next, (time * 2).min(300 * SECOND));
            time = next;
        }
        assert_eq!(time, 300 * SECOND);
    }

    #[test]
    fn one_request_at_a_time_tries_it_and_its_answer_brings_it_back() {
        let mut member = member();
        member.fails_times(Failure::Timeout, 3);
        member.passes(5 * SECOND);
        assert!(member.admits());
        assert!(!member.is_fit() && !member.admits(), "one is under way");
        member.passes(TRIAL);
        assert!(member.is_fit() && member.admits(), "it takes its time");
        member.answers(1);
        assert!(member.is_fit() && member.admits() && member.admits());
        assert_eq!(member.health.standing(member.now).ejected, None);
    }

    #[test]
    fn the_time_is_short_again_after_it_has_served_as_long_as_it_was_left_out() {
        let mut member = member();
        member.fails_times(Failure::Timeout, 3);
        member.passes(5 * SECOND);
        member.answers(1);
        member.passes(4 * SECOND);
        assert_eq!(member.fails_times(Failure::Timeout, 3), Some(10 * SECOND));
        member.passes(10 * SECOND);
        member.answers(1);
        member.passes(10 * SECOND);
        assert_eq!(member.fails_times(Failure::Timeout, 3), Some(5 * SECOND));
        // Time in which nobody asked it does not count.
        member.passes(100 * SECOND);
        assert_eq!(member.fails(Failure::Timeout), Some(10 * SECOND));
    }

    #[test]
    fn what_began_before_the_ejection_changes_nothing() {
        let mut member = member();
        member.fails_times(Failure::Timeout, 3);
        member.passes(SECOND);
        member.answers(5);
        assert!(!member.is_fit());
        assert_eq!(member.fails_times(Failure::Timeout, 20), None);
        member.passes(4 * SECOND);
        assert!(member.is_fit());
        assert_eq!(member.health.standing(member.now).ejections, 1);
    }

    #[test]
    fn half_of_twenty_responses_eject_and_less_or_fewer_do_not() {
        let member = member();
        for _ in 0..30 {
            member.answers(2);
            assert_eq!(member.fails(Failure::ServerError), None);
        }
        let member = self::member();
        assert_eq!(member.fails_times(Failure::ServerError, 19), None);
        assert_eq!(member.fails(Failure::ServerError), Some(5 * SECOND));
        assert!(!member.is_fit());
    }

    #[test]
    fn errors_of_long_ago_are_forgotten() {
        let mut member = member();
        for _ in 0..10 {
            assert_eq!(member.fails_times(Failure::ServerError, 15), None);
            member.passes(WINDOW + SECOND);
        }
    }

    #[test]
    fn responses_that_are_cut_short_count_like_errors() {
        let member = member();
        let mut ejected = None;
        for _ in 0..20 {
            member.answers(1);
            ejected = ejected.or_else(|| member.fails(Failure::CutShort));
        }
        assert_eq!(ejected, Some(5 * SECOND));
    }

    #[test]
    fn one_that_was_ejected_for_its_errors_is_not_back_with_another_error() {
        let mut member = member();
        member.fails_times(Failure::ServerError, 20);
        member.passes(5 * SECOND);
        assert!(member.admits());
        assert_eq!(member.fails(Failure::ServerError), Some(10 * SECOND));
    }

    #[test]
    fn the_last_one_stays_and_is_ejected_as_soon_as_it_is_not_the_last() {
        let mut member = member();
        member.last = true;
        assert_eq!(member.fails_times(Failure::Dial, 100), None);
        assert!(member.is_fit());
        member.last = false;
        assert_eq!(member.fails(Failure::Dial), Some(5 * SECOND));
    }

    #[test]
    fn zeros_switch_it_off() {
        let mut member = member();
        member.eject.failures = 0;
        member.eject.server_errors = 0.0;
        assert_eq!(member.fails_times(Failure::Dial, 100), None);
        assert_eq!(member.fails_times(Failure::ServerError, 100), None);
    }

    #[test]
    fn one_that_begins_ejected_is_tried_when_its_time_is_over() {
        let mut member = member();
        member.health.begin_ejected(20 * SECOND, member.now);
        assert!(!member.is_fit());
        member.passes(20 * SECOND);
        assert!(member.admits());
        member.answers(1);
        assert!(member.is_fit() && member.admits());
    }
}
