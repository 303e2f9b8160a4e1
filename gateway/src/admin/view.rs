//! How endpoints and members are at this moment: one reading of it for the API, `/health`, `/metrics` and the status
//! table.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    rates::{Rates, Totals},
    resources::{self, Exchanges, Failures, Reason, Reference},
};
use crate::{
    counts::Counts,
    edge::Edge,
    moment,
    pools::{endpoints::Endpoint, health::Standing, member::Member},
    printable::printable,
};

/// An endpoint with its members. Without `rates`, nothing is told by the second.
pub(super) fn endpoint(
    edge: &Edge,
    endpoint: &Endpoint,
    rates: Option<&Rates>,
) -> resources::Endpoint {
    let members = endpoint.pool.members();
    let members: Vec<_> = members
        .iter()
        .map(|one| member(edge, endpoint, one, rates))
        .collect();
    let up = members.iter().filter(|member| member.up).count();
    let settings = endpoint.pool.settings();
    resources::Endpoint {
        id: endpoint.id.to_string(),
        uri: uri(endpoint),
        url: endpoint.url.to_string(),
        public_url: edge.public_url(&endpoint.url).to_string(),
        declared: endpoint.declared,
        traffic_policy: endpoint.policy.is_some(),
        state: if up > 0 { "up" } else { "down" }.to_owned(),
        members_up: up,
        balance: settings.balance.name().to_owned(),
        in_flight: members.iter().map(|member| member.in_flight).sum(),
        exchanges: endpoint.declared.then(|| exchanges(&endpoint.counts)),
        members,
    }
}

/// A member of an endpoint's pool.
pub(super) fn member(
    edge: &Edge,
    endpoint: &Endpoint,
    member: &Member,
    rates: Option<&Rates>,
) -> resources::Member {
    let id = edge.ids.member(member.id);
    let session = edge.ids.session(member.session.id);
    let weight = endpoint.pool.weight(member);
    let standing = member.health.standing(Instant::now());
    let reasons = reasons(edge, member, weight.effective(), &standing);
    let place = member.place();
    let text = |text: &str| printable(text).into_owned();
    let totals = Totals::of(member, &standing);
    let (requests, failures) = rates.map_or((0.0, 0.0), |rates| rates.of(member.id, totals));
    resources::Member {
        uri: format!("{}/members/{id}", uri(endpoint)),
        id,
        agent: text(&member.session.owner),
        tunnel_session: Reference {
            uri: format!("/tunnel_sessions/{session}"),
            id: session,
        },
        metadata: text(&place.metadata),
        upstream_url: text(&member.spec.forwards_to),
        weight: resources::Weight {
            effective: weight.effective(),
            own: weight.own,
            configured: weight.configured,
            overridden: weight.overridden,
        },
        tier: place.tier,
        up: reasons.is_empty(),
        reasons,
        in_flight: u64::from(member.in_flight()),
        requests: totals.requests,
        requests_per_second: requests,
        failures: failures_of(&standing),
        failures_per_second: failures,
        ejections: standing.ejections,
    }
}

fn uri(endpoint: &Endpoint) -> String {
    format!("/endpoints/{}", endpoint.id)
}

/// Why a member takes no new traffic. None: it does.
fn reasons(edge: &Edge, member: &Member, weight: u32, standing: &Standing) -> Vec<Reason> {
    let reason = |kind: &str, detail: Option<String>| Reason {
        kind: kind.to_owned(),
        detail,
        until: None,
    };
    let mut reasons = Vec::new();
    if member.session.end.is_cancelled() {
        reasons.push(reason("gone", None));
    } else if member.session.is_draining() {
        reasons.push(reason("draining", None));
    }
    if weight == 0 {
        reasons.push(reason("weight_0", None));
    }
    if let Some(down) = member.why_down() {
        reasons.push(reason("unhealthy", Some(printable(&down).into_owned())));
    }
    if let Some((cause, left)) = &standing.ejected {
        let seconds = left.as_secs_f64().ceil();
        reasons.push(Reason {
            until: Some(moment::seconds(SystemTime::now() + *left)),
            ..reason(
                "ejected",
                Some(match left.is_zero() {
                    true => format!("{}, being tried again", cause.name()),
                    false => format!("{}, for {seconds} s", cause.name()),
                }),
            )
        });
    }
    let silence = member.session.pulse.silence();
    // A little more than a heartbeat may be on its way.
    if silence > edge.heartbeat().interval() + Duration::from_secs(1) {
        let seconds = silence.as_secs();
        reasons.push(reason("silent", Some(format!("for {seconds} s"))));
    }
    reasons
}

fn exchanges(counts: &Counts) -> Exchanges {
    let mut told = Exchanges::default();
    for (class, count) in counts.exchanges() {
        told.total += count;
        match class {
            "4xx" => told.client_errors = count,
            "5xx" => told.server_errors = count,
            "none" => told.unanswered = count,
            _ => {}
        }
    }
    told
}

fn failures_of(standing: &Standing) -> Failures {
    let [connect, dial, timeout, broken, cut_short, server_error] = standing.failures;
    Failures {
        connect,
        dial,
        timeout,
        broken,
        cut_short,
        server_error,
    }
}
