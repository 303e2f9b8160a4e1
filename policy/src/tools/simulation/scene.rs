//! The phases of one simulated exchange, in the gateway's order.

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::Policy;
use crate::action::{Fault, Phase, Unreached};
use crate::body::{self, BodyFault, BodySource, Transform};
use crate::canonical::TargetBuf;
use crate::env::Env;
use crate::exchange::{Conn, Endpoint, Exchange, Request, Response};
use crate::memory::{Memory, Outcome};
use crate::tools::given::{Answer, Given, Upstream};
use crate::tools::run::{Got, PhaseRun, Run, Sent};
use crate::verdict::Verdict;

/// The gateway's page when nobody is behind an address.
const UNREACHED: (StatusCode, u16, &str) = (
    StatusCode::BAD_GATEWAY,
    8012,
    "the service behind this address cannot be reached",
);
/// The same when nobody is behind the endpoint that was forwarded to.
const NOT_ONLINE: (StatusCode, u16, &str) = (
    StatusCode::NOT_FOUND,
    3200,
    "the endpoint that this address forwards to is not online",
);
/// What an exchange borrows from while its phases run.
pub(super) struct Scene<'s> {
    pub(super) policy: &'s Policy,
    pub(super) env: &'s Env,
    pub(super) conn: Conn<'s>,
    pub(super) endpoint: Endpoint<'s>,
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) authority: &'s str,
    /// As it came; after the request phase, as it goes on.
    pub(super) target: TargetBuf,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What there is for the response phase to look at.
struct Answered {
    got: Got,
    transforms: Vec<Box<dyn Transform>>,
}

// === impl Scene ===

impl Scene<'_> {
    /// Whether the connection is let in.
    pub(super) async fn connection(&self, memory: &mut Memory, run: &mut Run) -> bool {
        if !self.policy.has_phase(Phase::OnTcpConnect) {
            return true;
        }
        let mut exchange = Exchange::of(&self.conn, &self.endpoint, self.env);
        exchange.memory = std::mem::take(memory);
        let verdict = self.policy.on_tcp_connect(&mut exchange).await;
        *memory = exchange.memory;
        note(Phase::OnTcpConnect, &verdict, memory, run);
        matches!(verdict, Verdict::Continue)
    }

    pub(super) async fn request(&mut self, given: &Given, memory: &mut Memory, run: &mut Run) {
        let elsewhere = given.forward.as_ref().or(given.upstream.as_ref());
        let offline = matches!(elsewhere, Some(Upstream::Offline));
        let verdict = self.request_phase(offline, memory, run).await;
        let (service, nobody) = match verdict {
            Verdict::Continue => (given.upstream.as_ref(), UNREACHED),
            Verdict::Forward { .. } => (elsewhere, NOT_ONLINE),
            Verdict::Answer { reply, .. } => {
                let got = self.response_phase(Got::reply(reply), memory, run).await;
                run.client = Some(got);
                return memory.ended(Outcome::NotAsked);
            }
            ended => {
                run.client = client_of(Phase::OnHttpRequest, ended);
                return memory.ended(Outcome::NotAsked);
            }
        };
        run.upstream = Some(self.sent());
        let answer = match service {
            None => Answer::default(),
            Some(Upstream::Answers(answer)) => answer.clone(),
            Some(Upstream::Offline) => {
                let (status, code, said) = nobody;
                run.client = Some(Got::page(status, code, said));
                return memory.ended(Outcome::Unanswered);
            }
        };
        let got = Got {
            status: answer.status.0,
            headers: answer.headers.to_map(),
            body: answer.body(),
        };
        let outcome = Outcome::Answered(got.status);
        run.client = Some(self.response_phase(got, memory, run).await);
        memory.ended(outcome);
    }

    /// The request as it goes on.
    fn sent(&self) -> Sent {
        let mut headers = self.headers.clone();
        for edit in self.policy.upstream_edits() {
            // What there is no room for is left out, as in the gateway.
            edit.apply(&mut headers).unwrap_or_default();
        }
        Sent {
            method: self.method.clone(),
            url: format!(
                "{}://{}{}",
                self.endpoint.url.scheme, self.authority, self.target
            ),
            path: self.target.to_string(),
            headers,
            body: self.body.clone(),
        }
    }

    /// Runs the request phase and takes over what it changed.
    async fn request_phase(
        &mut self,
        offline: bool,
        memory: &mut Memory,
        run: &mut Run,
    ) -> Verdict {
        let phase = Phase::OnHttpRequest;
        if !self.policy.has_phase(phase) {
            return Verdict::Continue;
        }
        let mut body = Whole(self.body.clone());
        let mut exchange = self.exchange(std::mem::take(memory));
        if let Some(request) = &mut exchange.request {
            request.body = Some(&mut body);
        }
        let mut verdict = self.policy.on_http_request(&mut exchange).await;
        while let Verdict::Forward { forward, by } = &verdict
            && forward.continue_on_error
            && offline
        {
            let failure = Unreached {
                url: forward.url.clone(),
                code: NOT_ONLINE.1,
                message: NOT_ONLINE.2.to_owned(),
            };
            let resumed = self.policy.resume_http_request(by, &failure, &mut exchange);
            verdict = resumed.await;
        }
        *memory = std::mem::take(&mut exchange.memory);
        if let Some(request) = exchange.request {
            let new_body = request.new_body().cloned();
            let target = request.target.clone().into_owned();
            let headers = request.head.lines().clone();
            drop(request);
            self.headers = headers;
            self.target = target;
            self.body = new_body.unwrap_or_else(|| self.body.clone());
        }
        note(phase, &verdict, memory, run);
        verdict
    }

    /// Runs the response phase on an answer, and what it and the message phase do to the body.
    async fn response_phase(&self, got: Got, memory: &mut Memory, run: &mut Run) -> Got {
        let phase = Phase::OnHttpResponse;
        let mut answered = Answered {
            got,
            transforms: Vec::new(),
        };
        if self.policy.has_phase(phase) {
            let lines = answered.got.headers.clone();
            let mut exchange = self.exchange(std::mem::take(memory));
            exchange.response = Some(Response::new(answered.got.status, &lines));
            let verdict = self.policy.on_http_response(&mut exchange).await;
            *memory = std::mem::take(&mut exchange.memory);
            if let Some(response) = exchange.response {
                answered.got.status = response.status;
                answered.got.headers = response.head.lines().clone();
                answered.transforms = response.transforms;
            }
            note(phase, &verdict, memory, run);
            match verdict {
                Verdict::Continue => {}
                ended => return client_of(phase, ended).unwrap_or(answered.got),
            }
        }
        match changed(answered) {
            Ok(got) => got,
            Err(fault) => {
                let phase = match fault {
                    BodyFault::Undecided(_) => Phase::OnEventStreamMessage,
                    _ => phase,
                };
                let fault = Fault::Body(fault);
                run.phases.push(PhaseRun::broken(phase, &fault));
                Got::fault(phase, &fault)
            }
        }
    }

    fn exchange<'e>(&'e self, memory: Memory) -> Exchange<'e> {
        let mut request = Request::new(
            self.endpoint.url.scheme,
            &self.method,
            self.authority,
            self.target.clone(),
            &self.headers,
            self.conn.started,
        );
        request.version = self.version;
        request.has_body = !self.body.is_empty();
        Exchange {
            request: Some(request),
            memory,
            ..Exchange::of(&self.conn, &self.endpoint, self.env)
        }
    }
}

/// Writes down how a phase ended.
fn note(phase: Phase, verdict: &Verdict, memory: &Memory, run: &mut Run) {
    for (name, value) in memory.vars() {
        run.vars.retain(|(known, _)| known != name);
        run.vars.push((name.to_owned(), value.into_owned()));
    }
    run.phases.push(PhaseRun::of(phase, verdict));
}

/// What the client gets for a verdict that ends the exchange.
fn client_of(phase: Phase, verdict: Verdict) -> Option<Got> {
    match verdict {
        Verdict::Answer { reply, .. } | Verdict::Deny { reply, .. } => Some(Got::reply(reply)),
        Verdict::Refuse { refusal, .. } => Some(Got::refusal(&refusal)),
        Verdict::Fault { fault, .. } => Some(Got::fault(phase, &fault)),
        Verdict::Continue | Verdict::Close { .. } | Verdict::Forward { .. } => None,
    }
}

/// The answer with its body as the policy changes it.
fn changed(answered: Answered) -> Result<Got, BodyFault> {
    let Answered {
        mut got,
        mut transforms,
    } = answered;
    if !got.body.is_empty() && !transforms.is_empty() {
        got.body = body::pass(&mut transforms, got.body, true)?;
        got.headers.remove(CONTENT_LENGTH);
    }
    Ok(got)
}

/// A body that is there already.
struct Whole(Bytes);

#[async_trait]
impl BodySource for Whole {
    async fn read(&mut self, max: usize) -> Result<Bytes, BodyFault> {
        match self.0.len() > max {
            true => Err(BodyFault::TooLarge),
            false => Ok(self.0.clone()),
        }
    }
}
