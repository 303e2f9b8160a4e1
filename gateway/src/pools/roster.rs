//! The members of a pool by tier and weight, laid out so that choosing one looks at few of them.
//!
//! A roster never changes: it is made anew when a member comes or goes, or has another weight or tier. What changes with
//! every request (who is alive, drains, is busy) is asked of the members when one is chosen.

use std::{sync::Arc, time::Duration};

use super::member::Member;
use crate::config::Balance;

/// Longest [`Order`] that is written down; with weights that need a longer one, turns are spread by calculation.
const WRITTEN: u64 = 4096;

/// 2⁶⁴ divided by the golden ratio. Its multiples fill a circle more evenly than those of any other number.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Who serves an endpoint, and how they share its traffic.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The lowest first.
    pub(super) tiers: Box<[Tier]>,
    pub(super) balance: Balance,
    pub(super) slow_start: Duration,
}

/// Members of one tier.
#[derive(Debug)]
pub(super) struct Tier {
    /// Those that take new traffic.
    pub(super) seats: Box<[Seat]>,
    /// Those of weight 0: they keep the clients that they have.
    pub(super) resting: Box<[Seat]>,
    /// Where the share of each seat ends on a scale of all weights, in the order of the seats.
    ends: Box<[u64]>,
    order: Order,
}

/// A member with what its pool has decided about it.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) member: Arc<Member>,
    pub(super) weight: u32,
}

/// Whose turn it is.
#[derive(Debug)]
enum Order {
    /// The seat of each turn; then it begins again.
    Written(Box<[u32]>),
    /// Turns are points on the scale of weights, each as far from its neighbours in time as can be.
    Spread,
}

// === impl Roster ===

impl Roster {
    /// `placed`: each member with its tier and its weight.
    pub(super) fn new(
        mut placed: Vec<(u32, Seat)>,
        balance: Balance,
        slow_start: Duration,
    ) -> Self {
        placed.sort_by_key(|(tier, _)| *tier);
        let tiers = placed.chunk_by(|(one, _), (other, _)| one == other);
        let seats = |tier: &[(u32, Seat)]| tier.iter().map(|(_, seat)| seat.clone()).collect();
        Self {
            tiers: tiers.map(|tier| Tier::new(seats(tier))).collect(),
            balance,
            slow_start,
        }
    }

    /// Those who take new traffic.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Arc<Member>> {
        let tiers = self.tiers.iter();
        tiers.flat_map(|tier| tier.seats.iter().map(|seat| &seat.member))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Seat> {
        let tiers = self.tiers.iter();
        tiers.flat_map(|tier| tier.seats.iter().chain(&tier.resting))
    }
}

// === impl Tier ===

impl Tier {
    fn new(all: Vec<Seat>) -> Self {
        let (seats, resting): (Vec<_>, Vec<_>) = all.into_iter().partition(|seat| seat.weight > 0);
        let mut end = 0;
        let ends = seats.iter().map(|seat| {
            end += u64::from(seat.weight);
            end
        });
        Self {
            ends: ends.collect(),
            order: Order::of(&seats),
            seats: seats.into(),
            resting: resting.into(),
        }
    }

    /// The seat whose turn it is.
    pub(super) fn at_turn(&self, turn: u64) -> Option<&Seat> {
        let seat = match &self.order {
            Order::Written(seats) => {
                let place = turn.checked_rem(seats.len() as u64)?;
                *seats.get(usize::try_from(place).ok()?)? as usize
            }
            Order::Spread => self.index_at(part(turn.wrapping_mul(GOLDEN), self.whole())),
        };
        self.seats.get(seat)
    }

    /// All weights together.
    pub(super) fn whole(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Which seat has a point on the scale of weights.
    pub(super) fn index_at(&self, point: u64) -> usize {
        self.ends.partition_point(|end| *end <= point)
    }

    /// The points before those of this seat.
    pub(super) fn begin_of(&self, index: usize) -> u64 {
        let before = index.checked_sub(1);
        before
            .and_then(|before| self.ends.get(before).copied())
            .unwrap_or_default()
    }
}

/// The same share of `whole` as `point` is of all numbers of 64 bits: less than `whole`.
pub(super) fn part(point: u64, whole: u64) -> u64 {
    let scaled = (u128::from(point) * u128::from(whole)) >> 64;
    u64::try_from(scaled).unwrap_or_default()
}

// === impl Order ===

impl Order {
    /// Each seat has as many turns as its weight says, in the smallest numbers, and they are as far apart as can be.
    fn of(seats: &[Seat]) -> Self {
        let weights = || seats.iter().map(|seat| u64::from(seat.weight));
        let divisor = weights().fold(0, greatest_common_divisor).max(1);
        let turns: u64 = weights().map(|weight| weight / divisor).sum();
        if turns > WRITTEN.max(seats.len() as u64) {
            return Self::Spread;
        }
        let mut all = Vec::new();
        for (index, weight) in (0_u32..).zip(weights().map(|weight| weight / divisor)) {
            // The turns of a seat are in the middle of equal parts of the whole.
            all.extend((0..weight).map(|turn| (2 * turn + 1, weight, index)));
        }
        all.sort_by(|(one, of, _), (other, of_other, _)| (one * of_other).cmp(&(other * of)));
        Self::Written(all.into_iter().map(|(_, _, index)| index).collect())
    }
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    match other {
        0 => one,
        other => greatest_common_divisor(other, one % other),
    }
}
