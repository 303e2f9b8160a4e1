//! The pools of the endpoints that the configuration declares, agent by agent.
//!
//! Agents are told by their names in the configuration, however many sessions each has, so that there are as many series
//! as the operator has made. What a member has counted stays with its pool when it goes: a counter never falls.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use super::page::Page;
use crate::{
    edge::Edge,
    pools::{endpoints::Endpoint, health::Failure, tally::Tally},
};

/// What is told of an agent at an endpoint.
#[derive(Debug, Default)]
struct Agent {
    tally: Tally,
    in_flight: u64,
    weight: u64,
    members: u64,
    ejected: u64,
}

pub(super) fn pools(page: &mut Page, edge: &Edge) {
    let routes = edge.endpoints.snapshot();
    let declared = routes.online().filter(|endpoint| endpoint.declared);
    let mut declared: Vec<_> = declared
        .map(|endpoint| (endpoint.url.to_string(), Arc::clone(endpoint)))
        .collect();
    declared.sort_by(|(one, _), (other, _)| one.cmp(other));
    let agents: Vec<_> = declared
        .iter()
        .map(|(url, endpoint)| (url.as_str(), agents(endpoint)))
        .collect();
    gauges(page, &agents);
    counters(page, &agents);
    let budgets = || {
        declared
            .iter()
            .map(|(url, endpoint)| (url.as_str(), endpoint.pool.budget.totals()))
    };
    page.counter(
        "adit_pool_retries_total",
        "Requests that were sent to another member.",
    );
    for (endpoint, (granted, _)) in budgets() {
        page.sample(
            "adit_pool_retries_total",
            &[("endpoint", endpoint)],
            granted,
        );
    }
    page.counter(
        "adit_pool_retries_refused_total",
        "Requests that were not sent again because there were too many retries already.",
    );
    for (endpoint, (_, refused)) in budgets() {
        page.sample(
            "adit_pool_retries_refused_total",
            &[("endpoint", endpoint)],
            refused,
        );
    }
}

type Agents = BTreeMap<String, Agent>;

fn agents(endpoint: &Endpoint) -> Agents {
    let mut agents = Agents::new();
    for (agent, tally) in endpoint.pool.tallies() {
        agents.entry(agent).or_default().tally = tally;
    }
    for member in endpoint.pool.members().iter() {
        let standing = member.health.standing(Instant::now());
        let agent = agents.entry(member.session.owner.clone()).or_default();
        agent.in_flight += u64::from(member.in_flight());
        agent.weight += u64::from(endpoint.pool.weight(member).effective());
        agent.members += 1;
        agent.ejected += u64::from(standing.ejected.is_some());
    }
    agents
}

fn gauges(page: &mut Page, pools: &[(&str, Agents)]) {
    type Read = fn(&Agent) -> u64;
    let all: [(&str, &str, Read); 4] = [
        (
            "adit_pool_members",
            "Sessions of an agent at an endpoint.",
            |agent| agent.members,
        ),
        (
            "adit_pool_members_ejected",
            "Those of them that are left out because they failed.",
            |agent| agent.ejected,
        ),
        ("adit_pool_weight", "Their weights together.", |agent| {
            agent.weight
        }),
        (
            "adit_pool_in_flight",
            "Requests and connections that they have at work.",
            |agent| agent.in_flight,
        ),
    ];
    for (name, help, read) in all {
        page.gauge(name, help);
        for (endpoint, agents) in pools {
            for (agent, told) in agents.iter().filter(|(_, told)| told.members > 0) {
                let labels = [("endpoint", *endpoint), ("agent", agent.as_str())];
                page.sample(name, &labels, read(told));
            }
        }
    }
}

fn counters(page: &mut Page, pools: &[(&str, Agents)]) {
    type Read = fn(&Tally) -> u64;
    let all: [(&str, &str, Read); 2] = [
        (
            "adit_pool_requests_total",
            "Requests and connections that an agent got.",
            |tally| tally.requests,
        ),
        (
            "adit_pool_ejections_total",
            "How often it was left out because it failed.",
            |tally| tally.ejections,
        ),
    ];
    for (name, help, read) in all {
        page.counter(name, help);
        for (endpoint, agents) in pools {
            for (agent, told) in agents {
                let labels = [("endpoint", *endpoint), ("agent", agent.as_str())];
                page.sample(name, &labels, read(&told.tally));
            }
        }
    }
    page.counter(
        "adit_pool_failures_total",
        "Tries that failed, by what went wrong.",
    );
    for (endpoint, agents) in pools {
        for (agent, told) in agents {
            for (kind, count) in Failure::ALL.iter().zip(told.tally.failures) {
                let labels = [
                    ("endpoint", *endpoint),
                    ("agent", agent.as_str()),
                    ("kind", kind.name()),
                ];
                page.sample("adit_pool_failures_total", &labels, count);
            }
        }
    }
}
