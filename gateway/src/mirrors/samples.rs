//! What is counted of mirrors, as `/metrics` tells it.

use std::sync::Arc;

use super::{Labels, tally::Tally};

/// A metric with its samples.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) help: &'static str,
    pub(crate) samples: Vec<Sample>,
}

/// One value.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The metric's name, or one that begins with it.
    pub(crate) name: &'static str,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: String,
}

pub(super) fn families(tallies: &[(Labels, Arc<Tally>)], under_way: usize) -> Vec<Family> {
    let sample = |name, labels: &Labels, more: Option<(&'static str, &str)>, value: String| {
        let mut all = vec![
            ("endpoint", labels.endpoint.clone()),
            ("mirror", labels.mirror.clone()),
        ];
        all.extend(more.map(|(name, text)| (name, text.to_owned())));
        Sample {
            name,
            labels: all,
            value,
        }
    };
    let mut results = Vec::new();
    let mut skipped = Vec::new();
    let mut seconds = Vec::new();
    for (labels, tally) in tallies {
        for (result, count) in tally.results() {
            let more = Some(("result", result));
            results.push(sample(TOTAL, labels, more, count.to_string()));
        }
        for (reason, count) in tally.skips() {
            let more = Some(("reason", reason));
            skipped.push(sample(SKIPPED, labels, more, count.to_string()));
        }
        for (side, latency) in [("service", &tally.service), ("mirror", &tally.mirror)] {
            let more = Some(("side", side));
            let (sum, count) = (latency.seconds(), latency.count());
            seconds.push(sample(SECONDS_SUM, labels, more, sum.to_string()));
            seconds.push(sample(SECONDS_COUNT, labels, more, count.to_string()));
        }
    }
    let now = Sample {
        name: UNDER_WAY,
        labels: Vec::new(),
        value: under_way.to_string(),
    };
    vec![
        Family {
            name: TOTAL,
            kind: "counter",
            help: "Requests that a policy mirrors, by what came of the copy: \"same\", what differs first, \"unanswered\" \
                   if the other endpoint gave no answer, \"skipped\" if nothing was compared.",
            samples: results,
        },
        Family {
            name: SKIPPED,
            kind: "counter",
            help: "Requests that were to be mirrored and not compared, by the reason.",
            samples: skipped,
        },
        Family {
            name: SECONDS,
            kind: "summary",
            help: "From a request's end to the header of the answer, the service's and the mirror's, of those that both \
                   have answered.",
            samples: seconds,
        },
        Family {
            name: UNDER_WAY,
            kind: "gauge",
            help: "Copies of requests that are under way.",
            samples: vec![now],
        },
    ]
}

const TOTAL: &str = "adit_mirror_total";
const SKIPPED: &str = "adit_mirror_skipped_total";
const SECONDS: &str = "adit_mirror_seconds";
const SECONDS_SUM: &str = "adit_mirror_seconds_sum";
const SECONDS_COUNT: &str = "adit_mirror_seconds_count";
const UNDER_WAY: &str = "adit_mirror_under_way";
