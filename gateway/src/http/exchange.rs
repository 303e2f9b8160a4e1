//! What the gateway keeps of one exchange between its hooks.

use std::{net::SocketAddr, sync::Arc};

use adit_policy::{
    Policy,
    action::Reply,
    canonical::{Host, Target},
    endpoint_url::Scheme,
    memory::{Memory, Outcome},
};
use http::{StatusCode, Uri};
use pingora_core::{Error, ErrorSource};
use tokio::time::Instant;

use super::{errors::ErrorPage, request_body::Kept, response_body::Rewriting, upstream::Dial};
use crate::{
    edge::Edge,
    front::running::Place,
    pools::{endpoints::Endpoint, member::Member},
};

/// One exchange, from its first hook to its last.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(super) began: Instant,
    /// Its place on its connection, until all work for it has ended.
    pub(super) place: Option<Place>,
    pub(super) routed: Option<Routed>,
    /// Members that could not be reached.
    pub(super) tried: Vec<u64>,
    /// The connection to the member in use.
    pub(super) dial: Option<Arc<Dial>>,
    /// The request's body, if a policy has read it.
    pub(super) body: Option<Kept>,
    /// What is to be done to the response's body.
    pub(super) rewriting: Option<Rewriting>,
    /// Set when something other than the service's response is to be sent.
    pub(super) instead: Option<Instead>,
    /// What the policies remember, the operator's first.
    pub(super) memories: [Memory; 2],
    /// The status that the service answered with, before any policy changed it.
    pub(super) answered: Option<StatusCode>,
}

/// Where a request goes, from one snapshot of the routes.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    /// The request target as it came, if its canonical text, which the request holds by now, is another.
    pub(super) raw_target: Option<Box<str>>,
    pub(super) client: SocketAddr,
    pub(super) grpc: bool,
    pub(super) endpoint: Arc<Endpoint>,
    /// The member in use.
    pub(super) member: Option<Arc<Member>>,
}

/// What is sent instead of the service's response.
#[derive(Debug)]
pub(super) enum Instead {
    Page(ErrorPage),
    Reply(Box<Reply>),
    /// Nothing: the connection is closed.
    Close,
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
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            place: None,
            routed: None,
            tried: Vec::new(),
            dial: None,
            body: None,
            rewriting: None,
            instead: None,
            memories: Default::default(),
            answered: None,
        }
    }

    /// Tells the policies' actions that wait for it how the exchange ended.
    pub(super) fn tell_end(&mut self, error: Option<&Error>) {
        // Who did not wait for the answer says nothing about the service, or clients could make it look broken.
        let client_left = error.is_some_and(|error| *error.esource() == ErrorSource::Downstream);
        let outcome = match (self.answered, &self.dial) {
            (Some(status), _) => Outcome::Answered(status),
            (None, Some(_)) if !client_left => Outcome::Unanswered,
            (None, _) => Outcome::NotAsked,
        };
        for memory in &mut self.memories {
            memory.ended(outcome);
        }
    }

    pub(super) fn member(&self) -> Option<&Arc<Member>> {
        self.routed.as_ref()?.member.as_ref()
    }

    /// The domain that this exchange's host shares with other agents' hosts.
    pub(super) fn shared_domain<'a>(&self, edge: &'a Edge) -> Option<&'a Host> {
        let declared = self.routed.as_ref()?.endpoint.declared;
        (!declared).then_some(&edge.config.domain)
    }

    /// The policies of this exchange, the operator's first.
    pub(super) fn policies(&self) -> [Option<Arc<Policy>>; 2] {
        let operator = self
            .routed
            .as_ref()
            .and_then(|routed| routed.endpoint.policy.clone());
        let agent = self.member().and_then(|member| member.spec.policy.as_ref());
        [operator, agent.map(|agent| Arc::clone(&agent.policy))]
    }
}
