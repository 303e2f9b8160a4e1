//! What of a request decides which member of a pool serves it, and what its client is told to remember.

use std::{mem, sync::Arc};

use adit_policy::{endpoint_url::Scheme, expr::RequestKey};
use http::StatusCode;
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tracing::debug;

use super::{
    cookies::Sticky,
    exchange::{Exchange, Layer, Routed},
    view::View,
};
use crate::{
    config::Balance,
    edge::Edge,
    pools::{
        endpoints::Endpoint,
        member::Member,
        pool::{Ask, Like, Pool},
    },
};

/// A member for an exchange that has come to an endpoint.
pub(super) fn first(
    edge: &Edge,
    session: &Session,
    exchange: &mut Exchange,
) -> Option<Arc<Member>> {
    let endpoint = Arc::clone(&exchange.routed.as_ref()?.serving);
    let settings = endpoint.pool.settings();
    exchange.key = match &settings.hash_on {
        Some(on) if settings.balance == Balance::Hash => Some(key(edge, session, exchange, on)?),
        _ => None,
    };
    let routed = exchange.routed.as_ref()?;
    let sticky = settings.sticky.as_ref();
    let mark = sticky.and_then(|_| cookie(routed).read(session.req_header()));
    let ask = Ask {
        core: exchange.core,
        tried: &exchange.tried,
        key: exchange.key,
        mark,
        like: Like::Any,
    };
    let chosen = endpoint.pool.choose(&ask)?;
    exchange.to_remember = sticky.is_some() && chosen.anew;
    Some(chosen.member)
}

/// Another member, with the policy that has run, in place of those that were tried.
pub(super) fn next(exchange: &mut Exchange) -> Option<Arc<Member>> {
    let routed = exchange.routed.as_ref()?;
    let pool = &routed.serving.pool;
    let ask = Ask {
        core: exchange.core,
        tried: &exchange.tried,
        key: exchange.key,
        mark: None,
        like: Like::Policy(routed.agent_policy.as_deref()),
    };
    let chosen = pool.choose(&ask)?;
    exchange.to_remember = pool.settings().sticky.is_some();
    Some(chosen.member)
}

/// Tells the client which member serves it, if it does not know.
pub(super) fn remember(response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    let is_last =
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS;
    let (true, true, Some(routed)) = (exchange.to_remember, is_last, &exchange.routed) else {
        return Ok(());
    };
    let settings = routed.serving.pool.settings();
    match (&settings.sticky, &routed.member) {
        (Some(sticky), Some(member)) => {
            let max_age = sticky.max_age.map(|time| time.0);
            cookie(routed).set(response, member.spec.mark, max_age)
        }
        _ => Ok(()),
    }
}

fn cookie(routed: &Routed) -> Sticky<'_> {
    // Behind `ep_`.
    let tag = routed.serving.id.get(3..11).unwrap_or_default();
    let https = routed.scheme == Scheme::Https;
    Sticky { tag, https }
}

/// The key of what `hash_on` gives; where it gives nothing, of the client's address, so that the request is served and
/// one client still goes to one member.
fn key(edge: &Edge, session: &Session, exchange: &mut Exchange, on: &RequestKey) -> Option<u64> {
    let Exchange {
        routed: Some(routed),
        layers,
        ..
    } = exchange
    else {
        return None;
    };
    let endpoint = Arc::clone(&routed.serving);
    let key = value(edge, session, (routed, &endpoint), layers, on);
    Some(key.unwrap_or_else(|| Pool::key_of(&routed.client.ip().to_string())))
}

/// The expression sees what the last policy has left, if the endpoint has one.
fn value(
    edge: &Edge,
    session: &Session,
    (routed, endpoint): (&Routed, &Arc<Endpoint>),
    layers: &mut [Layer],
    on: &RequestKey,
) -> Option<u64> {
    let view = View::of(edge, session, routed, endpoint)?;
    let mut last = layers.last_mut();
    let left = last.as_mut().map(|layer| mem::take(&mut layer.memory));
    let seen = view.request(left.unwrap_or_default());
    let key = on.with(&seen, Pool::key_of);
    if let Some(layer) = last {
        layer.memory = seen.memory;
    }
    match key {
        Ok(key) => Some(key),
        Err(error) => {
            debug!(endpoint = %endpoint.url, %error, "`hash_on` gives nothing; the client's address decides");
            None
        }
    }
}
