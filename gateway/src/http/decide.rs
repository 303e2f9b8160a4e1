//! What the policies say about an exchange, and which member serves it.

use std::sync::Arc;

use adit_policy::{
    Policy,
    action::Reply,
    exchange::{self, Head, HeaderEdit},
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
};
use crate::pools::{member::Member, pool};

/// Runs the operator's policy, chooses a member, runs its policy.
///
/// `Some`: the request goes no further.
pub(super) async fn request(session: &mut Session, exchange: &mut Exchange) -> Option<Instead> {
    let [operator, _] = exchange.policies();
    if let Some(instead) = request_phase(operator, session, exchange).await {
        return Some(instead);
    }
    let routed = exchange.routed.as_mut()?;
    let Some(member) = pool::choose(&routed.endpoint.members, &[], None) else {
        return Some(Instead::Page(ErrorPage::no_agent()));
    };
    routed.member = Some(member);
    let [_, agent] = exchange.policies();
    request_phase(agent, session, exchange).await
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
    session: &Session,
    response: &mut ResponseHeader,
    exchange: &Exchange,
) -> Option<Instead> {
    let routed = exchange.routed.as_ref()?;
    let status = response.status;
    response_phases(exchange.policies(), session, routed, status, response).await
}

async fn response_phases(
    [operator, agent]: [Option<Arc<Policy>>; 2],
    session: &Session,
    routed: &Routed,
    status: StatusCode,
    onto: &mut impl Editable,
) -> Option<Instead> {
    for policy in [agent, operator].into_iter().flatten() {
        if !policy.has_response_phase() {
            continue;
        }
        let (verdict, edits) = {
            let Some(mut view) = view(session, routed) else {
                return Some(Instead::Page(ErrorPage::internal()));
            };
            view.response = Some(exchange::Response {
                status,
                head: Head::of(onto.lines()),
            });
            let verdict = policy.on_http_response(&mut view).await;
            (
                verdict,
                view.response
                    .map(|response| response.head.into_edits())
                    .unwrap_or_default(),
            )
        };
        match judge(verdict, edits, onto, routed) {
            Judged::GoOn => {}
            Judged::Instead(instead) => return Some(instead),
            Judged::Answer(reply) => return Some(Instead::Reply(reply)),
        }
    }
    None
}

async fn request_phase(
    policy: Option<Arc<Policy>>,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let policy = policy.filter(|policy| policy.has_request_phase())?;
    let routed = exchange.routed.as_ref()?;
    let (verdict, edits) = {
        let Some(mut view) = view(session, routed) else {
            return Some(Instead::Page(ErrorPage::internal()));
        };
        let verdict = policy.on_http_request(&mut view).await;
        (verdict, view.request.into_edits())
    };
    match judge(verdict, edits, session.req_header_mut(), routed) {
        Judged::GoOn => None,
        Judged::Instead(instead) => Some(instead),
        Judged::Answer(reply) => Some(after_answer(reply, session, exchange).await),
    }
}

/// An answer that was meant as a page passes the response phase like a service's would.
async fn after_answer(mut reply: Box<Reply>, session: &Session, exchange: &Exchange) -> Instead {
    let Some(routed) = &exchange.routed else {
        return Instead::Page(ErrorPage::internal());
    };
    let status = reply.status();
    let phases = response_phases(
        exchange.policies(),
        session,
        routed,
        status,
        reply.headers_mut(),
    );
    phases.await.unwrap_or(Instead::Reply(reply))
}

fn view<'a>(session: &'a Session, routed: &'a Routed) -> Option<exchange::Exchange<'a>> {
    let request = session.req_header();
    Some(exchange::Exchange {
        client: routed.client,
        scheme: routed.scheme,
        method: &request.method,
        host: routed.host.as_str(),
        target: routed.target(&request.uri)?,
        request: Head::of(&request.headers),
        response: None,
    })
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
) -> Judged {
    routed.endpoint.counts.verdict(&verdict);
    match verdict {
        Verdict::Continue => match adapt::replay(edits, onto) {
            Ok(()) => Judged::GoOn,
            Err(_) => Judged::Instead(Instead::Page(ErrorPage::internal())),
        },
        Verdict::Reply { reply, kind, .. } if kind.runs_response_phase() => {
            Judged::Answer(Box::new(reply))
        }
        Verdict::Reply { reply, .. } => Judged::Instead(Instead::Reply(Box::new(reply))),
        Verdict::Fault { fault, by } => {
            warn!(endpoint = %routed.endpoint.url, rule = %by, %fault, "a policy could not decide");
            Judged::Instead(Instead::Page(ErrorPage::policy_fault(fault.code())))
        }
    }
}
