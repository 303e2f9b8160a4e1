//! One session's share of an endpoint.

use std::{
    hash::Hasher,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use adit_policy::Policy;
use adit_wire::{
    Stream,
    message::{OpenRequest, Protocol},
};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use siphasher::sip::SipHasher13;
use tokio::time::{Instant, interval};
use tracing::info;

use super::{
    flight::{Load, Warmth},
    health::Health,
    idle::Idle,
    pool::Pool,
    session::{OpenFailure, Session},
};
use crate::live::Why;

/// How often a member whose agent is going is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A session that serves an endpoint.
#[derive(Debug)]
pub(crate) struct Member {
    /// Names the pair (session, endpoint). Unique in this process, never used again.
    pub(crate) id: u64,
    pub(crate) session: Arc<Session>,
    pub(crate) spec: MemberSpec,
    /// The same for the same endpoint of the same agent, over its reconnects and those of the gateway.
    pub(super) key: u64,
    pub(super) load: Load,
    pub(super) warmth: Warmth,
    pool: OnceLock<Weak<Pool>>,
    place: ArcSwap<Place>,
    /// Why the agent's own check of the service says that it may not get traffic, if it does.
    down: ArcSwapOption<String>,
    policy: ArcSwapOption<AgentPolicy>,
    /// What it has done to requests.
    pub(crate) health: Health,
    idle: Idle,
    alive: AtomicBool,
    withdrawn: OnceLock<Why>,
}

/// What the agent asked for when it bound the endpoint.
#[derive(Debug, Default)]
pub(crate) struct MemberSpec {
    /// The endpoint's name in the agent's configuration.
    pub(crate) name: String,
    /// What stands for the member in the cookies of its clients.
    pub(crate) mark: u128,
    pub(crate) protocol: Protocol,
    pub(crate) pooling: bool,
    /// Whether the agent checks the service, and has yet to say that it is up.
    pub(crate) checked: bool,
    pub(crate) report: bool,
    /// Where the traffic goes, in the agent's words.
    pub(crate) forwards_to: String,
}

/// A member's place in its pool, as its agent wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) weight: u32,
    pub(crate) tier: u32,
    pub(crate) metadata: String,
}

/// The agent's own policy. Members whose policies have one text are interchangeable.
#[derive(Debug)]
pub(crate) struct AgentPolicy {
    pub(crate) policy: Arc<Policy>,
    pub(crate) text: Arc<str>,
}

/// A stream to a service, and whether others used it before.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) reused: bool,
}

// === impl Member ===

impl Member {
    pub(crate) fn new(
        id: u64,
        session: Arc<Session>,
        (spec, place, policy): (MemberSpec, Place, Option<AgentPolicy>),
        cores: usize,
    ) -> Self {
        let down = spec.checked.then(|| Arc::new("not checked yet".to_owned()));
        Self {
            id,
            key: hash([&session.owner, &session.agent_id, &spec.name]),
            session,
            spec,
            load: Load::default(),
            warmth: Warmth::new(),
            pool: OnceLock::new(),
            place: ArcSwap::from_pointee(place),
            down: ArcSwapOption::new(down),
            policy: ArcSwapOption::from_pointee(policy),
            health: Health::new(Instant::now()),
            idle: Idle::new(cores),
            alive: AtomicBool::new(true),
            withdrawn: OnceLock::new(),
        }
    }

    /// The policy of this moment. An exchange keeps the one it has run.
    pub(crate) fn policy(&self) -> Option<Arc<AgentPolicy>> {
        self.policy.load_full()
    }

    /// Gives the exchanges that begin from now on another policy.
    pub(crate) fn set_policy(&self, policy: Option<AgentPolicy>) {
        self.policy.store(policy.map(Arc::new));
    }

    /// Its place in its pool.
    pub(crate) fn place(&self) -> Guard<Arc<Place>> {
        self.place.load()
    }

    /// Gives it another place, from the next choice on.
    pub(crate) fn set_place(&self, place: Place) {
        self.place.store(Arc::new(place));
        if let Some(pool) = self.pool.get().and_then(Weak::upgrade) {
            pool.seat();
        }
    }

    /// Takes note of the pool that it has joined, to tell it of another place.
    pub(super) fn joins(&self, pool: &Arc<Pool>) {
        self.pool.get_or_init(|| Arc::downgrade(pool));
    }

    /// What its agent's check of the service has found: nothing, or why it may not get traffic.
    pub(crate) fn checked(&self, down: Option<&str>) {
        let before = self.down.swap(down.map(|why| Arc::new(why.to_owned())));
        if before.is_some() && down.is_none() {
            self.warm_up();
        }
    }

    /// The reason of the agent's check, if there is one.
    pub(crate) fn why_down(&self) -> Option<Arc<String>> {
        self.down.load_full()
    }

    /// Whether exchanges may go here. How many do is a matter of its weight in its pool.
    pub(crate) fn takes_traffic(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
            && self.session.takes_traffic()
            && self.down.load().is_none()
    }

    /// It has answered, with an error of its own if not `well`. After an ejection, it warms up with that.
    pub(crate) fn answered(&self, well: bool) {
        if self.health.answered(well, Instant::now) {
            let agent = &self.session.owner;
            info!(%agent, session = self.session.id, "a member that was left out is back");
            self.warm_up();
        }
    }

    /// It has come back, and gets its share little by little where its pool has a `slow_start`.
    pub(crate) fn warm_up(&self) {
        self.warmth.begin();
    }

    /// Requests and connections that it has at work.
    pub(crate) fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// All that it ever got.
    pub(crate) fn begun(&self) -> u64 {
        self.load.begun()
    }

    /// Whether it also keeps its promises: it is not ejected, and its agent was heard lately.
    pub(crate) fn is_sound(&self) -> bool {
        !self.session.pulse.is_quiet() && self.health.is_fit(Instant::now)
    }

    /// A stream for one HTTP/1 exchange: an idle one of this core unless it must be fresh, else a new one.
    pub(crate) async fn stream(&self, core: usize, fresh: bool) -> Result<Opened, OpenFailure> {
        // A new stream shows whether its agent lives; an idle one swallows the request.
        let fresh = fresh || self.session.pulse.is_quiet();
        let idle = if fresh { None } else { self.idle.take(core) };
        match idle {
            Some(stream) => Ok(Opened {
                stream,
                reused: true,
            }),
            None => {
                let stream = self.open(core, Protocol::Http1).await?;
                Ok(Opened {
                    stream,
                    reused: false,
                })
            }
        }
    }

    /// A new stream.
    pub(crate) async fn open(
        &self,
        core: usize,
        protocol: Protocol,
    ) -> Result<Stream, OpenFailure> {
        self.session
            .open(
                core,
                &OpenRequest {
                    endpoint: self.id,
                    protocol,
                },
            )
            .await
    }

    /// Keeps a stream whose exchange ended cleanly for the next one.
    pub(crate) fn give_back(&self, core: usize, stream: Stream) {
        if !self.keeps_streams() {
            return;
        }
        self.idle.give_back(core, stream);
        // The member may have retired, or its agent begun to drain, and cleared its streams in between.
        if !self.keeps_streams() {
            self.idle.clear();
        }
    }

    fn keeps_streams(&self) -> bool {
        self.alive.load(Ordering::Acquire) && self.session.takes_traffic()
    }

    /// Takes no more exchanges and lets go of its idle streams.
    pub(crate) fn retire(&self) {
        self.alive.store(false, Ordering::Release);
        self.idle.clear();
    }

    /// It is in its pool no more, though its agent has not given it back. What runs goes on; the agent is told.
    pub(crate) fn expel(&self) {
        self.retire();
        self.session.expelled.notify_one();
    }

    /// Whether it takes no more exchanges, for good.
    pub(crate) fn is_retired(&self) -> bool {
        !self.alive.load(Ordering::Relaxed)
    }

    /// Its agent may not serve it any longer. What runs is ended by the next review.
    pub(crate) fn withdraw(&self, why: Why) {
        self.withdrawn.get_or_init(|| why);
        self.retire();
    }

    /// Why its agent may not serve it any longer, if it may not.
    pub(crate) fn withdrawn(&self) -> Option<Why> {
        self.withdrawn.get().copied()
    }

    /// Lets go of its idle streams, so that a draining agent sees only running ones.
    pub(crate) fn rest(&self) {
        self.idle.clear();
    }

    /// Waits until its agent is going and nothing is at work here any more.
    pub(crate) async fn at_rest(&self) {
        self.session.leaving.cancelled().await;
        let (mut look, mut idle) = (interval(LOOK), 0);
        // Twice: who was chosen a moment before the agent said so may not have begun.
        while idle < 2 {
            look.tick().await;
            idle = if self.load.in_flight() == 0 {
                idle + 1
            } else {
                0
            };
        }
    }

    /// Lets go of one idle stream, if there is one, to make room on its lane.
    pub(crate) fn let_go_of_one(&self) -> bool {
        self.idle.drop_oldest()
    }

    /// Closes streams that nobody has used for a while.
    pub(crate) fn sweep(&self) {
        self.idle.sweep();
    }
}

/// A hash that is the same in every gateway.
pub(super) fn hash<const N: usize>(parts: [&str; N]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part.as_bytes());
        // No text holds this byte, so it keeps ("ab", "c") and ("a", "bc") apart.
        hasher.write_u8(0xff);
    }
    hasher.finish()
}
