//! What members have counted, kept when they go.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{health::Failure, member::Member};

/// The counters of a member, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) failures: [u64; Failure::ALL.len()],
    pub(crate) ejections: u64,
}

/// Those of members that are gone, by the name of their agent. The configuration names the agents, so there are few.
#[derive(Debug, Default)]
pub(super) struct Gone(Mutex<BTreeMap<String, Tally>>);

type Members = Arc<Vec<Arc<Member>>>;

// === impl Tally ===

impl Tally {
    pub(crate) fn of(member: &Member) -> Self {
        let standing = member.health.standing(Instant::now());
        Self {
            requests: member.begun(),
            failures: standing.failures,
            ejections: standing.ejections,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.ejections += other.ejections;
        for (sum, more) in self.failures.iter_mut().zip(other.failures) {
            *sum += more;
        }
    }
}

// === impl Gone ===

impl Gone {
    /// Keeps what those have counted who are among the members before a change and not after it. What they still have at
    /// work is not counted any more.
    pub(super) fn keep(&self, change: impl FnOnce() -> (Members, Members)) {
        // Held over the change, or somebody could count them twice or not at all.
        let mut gone = self.lock();
        let (before, now) = change();
        if now.len() > before.len() {
            return;
        }
        let stay: HashSet<u64> = now.iter().map(|member| member.id).collect();
        for member in before.iter().filter(|member| !stay.contains(&member.id)) {
            add(&mut gone, member);
        }
    }

    /// With those who are there.
    pub(super) fn with(&self, members: impl FnOnce() -> Members) -> BTreeMap<String, Tally> {
        let gone = self.lock();
        let mut all = gone.clone();
        for member in members().iter() {
            add(&mut all, member);
        }
        all
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(to: &mut BTreeMap<String, Tally>, member: &Member) {
    let owner = member.session.owner.clone();
    to.entry(owner).or_default().add(&Tally::of(member));
}
