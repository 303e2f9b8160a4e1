//! What the policies say about an exchange, and which member serves it.

use std::sync::Arc;

use adit_policy::{
    Policy,
    action::{Fault, Phase, Reply},
    body::{BodyFault, BodySource, Transform},
    exchange::HeaderEdit,
    memory::Memory,
    verdict::Verdict,
};
use bytes::Bytes;
use http::StatusCode;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tracing::warn;

use super::{
    adapt::{self, Editable},
    errors::ErrorPage,
    exchange::{Exchange, Instead, Routed},
    request_body::{self, RequestBody},
    response_body,
    view::View,
};
use crate::{
    edge::Edge,
    front::io::shared_connection,
    pools::{member::Member, pool},
};

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
    session: &mut Session,
    response: &mut ResponseHeader,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let (status, length) = (response.status, response_body::length(response));
    exchange.answered = Some(status);
    let transforms = match response_phases(edge, session, exchange, status, response).await {
        Ok(transforms) => transforms,
        Err(instead) => return Some(instead),
    };
    match response_body::begin(transforms, length, session, response) {
        Ok(rewriting) => {
            exchange.rewriting = rewriting;
            None
        }
        Err(fault) => Some(body_fault(exchange, fault)),
    }
}

/// What is to be done to the body, or what is sent instead.
async fn response_phases(
    edge: &Edge,
    session: &Session,
    exchange: &mut Exchange,
    status: StatusCode,
    onto: &mut impl Editable,
) -> Result<Vec<Box<dyn Transform>>, Instead> {
    let internal = || Instead::Page(ErrorPage::internal());
    let mut transforms = Vec::new();
    for whose in [AGENT, OPERATOR] {
        let Some(policy) = policy_with(Phase::OnHttpResponse, whose, exchange) else {
            continue;
        };
        let routed = exchange.routed.as_ref().ok_or_else(internal)?;
        let memory = exchange.memories.get_mut(whose).ok_or_else(internal)?;
        let (verdict, edits, more) = {
            let view = View::of(session, routed).ok_or_else(internal)?;
            let mut seen = view.response(edge, status, onto.lines(), std::mem::take(memory));
            let verdict = policy.on_http_response(&mut seen).await;
            *memory = seen.memory;
            let response = seen.response.ok_or_else(internal)?;
            (verdict, response.head.into_edits(), response.transforms)
        };
        transforms.extend(more);
        match judge(verdict, edits, onto, routed, Phase::OnHttpResponse) {
            Judged::GoOn => {}
            Judged::Instead(instead) => return Err(instead),
            Judged::Answer(reply) => return Err(Instead::Reply(reply)),
        }
    }
    Ok(transforms)
}

async fn request_phase(
    edge: &Edge,
    whose: usize,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let policy = policy_with(Phase::OnHttpRequest, whose, exchange)?;
    let ran = match policy.reads_request_body() {
        true => run_with_body(edge, &policy, whose, session, exchange).await,
        false => run_without_body(edge, &policy, whose, session, exchange).await,
    };
    let (Some((ran, unread)), Some(routed)) = (ran, &exchange.routed) else {
        return Some(Instead::Page(ErrorPage::internal()));
    };
    let header = session.req_header_mut();
    let failed = matches!(
        &ran.verdict,
        Verdict::Fault {
            fault: Fault::Body(_),
            ..
        }
    );
    let changed = adapt::rewrite(header, ran.target.as_deref())
        .and_then(|()| request_body::replace(header, &mut exchange.body, ran.body));
    let judged = match changed {
        Ok(()) => judge(ran.verdict, ran.edits, header, routed, Phase::OnHttpRequest),
        Err(_) => Judged::Instead(Instead::Page(ErrorPage::internal())),
    };
    match (judged, unread) {
        // Nothing goes on without the body that came with it.
        (Judged::GoOn, Some(page)) => Some(Instead::Page(page)),
        (Judged::Instead(_), Some(page)) if failed => Some(Instead::Page(page)),
        (Judged::GoOn, None) => None,
        (Judged::Instead(instead), _) => Some(instead),
        (Judged::Answer(reply), _) => Some(after_answer(edge, reply, session, exchange).await),
    }
}

/// What a policy said of a request, and the changes that it left behind.
struct Ran {
    verdict: Verdict,
    edits: Vec<HeaderEdit>,
    target: Option<String>,
    body: Option<Bytes>,
}

async fn run_without_body(
    edge: &Edge,
    policy: &Policy,
    whose: usize,
    session: &Session,
    exchange: &mut Exchange,
) -> Option<(Ran, Option<ErrorPage>)> {
    let view = View::of(session, exchange.routed.as_ref()?)?;
    let memory = exchange.memories.get_mut(whose)?;
    Some((run(edge, policy, &view, None, memory).await, None))
}

/// The same for a policy that may ask for the body. It gets a copy of the header, for reading the body takes the session.
async fn run_with_body(
    edge: &Edge,
    policy: &Policy,
    whose: usize,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<(Ran, Option<ErrorPage>)> {
    let (facts, header) = (shared_connection(session)?, session.req_header().clone());
    let view = View::apart(facts.get()?, &header, exchange.routed.as_ref()?)?;
    let memory = exchange.memories.get_mut(whose)?;
    let patience = edge.limits().body_read_timeout.0;
    let mut body = RequestBody::new(session.as_mut(), &mut exchange.body, patience);
    let ran = run(edge, policy, &view, Some(&mut body), memory).await;
    Some((ran, body.into_refusal()))
}

async fn run<'v>(
    edge: &'v Edge,
    policy: &Policy,
    view: &'v View<'v>,
    body: Option<&'v mut dyn BodySource>,
    memory: &mut Memory,
) -> Ran {
    let mut seen = view.request(edge, std::mem::take(memory));
    if let Some(request) = &mut seen.request {
        request.body = body;
    }
    let verdict = policy.on_http_request(&mut seen).await;
    *memory = seen.memory;
    let request = seen.request;
    let target = request.as_ref().and_then(|request| request.new_target());
    Ran {
        verdict,
        target: target.map(ToString::to_string),
        body: request
            .as_ref()
            .and_then(|request| request.new_body())
            .cloned(),
        edits: request
            .map(|request| request.head.into_edits())
            .unwrap_or_default(),
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
    let transforms = match phases.await {
        Ok(transforms) => transforms,
        Err(instead) => return instead,
    };
    match response_body::rewrite(transforms, &session.req_header().method, &mut reply) {
        Ok(()) => Instead::Reply(reply),
        Err(fault) => body_fault(exchange, fault),
    }
}

fn body_fault(exchange: &Exchange, fault: BodyFault) -> Instead {
    if let Some(routed) = &exchange.routed {
        warn!(endpoint = %routed.endpoint.url, %fault, "a policy could not change a body");
    }
    Instead::Page(ErrorPage::of_body(fault, Phase::OnHttpResponse))
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
