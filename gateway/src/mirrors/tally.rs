//! What is counted of one mirror.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use adit_policy::mirror::{Difference, Skipped};

/// One line of the log for each mirror in so much time; what is left out in between is counted in the next one.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Names of the results, in the order of [`Finding::index`].
pub(super) const RESULTS: [&str; 6] =
    ["same", "status", "headers", "body", "unanswered", "skipped"];

/// What came of one request that was to be mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Both answers are the same, as far as they are compared.
    Same,
    /// They differ.
    Differs(Difference),
    /// The other endpoint gave no answer; why not.
    Unanswered(String),
    /// Nothing was compared.
    Skipped(Skipped),
}

/// What came of the copies of one mirror.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    results: [AtomicU64; RESULTS.len()],
    skipped: [AtomicU64; Skipped::ALL.len()],
    /// Of requests of which both have answered.
    pub(super) service: Latency,
    pub(super) mirror: Latency,
    said: Mutex<Said>,
}

/// How long answers took, from the request's end to the answer's header.
#[derive(Debug, Default)]
pub(super) struct Latency {
    count: AtomicU64,
    micros: AtomicU64,
}

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    since: u64,
}

// === impl Tally ===

impl Tally {
    pub(crate) fn count(&self, finding: &Finding) {
        add(self.results.get(finding.index()));
        if let Finding::Skipped(why) = finding {
            let index = Skipped::ALL.iter().position(|known| known == why);
            add(index.and_then(|index| self.skipped.get(index)));
        }
    }

    /// The request was not mirrored.
    pub(crate) fn skip(&self, why: Skipped) {
        self.count(&Finding::Skipped(why));
    }

    /// How long both took.
    pub(crate) fn took(&self, service: Duration, mirror: Duration) {
        self.service.add(service);
        self.mirror.add(mirror);
    }

    /// Whether a line of the log may be written now; if so, how many were left out since the last one.
    pub(crate) fn may_say(&self) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.last.is_some_and(|last| now - last < BETWEEN_LINES) {
            said.since += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.since))
    }

    pub(super) fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.results.iter().map(load))
    }

    pub(super) fn skips(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Skipped::ALL.iter().map(|why| why.name());
        names.zip(self.skipped.iter().map(load))
    }
}

// === impl Finding ===

impl Finding {
    fn index(&self) -> usize {
        let name = match self {
            Self::Same => "same",
            Self::Differs(difference) => difference.name(),
            Self::Unanswered(_) => "unanswered",
            Self::Skipped(_) => "skipped",
        };
        RESULTS.iter().position(|known| *known == name).unwrap_or(0)
    }
}

// === impl Latency ===

impl Latency {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        load(&self.count)
    }

    #[allow(clippy::cast_precision_loss, reason = "it is told in seconds")]
    pub(super) fn seconds(&self) -> f64 {
        load(&self.micros) as f64 / 1e6
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn each_finding_has_a_counter_of_its_own() {
        let tally = Tally::default();
        let status = Difference::Status(StatusCode::OK, StatusCode::NOT_FOUND);
        for finding in [
            Finding::Same,
            Finding::Differs(status),
            Finding::Differs(Difference::Header(http::header::ETAG)),
            Finding::Differs(Difference::Body("$.a".into())),
            Finding::Unanswered("offline".into()),
            Finding::Skipped(Skipped::Busy),
        ] {
            tally.count(&finding);
        }
        assert!(tally.results().all(|(_, count)| count == 1));
        let skips = tally.skips().filter(|(_, count)| *count == 1);
        assert_eq!(skips.collect::<Vec<_>>(), [("busy", 1)]);
    }

    #[test]
    fn lines_of_the_log_are_few_and_say_how_many_were_left_out() {
        let tally = Tally::default();
        assert_eq!(tally.may_say(), Some(0));
        assert_eq!((tally.may_say(), tally.may_say()), (None, None));
        tally.said.lock().unwrap().last = None;
        assert_eq!(tally.may_say(), Some(2));
    }
}
