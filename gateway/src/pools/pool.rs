//! The members that serve one endpoint, and choosing one of them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use rand::RngExt;
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use super::{
    budget::Budget,
    health::Failure,
    member::{AgentPolicy, Member},
    returns::Returns,
    session::Session,
};
use crate::config;

/// The members of one endpoint. It outlives the snapshots in which its endpoint stands, so an exchange that began with
/// an older one still meets the members of today.
#[derive(Debug)]
pub(crate) struct Pool {
    members: ArcSwap<Vec<Arc<Member>>>,
    settings: ArcSwap<config::Pool>,
    /// Told when a member has joined.
    joined: Notify,
    /// Since when an endpoint that only agents know has lost all of them.
    lost: Mutex<Option<Instant>>,
    /// How many retries there may be.
    pub(crate) budget: Budget,
    /// Which agents flap.
    returns: Returns,
}

/// Why a member cannot join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The name of the agent that serves the endpoint.
    pub(crate) by: String,
}

/// What the members have to have in common with whoever had the exchange before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Like<'a> {
    /// Nothing: no member's policy has run.
    Any,
    /// The text of the policy that has run; or to have none, if none has.
    Policy(Option<&'a AgentPolicy>),
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(settings: config::Pool) -> Self {
        Self {
            members: ArcSwap::default(),
            settings: ArcSwap::from_pointee(settings),
            joined: Notify::new(),
            lost: Mutex::default(),
            budget: Budget::new(Instant::now()),
            returns: Returns::default(),
        }
    }

    /// The members of this moment.
    pub(crate) fn members(&self) -> Guard<Arc<Vec<Arc<Member>>>> {
        self.members.load()
    }

    /// How it works at this moment.
    pub(crate) fn settings(&self) -> Guard<Arc<config::Pool>> {
        self.settings.load()
    }

    /// Works in another way from now on; the members stay.
    pub(crate) fn set_settings(&self, settings: config::Pool) {
        self.settings.store(Arc::new(settings));
    }

    /// Takes a member in, or tells who does not share. Sessions that it displaces are returned, to be closed.
    ///
    /// Callers take turns: [`super::endpoints::Endpoints`] sees to that.
    pub(super) fn join(
        &self,
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
        self.members.store(Arc::new(now));
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
        self.members.store(Arc::new(rest));
    }

    /// It is the configuration's no longer: those stay who may share with the oldest member. The others are taken out and
    /// returned. Callers take turns.
    pub(super) fn leave_to_agents(&self) -> Vec<Arc<Member>> {
        self.set_settings(config::Pool::default());
        let members = self.members();
        let living = members
            .iter()
            .filter(|member| !member.session.end.is_cancelled());
        let mut living = living.cloned();
        let Some(oldest) = living.next() else {
            self.members.store(Arc::default());
            return Vec::new();
        };
        let (stay, go): (Vec<_>, _) =
            living.partition(|member| oldest.spec.pooling && member.spec.pooling);
        self.members
            .store(Arc::new([oldest].into_iter().chain(stay).collect()));
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
    fn lost(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
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

    /// A member that takes traffic, has not been tried, and runs the policy that already ran, if one did. Sound ones
    /// first; without them one that is not, for it may be better than nobody.
    pub(crate) fn choose(&self, tried: &[u64], like: Like<'_>) -> Option<Arc<Member>> {
        let members = self.members();
        while let Some(member) = choose(&members, tried, like, Standard::Sound) {
            if member.health.admits(Instant::now) {
                return Some(member);
            }
            // It is being tried, and somebody else does that: now it is not sound.
        }
        let standard = match self.settings().eject.last {
            true => Standard::Fit,
            false => Standard::Any,
        };
        choose(&members, tried, like, standard)
    }

    /// A member has failed. It is ejected if that was too often, and others could serve.
    pub(crate) fn failed(&self, member: &Member, failure: Failure) {
        let eject = self.settings().eject;
        let may_be_ejected = || {
            let members = self.members();
            let mut others = members.iter().filter(|other| other.id != member.id);
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

/// How good a member has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standard {
    /// Not ejected, and its agent was heard lately.
    Sound,
    /// Not ejected.
    Fit,
    Any,
}

impl Standard {
    fn is_met_by(self, member: &Member) -> bool {
        match self {
            Self::Sound => member.is_sound(),
            Self::Fit => member.health.is_fit(Instant::now),
            Self::Any => true,
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

/// The lowest tier that can serve does. Within it chance decides by weight, which needs no state
/// that cores would have to share.
fn choose(
    members: &[Arc<Member>],
    tried: &[u64],
    like: Like<'_>,
    standard: Standard,
) -> Option<Arc<Member>> {
    let able = || {
        members.iter().filter(|member| {
            member.takes_traffic()
                && standard.is_met_by(member)
                && !tried.contains(&member.id)
                && like.is_met_by(member)
        })
    };
    if let [only] = members {
        return able().next().map(|_| Arc::clone(only));
    }
    let tier = able().map(|member| member.place().tier).min()?;
    let serving = || able().filter(|member| member.place().tier == tier);
    let total: u64 = serving()
        .map(|member| u64::from(member.place().weight))
        .sum();
    let mut ticket = rand::rng().random_range(0..total.max(1));
    for member in serving() {
        match ticket.checked_sub(u64::from(member.place().weight)) {
            Some(rest) => ticket = rest,
            None => return Some(Arc::clone(member)),
        }
    }
    // A member left between the count and the draw.
    serving().next().map(Arc::clone)
}

// === impl Like ===

impl Like<'_> {
    fn is_met_by(self, member: &Member) -> bool {
        match self {
            Self::Any => true,
            Self::Policy(ran) => {
                ran.map(|ran| &ran.text) == member.policy().as_ref().map(|has| &has.text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use adit_policy::{Policy, env::Env};
    use adit_wire::message::Token;
    use tokio::sync::mpsc;

    use super::*;
    use crate::pools::{
        member::{MemberSpec, Place},
        session::{Session, Terms},
    };

    fn choose(members: &[Arc<Member>], tried: &[u64], like: Like<'_>) -> Option<Arc<Member>> {
        super::choose(members, tried, like, Standard::Sound)
    }

    fn member(id: u64, weight: u32, tier: u32) -> Arc<Member> {
        let terms = Terms {
            owner: "a".into(),
            agent_id: id.to_string(),
            epoch: 1,
            join_key: Token::new(""),
            lane_count: 1,
            version: 1,
            dial_timeout: Duration::from_secs(1),
        };
        let session = Arc::new(Session::new(terms, mpsc::channel(1).0));
        let place = Place {
            weight,
            tier,
            ..Place::default()
        };
        let about = (MemberSpec::default(), place, None);
        Arc::new(Member::new(id, session, about, 1))
    }

    #[test]
    fn weights_share_the_traffic_and_zero_takes_none() {
        let members = [member(1, 90, 0), member(2, 10, 0), member(3, 0, 0)];
        let mut counts = [0; 4];
        for _ in 0..10_000 {
            counts[choose(&members, &[], Like::Any).unwrap().id as usize] += 1;
        }
        // Five standard deviations around 9000.
        assert!((8850..9150).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[3], 0);
    }

    #[test]
    fn a_higher_tier_serves_only_when_no_lower_can() {
        let members = [member(1, 1, 0), member(2, 1, 1)];
        assert_eq!(choose(&members, &[], Like::Any).unwrap().id, 1);
        assert_eq!(choose(&members, &[1], Like::Any).unwrap().id, 2);
        members[0].session.drain();
        assert_eq!(choose(&members, &[], Like::Any).unwrap().id, 2);
        assert!(choose(&members, &[2], Like::Any).is_none());
    }

    #[test]
    fn a_single_member_that_was_tried_is_not_chosen_again() {
        let members = [member(1, 1, 0)];
        assert!(choose(&members, &[], Like::Any).is_some());
        assert!(choose(&members, &[1], Like::Any).is_none());
    }

    fn policy(text: &str) -> AgentPolicy {
        let policy = Policy::load("p", text, &Env::system()).unwrap();
        AgentPolicy {
            policy: Arc::new(policy),
            text: text.into(),
        }
    }

    #[test]
    fn another_member_takes_over_only_if_it_has_the_policy_that_ran() {
        const OLD: &str = "on_http_request: [{ actions: [{ type: deny }] }]";
        const NEW: &str = "on_http_request: [{ actions: [{ type: close-connection }] }]";
        let members = [member(1, 1, 0), member(2, 1, 0)];
        members.iter().for_each(|m| m.set_policy(Some(policy(OLD))));
        let ran = members[0].policy();
        let next = |like| choose(&members, &[1], like).map(|member| member.id);
        assert_eq!(next(Like::Policy(ran.as_deref())), Some(2));
        // What counts is the policy that has run, whatever its member has by now.
        members[0].set_policy(Some(policy(NEW)));
        assert_eq!(next(Like::Policy(ran.as_deref())), Some(2));
        members[1].set_policy(Some(policy(NEW)));
        assert_eq!(next(Like::Policy(ran.as_deref())), None);
        let newer = members[0].policy();
        assert_eq!(next(Like::Policy(newer.as_deref())), Some(2));
        members[1].set_policy(None);
        assert_eq!(next(Like::Policy(ran.as_deref())), None);
        assert_eq!(next(Like::Policy(None)), Some(2));
    }

    fn pool(members: &[Arc<Member>], eject_last: bool) -> Pool {
        let mut settings = config::Pool::default();
        settings.eject.last = eject_last;
        let pool = Pool::new(settings);
        for member in members {
            pool.join(member, true, Duration::from_secs(1)).unwrap();
        }
        pool
    }

    fn chosen(pool: &Pool) -> Vec<u64> {
        let chosen = (0..100).filter_map(|_| pool.choose(&[], Like::Any));
        let mut ids: Vec<_> = chosen.map(|member| member.id).collect();
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
}
