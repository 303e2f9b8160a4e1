//! What is counted on the way of each exchange: one addition, without a lock or a look-up.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use adit_policy::{
    actions::TYPES,
    trace::{Outcome, ShadowRecord},
    verdict::Verdict,
};

use crate::{latency::Latency, tcp::TcpCounts};

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
    /// Of its connections, if it is an endpoint of tcp.
    pub(crate) tcp: TcpCounts,
    exchanges: [AtomicU64; CLASSES.len()],
    verdicts: [AtomicU64; VERDICTS.len()],
    shadows: [AtomicU64; SHADOWS.len()],
    latency: Latency,
    /// For each type of action, and for expressions, how often it had the last word. Most endpoints need none.
    last_words: OnceLock<Box<[LastWords]>>,
}

/// By verdict; nobody says `continue`.
type LastWords = [AtomicU64; VERDICTS.len() - 1];

/// Stands for an action where the expressions of a rule have failed.
const EXPRESSIONS: &str = "expressions";

// === impl Counts ===

impl Counts {
    /// An exchange has ended with this response, if the client got one.
    pub(crate) fn exchange(&self, status: Option<u16>) {
        let class = usize::from(status.unwrap_or(0) / 100);
        add(self.exchanges.get(class));
    }

    /// An exchange that has an end of its own took so long.
    pub(crate) fn took(&self, time: Duration) {
        self.latency.add(time);
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
        if let Some(by) = verdict.by() {
            let kind = by.action.map_or(EXPRESSIONS, |(_, kind)| kind);
            let at = TYPES.iter().position(|known| *known == kind);
            let all = self.last_words.get_or_init(|| {
                let kinds = 0..=TYPES.len();
                kinds.map(|_| LastWords::default()).collect()
            });
            let of_kind = all.get(at.unwrap_or(TYPES.len()));
            add(of_kind.and_then(|words| words.get(index.checked_sub(1)?)));
        }
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

    /// Type of the action, verdict and count of those that had the last word, if they ever had.
    pub(crate) fn last_words(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let kinds = TYPES.iter().copied().chain([EXPRESSIONS]);
        let all = self.last_words.get().into_iter().flatten();
        kinds.zip(all).flat_map(|(kind, words)| {
            let verdicts = VERDICTS.into_iter().skip(1).zip(words);
            verdicts.filter_map(move |(verdict, count)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then_some((kind, verdict, count))
            })
        })
    }

    /// How long exchanges took.
    pub(crate) fn latency(&self) -> &Latency {
        &self.latency
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
