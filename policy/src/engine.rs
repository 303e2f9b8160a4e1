//! The engine: walks the rules of a phase in order until one action ends it.

mod build;
mod marks;
mod messages;
mod outline;
mod rule;
mod shadow;
mod traced;
mod vouched;

use std::sync::Arc;

use crate::action::{Action, Fault, Flow, Phase, Unreached};
use crate::actions;
use crate::document::{Misplaced, Mistakes, read};
use crate::env::{Env, Secrets};
use crate::exchange::{Exchange, HeaderEdit};
use crate::expr::Expression;
use crate::verdict::{Place, Verdict};
pub use build::BuildError;
pub use outline::RuleOutline;
use vouched::Vouched;

/// A policy ready to run. Immutable, so that an exchange can hold it while a reload puts a new one in its place.
///
/// The default is the empty policy: it lets everything pass.
#[derive(Debug, Default)]
pub struct Policy {
    /// By [`Phase::index`].
    phases: [Arc<[Rule]>; 4],
    reads_request_body: bool,
    /// Paths at which bodies are read although they are read nowhere else.
    reads_body_at: Vec<&'static str>,
    marks_responses: bool,
    /// Headers that say who the caller is, and that no client may send.
    vouched: Vouched,
    /// Whether an action answers at its own paths before any rule.
    has_open_paths: bool,
    upstream_edits: Vec<HeaderEdit>,
    /// Those that the policy may read, whoever runs it; only if an expression reads any.
    secrets: Option<Arc<dyn Secrets>>,
}

/// Why [`Policy::load`] gave none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is wrong.
    #[error(transparent)]
    Read(#[from] Mistakes),
    /// The text is right, and not for this endpoint.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// The text is right, and something around it is missing.
    #[error(transparent)]
    Build(#[from] BuildError),
}

#[derive(Debug)]
struct Rule {
    name: Option<Arc<str>>,
    expressions: Vec<Expression>,
    shadow: bool,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    kind: &'static str,
    results: Option<&'static str>,
    /// Whether an expression looks at what the action leaves.
    results_wanted: bool,
    /// Where the action answers, whatever the rule's expressions say.
    own_paths: Vec<String>,
    /// Whether it answers there before any rule.
    is_open: bool,
    action: Box<dyn Action>,
}

/// The next action to run in a phase.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    rule: usize,
    action: usize,
}

// === impl Policy ===

impl Policy {
    /// Reads and builds a policy. `file` is only a name for messages.
    pub fn load(file: &str, text: &str, env: &Env) -> Result<Self, LoadError> {
        Ok(Self::build(read(file, text)?, env)?)
    }

    /// Whether no phase has a rule.
    pub fn is_empty(&self) -> bool {
        self.phases.iter().all(|rules| rules.is_empty())
    }

    /// Whether anything runs in a phase; if not, the caller need not prepare for it.
    pub fn has_phase(&self, phase: Phase) -> bool {
        let messages = !self.rules(Phase::OnEventStreamMessage).is_empty();
        let besides = phase == Phase::OnHttpResponse && (self.marks_responses || messages);
        besides || !self.rules(phase).is_empty()
    }

    /// Whether an action may ask for the body of a request for this path, so that the caller must lend it.
    pub fn reads_request_body(&self, path: &str) -> bool {
        self.reads_request_body || self.reads_body_at.contains(&path)
    }

    /// What the policy asks of the service: edits of the request that goes upstream, and of nothing that a phase sees. The
    /// caller replays them last. A policy that changes response bodies asks for whole and plain ones; later phases still
    /// see what the client accepts.
    pub fn upstream_edits(&self) -> &[HeaderEdit] {
        &self.upstream_edits
    }

    /// Runs once per connection and endpoint, before any request.
    pub async fn on_tcp_connect(&self, exchange: &mut Exchange<'_>) -> Verdict {
        self.run(Phase::OnTcpConnect, Position::default(), exchange)
            .await
    }

    /// Goes on behind a `forward-internal` whose endpoint could not be reached, as [`Policy::resume_http_request`] does.
    pub async fn resume_tcp_connect(
        &self,
        after: &Place,
        failure: &Unreached,
        exchange: &mut Exchange<'_>,
    ) -> Verdict {
        self.resume(Phase::OnTcpConnect, after, failure, exchange)
            .await
    }

    /// Runs before the upstream. Edits of `exchange.request` are for the caller to replay.
    pub async fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        if let Some(request) = &mut exchange.request {
            self.vouched.take_out(&mut request.head);
        }
        if self.has_open_paths
            && let Some(verdict) = self.answer_in_the_open(exchange).await
        {
            return verdict;
        }
        let mut verdict = self
            .run(Phase::OnHttpRequest, Position::default(), exchange)
            .await;
        marks::bring_along(&mut verdict, &mut exchange.memory);
        verdict
    }

    /// Goes on behind a `forward-internal` whose endpoint could not be reached.
    pub async fn resume_http_request(
        &self,
        after: &Place,
        failure: &Unreached,
        exchange: &mut Exchange<'_>,
    ) -> Verdict {
        self.resume(Phase::OnHttpRequest, after, failure, exchange)
            .await
    }

    /// Runs before the client gets the response; `exchange.response` must be there.
    pub async fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Verdict {
        // A location that there is no room for stays as it is.
        exchange.show_public_location().unwrap_or_default();
        if let Some(response) = &mut exchange.response {
            marks::set(&mut response.head, exchange.memory.take_marks());
        }
        let messages = self.phase(Phase::OnEventStreamMessage);
        if messages.is_empty() {
            return self.run_http_response(exchange).await;
        }
        let at = match messages::prepare(exchange) {
            Ok(at) => at,
            Err(fault) => return undecided(fault),
        };
        match (self.run_http_response(exchange).await, at) {
            (Verdict::Continue, Some(at)) => match messages::begin(messages, at, exchange) {
                Ok(()) => Verdict::Continue,
                Err(fault) => undecided(fault),
            },
            (verdict, _) => verdict,
        }
    }

    /// Runs on one message of an event stream; `exchange.message` must be there. Whoever sends a response through
    /// `exchange.response.transforms` need not call it: [`Policy::on_http_response`] has put it among them.
    pub fn on_event_stream_message(&self, exchange: &mut Exchange<'_>) -> Verdict {
        exchange.memory.lend_secrets(self.secrets.as_ref());
        messages::run(self.rules(Phase::OnEventStreamMessage), exchange)
    }

    async fn resume(
        &self,
        phase: Phase,
        after: &Place,
        failure: &Unreached,
        exchange: &mut Exchange<'_>,
    ) -> Verdict {
        actions::unreached(&mut exchange.memory, failure);
        let (action, _) = after.action.unwrap_or_default();
        let next = Position {
            rule: after.rule,
            action: action + 1,
        };
        self.run(phase, next, exchange).await
    }

    async fn run_http_response(&self, exchange: &mut Exchange<'_>) -> Verdict {
        self.run(Phase::OnHttpResponse, Position::default(), exchange)
            .await
    }

    fn phase(&self, phase: Phase) -> &Arc<[Rule]> {
        &self.phases[phase.index()]
    }

    fn rules(&self, phase: Phase) -> &[Rule] {
        self.phase(phase)
    }

    /// What everybody may ask for, whatever the rules say.
    async fn answer_in_the_open(&self, exchange: &mut Exchange<'_>) -> Option<Verdict> {
        let phase = Phase::OnHttpRequest;
        for (index, rule) in self.rules(phase).iter().enumerate() {
            let mut steps = rule.steps.iter().enumerate();
            let open = steps.find(|(_, step)| step.is_open && step.is_at_home(exchange));
            if let Some((action, step)) = open.filter(|_| !rule.shadow) {
                exchange.memory.begin_phase();
                exchange.memory.set_only_at_home(true);
                let flow = step.run(phase, exchange).await;
                return verdict(flow, || rule.place(phase, index, action));
            }
        }
        None
    }

    async fn run(&self, phase: Phase, from: Position, exchange: &mut Exchange<'_>) -> Verdict {
        exchange.memory.lend_secrets(self.secrets.as_ref());
        if from.rule == 0 && from.action == 0 {
            exchange.memory.begin_phase();
        }
        for (index, rule) in self.rules(phase).iter().enumerate().skip(from.rule) {
            let resumed = index == from.rule && from.action > 0;
            if rule.shadow {
                shadow::run(rule, phase, index, exchange).await;
                continue;
            }
            let admitted = match resumed {
                true => Ok(true),
                false => rule.admit(phase, index, exchange),
            };
            let wholly = match admitted {
                Ok(true) => true,
                Ok(false) if rule.steps.iter().any(|step| step.is_at_home(exchange)) => false,
                Ok(false) => continue,
                Err(verdict) => return *verdict,
            };
            let first = if resumed { from.action } else { 0 };
            for (action, step) in rule.steps.iter().enumerate().skip(first) {
                if !wholly && !step.is_at_home(exchange) {
                    continue;
                }
                exchange.memory.set_only_at_home(!wholly);
                let flow = match exchange.memory.trace() {
                    None => step.run(phase, exchange).await,
                    Some(_) => traced::run(step, phase, action, exchange).await,
                };
                if let Some(verdict) = verdict(flow, || rule.place(phase, index, action)) {
                    return verdict;
                }
            }
        }
        Verdict::Continue
    }
}

// === impl Step ===

impl Step {
    async fn run(&self, phase: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        match self.begin(phase, exchange) {
            Ok(Flow::Wait) => self.action.wait(phase, exchange).await,
            flow => flow,
        }
    }

    /// Whether the request is for one of the action's own paths.
    fn is_at_home(&self, exchange: &Exchange<'_>) -> bool {
        !self.own_paths.is_empty()
            && exchange.request.as_ref().is_some_and(|request| {
                let path = request.target.path();
                self.own_paths.iter().any(|own| path == own.as_str())
            })
    }

    fn begin(&self, phase: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        exchange.memory.begin_action(self.results_wanted);
        match phase {
            Phase::OnTcpConnect => self.action.on_tcp_connect(exchange),
            Phase::OnHttpRequest => self.action.on_http_request(exchange),
            Phase::OnHttpResponse => self.action.on_http_response(exchange),
            Phase::OnEventStreamMessage => self.action.on_event_stream_message(exchange),
        }
    }
}

/// A fault of the messages' phase before there is a message.
fn undecided(fault: Fault) -> Verdict {
    let by = Place {
        phase: Phase::OnEventStreamMessage,
        rule: 0,
        name: None,
        action: None,
    };
    Verdict::Fault { fault, by }
}

/// The end of a phase, if the flow ends it.
fn verdict(flow: Result<Flow, Fault>, by: impl Fn() -> Place) -> Option<Verdict> {
    Some(match flow {
        Ok(Flow::Next) => return None,
        Ok(Flow::Answer(reply)) => Verdict::Answer { reply, by: by() },
        Ok(Flow::Deny(reply)) => Verdict::Deny { reply, by: by() },
        Ok(Flow::Refuse(refusal)) => Verdict::Refuse { refusal, by: by() },
        Ok(Flow::Close) => Verdict::Close { by: by() },
        Ok(Flow::Forward(forward)) => Verdict::Forward { forward, by: by() },
        Ok(Flow::Wait) => Verdict::Fault {
            fault: Fault::Phase,
            by: by(),
        },
        Err(fault) => Verdict::Fault { fault, by: by() },
    })
}

#[cfg(test)]
mod tests;
