//! A connection's way through policies to a member of a pool.
//!
//! The policy of the endpoint looks first; then a member is chosen, and the policy of its agent looks. Each of them may
//! forward the connection to another endpoint, where it begins anew. What cannot be reached goes back to the last policy
//! that has forwarded the connection and wants to go on; if there is none, the connection ends.

use std::sync::Arc;

use adit_policy::{
    Policy,
    action::{Forward, Phase, Unreached},
    memory::Memory,
    verdict::{Place, Verdict},
};
use adit_wire::{Stream, message::Protocol};
use tracing::debug;

use crate::{
    core::Core,
    front::{
        ending::Closing,
        io::Connection,
        running::{self, Running},
    },
    http::{arriving, ask, closing, log_shadow},
    live::Passed,
    pools::{
        endpoints::Endpoint,
        flight::Flight,
        member::{AgentPolicy, Member},
        pool::{Ask, Like},
        session::OpenFailure,
    },
};

/// So often may one connection be forwarded, in vain or not.
const HOPS: usize = 10;

/// Where a connection goes.
pub(super) struct Way {
    pub(super) stream: Stream,
    pub(super) serving: Arc<Endpoint>,
    pub(super) member: Arc<Member>,
    /// How many members were tried, this one included.
    pub(super) tries: usize,
    /// Everywhere it was let in.
    pub(super) passed: Vec<Passed>,
    /// Among the streams of the member's session.
    pub(super) place: running::Place,
    /// At work at the member.
    pub(super) flight: Flight,
}

/// Why a connection goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWay {
    /// A policy did not let it in.
    Refused(Closing),
    /// Nobody could be reached who serves it.
    Unserved,
}

/// A place that the connection has come to, with the policy that stands there.
struct Layer {
    endpoint: Arc<Endpoint>,
    /// The member, if this is its place and not the endpoint's.
    member: Option<(Arc<Member>, Option<Arc<AgentPolicy>>)>,
    memory: Memory,
    /// How it was left, if the policy forwarded the connection.
    left: Option<(Place, Forward)>,
}

/// What comes next.
enum Step {
    To(Arc<Endpoint>),
    /// The policy of the last layer lets it in.
    Passed,
    Forward(Forward, Place),
    Failed(Failure),
    Done(Box<Way>),
    End(NoWay),
}

/// Why an endpoint that a connection was forwarded to cannot serve it.
struct Failure {
    code: u16,
    message: String,
}

struct Walk<'a> {
    core: &'a Core,
    facts: &'a Connection,
    layers: Vec<Layer>,
    /// Members that could not be reached.
    tried: Vec<u64>,
    hops: usize,
}

/// Takes a connection that arrived for an endpoint to one of those who serve it; or tells how many were tried in vain.
pub(super) async fn find(
    core: &Core,
    facts: &Connection,
    endpoint: Arc<Endpoint>,
) -> Result<Way, (NoWay, usize)> {
    let mut walk = Walk {
        core,
        facts,
        layers: Vec::new(),
        tried: Vec::new(),
        hops: 0,
    };
    let mut step = Step::To(endpoint);
    loop {
        step = match step {
            Step::To(endpoint) => walk.enter(endpoint, None).await,
            Step::Passed => walk.on().await,
            Step::Forward(forward, by) => walk.leave(forward, by).await,
            Step::Failed(failure) => walk.fall_back(failure).await,
            Step::Done(way) => return Ok(*way),
            Step::End(why) => return Err((why, walk.tried.len())),
        };
    }
}

// === impl Walk ===

impl Walk<'_> {
    /// Comes to an endpoint, or to one of its members.
    async fn enter(&mut self, endpoint: Arc<Endpoint>, member: Option<Arc<Member>>) -> Step {
        let member = member.map(|member| {
            let policy = member.policy();
            (member, policy)
        });
        self.layers.push(Layer {
            endpoint,
            member,
            memory: Memory::default(),
            left: None,
        });
        self.look(None).await
    }

    /// Lets the policy of the last layer look at the connection, or go on behind what it did in vain.
    async fn look(&mut self, after: Option<(&Place, &Unreached)>) -> Step {
        let Some(layer) = self.layers.last_mut() else {
            return Step::End(NoWay::Unserved);
        };
        let Some(policy) = layer.policy() else {
            return Step::Passed;
        };
        if !policy.has_phase(Phase::OnTcpConnect) {
            return Step::Passed;
        }
        let memory = std::mem::take(&mut layer.memory);
        let (edge, facts) = (&self.core.edge, self.facts);
        let asked = ask(edge, facts, &layer.endpoint, &policy, memory, after);
        let (verdict, memory) = asked.await;
        layer.memory = memory;
        if let Verdict::Forward { forward, by } = verdict {
            return Step::Forward(forward, by);
        }
        match closing(&layer.endpoint, &verdict) {
            None => Step::Passed,
            Some(closing) => Step::End(NoWay::Refused(closing)),
        }
    }

    /// From an endpoint to a member, or from a member to its service.
    async fn on(&mut self) -> Step {
        let Some(layer) = self.layers.last() else {
            return Step::End(NoWay::Unserved);
        };
        if layer.member.is_some() {
            return self.dial().await;
        }
        let endpoint = Arc::clone(&layer.endpoint);
        let edge = &self.core.edge;
        let places = edge.limits().held_requests;
        edge.awaited.member_of(&endpoint.pool, places).await;
        let ask = Ask {
            core: self.core.index(),
            tried: &self.tried,
            key: endpoint.pool.key_of_client(self.facts.peer.ip()),
            ..Ask::default()
        };
        match endpoint.pool.choose(&ask) {
            Some(chosen) => self.enter(endpoint, Some(chosen.member)).await,
            None => Step::Failed(Failure::offline(&endpoint)),
        }
    }

    /// Opens a stream to the service of the member, or of another one with the same policy.
    async fn dial(&mut self) -> Step {
        loop {
            let Some(layer) = self.layers.last_mut() else {
                return Step::End(NoWay::Unserved);
            };
            let endpoint = Arc::clone(&layer.endpoint);
            let Some((member, policy)) = &mut layer.member else {
                return Step::Failed(Failure::offline(&endpoint));
            };
            let failure = match open(self.core, member).await {
                Ok((stream, place, flight)) => {
                    member.answered(true);
                    let member = Arc::clone(member);
                    let passed = self.layers.iter().map(Layer::passed).collect();
                    return Step::Done(Box::new(Way {
                        stream,
                        serving: endpoint,
                        member,
                        tries: self.tried.len() + 1,
                        passed,
                        place,
                        flight,
                    }));
                }
                Err(failure) => failure,
            };
            debug!(url = %endpoint.url, agent = %member.session.owner, %failure, "a member could not be reached");
            endpoint.pool.not_opened(member, &failure);
            self.tried.push(member.id);
            let ask = Ask {
                core: self.core.index(),
                tried: &self.tried,
                like: Like::Policy(policy.as_deref()),
                key: endpoint.pool.key_of_client(self.facts.peer.ip()),
                ..Ask::default()
            };
            let Some(next) = endpoint.pool.choose(&ask) else {
                return Step::Failed(Failure::of(&failure));
            };
            *policy = next.member.policy();
            *member = next.member;
        }
    }

    /// To another endpoint of this gateway.
    async fn leave(&mut self, forward: Forward, by: Place) -> Step {
        let edge = &self.core.edge;
        let target = match edge.serving(&forward.url) {
            None if edge.awaited.is_on() => arriving(edge, &forward.url).await,
            target => target,
        };
        let failure = Failure {
            code: 3200,
            message: format!("the endpoint {} is offline", forward.url),
        };
        if let Some(layer) = self.layers.last_mut() {
            layer.left = Some((by, forward));
        }
        self.hops += 1;
        match target {
            _ if self.hops > HOPS => Step::Failed(Failure {
                code: 3501,
                message: "the connection was forwarded too often".into(),
            }),
            Some(target) => Step::To(target),
            None => Step::Failed(failure),
        }
    }

    /// Back to the last policy that wants to go on if the endpoint fails to which it has forwarded the connection.
    async fn fall_back(&mut self, failure: Failure) -> Step {
        while let Some(layer) = self.layers.last_mut() {
            let Some((by, forward)) = layer.left.take() else {
                self.layers.pop();
                continue;
            };
            if !forward.continue_on_error {
                break;
            }
            let failure = Unreached {
                url: forward.url,
                code: failure.code,
                message: failure.message,
            };
            return self.look(Some((&by, &failure))).await;
        }
        debug!(code = failure.code, client = %self.facts.peer, why = %failure.message, "nobody serves a connection");
        Step::End(NoWay::Unserved)
    }
}

// === impl Layer ===

impl Layer {
    fn policy(&self) -> Option<Arc<Policy>> {
        match &self.member {
            Some((_, own)) => own.as_ref().map(|own| Arc::clone(&own.policy)),
            None => self.endpoint.policy.clone(),
        }
    }

    fn passed(&self) -> Passed {
        match &self.member {
            Some((member, own)) => Passed::Member(
                Arc::clone(member),
                own.as_ref().map(|own| Arc::clone(&own.policy)),
            ),
            None => Passed::Endpoint(Arc::clone(&self.endpoint)),
        }
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        log_shadow(&self.endpoint, &self.memory);
    }
}

// === impl Failure ===

impl Failure {
    fn offline(endpoint: &Endpoint) -> Self {
        Self {
            code: 3200,
            message: format!("the endpoint {} is offline", endpoint.url),
        }
    }

    fn of(failure: &OpenFailure) -> Self {
        let code = match failure {
            OpenFailure::Dial(_) => 8012,
            OpenFailure::Busy
            | OpenFailure::Lost
            | OpenFailure::Timeout
            | OpenFailure::Protocol => 3210,
        };
        Self {
            code,
            message: failure.to_string(),
        }
    }
}

async fn open(
    core: &Core,
    member: &Arc<Member>,
) -> Result<(Stream, running::Place, Flight), OpenFailure> {
    let session = &member.session;
    let place = Running::enter(&session.raw, session.raw_most());
    let place = place.ok_or(OpenFailure::Busy)?;
    let flight = Flight::of(member);
    let stream = member.open(core.index(), Protocol::Tcp).await?;
    Ok((stream, place, flight))
}
