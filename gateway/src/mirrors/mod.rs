//! Copies of requests that `mirror` sends to other endpoints: how many are under way, and what came of them.
//!
//! - [`tally`]: what is counted of one mirror; [`samples`]: the same for `/metrics`
//! - [`report`]: the last differences
//!
//! What is held is bounded: [`UNDER_WAY_MAX`] copies, each with at most three bodies of its `max_body`. With the
//! default of 64 KiB that is 48 MiB when all of them are as large as they may be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

mod report;
mod samples;
mod tally;

pub(crate) use report::MirrorReport;
pub(crate) use samples::Family;
pub(crate) use tally::{Finding, Tally};

use crate::pools::endpoints::Endpoint;

/// So many copies are under way at the same time; one more is skipped and counted.
const UNDER_WAY_MAX: usize = 256;

/// So many mirrors are told apart. Only an operator makes them, but each reload may bring others.
const TALLIES_MAX: usize = 512;

/// Stands for all that agents name: they must not make series of metrics.
const AGENTS: &str = "agents";

/// All mirrors of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    under_way: AtomicUsize,
    tallies: Mutex<BTreeMap<Labels, Arc<Tally>>>,
    recent: report::Recent,
}

/// What a mirror is called in metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    endpoint: String,
    mirror: String,
}

/// A copy's place among those under way; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place(Arc<Mirrors>);

// === impl Mirrors ===

impl Mirrors {
    /// A place for one more copy, unless there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let place = Place(Arc::clone(self));
        (self.under_way.fetch_add(1, Ordering::Relaxed) < UNDER_WAY_MAX).then_some(place)
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Where a mirror is counted. `agents`: it stands in an agent's policy.
    pub(crate) fn tally(&self, endpoint: &Endpoint, agents: bool, id: &str) -> Arc<Tally> {
        let labels = match (endpoint.declared, agents) {
            (false, _) => Labels::new(AGENTS, AGENTS),
            (true, true) => Labels::new(&endpoint.url.to_string(), AGENTS),
            (true, false) => Labels::new(&endpoint.url.to_string(), id),
        };
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tallies.contains_key(&labels) || tallies.len() < TALLIES_MAX;
        let labels = match known {
            true => labels,
            false => Labels::new("others", "others"),
        };
        Arc::clone(tallies.entry(labels).or_default())
    }

    /// The last differences, the newest last.
    pub(crate) fn recent(&self) -> Vec<MirrorReport> {
        self.recent.list()
    }

    /// A copy's answer differs, or did not come.
    pub(crate) fn report(&self, report: MirrorReport) {
        self.recent.add(report);
    }

    /// Everything counted, for `/metrics`.
    pub(crate) fn families(&self) -> Vec<Family> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tallies = tallies.iter();
        let tallies: Vec<_> = tallies
            .map(|(labels, tally)| (labels.clone(), Arc::clone(tally)))
            .collect();
        samples::families(&tallies, self.under_way())
    }
}

// === impl Labels ===

impl Labels {
    fn new(endpoint: &str, mirror: &str) -> Self {
        let (endpoint, mirror) = (endpoint.to_owned(), mirror.to_owned());
        Self { endpoint, mirror }
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_under_way() {
        let mirrors = Arc::<Mirrors>::default();
        let mut places: Vec<_> = (0..UNDER_WAY_MAX).map(|_| mirrors.enter()).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(mirrors.enter().is_none());
        places.pop();
        assert_eq!(mirrors.under_way(), UNDER_WAY_MAX - 1);
        assert!(mirrors.enter().is_some());
    }
}
