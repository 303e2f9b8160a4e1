//! A request's way from one policy to the next, until a member of a pool has it or something else is sent.

use std::sync::Arc;

use adit_policy::{Policy, action::Forward, memory::Memory, verdict::Place};
use pingora_proxy::Session;

use super::{
    choice,
    errors::ErrorPage,
    exchange::{Exchange, Instead},
    forward, greeting, request_phase,
};
use crate::{
    edge::Edge,
    front::io::shared_connection,
    pools::{endpoints::Endpoint, member::Member},
};

/// What comes next on the way of a request.
pub(super) enum Step {
    GoOn,
    /// Another endpoint, as an action of the last policy wants it.
    Forward(Forward, Place),
    /// The endpoint that is to serve the request cannot.
    Failed(ErrorPage),
    /// The end of the way.
    Instead(Instead),
}

/// Runs the endpoint's policy, chooses a member, runs its policy; and so on where a policy forwards the request.
///
/// `Some`: the request goes no further.
pub(super) async fn request(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let step = to_endpoint(edge, session, exchange).await;
    walk(step, edge, session, exchange).await
}

/// The member for the next try: the one whose policy ran, or after a failure one with the same policy, or what the
/// policy that forwarded the request to them does instead.
pub(super) async fn member(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Result<Arc<Member>, Instead> {
    if let Some(member) = next_member(exchange) {
        return Ok(member);
    }
    let page = match (exchange.instead.take(), exchange.tries.page.take()) {
        (Some(Instead::Page(page)), _) | (_, Some(page)) => page,
        (_, None) => ErrorPage::no_agent(),
    };
    match walk(Step::Failed(page), edge, session, exchange).await {
        Some(instead) => Err(instead),
        None => next_member(exchange).ok_or_else(|| Instead::Page(ErrorPage::no_agent())),
    }
}

async fn walk(
    mut step: Step,
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<Instead> {
    loop {
        step = match step {
            // Its own policy was the last one.
            Step::GoOn if exchange.member().is_some() => return None,
            Step::GoOn => to_member(edge, session, exchange).await,
            Step::Forward(to, by) => match forward::leave(edge, session, exchange, to, by).await {
                Ok(()) => to_endpoint(edge, session, exchange).await,
                Err(page) => Step::Failed(page),
            },
            Step::Failed(page) => forward::fall_back(edge, session, exchange, page).await,
            Step::Instead(instead) => return Some(instead),
        }
    }
}

/// The operator's policy of the endpoint that serves the request.
async fn to_endpoint(edge: &Arc<Edge>, session: &mut Session, exchange: &mut Exchange) -> Step {
    let Some(routed) = &exchange.routed else {
        return Step::Instead(Instead::Page(ErrorPage::internal()));
    };
    let endpoint = Arc::clone(&routed.serving);
    let Some(policy) = endpoint.policy.clone() else {
        return Step::GoOn;
    };
    match greet(edge, session, &endpoint, &policy).await {
        Ok(memory) => {
            request_phase::enter(edge, session, exchange, endpoint, (policy, memory)).await
        }
        Err(instead) => Step::Instead(instead),
    }
}

/// A member of the endpoint that serves the request, and its own policy.
async fn to_member(edge: &Arc<Edge>, session: &mut Session, exchange: &mut Exchange) -> Step {
    let Some(routed) = &exchange.routed else {
        return Step::Instead(Instead::Page(ErrorPage::internal()));
    };
    let endpoint = Arc::clone(&routed.serving);
    let places = edge.limits().held_requests;
    edge.awaited.member_of(&endpoint.pool, places).await;
    let Some(member) = choice::first(edge, session, exchange) else {
        return Step::Failed(match exchange.is_forwarded() {
            true => ErrorPage::offline(&endpoint.url),
            false if endpoint.pool.is_unfit() => ErrorPage::unfit(),
            false => ErrorPage::no_agent(),
        });
    };
    let Some(routed) = &mut exchange.routed else {
        return Step::Instead(Instead::Page(ErrorPage::internal()));
    };
    routed.agent_policy = member.policy();
    routed.member = Some(member);
    let Some(agent_policy) = &routed.agent_policy else {
        return Step::GoOn;
    };
    let policy = Arc::clone(&agent_policy.policy);
    match greet(edge, session, &endpoint, &policy).await {
        Ok(memory) => {
            request_phase::enter(edge, session, exchange, endpoint, (policy, memory)).await
        }
        Err(instead) => Step::Instead(instead),
    }
}

/// What the policy has said of the connection. One to which the request was forwarded is asked, too, or there would be a
/// way around it.
async fn greet(
    edge: &Edge,
    session: &Session,
    endpoint: &Endpoint,
    policy: &Arc<Policy>,
) -> Result<Memory, Instead> {
    let internal = || Instead::Page(ErrorPage::internal());
    let facts = shared_connection(session).ok_or_else(internal)?;
    let facts = facts.get().ok_or_else(internal)?;
    let greeted = greeting::greet(edge, facts, endpoint, policy).await;
    greeted.map_err(Instead::Close)
}

fn next_member(exchange: &mut Exchange) -> Option<Arc<Member>> {
    let current = Arc::clone(exchange.member()?);
    if !exchange.tried.contains(&current.id) {
        return Some(current);
    }
    let next = choice::next(exchange)?;
    exchange.routed.as_mut()?.member = Some(Arc::clone(&next));
    Some(next)
}
