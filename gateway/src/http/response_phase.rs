//! The response phases of all policies that a request has met.

use std::sync::Arc;

use adit_policy::{
    action::{Phase, Reply},
    body::{BodyFault, Transform},
};
use http::StatusCode;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tracing::warn;

use super::{
    adapt::Editable,
    errors::ErrorPage,
    exchange::{Exchange, Instead},
    judge::{Judged, judge},
    response_body,
    view::View,
};
use crate::edge::Edge;

/// Lets the policies change what the service has answered. `Some`: this is sent instead of it.
pub(super) async fn response(
    edge: &Arc<Edge>,
    session: &mut Session,
    response: &mut ResponseHeader,
    exchange: &mut Exchange,
) -> Option<Instead> {
    let (status, length) = (response.status, response_body::length(response));
    exchange.answered = Some(status);
    let all = exchange.layers.len();
    let transforms = match run(edge, session, exchange, all, status, response).await {
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

/// The same for an answer that a policy has made before the service was asked, and meant as a page.
pub(super) async fn after_answer(
    edge: &Arc<Edge>,
    reply: Box<Reply>,
    session: &Session,
    exchange: &mut Exchange,
) -> Instead {
    let all = exchange.layers.len();
    answer(edge, reply, session, exchange, all).await
}

/// Lets so many policies, counted from the outermost, change an answer that was made within them.
async fn answer(
    edge: &Arc<Edge>,
    mut reply: Box<Reply>,
    session: &Session,
    exchange: &mut Exchange,
    layers: usize,
) -> Instead {
    let status = reply.status();
    let onto = reply.headers_mut();
    let transforms = match run(edge, session, exchange, layers, status, onto).await {
        Ok(transforms) => transforms,
        Err(instead) => return instead,
    };
    match response_body::rewrite(transforms, &session.req_header().method, &mut reply) {
        Ok(()) => Instead::Reply(reply),
        Err(fault) => body_fault(exchange, fault),
    }
}

/// What is to be done to the body, or what is sent instead.
async fn run(
    edge: &Arc<Edge>,
    session: &Session,
    exchange: &mut Exchange,
    layers: usize,
    status: StatusCode,
    onto: &mut impl Editable,
) -> Result<Vec<Box<dyn Transform>>, Instead> {
    let internal = || Instead::Page(ErrorPage::internal());
    let mut transforms = Vec::new();
    for index in (0..layers).rev() {
        let routed = exchange.routed.as_ref().ok_or_else(internal)?;
        let layer = exchange.layers.get_mut(index).ok_or_else(internal)?;
        if !layer.policy.has_phase(Phase::OnHttpResponse) {
            continue;
        }
        let (verdict, edits, more) = {
            let view = View::of(edge, session, routed, &layer.endpoint).ok_or_else(internal)?;
            let memory = std::mem::take(&mut layer.memory);
            let mut seen = view.response(status, onto.lines(), memory);
            let verdict = layer.policy.on_http_response(&mut seen).await;
            layer.memory = seen.memory;
            let response = seen.response.ok_or_else(internal)?;
            (verdict, response.head.into_edits(), response.transforms)
        };
        if let Some(by) = verdict.by() {
            exchange.decided = Some((verdict.name(), by.clone()));
        }
        transforms.extend(more);
        match judge(verdict, edits, onto, &layer.endpoint, Phase::OnHttpResponse) {
            Judged::GoOn => {}
            Judged::Instead(instead) => return Err(instead),
            // Whoever stands further out sees this answer as if the service had given it.
            Judged::Answer(reply) => {
                return Err(Box::pin(answer(edge, reply, session, exchange, index)).await);
            }
            Judged::Forward(..) => return Err(internal()),
        }
    }
    Ok(transforms)
}

fn body_fault(exchange: &Exchange, fault: BodyFault) -> Instead {
    if let Some(routed) = &exchange.routed {
        warn!(endpoint = %routed.endpoint.url, %fault, "a policy could not change a body");
    }
    Instead::Page(ErrorPage::of_body(fault, Phase::OnHttpResponse))
}
