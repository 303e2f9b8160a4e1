//! The members that serve one endpoint, and choosing one of them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use adit_wire::message::DialErrorKind;
use arc_swap::{ArcSwap, Guard};
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

pub(crate) use super::balance::{Ask, Chosen, Like};
use super::{
    balance::Standard,
    budget::Budget,
    health::Failure,
    member::{self, Member},
    returns::Returns,
    roster::Roster,
    session::{OpenFailure, Session},
    tally::{Gone, Tally},
    weights::{self, Overrides, Weight},
};
use crate::config::{self, Balance};

/// The members of one endpoint. It outlives the snapshots in which its endpoint stands, so an exchange that began with
/// an older one still meets the members of today.
#[derive(Debug)]
pub(crate) struct Pool {
    members: ArcSwap<Vec<Arc<Member>>>,
    settings: ArcSwap<config::Pool>,
    /// The same members as they are chosen from.
    roster: ArcSwap<Roster>,
    /// Held while the roster is made anew.
    overrides: Mutex<Overrides>,
    /// How many turns each core has taken.
    turns: Box<[Turns]>,
    /// Told when a member has joined.
    joined: Notify,
    /// Since when an endpoint that only agents know has lost all of them.
    lost: Mutex<Option<Instant>>,
    /// How many retries there may be.
    pub(crate) budget: Budget,
    /// Which agents flap.
    returns: Returns,
    /// What members have counted that are gone.
    gone: Gone,
}

/// Why a member cannot join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The name of the agent that serves the endpoint.
    pub(crate) by: String,
}

/// One core's, apart from those of others, so that cores do not wait for each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Turns(AtomicU64);

// === impl Pool ===

impl Pool {
    pub(crate) fn new(settings: config::Pool, cores: usize) -> Self {
        // Cores do not all begin with the same member.
        let turns = (0..cores.max(1)).map(|core| Turns(AtomicU64::new(core as u64)));
        Self {
            members: ArcSwap::default(),
            settings: ArcSwap::from_pointee(settings),
            roster: ArcSwap::default(),
            overrides: Mutex::default(),
            turns: turns.collect(),
            joined: Notify::new(),
            lost: Mutex::default(),
            budget: Budget::new(Instant::now()),
            returns: Returns::default(),
            gone: Gone::default(),
        }
    }

    /// The members of this moment.
    pub(crate) fn members(&self) -> Guard<Arc<Vec<Arc<Member>>>> {
        self.members.load()
    }

    fn set_members(&self, now: Vec<Arc<Member>>) {
        self.gone.keep(|| {
            let now = Arc::new(now);
            (self.members.swap(Arc::clone(&now)), now)
        });
    }

    /// What the members of each agent have counted, those that are gone included. It never falls.
    pub(crate) fn tallies(&self) -> BTreeMap<String, Tally> {
        self.gone.with(|| self.members.load_full())
    }

    /// How it works at this moment.
    pub(crate) fn settings(&self) -> Guard<Arc<config::Pool>> {
        self.settings.load()
    }

    /// Works in another way from now on; the members stay.
    pub(crate) fn set_settings(&self, settings: config::Pool) {
        self.settings.store(Arc::new(settings));
        self.seat();
    }

    /// The weight of a member, and who has a say in it.
    pub(crate) fn weight(&self, member: &Member) -> Weight {
        self.overrides().weight(member, &self.settings())
    }

    /// Gives a member another weight than the configuration and its agent do, until it is taken back with `None`. The
    /// same agent has it again after a reconnect.
    pub(crate) fn override_weight(&self, member: &Member, weight: Option<u32>) {
        self.overrides().set(member, weight);
        self.seat();
    }

    /// Looks at weights and tiers again, for choices from now on.
    pub(super) fn seat(&self) {
        let overrides = self.overrides();
        let new = Arc::new(overrides.roster(&self.members(), &self.settings()));
        let old = self.roster.swap(Arc::clone(&new));
        weights::log_changes(&old, &new);
    }

    // Nothing panics while it holds the lock.
    fn overrides(&self) -> MutexGuard<'_, Overrides> {
        self.overrides
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a member in, or tells who does not share. Sessions that it displaces are returned, to be closed.
    ///
    /// Callers take turns: [`super::endpoints::Endpoints`] sees to that.
    pub(super) fn join(
        self: &Arc<Self>,
        newcomer: &Arc<Member>,
        declared: bool,
        stale_after: Duration,
    ) -> Result<Vec<Arc<Session>>, Taken> {
        let members = self.members();
        let displaced = place_for(&members, newcomer, declared, stale_after)?;
        let stays = |old: &Member| {
            !old.session.end.is_cancelled()
                && !displaced.iter().any(|gone| gone.id == old.session.id)
        };
        let old = members.iter().filter(|old| stays(old)).cloned();
        let now = old.chain([Arc::clone(newcomer)]).collect();
        let (eject, moment) = (self.settings().eject, Instant::now());
        if let Some(wait) = self.returns.wait(&newcomer.session, moment, &eject) {
            newcomer.health.begin_ejected(wait, moment);
        }
        self.set_members(now);
        newcomer.joins(self);
        self.seat();
        *self.lost() = None;
        self.joined.notify_waiters();
        Ok(displaced)
    }

    /// Takes a member out. Callers take turns.
    pub(super) fn leave(&self, member: u64) {
        let members = self.members();
        let leaving = members.iter().find(|other| other.id == member);
        if let Some(lost) = leaving.filter(|member| member.session.is_lost()) {
            self.returns.lost(&lost.session, Instant::now());
        }
        let rest = members.iter().filter(|other| other.id != member).cloned();
        let rest: Vec<_> = rest.collect();
        self.set_members(rest);
        self.seat();
    }

    /// Takes all members out and returns them. Callers take turns.
    pub(super) fn dissolve(&self) -> Vec<Arc<Member>> {
        let gone = self.members().to_vec();
        self.set_members(Vec::new());
        self.seat();
        gone
    }

    /// It is the configuration's no longer: those stay who may share with the oldest member. The others are taken out and
    /// returned. Callers take turns.
    pub(super) fn leave_to_agents(&self) -> Vec<Arc<Member>> {
        let gone = self.part_members();
        self.set_settings(config::Pool::default());
        gone
    }

    fn part_members(&self) -> Vec<Arc<Member>> {
        let members = self.members();
        let living = members
            .iter()
            .filter(|member| !member.session.end.is_cancelled());
        let mut living = living.cloned();
        let Some(oldest) = living.next() else {
            self.set_members(Vec::new());
            return Vec::new();
        };
        let (stay, go): (Vec<_>, _) =
            living.partition(|member| oldest.spec.pooling && member.spec.pooling);
        self.set_members([oldest].into_iter().chain(stay).collect());
        go
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members().is_empty()
    }

    /// Takes note that the last agent was lost.
    pub(super) fn is_lost(&self) {
        *self.lost() = Some(Instant::now());
    }

    /// How long its agents have been lost, if they are.
    pub(super) fn lost_for(&self) -> Option<Duration> {
        self.lost().map(|since| since.elapsed())
    }

    // Nothing panics while it holds the lock.
    fn lost(&self) -> MutexGuard<'_, Option<Instant>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `found` finds something, looking again whenever a member has joined.
    pub(crate) async fn when_joined<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        loop {
            let joined = self.joined.notified();
            if let Some(found) = found() {
                return found;
            }
            joined.await;
        }
    }

    /// The key of a text, with `balance: hash`; the same in every gateway.
    pub(crate) fn key_of(text: &str) -> u64 {
        member::hash([text])
    }

    /// The key of a client where nothing else is known of it, if members are chosen by key.
    pub(crate) fn key_of_client(&self, client: IpAddr) -> Option<u64> {
        let by_key = self.settings().balance == Balance::Hash;
        by_key.then(|| Self::key_of(&client.to_string()))
    }

    /// A member of the lowest tier that can serve. Sound ones first; without them one that is not, for it may be better
    /// than nobody.
    pub(crate) fn choose(&self, ask: &Ask<'_>) -> Option<Chosen> {
        let turns = self.turns.get(ask.core).or_else(|| self.turns.first())?;
        let roster = self.roster.load();
        while let Some(chosen) = roster.choose(ask, Standard::Sound, &turns.0) {
            if chosen.member.health.admits(Instant::now) {
                return Some(chosen);
            }
            // It is being tried, and somebody else does that: now it is not sound.
        }
        let standard = match self.settings().eject.last {
            true => Standard::Fit,
            false => Standard::Any,
        };
        roster.choose(ask, standard, &turns.0)
    }

    /// Whether there is a member for another try.
    pub(crate) fn has_another(&self, tried: &[u64], like: Like<'_>) -> bool {
        let roster = self.roster.load();
        let mut others = roster
            .serving()
            .filter(|member| !tried.contains(&member.id) && member.takes_traffic());
        others.any(|member| like.is_met_by(member))
    }

    /// Whether there are members that are connected and not going, which cannot serve all the same.
    pub(crate) fn is_unfit(&self) -> bool {
        let roster = self.roster.load();
        let mut connected = roster.serving();
        connected.any(|member| member.session.takes_traffic())
    }

    /// There was no stream to a member. Tells what that says about it: nothing, if its agent is going or full.
    pub(crate) fn not_opened(&self, member: &Member, failure: &OpenFailure) -> Option<Failure> {
        if matches!(failure, OpenFailure::Dial(error) if error.kind == DialErrorKind::Draining) {
            member.session.drain();
        }
        let why = failure.of_member()?;
        match why {
            Failure::Timeout => self.timed_out(member),
            why => self.failed(member, why),
        }
        Some(why)
    }

    /// A member has not answered in time. Perhaps it is its agent that does not live: it is asked, and others serve until
    /// it has answered.
    pub(crate) fn timed_out(&self, member: &Member) {
        member.session.pulse.doubt();
        self.failed(member, Failure::Timeout);
    }

    /// A member has failed. It is ejected if that was too often, and others could serve.
    pub(crate) fn failed(&self, member: &Member, failure: Failure) {
        let eject = self.settings().eject;
        let may_be_ejected = || {
            let roster = self.roster.load();
            let mut others = roster.serving().filter(|other| other.id != member.id);
            eject.last || others.any(|other| other.takes_traffic() && other.is_sound())
        };
        let now = Instant::now();
        let ejected = member.health.failed(failure, now, &eject, may_be_ejected);
        if let Some(time) = ejected {
            let agent = &member.session.owner;
            warn!(%agent, session = member.session.id, why = failure.name(), ?time, "a member is left out");
        }
    }
}

/// Whether a member may join those who serve, or must be refused, or displaces somebody.
fn place_for(
    members: &[Arc<Member>],
    newcomer: &Member,
    declared: bool,
    stale_after: Duration,
) -> Result<Vec<Arc<Session>>, Taken> {
    let pooling = newcomer.spec.pooling || declared;
    let mut displaced = Vec::new();
    let holders = members
        .iter()
        .filter(|holder| !holder.session.end.is_cancelled());
    for holder in holders {
        if pooling && (holder.spec.pooling || declared) {
            continue;
        }
        // A crashed agent that comes back must not wait for its own ghost to be noticed.
        let same_owner = holder.session.owner == newcomer.session.owner;
        if same_owner && holder.session.pulse.silence() > stale_after {
            displaced.push(Arc::clone(&holder.session));
        } else {
            let by = holder.session.owner.clone();
            return Err(Taken { by });
        }
    }
    Ok(displaced)
}

#[cfg(test)]
mod tests {
    use adit_wire::message::DialError;

    use super::*;
    use crate::pools::testing::member;

    fn pool(members: &[Arc<Member>], eject_last: bool) -> Arc<Pool> {
        let mut settings = config::Pool::default();
        settings.eject.last = eject_last;
        let pool = Arc::new(Pool::new(settings, 1));
        for member in members {
            pool.join(member, true, Duration::from_secs(1)).unwrap();
        }
        pool
    }

    fn chosen(pool: &Pool) -> Vec<u64> {
        let chosen = (0..100).filter_map(|_| pool.choose(&Ask::default()));
        let mut ids: Vec<_> = chosen.map(|chosen| chosen.member.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn fail(pool: &Pool, member: &Member) {
        (0..3).for_each(|_| pool.failed(member, Failure::Dial));
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_is_left_out_until_only_such_are_left() {
        let members = [member(1, 1, 0), member(2, 1, 0), member(3, 1, 1)];
        let pool = pool(&members, false);
        fail(&pool, &members[0]);
        assert_eq!(chosen(&pool), [2]);
        fail(&pool, &members[1]);
        assert_eq!(chosen(&pool), [3]);
        fail(&pool, &members[2]);
        assert_eq!(chosen(&pool), [3], "the last one stays");
        pool.leave(3);
        assert_eq!(chosen(&pool), [1, 2], "better than nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_left_out_too_if_that_is_wanted() {
        let members = [member(1, 1, 0)];
        let pool = pool(&members, true);
        fail(&pool, &members[0]);
        assert_eq!(chosen(&pool), [0; 0]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(chosen(&pool), [1]);
        members[0].health.answered(true, Instant::now);
        assert_eq!(chosen(&pool), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_not_heard_lately_serves_only_if_nobody_else_can() {
        let members = [member(1, 1, 0), member(2, 1, 0)];
        let pool = pool(&members, false);
        members[0].session.pulse.doubt();
        assert_eq!(chosen(&pool), [2]);
        members[1].session.pulse.doubt();
        assert_eq!(chosen(&pool), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_is_going_or_full_has_not_failed() {
        let members = [member(1, 1, 0), member(2, 1, 0)];
        let pool = pool(&members, false);
        let refused = |kind| {
            OpenFailure::Dial(DialError {
                kind,
                upstream: "a".into(),
                detail: "b".into(),
            })
        };
        let full = [OpenFailure::Busy, refused(DialErrorKind::UnknownEndpoint)];
        for failure in full.iter().cycle().take(20) {
            assert_eq!(pool.not_opened(&members[0], failure), None);
        }
        assert_eq!(chosen(&pool), [1, 2]);
        let going = refused(DialErrorKind::Draining);
        assert_eq!(pool.not_opened(&members[0], &going), None);
        assert_eq!(chosen(&pool), [2]);
        let standing = members[0].health.standing(Instant::now());
        assert_eq!((standing.ejected, standing.failures), (None, [0; 6]));
    }
}
