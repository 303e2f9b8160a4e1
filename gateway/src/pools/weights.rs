//! Which weight a member has: the operator's word at the admin API, else the configuration's, else the agent's own.

use std::{collections::HashMap, sync::Arc};

use tracing::info;

use super::{
    member::{Member, Place},
    roster::{Roster, Seat},
};
use crate::config;

/// Weights that an operator has set while the gateway runs, by member. They outlive an agent's session: it has its weight
/// again when it comes back.
#[derive(Debug, Default)]
pub(super) struct Overrides(HashMap<u64, u32>);

/// A member's weight, and who has a say in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// The agent's.
    pub(crate) own: u32,
    /// The one under `pool.weights` of the configuration.
    pub(crate) configured: Option<u32>,
    /// The one that was set at the admin API.
    pub(crate) overridden: Option<u32>,
}

// === impl Overrides ===

impl Overrides {
    pub(super) fn set(&mut self, member: &Member, weight: Option<u32>) {
        match weight {
            Some(weight) => self.0.insert(member.key, weight),
            None => self.0.remove(&member.key),
        };
    }

    /// The weight of a member in a pool with these settings.
    pub(super) fn weight(&self, member: &Member, settings: &config::Pool) -> Weight {
        let place = member.place();
        let mut entries = settings.weights.iter();
        let entry = entries.find(|entry| entry.is_for(&member.session.owner, &place.metadata));
        Weight {
            own: place.weight,
            configured: entry.map(|entry| entry.weight),
            overridden: self.0.get(&member.key).copied(),
        }
    }

    /// The roster of these members.
    pub(super) fn roster(&self, members: &[Arc<Member>], settings: &config::Pool) -> Roster {
        let placed = members.iter().map(|member| {
            let seat = Seat {
                member: Arc::clone(member),
                weight: self.weight(member, settings).effective(),
            };
            (member.place().tier, seat)
        });
        Roster::new(placed.collect(), settings.balance, settings.slow_start.0)
    }
}

// === impl Weight ===

impl Weight {
    /// The one that counts.
    pub(crate) fn effective(self) -> u32 {
        self.overridden.or(self.configured).unwrap_or(self.own)
    }
}

impl config::WeightEntry {
    fn is_for(&self, agent: &str, metadata: &str) -> bool {
        let fits =
            |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
        fits(&self.agent, agent) && fits(&self.metadata, metadata)
    }
}

/// Tells of members that have another weight now.
pub(super) fn log_changes(old: &Roster, new: &Roster) {
    let before = old.all().map(|seat| (seat.member.id, seat.weight));
    let before: HashMap<_, _> = before.collect();
    for seat in new.all() {
        let member = &seat.member;
        if let Some(before) = before
            .get(&member.id)
            .filter(|before| **before != seat.weight)
        {
            let place = member.place();
            let Place { tier, metadata, .. } = &**place;
            info!(
                agent = %member.session.owner, endpoint = member.spec.name, member = member.id, before, weight = seat.weight,
                tier, metadata,
                "a member has another weight"
            );
        }
    }
}
