//! `forward-internal`: another endpoint of this gateway serves the request.

use std::{sync::Arc, time::Duration};

use adit_policy::{
    action::{Forward, Unreached},
    endpoint_url::EndpointUrl,
    verdict::Place,
};
use pingora_proxy::Session;

use super::{
    decide::Step,
    errors::ErrorPage,
    exchange::{Before, Exchange, Instead, Left},
    log, mirror, request_phase,
};
use crate::{awaited::Waited, edge::Edge, pools::endpoints::Endpoint};

/// So often may one request be forwarded, in vain or not.
const HOPS: usize = 10;

/// The request leaves the last policy for another endpoint. `Err`: it cannot.
pub(super) async fn leave(
    edge: &Edge,
    session: &Session,
    exchange: &mut Exchange,
    forward: Forward,
    by: Place,
) -> Result<(), ErrorPage> {
    let target = match edge.serving(&forward.url) {
        None if edge.awaited.is_on() => arriving(edge, &forward.url).await,
        target => target,
    };
    let offline = ErrorPage::offline(&forward.url);
    let (Some(routed), Some(layer)) = (&mut exchange.routed, exchange.layers.last_mut()) else {
        return Err(ErrorPage::internal());
    };
    let before = forward.continue_on_error.then(|| {
        Box::new(Before {
            serving: Arc::clone(&routed.serving),
            member: routed.member.clone(),
            agent_policy: routed.agent_policy.clone(),
            header: session.req_header().clone(),
            body: exchange.body.clone(),
        })
    });
    layer.left = Some(Left {
        by,
        forward,
        before,
    });
    exchange.hops += 1;
    if exchange.hops > HOPS {
        return Err(ErrorPage::too_many_hops());
    }
    routed.serving = target.ok_or(offline)?;
    routed.member = None;
    Ok(())
}

/// After a restart, the agent that has it may be on its way.
pub(crate) async fn arriving(edge: &Edge, url: &EndpointUrl) -> Option<Arc<Endpoint>> {
    let places = edge.limits().held_requests;
    let coming = edge.awaited.look(|| edge.serving(url));
    match edge.awaited.hold(places, Duration::MAX, coming).await {
        Waited::Found(target) => Some(target),
        Waited::InVain | Waited::Full => None,
    }
}

/// The endpoint that was to serve the request cannot: the policy that forwarded it there goes on, or the page is sent.
pub(super) async fn fall_back(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
    page: ErrorPage,
) -> Step {
    let Some(at) = exchange.forwarded_by() else {
        return Step::Instead(Instead::Page(page));
    };
    let page = page.of_forward();
    let left = exchange
        .layers
        .get_mut(at)
        .and_then(|layer| layer.left.take());
    let Some(Left {
        by,
        forward,
        before: Some(before),
    }) = left
    else {
        return Step::Instead(Instead::Page(page));
    };
    let outcome = exchange.outcome(None);
    for mut layer in exchange.layers.drain(at + 1..) {
        mirror::unasked(edge, &mut layer);
        log::layer_ended(&mut layer, outcome);
    }
    exchange.dial = None;
    exchange.tries.go_elsewhere();
    let Before {
        serving,
        member,
        agent_policy,
        header,
        body,
    } = *before;
    *session.req_header_mut() = header;
    // A body that was read since is still the one that came.
    exchange.body = body.or_else(|| exchange.body.take());
    if let Some(routed) = &mut exchange.routed {
        routed.serving = serving;
        routed.member = member;
        routed.agent_policy = agent_policy;
    }
    let failure = Unreached {
        url: forward.url,
        code: page.code,
        message: page.title,
    };
    request_phase::resume(edge, session, exchange, (&by, &failure)).await
}
