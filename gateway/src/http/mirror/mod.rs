//! `mirror`: copies of a request for other endpoints, beside an exchange that never waits for them.
//!
//! - here: what an exchange's hooks hand on to its copies
//! - [`held`]: what is held of bodies; [`copy`]: one copy's own task; [`send`]: its request and its answer
//!
//! A copy is a task of its own from the moment in which the request goes to the service. It owns the memory; the
//! exchange has only a weak reference, so that a copy that gives up takes what it held with it, however slow the client.

use std::sync::{Arc, Weak};

use adit_policy::{
    memory::Memory,
    mirror::{COPIES_MAX, Mirror, Skipped},
};
use bytes::Bytes;
use http::header;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

mod copy;
mod held;
mod send;

use self::{
    copy::{Client, Copy},
    held::{Head, Held},
};
use super::{
    ended,
    exchange::{Exchange, Layer},
    response_body::{has_no_body, length},
};
use crate::{edge::Edge, fetch::HOPS, front::io::connection, mirrors::Tally};

/// What an exchange hands on to its copies.
#[derive(Debug, Default)]
pub(super) struct Mirroring(Vec<Feed>);

/// One copy, as the exchange sees it.
#[derive(Debug)]
struct Feed {
    held: Weak<Held>,
    /// Told once when the service has been sent the whole request.
    request: Option<oneshot::Sender<Result<(), Skipped>>>,
    /// Told once when the service has answered. Dropped before, it never will.
    answer: Option<oneshot::Sender<Result<(), Skipped>>>,
    /// When the service had the whole request.
    handed_on: Option<Instant>,
}

/// The request's header goes to a member: from now on there may be copies. Called again for each member that is tried.
pub(super) fn begin(
    edge: &Arc<Edge>,
    session: &mut Session,
    exchange: &mut Exchange,
    finishing: &watch::Receiver<bool>,
) {
    if let Some(Mirroring(feeds)) = exchange.mirroring.as_deref_mut() {
        feeds.iter().for_each(Feed::begin_again);
    }
    let mut planned = Vec::new();
    for layer in &mut exchange.layers {
        for mirror in layer.memory.take_mirrors() {
            let agents = layer.member.is_some();
            let tally = edge
                .mirrors
                .tally(&layer.endpoint, agents, &mirror.settings.id);
            planned.push((mirror, layer.endpoint.url.to_string(), tally));
        }
    }
    if planned.is_empty() {
        return;
    }
    let mut memories = exchange.layers.iter().map(|layer| &layer.memory);
    let secret_body = memories.any(has_secret_body);
    let Some(client) = client(session, exchange, finishing) else {
        return;
    };
    let bodiless = session.as_mut().is_body_empty();
    let promised = session.req_header().headers.get(header::CONTENT_LENGTH);
    let promised = promised.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let feeds = exchange.mirroring.get_or_insert_default();
    for (mirror, endpoint, tally) in planned {
        let checked = || {
            if feeds.0.len() >= COPIES_MAX {
                return Err(Skipped::TooMany);
            }
            if client.is_copy || client.hops >= HOPS {
                return Err(Skipped::Loop);
            }
            if secret_body && !mirror.settings.credentials {
                return Err(Skipped::Secret);
            }
            match promised > Some(mirror.settings.max_body) {
                true => Err(Skipped::Body),
                false => Ok(()),
            }
        };
        match checked() {
            Ok(()) => feeds
                .0
                .extend(start(edge, &client, mirror, endpoint, tally)),
            Err(why) => tally.skip(mirror.copy.err().unwrap_or(why)),
        }
    }
    if bodiless {
        pass_request(exchange, None, true);
    }
}

/// The next piece of the request's body goes to the service.
pub(super) fn pass_request(exchange: &mut Exchange, piece: Option<&Bytes>, end: bool) {
    let Some(Mirroring(feeds)) = exchange.mirroring.as_deref_mut() else {
        return;
    };
    for feed in feeds {
        if feed.request.is_none() {
            continue;
        }
        if let (Some(piece), Some(held)) = (piece, feed.held.upgrade()) {
            held.request().push(piece);
        }
        if end {
            feed.handed_on = Some(Instant::now());
            tell(&mut feed.request, Ok(()));
        }
    }
}

/// The service has answered with this header.
pub(super) fn answered(session: &Session, response: &ResponseHeader, exchange: &mut Exchange) {
    let Some(Mirroring(feeds)) = exchange.mirroring.as_deref_mut() else {
        return;
    };
    if response.status.is_informational() {
        return;
    }
    let now = Instant::now();
    for feed in feeds.iter_mut() {
        if ended::is_stream(&response.headers) {
            tell(&mut feed.request, Err(Skipped::Stream));
            tell(&mut feed.answer, Err(Skipped::Stream));
            continue;
        }
        // Whatever of the request is still to come, the service did not need it.
        tell(&mut feed.request, Err(Skipped::Body));
        if let Some(held) = feed.held.upgrade() {
            held.answer().begin_again(length(response));
            held.set_head(Head {
                status: response.status,
                headers: held.wanted(&response.headers),
                took: now - feed.handed_on.unwrap_or(now),
            });
        }
    }
    if has_no_body(&session.req_header().method, response) {
        pass_response(exchange, None, true);
    }
}

/// The next piece of the service's answer, as it came.
pub(super) fn pass_response(exchange: &mut Exchange, piece: Option<&Bytes>, end: bool) {
    let Some(Mirroring(feeds)) = exchange.mirroring.as_deref_mut() else {
        return;
    };
    for feed in feeds {
        if feed.answer.is_none() {
            continue;
        }
        if let (Some(piece), Some(held)) = (piece, feed.held.upgrade()) {
            held.answer().push(piece);
        }
        if end {
            tell(&mut feed.answer, Ok(()));
        }
    }
}

/// The exchange has ended. `whole`: the client has got all of what there was.
pub(super) fn ended(edge: &Edge, exchange: &mut Exchange, whole: bool) {
    if whole && exchange.answered.is_some() {
        pass_response(exchange, None, true);
    }
    exchange.mirroring = None;
    for layer in &mut exchange.layers {
        unasked(edge, layer);
    }
}

/// A policy's copies are not to be sent: the service that they were to be compared with is not asked.
pub(super) fn unasked(edge: &Edge, layer: &mut Layer) {
    for mirror in layer.memory.take_mirrors() {
        let agents = layer.member.is_some();
        let tally = edge
            .mirrors
            .tally(&layer.endpoint, agents, &mirror.settings.id);
        tally.skip(mirror.copy.err().unwrap_or(Skipped::Unasked));
    }
}

fn start(
    edge: &Arc<Edge>,
    client: &Client,
    mirror: Mirror,
    endpoint: String,
    tally: Arc<Tally>,
) -> Option<Feed> {
    let copied = match mirror.copy {
        Ok(copied) => copied,
        Err(why) => {
            tally.skip(why);
            return None;
        }
    };
    let Some(place) = edge.mirrors.enter() else {
        tally.skip(Skipped::Busy);
        return None;
    };
    let held = Arc::new(Held::new(Arc::clone(&mirror.settings)));
    let (request, request_ended) = oneshot::channel();
    let (answer, service_answered) = oneshot::channel();
    let feed = Feed {
        held: Arc::downgrade(&held),
        request: Some(request),
        answer: Some(answer),
        handed_on: None,
    };
    let copy = Copy {
        edge: Arc::downgrade(edge),
        client: client.clone(),
        endpoint,
        copied,
        settings: mirror.settings,
        held,
        request_ended,
        service_answered,
        tally,
        place,
    };
    tokio::spawn(copy.run());
    Some(feed)
}

/// On whose behalf copies are sent.
fn client(
    session: &Session,
    exchange: &Exchange,
    finishing: &watch::Receiver<bool>,
) -> Option<Client> {
    let (facts, routed) = (connection(session)?, exchange.routed.as_ref()?);
    let secret = exchange
        .layers
        .iter()
        .find_map(|layer| layer.memory.secret_target());
    Some(Client {
        address: routed.client,
        tls: facts.tls,
        hops: facts.hops,
        is_copy: facts.mirrored_to.is_some(),
        hidden_target: secret,
        trace_id: exchange.trace_id,
        finishing: finishing.clone(),
    })
}

fn has_secret_body(memory: &Memory) -> bool {
    memory.secret_parts().request_body.is_secret()
}

/// Whoever does not listen any more has given up.
fn tell(to: &mut Option<oneshot::Sender<Result<(), Skipped>>>, what: Result<(), Skipped>) {
    if let Some(to) = to.take() {
        let _has_given_up = to.send(what).is_err();
    }
}

// === impl Feed ===

impl Feed {
    /// Another member is sent the request, from its beginning.
    fn begin_again(&self) {
        if let (Some(_), Some(held)) = (&self.request, self.held.upgrade()) {
            held.request().begin_again(None);
        }
    }
}
