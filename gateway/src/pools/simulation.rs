//! A hundred thousand events in the life of a pool, without sockets and in invented time.
//!
//! Agents join, leave, drain, break and mend as chance will have it, while requests arrive. Each request is tried as the
//! gateway tries it: who cannot be reached costs nothing, a request that was sent is sent again only within the budget.
//! After each event what must always hold is looked at.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::{Instant, advance};

use super::{
    health::Failure,
    member::Member,
    pool::{Ask, Pool},
    testing::{member_of, place, pool},
};
use crate::config::RetryBudget;

const EVENTS: usize = 100_000;
const AGENTS: usize = 12;

/// What an agent's service does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Well,
    /// Nothing listens.
    Refuses,
    /// Takes requests and hangs up.
    HangsUp,
    /// Answers 500.
    Errs,
}

struct Agent {
    name: String,
    service: Service,
    weight: u32,
    tier: u32,
    member: Option<Arc<Member>>,
}

struct World {
    pool: Arc<Pool>,
    agents: Vec<Agent>,
    chance: StdRng,
    members: u64,
    began: Instant,
    seen: Seen,
}

/// What has come of the requests.
#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    served: u64,
    retries: u64,
    denied: u64,
    nobody: u64,
    ejections: u64,
}

// === impl World ===

impl World {
    fn new(settings: &str, seed: u64) -> Self {
        let agents = (0..AGENTS).map(|number| Agent {
            name: format!("agent-{number}"),
            service: Service::Well,
            weight: 100,
            tier: 0,
            member: None,
        });
        Self {
            pool: pool(settings, &[]),
            agents: agents.collect(),
            chance: StdRng::seed_from_u64(seed),
            members: 0,
            began: Instant::now(),
            seen: Seen::default(),
        }
    }

    async fn step(&mut self) {
        let millis = self.chance.random_range(0..20);
        advance(Duration::from_millis(millis)).await;
        if self.chance.random_ratio(9, 10) {
            self.request();
        } else {
            self.something_happens();
        }
    }

    fn something_happens(&mut self) {
        let at = self.chance.random_range(0..AGENTS);
        match self.chance.random_range(0..100) {
            0..20 => self.joins(at),
            20..26 => self.leaves(at, true),
            26..30 => self.leaves(at, false),
            30..60 => {
                let services = [
                    Service::Well,
                    Service::Well,
                    Service::Refuses,
                    Service::HangsUp,
                    Service::Errs,
                ];
                let service = *services.choose(&mut self.chance).unwrap();
                self.agents[at].service = service;
            }
            60..80 => self.is_placed(at),
            80..90 => self.is_checked(at),
            _ => self.drains(at),
        }
    }

    fn joins(&mut self, at: usize) {
        self.leaves(at, true);
        self.members += 1;
        let agent = &mut self.agents[at];
        let member = member_of(&agent.name, self.members, agent.weight, agent.tier);
        self.pool.join(&member, true, Duration::MAX).unwrap();
        agent.member = Some(member);
    }

    fn leaves(&mut self, at: usize, lost: bool) {
        let Some(member) = self.agents[at].member.take() else {
            return;
        };
        if !lost {
            member.session.drain();
        }
        member.retire();
        member.session.close();
        self.pool.leave(member.id);
        self.seen.ejections += member.health.standing(Instant::now()).ejections;
    }

    fn drains(&mut self, at: usize) {
        if let Some(member) = &self.agents[at].member {
            member.session.drain();
        }
    }

    fn is_placed(&mut self, at: usize) {
        let weight = *[0, 1, 5, 100, 100, 100].choose(&mut self.chance).unwrap();
        let tier = u32::from(self.chance.random_ratio(1, 4));
        let agent = &mut self.agents[at];
        (agent.weight, agent.tier) = (weight, tier);
        if let Some(member) = &agent.member {
            member.set_place(place(weight, tier));
        }
    }

    fn is_checked(&mut self, at: usize) {
        let up = self.chance.random_ratio(2, 3);
        if let Some(member) = &self.agents[at].member {
            member.checked((!up).then_some("503"));
        }
    }

    /// One request, as the gateway would try it.
    fn request(&mut self) {
        self.seen.requests += 1;
        self.pool.budget.first_try(Instant::now());
        let retries = self.pool.settings().retries;
        let (mut tried, mut repeated) = (Vec::new(), 0);
        loop {
            let ask = Ask {
                tried: &tried,
                ..Ask::default()
            };
            let able = self.able(&tried);
            let Some(chosen) = self.pool.choose(&ask) else {
                assert_eq!(able.len(), 0, "somebody could serve, and nobody was chosen");
                self.seen.nobody += 1;
                return;
            };
            let member = chosen.member;
            check_choice(&member, &able, &tried);
            tried.push(member.id);
            let service = self.service_of(&member);
            let now = Instant::now();
            match service {
                Service::Well => {
                    member.health.answered(true, || now);
                    self.seen.served += 1;
                    return;
                }
                Service::Errs => {
                    member.health.answered(false, || now);
                    self.pool.failed(&member, Failure::ServerError);
                    return;
                }
                // Nothing was sent.
                Service::Refuses => self.pool.failed(&member, Failure::Dial),
                Service::HangsUp => {
                    self.pool.failed(&member, Failure::Broken);
                    if repeated == retries {
                        return;
                    }
                    let terms = self.pool.settings().retry_budget;
                    if !self.pool.budget.take(now, &terms) {
                        self.seen.denied += 1;
                        return;
                    }
                    repeated += 1;
                    self.seen.retries += 1;
                }
            }
        }
    }

    fn service_of(&self, member: &Member) -> Service {
        let holds = |agent: &&Agent| agent.member.as_ref().is_some_and(|own| own.id == member.id);
        self.agents.iter().find(holds).unwrap().service
    }

    /// Those who could be chosen, were nothing known of how they do.
    fn able(&self, tried: &[u64]) -> Vec<Arc<Member>> {
        let members = self.agents.iter().filter_map(|agent| agent.member.clone());
        let able = members.filter(|member| {
            member.takes_traffic() && member.place().weight > 0 && !tried.contains(&member.id)
        });
        able.collect()
    }

    /// All agents are there, well, and of these weights in one tier.
    fn all_is_well(&mut self, weights: &[u32]) {
        for (at, &weight) in weights.iter().enumerate() {
            let agent = &mut self.agents[at];
            (agent.service, agent.weight, agent.tier) = (Service::Well, weight, 0);
            // One that stays on is to recover, not to be replaced.
            let stays = agent
                .member
                .as_ref()
                .is_some_and(|own| !own.session.is_draining());
            if stays {
                let member = agent.member.as_ref().unwrap();
                member.set_place(place(weight, 0));
                member.checked(None);
            } else {
                self.joins(at);
            }
        }
        for at in weights.len()..AGENTS {
            self.leaves(at, false);
        }
    }

    /// How many of so many requests each agent gets.
    fn shares(&self, requests: usize) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for _ in 0..requests {
            let chosen = self.pool.choose(&Ask::default()).unwrap();
            chosen.member.health.answered(true, Instant::now);
            *shares
                .entry(chosen.member.session.owner.clone())
                .or_default() += 1;
        }
        shares
    }
}

/// What holds for every choice.
fn check_choice(member: &Arc<Member>, able: &[Arc<Member>], tried: &[u64]) {
    assert!(!tried.contains(&member.id));
    let is_able = |one: &Member| able.iter().any(|other| other.id == one.id);
    assert!(is_able(member), "it takes no traffic");
    let now = Instant::now();
    let fit = |one: &Member| one.health.standing(now).ejected.is_none();
    let lowest = able
        .iter()
        .filter(|one| fit(one))
        .map(|one| one.place().tier)
        .min();
    match lowest {
        // A member on trial may be chosen, too: its tier is not higher.
        Some(lowest) => assert!(member.place().tier <= lowest, "a lower tier could serve"),
        None => assert!(!able.is_empty()),
    }
    if let Some((_, left)) = member.health.standing(now).ejected {
        let others = able.iter().any(|one| fit(one));
        assert!(
            !others || left.is_zero(),
            "it is left out for {left:?}, and others could serve"
        );
    }
}

async fn hundred_thousand_events(settings: &str, seed: u64) -> World {
    let mut world = World::new(settings, seed);
    for _ in 0..EVENTS {
        world.step().await;
    }
    let RetryBudget { ratio, per_second } = world.pool.settings().retry_budget;
    let seconds = world.began.elapsed().as_secs() + 1;
    let seen = &world.seen;
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let allowed = (ratio * seen.requests as f64) as u64 + u64::from(per_second) * seconds;
    assert!(seen.retries <= allowed, "{seen:?}, {allowed} were allowed");
    assert!(
        seen.retries > 0 && seen.nobody > 0 && seen.ejections > 0,
        "{seen:?}"
    );
    world
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_who_can_serve_is_found_and_in_the_end_all_have_their_shares() {
    for (seed, balance) in (0..).zip(["round-robin", "least-requests", "hash"]) {
        let settings = format!("balance: {balance}");
        let settings = match balance {
            "hash" => format!("{settings}\nhash_on: conn.client_ip"),
            _ => settings,
        };
        let mut world = hundred_thousand_events(&settings, seed).await;
        let weights = [100, 100, 50, 5];
        world.all_is_well(&weights);
        // The longest ejection ends, and each answers well once.
        advance(Duration::from_secs(301)).await;
        world.shares(1000);
        advance(Duration::from_secs(2)).await;
        world.shares(1000);
        let shares = world.shares(25_500);
        for (at, weight) in weights.into_iter().enumerate() {
            let wanted = f64::from(weight) * 100.0;
            #[allow(clippy::cast_precision_loss)]
            let got = shares[&format!("agent-{at}")] as f64;
            // Five standard deviations; in turn it is exact but for the beginning and the end.
            let off = match balance {
                "round-robin" => 2.0,
                _ => 5.0 * wanted.sqrt(),
            };
            assert!((got - wanted).abs() <= off, "{balance}: {shares:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_mends_gets_ever_fewer_requests() {
    let mut world = World::new("{}", 7);
    (0..3).for_each(|at| world.joins(at));
    world.agents[0].service = Service::HangsUp;
    let sick = world.agents[0].member.clone().unwrap();
    for _ in 0..36_000 {
        world.request();
        advance(Duration::from_millis(100)).await;
    }
    let failures: u64 = sick.health.standing(Instant::now()).failures.iter().sum();
    // Three in a row, then after 5, 10, 20 … 300 seconds of an hour, and then every five minutes.
    assert!((10..=25).contains(&failures), "{failures}");
    assert_eq!(world.seen.served, world.seen.requests, "all were saved");
}

#[tokio::test(start_paused = true)]
async fn when_everybody_hangs_up_retries_stay_within_the_budget() {
    let mut world = World::new("retry_budget: { ratio: 0.1, per_second: 1 }", 8);
    for at in 0..AGENTS {
        world.joins(at);
        world.agents[at].service = Service::HangsUp;
    }
    for _ in 0..20_000 {
        world.request();
        advance(Duration::from_millis(1)).await;
    }
    let Seen {
        retries, denied, ..
    } = world.seen;
    assert!(retries <= 2_000 + 21, "{:?}", world.seen);
    assert!(retries + denied == 20_000, "{:?}", world.seen);
}
