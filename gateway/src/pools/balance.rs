//! Choosing a member: in turn, the less busy of two, or the nearest to a key; and the one that a client knows already.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::Rng;
use tokio::time::Instant;

use super::{
    flight::FULL,
    member::{AgentPolicy, Member},
    roster::{Roster, Seat, Tier, part},
};
use crate::config::Balance;

/// So many seats may be passed over for one request before all members are looked at.
const PASSED_OVER: usize = 16;

/// What a request wants of the member that is chosen for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ask<'a> {
    /// The core that asks: each takes turns by itself.
    pub(crate) core: usize,
    /// Members that must not be chosen again.
    pub(crate) tried: &'a [u64],
    pub(crate) like: Like<'a>,
    /// With `balance: hash`, the hash of the text that decides.
    pub(crate) key: Option<u64>,
    /// The mark of the member that the client knows.
    pub(crate) mark: Option<u128>,
}

/// What the members have to have in common with whoever had the exchange before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Like<'a> {
    /// Nothing: no member's policy has run.
    #[default]
    Any,
    /// The text of the policy that has run; or to have none, if none has.
    Policy(Option<&'a AgentPolicy>),
}

/// The member that gets a request.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) member: Arc<Member>,
    /// Whether it is another one than the client knows.
    pub(crate) anew: bool,
}

/// How good a member has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    /// Not ejected, and its agent was heard lately.
    Sound,
    /// Not ejected.
    Fit,
    Any,
}

/// Chooses within one tier.
struct Draw<'a> {
    tier: &'a Tier,
    ask: &'a Ask<'a>,
    standard: Standard,
    slow_start: Duration,
}

// === impl Roster ===

impl Roster {
    /// Chooses among the members of the lowest tier in which one can serve. `turn` counts the turns of a core.
    pub(super) fn choose(
        &self,
        ask: &Ask<'_>,
        standard: Standard,
        turn: &AtomicU64,
    ) -> Option<Chosen> {
        self.tiers.iter().find_map(|tier| {
            let draw = Draw {
                tier,
                ask,
                standard,
                slow_start: self.slow_start,
            };
            let (seat, anew) = match draw.known() {
                Some(seat) => (seat, false),
                None => (draw.pick(self.balance, turn)?, true),
            };
            let member = Arc::clone(&seat.member);
            Some(Chosen { member, anew })
        })
    }
}

// === impl Draw ===

impl<'a> Draw<'a> {
    /// The member that the client knows, even if it takes no new traffic.
    fn known(&self) -> Option<&'a Seat> {
        let mark = self.ask.mark?;
        let mut all = self.tier.seats.iter().chain(&self.tier.resting);
        all.find(|seat| seat.member.spec.mark == mark && self.is_able(seat))
    }

    fn pick(&self, balance: Balance, turn: &AtomicU64) -> Option<&'a Seat> {
        if let [only] = &*self.tier.seats {
            return self.is_able(only).then_some(only);
        }
        match balance {
            // A second try must not cost another member its turn.
            Balance::RoundRobin if self.ask.tried.is_empty() => self.in_turn(turn),
            Balance::LeastRequests => self.less_busy(),
            Balance::Hash if self.ask.key.is_some() => self.nearest(self.ask.key?),
            Balance::RoundRobin | Balance::Hash => self.by_lot(),
        }
    }

    /// Who cannot serve misses a turn, so that what the others get stays in proportion.
    fn in_turn(&self, turn: &AtomicU64) -> Option<&'a Seat> {
        for _ in 0..PASSED_OVER {
            let seat = self.tier.at_turn(turn.fetch_add(1, Ordering::Relaxed))?;
            if self.is_able(seat) && self.is_let(seat) {
                return Some(seat);
            }
        }
        self.by_lot()
    }

    /// Of two that are drawn by weight, the one with less at work for its weight; of equals the first.
    fn less_busy(&self) -> Option<&'a Seat> {
        let whole = self.tier.whole();
        let mut rng = rand::rng();
        let first = (0..PASSED_OVER).find_map(|_| {
            let index = self.tier.index_at(part(rng.next_u64(), whole));
            let seat = self.tier.seats.get(index)?;
            (self.is_able(seat) && self.is_let(seat)).then_some((index, seat))
        });
        let Some((index, first)) = first else {
            return self.by_lot();
        };
        let begin = self.tier.begin_of(index);
        let rest = whole - u64::from(first.weight);
        let second = (0..PASSED_OVER).find_map(|_| {
            // A point on the scale without the first one's part.
            let point = part(rng.next_u64(), rest);
            let past = if point < begin {
                0
            } else {
                u64::from(first.weight)
            };
            let seat = self.tier.seats.get(self.tier.index_at(point + past))?;
            (self.is_able(seat) && self.is_let(seat)).then_some(seat)
        });
        let busy = |one: &Seat, other: &Seat| u64::from(one.member.in_flight()) * self.share(other);
        second
            .filter(|second| busy(second, first) < busy(first, second))
            .or(Some(first))
    }

    /// Weighted rendezvous hashing: every member bids for every key, and the least bid wins. A member's bids depend on
    /// nobody else, so only the keys of one that goes move (Thaler and Ravishankar 1998; weights: Schindelhauer 2005).
    fn nearest(&self, key: u64) -> Option<&'a Seat> {
        let mut nearest: Option<(&Seat, f64)> = None;
        for seat in &self.tier.seats {
            let share = self.share(seat) as f64;
            let chance = unit(scramble(key ^ seat.member.key));
            let least = nearest.map_or(f64::INFINITY, |(_, bid)| bid);
            // -ln x is never less than 1 - x, which costs less to find.
            if (1.0 - chance) >= least * share {
                continue;
            }
            let bid = -chance.ln() / share;
            if bid < least && self.is_able(seat) {
                nearest = Some((seat, bid));
            }
        }
        nearest.map(|(seat, _)| seat)
    }

    /// By chance and weight, with a look at every member.
    fn by_lot(&self) -> Option<&'a Seat> {
        let able = || self.tier.seats.iter().filter(|seat| self.is_able(seat));
        let whole: u64 = able().map(|seat| self.share(seat)).sum();
        let mut point = part(rand::rng().next_u64(), whole);
        for seat in able() {
            match point.checked_sub(self.share(seat)) {
                Some(rest) => point = rest,
                None => return Some(seat),
            }
        }
        // A member left, or warmed up, between the count and the draw.
        able().next()
    }

    fn is_able(&self, seat: &Seat) -> bool {
        seat.member.takes_traffic()
            && self.standard.is_met_by(&seat.member)
            && !self.ask.tried.contains(&seat.member.id)
            && self.ask.like.is_met_by(&seat.member)
    }

    /// Whether a member takes its turn: one that warms up takes only some.
    fn is_let(&self, seat: &Seat) -> bool {
        let share = seat.member.warmth.share(self.slow_start);
        share == FULL || part(rand::rng().next_u64(), FULL.into()) < share.into()
    }

    /// A member's weight in thousandths, as far as it has warmed up.
    fn share(&self, seat: &Seat) -> u64 {
        u64::from(seat.weight) * u64::from(seat.member.warmth.share(self.slow_start))
    }
}

/// A number from 0 to 1, without the two.
fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Every bit depends on every other one (the finish of Murmur3).
fn scramble(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

// === impl Standard ===

impl Standard {
    fn is_met_by(self, member: &Member) -> bool {
        match self {
            Self::Sound => member.is_sound(),
            Self::Fit => member.health.is_fit(Instant::now),
            Self::Any => true,
        }
    }
}

// === impl Like ===

impl Like<'_> {
    pub(super) fn is_met_by(self, member: &Member) -> bool {
        match self {
            Self::Any => true,
            Self::Policy(ran) => {
                ran.map(|ran| &ran.text) == member.policy().as_ref().map(|has| &has.text)
            }
        }
    }
}

#[cfg(test)]
mod tests;
