//! What the policies say about an exchange, and which member serves it.

use std::sync::Arc;

use adit_policy::{
    Policy,
    action::{Phase, Reply},
    exchange::HeaderEdit,
    verdict::Verdict,
};
use http::StatusCode;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tracing::warn;

use super::{
    adapt::{self, Editable},
    errors::ErrorPage,
    exchange::{Exchange, Instead, Routed},
    view::View,
};
use crate::edge::Edge;
use crate::pools::{member::Member, pool};

/// Whose policy: the index into what an exchange keeps for each.
const OPERATOR: usize = 0;
const AGENT: usize = 1;

/// Runs the operator's policy, chooses a member, runs its policy.
///
/// `Some`: the request goes no further.
pub(super) async fn request(
    edge: &Edge,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<Instead> {
    if let Some(instead) = request_phase(edge, OPERATOR, session, exchange).await {
        return Some(instead);
    }
    let routed = exchange.routed.as_mut()?;
    let Some(member) = pool::choose(&routed.endpoint.members, &[], None) else {
        return Some(Instead::Page(ErrorPage::no_agent()));
    };
    routed.member = Some(member);
    request_phase(edge, AGENT, session, exchange).await
}

/// The member for the next try: the one whose policy ran, or after a failure one with the same policy.
pub(super) fn member(exchange: &mut Exchange) -> Option<Arc<Member>> {
    let Exchange {
        routed: Some(routed),
        tried,
        ..
    } = exchange
    else {
        return None;
    };
    let current = Arc::clone(routed.member.as_ref()?);
    if !tried.contains(&current.id) {
        return Some(current);
    }
    let next = pool::choose(&routed.endpoint.members, tried, Some(&current))?;
    routed.member = Some(Arc::clone(&next));
    Some(next)
}

/// Runs the response phases, the agent's policy first: it is the inner one.
pub(super) async fn response(
    edge: &Edge,
    session: &Session,
    response: &mut ResponseHeader,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let status = response.status;
    exchange.answered = Some(status);
    response_phases(edge, session, exchange, status, response).await
}

async fn response_phases(
    edge: &Edge,
    session: &Session,
    exchange: &mut Exchange,
    status: StatusCode,
    onto: &mut impl Editable,
) -> Option<Instead> {
    for whose in [AGENT, OPERATOR] {
        let Some(policy) = policy_with(Phase::OnHttpResponse, whose, exchange) else {
            continue;
        };
        let routed = exchange.routed.as_ref()?;
        let memory = std::mem::take(exchange.memories.get_mut(whose)?);
        let (verdict, edits, memory) = {
            let Some(view) = View::of(session, routed) else {
                return Some(Instead::Page(ErrorPage::internal()));
            };
            let mut seen = view.response(edge, status, onto.lines(), memory);
            let verdict = policy.on_http_response(&mut seen).await;
            let edits = seen.response.map(|response| response.head.into_edits());
            (verdict, edits.unwrap_or_default(), seen.memory)
        };
        let judged = judge(verdict, edits, onto, routed, Phase::OnHttpResponse);
        *exchange.memories.get_mut(whose)? = memory;
        match judged {
            Judged::GoOn => {}
            Judged::Instead(instead) => return Some(instead),
            Judged::Answer(reply) => return Some(Instead::Reply(reply)),
        }
    }
    None
}

async fn request_phase(
    edge: &Edge,
    whose: usize,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let policy = policy_with(Phase::OnHttpRequest, whose, exchange)?;
    let routed = exchange.routed.as_ref()?;
    let memory = std::mem::take(exchange.memories.get_mut(whose)?);
    let (verdict, edits, target, memory) = {
        let Some(view) = View::of(session, routed) else {
            return Some(Instead::Page(ErrorPage::internal()));
        };
        let mut seen = view.request(edge, memory);
        let verdict = policy.on_http_request(&mut seen).await;
        let target = seen
            .request
            .as_ref()
            .and_then(|request| request.new_target());
        let target = target.map(ToString::to_string);
        let edits = seen.request.map(|request| request.head.into_edits());
        (verdict, edits.unwrap_or_default(), target, seen.memory)
    };
    let header = session.req_header_mut();
    let rewritten = target.is_none_or(|target| adapt::rewrite(header, &target).is_ok());
    let judged = match rewritten {
        true => judge(verdict, edits, header, routed, Phase::OnHttpRequest),
        false => Judged::Instead(Instead::Page(ErrorPage::internal())),
    };
    *exchange.memories.get_mut(whose)? = memory;
    match judged {
        Judged::GoOn => None,
        Judged::Instead(instead) => Some(instead),
        Judged::Answer(reply) => Some(after_answer(edge, reply, session, exchange).await),
    }
}

/// The policy, if it has anything to do in a phase.
fn policy_with(phase: Phase, whose: usize, exchange: &Exchange) -> Option<Arc<Policy>> {
    let [operator, agent] = exchange.policies();
    let policy = if whose == OPERATOR { operator } else { agent };
    policy.filter(|policy| policy.has_phase(phase))
}

/// An answer that was meant as a page passes the response phase like a service's would.
async fn after_answer(
    edge: &Edge,
    mut reply: Box<Reply>,
    session: &Session,
    exchange: &mut Exchange,
) -> Instead {
    let status = reply.status();
    let phases = response_phases(edge, session, exchange, status, reply.headers_mut());
    phases.await.unwrap_or(Instead::Reply(reply))
}

/// A verdict as the gateway carries it out.
enum Judged {
    GoOn,
    /// The end of the exchange's way.
    Instead(Instead),
    /// The same, but the response phase runs for it.
    Answer(Box<Reply>),
}

fn judge(
    verdict: Verdict,
    edits: Vec<HeaderEdit>,
    onto: &mut impl Editable,
    routed: &Routed,
    phase: Phase,
) -> Judged {
    routed.endpoint.counts.verdict(&verdict);
    let page = |page| Judged::Instead(Instead::Page(page));
    match verdict {
        Verdict::Continue => match adapt::replay(edits, onto) {
            Ok(()) => Judged::GoOn,
            Err(_) => page(ErrorPage::internal()),
        },
        Verdict::Answer { reply, .. } => Judged::Answer(Box::new(reply)),
        Verdict::Deny { reply, .. } => Judged::Instead(Instead::Reply(Box::new(reply))),
        Verdict::Refuse { refusal, .. } => page(ErrorPage::refusal(refusal)),
        Verdict::Close { .. } => Judged::Instead(Instead::Close),
        Verdict::Forward { forward, .. } => page(ErrorPage::no_endpoint(&forward.url.to_string())),
        Verdict::Fault { fault, by } => {
            warn!(endpoint = %routed.endpoint.url, rule = %by, %fault, "a policy could not decide");
            page(ErrorPage::policy_fault(fault.status(phase), fault.code()))
        }
    }
}
