//! The request phase of one policy.

use std::sync::Arc;

use adit_policy::{
    Policy,
    action::{Fault, Phase, Unreached},
    body::BodySource,
    exchange::HeaderEdit,
    memory::Memory,
    verdict::{Place, Verdict},
};
use bytes::Bytes;
use pingora_proxy::Session;

use super::{
    adapt,
    decide::Step,
    errors::ErrorPage,
    exchange::{Exchange, Instead, Layer},
    judge::{Judged, judge},
    request_body::{self, RequestBody},
    response_phase,
    view::View,
};
use crate::{edge::Edge, front::io::shared_connection, pools::endpoints::Endpoint};

/// A policy is added to those that the request has met, and looks at it.
pub(super) async fn enter(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
    endpoint: Arc<Endpoint>,
    (policy, mut memory): (Arc<Policy>, Memory),
) -> Step {
    if let Some(outer) = exchange.layers.last() {
        memory.inherit_identity(&outer.memory);
    }
    if exchange.captured {
        memory.keep_trace();
    }
    let looks = policy.has_phase(Phase::OnHttpRequest);
    exchange.layers.push(Layer {
        endpoint,
        policy,
        member: exchange.member().map(Arc::clone),
        memory,
        left: None,
    });
    match looks {
        true => run_last(edge, session, exchange, None).await,
        false => Step::GoOn,
    }
}

/// The last of the policies goes on behind an action that forwarded the request in vain.
pub(super) async fn resume(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
    after: (&Place, &Unreached),
) -> Step {
    run_last(edge, session, exchange, Some(after)).await
}

async fn run_last(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
    after: Option<(&Place, &Unreached)>,
) -> Step {
    let path = session.req_header().uri.path();
    let ran = match exchange.layers.last() {
        Some(layer) if layer.policy.reads_request_body(path) => {
            run_with_body(edge, session, exchange, after).await
        }
        _ => run_without_body(edge, session, exchange, after).await,
    };
    let (Some((ran, unread)), Some(layer)) = (ran, exchange.layers.last()) else {
        return Step::Instead(Instead::Page(ErrorPage::internal()));
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
    if let Some(by) = ran.verdict.by() {
        exchange.decided = Some((ran.verdict.name(), by.clone()));
    }
    let judged = match changed {
        Ok(()) => judge(
            ran.verdict,
            ran.edits,
            header,
            &layer.endpoint,
            Phase::OnHttpRequest,
        ),
        Err(_) => Judged::Instead(Instead::Page(ErrorPage::internal())),
    };
    match (judged, unread) {
        // Nothing goes on without the body that came with it.
        (Judged::GoOn | Judged::Forward(..), Some(page)) => Step::Instead(Instead::Page(page)),
        (Judged::Instead(_), Some(page)) if failed => Step::Instead(Instead::Page(page)),
        (Judged::GoOn, None) => Step::GoOn,
        (Judged::Forward(forward, by), None) => Step::Forward(forward, by),
        (Judged::Instead(instead), _) => Step::Instead(instead),
        (Judged::Answer(reply), _) => {
            Step::Instead(response_phase::after_answer(edge, reply, session, exchange).await)
        }
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
    session: &Session,
    exchange: &mut Exchange,
    after: Option<(&Place, &Unreached)>,
) -> Option<(Ran, Option<ErrorPage>)> {
    let layer = exchange.layers.last_mut()?;
    let view = View::of(edge, session, exchange.routed.as_ref()?, &layer.endpoint)?;
    let ran = run(&layer.policy, after, &view, None, &mut layer.memory).await;
    Some((ran, None))
}

/// The same for a policy that may ask for the body. It gets a copy of the header, for reading the body takes the session.
async fn run_with_body(
    edge: &Edge,
    session: &mut Session,
    exchange: &mut Exchange,
    after: Option<(&Place, &Unreached)>,
) -> Option<(Ran, Option<ErrorPage>)> {
    let (facts, header) = (shared_connection(session)?, session.req_header().clone());
    let layer = exchange.layers.last_mut()?;
    let routed = exchange.routed.as_ref()?;
    let view = View::apart(edge, facts.get()?, &header, routed, &layer.endpoint)?;
    let patience = edge.limits().body_read_timeout.0;
    let mut body = RequestBody::new(session.as_mut(), &mut exchange.body, patience);
    let (policy, memory) = (&layer.policy, &mut layer.memory);
    let ran = run(policy, after, &view, Some(&mut body), memory).await;
    Some((ran, body.into_refusal()))
}

async fn run<'v>(
    policy: &Policy,
    after: Option<(&Place, &Unreached)>,
    view: &'v View<'v>,
    body: Option<&'v mut dyn BodySource>,
    memory: &mut Memory,
) -> Ran {
    let mut seen = view.request(std::mem::take(memory));
    if let Some(request) = &mut seen.request {
        request.body = body;
    }
    let verdict = match after {
        None => policy.on_http_request(&mut seen).await,
        Some((after, failure)) => policy.resume_http_request(after, failure, &mut seen).await,
    };
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
