//! What is counted on the way of each exchange: one addition, without a lock or a look-up.

use std::sync::atomic::{AtomicU64, Ordering};

use adit_policy::{
    trace::{Outcome, ShadowRecord},
    verdict::Verdict,
};

/// Names of the classes of responses; the first one is no response at all.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

const VERDICTS: [&str; 7] = [
    "continue", "answer", "deny", "refuse", "close", "forward", "fault",
];

/// What rules in shadow mode would have done. `unknown`: they reach outside, which is not tried.
const SHADOWS: [&str; 8] = [
    "continue", "answer", "deny", "refuse", "close", "forward", "fault", "unknown",
];

/// What has happened at one endpoint, or at several that are told as one.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exchanges: [AtomicU64; CLASSES.len()],
    verdicts: [AtomicU64; VERDICTS.len()],
    shadows: [AtomicU64; SHADOWS.len()],
}

// === impl Counts ===

impl Counts {
    /// An exchange has ended with this response, if the client got one.
    pub(crate) fn exchange(&self, status: Option<u16>) {
        let class = usize::from(status.unwrap_or(0) / 100);
        add(self.exchanges.get(class));
    }

    /// A phase of a policy has ended.
    pub(crate) fn verdict(&self, verdict: &Verdict) {
        let index = match verdict {
            Verdict::Continue => 0,
            Verdict::Answer { .. } => 1,
            Verdict::Deny { .. } => 2,
            Verdict::Refuse { .. } => 3,
            Verdict::Close { .. } => 4,
            Verdict::Forward { .. } => 5,
            Verdict::Fault { .. } => 6,
        };
        add(self.verdicts.get(index));
    }

    /// A rule in shadow mode was tried.
    pub(crate) fn shadow(&self, record: &ShadowRecord) {
        let index = match record.decision.as_ref().map(|(_, _, outcome)| outcome) {
            Some(Outcome::Next) => 0,
            Some(Outcome::Answered(_)) => 1,
            Some(Outcome::Denied(_)) => 2,
            Some(Outcome::Refused(..)) => 3,
            Some(Outcome::Closed) => 4,
            Some(Outcome::Forwarded(_)) => 5,
            // Without a decision, its expressions have failed.
            Some(Outcome::Failed { .. }) | None => 6,
            Some(Outcome::WouldRun) => 7,
        };
        add(self.shadows.get(index));
    }

    /// Exchanges by the class of their response.
    pub(crate) fn exchanges(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(CLASSES, &self.exchanges)
    }

    /// Phases of policies by how they ended.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(VERDICTS, &self.verdicts)
    }

    /// Tries of rules in shadow mode by what they would have done.
    pub(crate) fn shadows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(SHADOWS, &self.shadows)
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn named<const N: usize>(
    names: [&'static str; N],
    counters: &[AtomicU64; N],
) -> impl Iterator<Item = (&'static str, u64)> {
    let values = counters
        .iter()
        .map(|counter| counter.load(Ordering::Relaxed));
    names.into_iter().zip(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_counted_by_class() {
        let counts = Counts::default();
        for status in [None, Some(101), Some(200), Some(204), Some(404), Some(503)] {
            counts.exchange(status);
        }
        // A service may answer with any number, which is nobody's class.
        counts.exchange(Some(999));
        let told: Vec<_> = counts.exchanges().map(|(_, count)| count).collect();
        assert_eq!(told, [1, 1, 2, 0, 1, 1]);
    }
}
