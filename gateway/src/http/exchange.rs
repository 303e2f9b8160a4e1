//! What the gateway keeps of one exchange between its hooks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use adit_policy::{
    Policy,
    action::{Forward, Reply},
    canonical::{Host, Target},
    endpoint_url::Scheme,
    memory::{Memory, Outcome},
    verdict::Place as By,
};
use http::{StatusCode, Uri};
use pingora_core::{Error, ErrorSource};
use pingora_http::RequestHeader;
use tokio::time::Instant;

use super::{
    dial::Dial, errors::ErrorPage, log, mirror::Mirroring, request_body::Kept,
    response_body::Rewriting, traceparent::TraceId, tries::Tries, websocket::Frames,
};
use crate::{
    edge::Edge,
    front::{ending::Closing, running::Place},
    live::{Listed, Why},
    pools::{
        endpoints::Endpoint,
        flight::Flight,
        member::{AgentPolicy, Member},
    },
};

/// One exchange, from its first hook to its last.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(super) began: Instant,
    /// The core that serves it.
    pub(super) core: usize,
    /// Its place on its connection, until all work for it has ended.
    pub(super) place: Option<Place>,
    pub(super) routed: Option<Routed>,
    /// Members that are not asked again.
    pub(super) tried: Vec<u64>,
    /// What became of the tries so far.
    pub(super) tries: Tries,
    /// The connection to the member in use.
    pub(super) dial: Option<Arc<Dial>>,
    /// With `balance: hash`, the key of what decides.
    pub(super) key: Option<u64>,
    /// Whether the client is to remember its member.
    pub(super) to_remember: bool,
    /// Its share of the member's work.
    pub(super) flight: Option<Flight>,
    /// The request's body, if a policy has read it.
    pub(super) body: Option<Kept>,
    /// Its place among those that can be ended while they run, if it is one of them.
    pub(super) listed: Option<Listed>,
    /// The service's side of a WebSocket.
    pub(super) frames: Option<Frames>,
    /// What is to be done to the response's body.
    pub(super) rewriting: Option<Rewriting>,
    /// What its copies for other endpoints are told, if there are any.
    pub(super) mirroring: Option<Box<Mirroring>>,
    /// Set when something other than the service's response is to be sent.
    pub(super) instead: Option<Instead>,
    /// The policies that the request has met, the outermost first.
    pub(super) layers: Vec<Layer>,
    /// How often it was forwarded to another endpoint.
    pub(super) hops: usize,
    /// The status that the service answered with, before any policy changed it.
    pub(super) answered: Option<StatusCode>,
    /// When that was, counted from the beginning; only if the access log tells it.
    pub(super) first_byte: Option<Duration>,
    /// The last word of a policy that ended its phase.
    pub(super) decided: Option<(&'static str, By)>,
    pub(super) trace_id: Option<TraceId>,
    /// Whether what its policies do is kept step by step.
    pub(super) captured: bool,
    /// Whether its end was told.
    pub(super) told: bool,
}

/// A policy that a request has met on its way.
///
/// Requests pass layers from the first to the last, responses from the last to the first: the operator's policy of the
/// endpoint, those of the endpoints to which it was forwarded, and the policy of the agent that serves the last of them.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) policy: Arc<Policy>,
    /// Whose policy it is, if it is an agent's.
    pub(super) member: Option<Arc<Member>>,
    pub(super) memory: Memory,
    /// How it was left, if the policy forwarded the request to another endpoint.
    pub(super) left: Option<Left>,
}

/// What is needed to go on in a policy behind the action that forwarded the request.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) by: By,
    pub(super) forward: Forward,
    /// The request as the action left it, if the policy goes on when the other endpoint fails.
    pub(super) before: Option<Box<Before>>,
}

/// A request before another endpoint's policies have changed it.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) serving: Arc<Endpoint>,
    pub(super) member: Option<Arc<Member>>,
    pub(super) agent_policy: Option<Arc<AgentPolicy>>,
    pub(super) header: RequestHeader,
    pub(super) body: Option<Kept>,
}

/// Where a request goes, from one snapshot of the routes.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    /// The port that the client asked for, if it named one.
    pub(super) port: Option<u16>,
    /// The request target as it came, if its canonical text, which the request holds by now, is another.
    pub(super) raw_target: Option<Box<str>>,
    pub(super) client: SocketAddr,
    pub(super) grpc: bool,
    /// The one that the client asked for.
    pub(super) endpoint: Arc<Endpoint>,
    /// The one whose members serve the request: another one if a policy has forwarded it.
    pub(super) serving: Arc<Endpoint>,
    /// The member in use.
    pub(super) member: Option<Arc<Member>>,
    /// The policy that the member had when the request came to it.
    pub(super) agent_policy: Option<Arc<AgentPolicy>>,
}

/// What is sent instead of the service's response.
#[derive(Debug)]
pub(super) enum Instead {
    Page(ErrorPage),
    Reply(Box<Reply>),
    /// Nothing: the connection is closed.
    Close(Closing),
}

// === impl Routed ===

impl Routed {
    /// The canonical target, read from the URI of a request that was routed.
    pub(super) fn target<'a>(&'a self, uri: &'a Uri) -> Option<Target<'a>> {
        let target = uri.path_and_query()?.as_str();
        let target = Target::parse(target.as_bytes()).ok()?;
        Some(match &self.raw_target {
            Some(raw) => target.received_as(raw),
            None => target,
        })
    }
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn begin(core: usize) -> Self {
        Self {
            began: Instant::now(),
            core,
            place: None,
            routed: None,
            tried: Vec::new(),
            tries: Tries::default(),
            dial: None,
            key: None,
            to_remember: false,
            flight: None,
            body: None,
            listed: None,
            frames: None,
            rewriting: None,
            mirroring: None,
            instead: None,
            layers: Vec::new(),
            hops: 0,
            answered: None,
            first_byte: None,
            decided: None,
            trace_id: None,
            captured: false,
            told: false,
        }
    }

    /// How it stands with the service, after an error if there was one.
    pub(super) fn outcome(&self, error: Option<&Error>) -> Outcome {
        // Who did not wait for the answer says nothing about the service, or clients could make it look broken.
        let client_left = error.is_some_and(|error| *error.esource() == ErrorSource::Downstream);
        match (self.answered, &self.dial) {
            (Some(status), _) => Outcome::Answered(status),
            (None, Some(_)) if !client_left => Outcome::Unanswered,
            (None, _) => Outcome::NotAsked,
        }
    }

    /// Why the gateway has ended it, if it has.
    pub(super) fn ended(&self) -> Option<Why> {
        self.listed.as_ref()?.ended()
    }

    /// The last layer whose policy has forwarded the request.
    pub(super) fn forwarded_by(&self) -> Option<usize> {
        self.layers.iter().rposition(|layer| layer.left.is_some())
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.forwarded_by().is_some()
    }

    /// Whether a policy goes on if the service does not answer.
    pub(super) fn can_fall_back(&self) -> bool {
        let layer = self.forwarded_by().and_then(|at| self.layers.get(at));
        let left = layer.and_then(|layer| layer.left.as_ref());
        left.is_some_and(|left| left.before.is_some())
    }

    /// Whether a member is asked, apart from those that could not be reached.
    pub(super) fn asked(&self) -> bool {
        let untried = |member: &Arc<Member>| !self.tried.contains(&member.id);
        self.dial.is_some() && self.member().is_some_and(untried)
    }

    pub(super) fn member(&self) -> Option<&Arc<Member>> {
        self.routed.as_ref()?.member.as_ref()
    }

    /// The domain that this exchange's host shares with other agents' hosts.
    pub(super) fn shared_domain<'a>(&self, edge: &'a Edge) -> Option<&'a Host> {
        let declared = self.routed.as_ref()?.endpoint.declared;
        (!declared).then_some(&edge.config.domain)
    }
}

impl Drop for Exchange {
    /// An exchange whose connection was torn has had no last hook. Those who wait for its end are told all the same.
    fn drop(&mut self) {
        let outcome = self.outcome(None);
        for layer in &mut self.layers {
            log::layer_ended(layer, outcome);
        }
    }
}
