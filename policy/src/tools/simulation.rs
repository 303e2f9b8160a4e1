//! One exchange through the real engine, from the connection to the last byte of the answer, without a network.
//!
//! What the gateway does around a policy is done here in small: the order of the phases, whose answers pass the response
//! phase, and what a refusal looks like. What it adds to every message (`x-forwarded-*`, `via`, `date`) is left out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, Version};

use super::given::{Answer, Given, Upstream};
use super::run::{Got, PhaseRun, Run, Sent};
use super::stage::Stage;
use super::url::Url;
use crate::action::{Fault, Phase, Unreached};
use crate::body::{self, BodyFault, BodySource, Transform};
use crate::canonical::TargetBuf;
use crate::endpoint_url::Scheme;
use crate::env::Env;
use crate::exchange::{Conn, Endpoint, Exchange, Request, Response, Tls};
use crate::memory::{Memory, Messages, Outcome};
use crate::verdict::Verdict;
use crate::{LoadError, Policy};

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
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// A policy on a stage. Its counters go on from one exchange to the next.
#[derive(Debug)]
pub struct Simulation {
    policy: Policy,
    env: Env,
    stage: Arc<Stage>,
}

/// What an exchange borrows from while its phases run.
struct Scene<'s> {
    policy: &'s Policy,
    env: &'s Env,
    conn: Conn<'s>,
    endpoint: Endpoint<'s>,
    method: Method,
    version: Version,
    authority: &'s str,
    /// As it came; after the request phase, as it goes on.
    target: TargetBuf,
    headers: HeaderMap,
    body: Bytes,
}

/// What there is for the response phase to look at.
struct Answered {
    got: Got,
    transforms: Vec<Box<dyn Transform>>,
}

// === impl Simulation ===

impl Simulation {
    /// Reads and builds a policy. With `measures`, actions are timed.
    ///
    /// # Errors
    /// When the policy does not load.
    pub fn of(file: &str, text: &str, measures: bool) -> Result<Self, LoadError> {
        let (stage, env) = Stage::new(measures);
        Ok(Self {
            policy: Policy::load(file, text, &env)?,
            env,
            stage,
        })
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends what is described through the policy, once.
    pub async fn run(&self, given: &Given) -> Run {
        self.stage.set(given);
        let url = given.url.clone().map(|url| url.0).unwrap_or_default();
        let mut run = Run::default();
        let mut memory = Memory::traced();
        let mut scene = self.scene(given, &url);
        let passed = scene.connection(&mut memory, &mut run).await;
        if passed && matches!(url.endpoint().scheme, Scheme::Http | Scheme::Https) {
            scene.request(given, &mut memory, &mut run).await;
        }
        let Messages { trace, shadow } = memory.take_messages();
        run.trace = memory.trace().cloned().unwrap_or_default();
        run.trace.rules.extend(trace.rules);
        run.shadow = memory.shadow().to_vec();
        run.shadow.extend(shadow);
        run.results = memory
            .results()
            .map(|(name, value)| (name, value.clone()))
            .collect();
        run.fetched = self.stage.take_fetched();
        run.logged = self.stage.take_logged();
        run.warned = self.stage.take_warned();
        run
    }

    fn scene<'s>(&'s self, given: &'s Given, url: &'s Url) -> Scene<'s> {
        let client = given.client_ip.as_ref().map_or(CLIENT, |ip| ip.0);
        let endpoint = url.endpoint();
        let port = endpoint.effective_port().unwrap_or_default();
        let now = self.env.clock().now();
        let (client, server) = (SocketAddr::new(client, 50_000), (GATEWAY, port).into());
        let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let sni = match url.authority().rsplit_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => url.authority(),
        };
        Scene {
            policy: &self.policy,
            env: &self.env,
            conn: Conn {
                region: given.region.as_deref().unwrap_or("default"),
                tls: match endpoint.scheme {
                    Scheme::Https | Scheme::Tls => Some(tls(given, sni)),
                    Scheme::Http | Scheme::Tcp => None,
                },
                ..Conn::new(client, server, now)
            },
            endpoint: Endpoint {
                id: "ep_simulated",
                url: endpoint,
            },
            method: given.method.as_ref().map_or(Method::GET, |m| m.0.clone()),
            version: given
                .version
                .map_or(Version::HTTP_11, |version| version.0.0),
            authority: url.authority(),
            target: url.target().clone(),
            headers: given.headers.to_map(),
            body: given.body(),
        }
    }
}

fn tls<'s>(given: &'s Given, host: &'s str) -> Tls<'s> {
    let Some(said) = &given.tls else {
        return Tls {
            sni: host,
            version: "1.3",
            ..Tls::default()
        };
    };
    Tls {
        sni: said.sni.as_deref().unwrap_or(host),
        ja4: &said.ja4,
        version: said.version.as_ref().map_or("1.3", |version| &version.0),
        cipher_suite: &said.cipher_suite,
        alpn: &said.alpn,
        resumed: said.resumed,
    }
}

// === impl Scene ===

impl Scene<'_> {
    /// Whether the connection is let in.
    async fn connection(&self, memory: &mut Memory, run: &mut Run) -> bool {
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

    async fn request(&mut self, given: &Given, memory: &mut Memory, run: &mut Run) {
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
        run.vars.push((name.to_owned(), value.clone()));
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
