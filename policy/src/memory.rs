//! What a policy remembers of one exchange: its variables, the results of its actions, and the trace if one is kept.

mod parts;
mod secrets;
mod values;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::env::Secrets;
use crate::expr::Value;
use crate::identity::Identity;
use crate::mirror::Mirror;
use crate::taint::Taint;
use crate::trace::{ShadowRecord, Trace};

pub use parts::SecretParts;
use values::{Left, Var};

/// Most bytes of all `vars` of one phase together; beyond, the phase fails.
pub(crate) const VARS_MAX: usize = 4 << 20;

/// Travels with an exchange from one phase of a policy to the next. Each policy has its own.
#[derive(Debug, Default)]
pub struct Memory {
    vars: Vec<Var>,
    results: Vec<Left>,
    wants_results: bool,
    /// How often secrets were read, or something that came from them.
    touches: Spent,
    /// Only if there are any.
    secret_parts: Mutex<Option<Box<SecretParts>>>,
    /// What the running policy may read.
    secrets: Option<Arc<dyn Secrets>>,
    spent: Spent,
    /// Bytes that were written to the log.
    logged: Spent,
    /// Whether the rule that runs is only tried.
    is_trial: bool,
    now: OnceLock<Timestamp>,
    watches: Vec<Box<dyn Watch>>,
    marks: Vec<(HeaderName, HeaderValue)>,
    /// The host that the service was asked for instead of the one that the client asked for.
    new_host: Option<HeaderValue>,
    shadow: Vec<ShadowRecord>,
    trace: Option<Box<Trace>>,
    /// Outlives the phases, as the messages of an event stream do. Only for a memory that keeps a trace.
    messages: Option<Arc<Mutex<Messages>>>,
    attempt: Option<Box<(i64, Value<'static>)>>,
    identity: Option<Arc<Identity>>,
    /// Headers that say who the caller is, as policies have set them.
    vouching: Vec<HeaderName>,
    /// Copies of the request that actions want to be sent.
    mirrors: Vec<Mirror>,
    /// Who is taken for signed in where there is no provider: in cases.
    stand_in: Option<Arc<Identity>>,
    only_at_home: bool,
}

/// What rules did with the messages of an event stream.
#[derive(Debug, Default)]
pub struct Messages {
    /// Rule by rule, message by message.
    pub trace: Trace,
    /// What rules in shadow mode would have done.
    pub shadow: Vec<ShadowRecord>,
    /// Whether they put something into the body that came from a secret.
    pub body: Taint,
}

/// How much of something was used. One thread counts at a time, so nothing is locked for it.
#[derive(Debug, Default)]
pub(crate) struct Spent(AtomicU64);

/// Waits for the end of an exchange: a circuit breaker learns whether the service answered.
pub trait Watch: fmt::Debug + Send + Sync {
    /// The exchange is over.
    fn ended(self: Box<Self>, outcome: Outcome);
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered with this status, before any response phase changed it.
    Answered(StatusCode),
    /// The service was asked and did not answer.
    Unanswered,
    /// A policy or the gateway answered; the service was not asked.
    NotAsked,
}

// === impl Memory ===

impl Memory {
    /// A memory that keeps a trace.
    pub fn traced() -> Self {
        Self {
            trace: Some(Box::default()),
            messages: Some(Arc::default()),
            ..Self::default()
        }
    }

    /// Keeps a trace from now on, except of the messages of an event stream, which may have no end.
    pub fn keep_trace(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// What a request begins with if `on_tcp_connect` has left this of its connection: the results of its actions.
    pub fn of_connection(&self) -> Self {
        Self {
            results: self.results.clone(),
            touches: Spent(AtomicU64::new(self.touches.total())),
            ..Self::default()
        }
    }

    /// The same for a policy inside of another one, which has found out who the caller is and may have put secrets into
    /// the request.
    pub fn inherit_identity(&mut self, outer: &Self) {
        self.identity.clone_from(&outer.identity);
        self.vouching.clone_from(&outer.vouching);
        if outer.has_secrets() {
            self.touches.add(1);
            self.secret_parts = Mutex::new(outer.copied_parts());
        }
    }

    /// Who the caller is, if an action has found out.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// An action has found out who the caller is.
    pub(crate) fn set_identity(&mut self, identity: Arc<Identity>) {
        self.identity = Some(identity);
    }

    /// An action says in this header who the caller is.
    pub(crate) fn vouch_in(&mut self, header: &HeaderName) {
        if !self.vouching.contains(header) {
            self.vouching.push(header.clone());
        }
    }

    /// The headers in which actions have said who the caller is.
    pub(crate) fn vouching(&self) -> &[HeaderName] {
        &self.vouching
    }

    /// An action wants a copy of the request to be sent.
    pub(crate) fn add_mirror(&mut self, mirror: Mirror) {
        self.mirrors.push(mirror);
    }

    /// How many copies of the request are to be sent.
    pub(crate) fn copies(&self) -> usize {
        self.mirrors
            .iter()
            .filter(|mirror| mirror.copy.is_ok())
            .count()
    }

    /// The copies of the request that actions have planned since this was asked last, and those that they have not: for
    /// whoever sends and counts them.
    pub fn take_mirrors(&mut self) -> Vec<Mirror> {
        std::mem::take(&mut self.mirrors)
    }

    /// Whom actions that authenticate take for their caller, because there is nobody to ask. Only cases set it.
    pub(crate) fn stand_in(&self) -> Option<&Arc<Identity>> {
        self.stand_in.as_ref()
    }

    pub(crate) fn set_stand_in(&mut self, identity: Option<Arc<Identity>>) {
        self.stand_in = identity;
    }

    /// Whether the action that runs does so for one of its own paths alone: the expressions of its rule do not hold.
    pub(crate) fn is_only_at_home(&self) -> bool {
        self.only_at_home
    }

    pub(crate) fn set_only_at_home(&mut self, only: bool) {
        self.only_at_home = only;
    }

    /// The trace so far, if one is kept.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// What rules have done with messages of an event stream since the last time this was asked.
    pub fn take_messages(&self) -> Messages {
        let messages = self.messages.as_deref();
        let take = |messages: &Mutex<Messages>| {
            std::mem::take(&mut *messages.lock().unwrap_or_else(PoisonError::into_inner))
        };
        messages.map(take).unwrap_or_default()
    }

    /// What rules in shadow mode would have done.
    pub fn shadow(&self) -> &[ShadowRecord] {
        &self.shadow
    }

    /// Tells everybody who waits for it how the exchange ended.
    pub fn ended(&mut self, outcome: Outcome) {
        for watch in self.watches.drain(..) {
            watch.ended(outcome);
        }
    }

    /// Whether somebody waits for the end.
    pub fn is_watched(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Waits for the end of the exchange.
    pub fn watch(&mut self, watch: Box<dyn Watch>) {
        self.watches.push(watch);
    }

    /// Keeps a line for the response, which is not there yet. It is set before the first rule of its phase runs; cookies
    /// are added to those of the service.
    pub(crate) fn mark_response(&mut self, name: HeaderName, value: HeaderValue) {
        self.marks.push((name, value));
    }

    pub(crate) fn take_marks(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        std::mem::take(&mut self.marks)
    }

    /// The service is asked for another host than the client has asked for.
    pub(crate) fn replace_host(&mut self, host: HeaderValue) {
        self.new_host = Some(host);
    }

    pub(crate) fn new_host(&self) -> Option<&HeaderValue> {
        self.new_host.as_ref()
    }

    /// Takes over what must outlive a trial: whoever waits there for the end of the exchange.
    pub(crate) fn take_back(&mut self, trial: Self) {
        self.watches.extend(trial.watches);
    }

    /// Variables live for one phase; the clock stands still and costs are counted anew.
    pub(crate) fn begin_phase(&mut self) {
        self.vars.clear();
        self.spent = Spent::default();
        self.now.take();
    }

    /// Whether anybody will look at what the running action leaves; if not, it need not be made.
    pub(crate) fn wants_results(&self) -> bool {
        self.wants_results || self.trace.is_some()
    }

    /// An action begins, and its results are wanted or not.
    pub(crate) fn begin_action(&mut self, results_wanted: bool) {
        self.wants_results = results_wanted;
        if self.has_secrets() {
            self.mark_parts(|parts| parts.action = Taint::None);
        }
    }

    /// How many attempts a request of the policy's own has had, and what came of the last one, while it is decided
    /// whether there is another.
    pub(crate) fn attempt(&self) -> Option<&(i64, Value<'static>)> {
        self.attempt.as_deref()
    }

    pub(crate) fn set_attempt(&mut self, count: i64, last: Value<'static>, taint: Taint) {
        if taint.is_secret() {
            self.mark_parts(|parts| parts.attempt = taint);
        }
        self.attempt = Some(Box::new((count, last)));
    }

    pub(crate) fn end_attempts(&mut self) {
        self.attempt = None;
        if self.has_secrets() {
            self.mark_parts(|parts| parts.attempt = Taint::None);
        }
    }

    /// The moment that stays the same for the whole phase.
    pub(crate) fn now(&self, clock: &dyn crate::env::Clock) -> Timestamp {
        let read = || Timestamp::try_from(clock.now()).unwrap_or(Timestamp::UNIX_EPOCH);
        *self.now.get_or_init(read)
    }

    /// Cost units that expressions have spent in this phase.
    pub(crate) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// Bytes that were written to the log.
    pub(crate) fn logged(&self) -> &Spent {
        &self.logged
    }

    /// Whether the rule that runs is only tried, so that it must not be heard of outside.
    pub(crate) fn is_trial(&self) -> bool {
        self.is_trial
    }

    pub(crate) fn trace_mut(&mut self) -> Option<&mut Trace> {
        self.trace.as_deref_mut()
    }

    pub(crate) fn add_shadow(&mut self, record: ShadowRecord) {
        self.shadow.push(record);
    }

    /// A copy for the messages of an event stream, whose phase begins when all others are over.
    pub(crate) fn for_messages(&self) -> Self {
        Self {
            is_trial: self.is_trial,
            trace: self.messages.is_some().then(Box::default),
            messages: self.messages.clone(),
            ..self.copy()
        }
    }

    /// Takes over what was traced of one message.
    pub(crate) fn add_message(&self, of: Self) {
        let body = of.secret_parts().response_body;
        if let (Some(messages), Some(trace)) = (&self.messages, of.trace) {
            let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
            messages.trace.rules.extend(trace.rules);
            messages.body = std::mem::take(&mut messages.body).and(body);
            messages.shadow.extend(of.shadow);
        }
    }

    /// A copy for a rule that is only tried; it keeps no trace, and nobody waits there yet.
    pub(crate) fn copy(&self) -> Self {
        Self {
            vars: self.vars.clone(),
            results: self.results.clone(),
            wants_results: self.wants_results,
            touches: Spent(AtomicU64::new(self.touches.total())),
            secret_parts: Mutex::new(self.copied_parts()),
            secrets: self.secrets.clone(),
            spent: Spent(AtomicU64::new(self.spent.total())),
            now: self.now.clone(),
            identity: self.identity.clone(),
            vouching: self.vouching.clone(),
            stand_in: self.stand_in.clone(),
            is_trial: true,
            ..Self::default()
        }
    }
}

// === impl Spent ===

impl Spent {
    /// Uses some more; the total.
    pub(crate) fn add(&self, units: u64) -> u64 {
        let total = self.total().saturating_add(units);
        self.0.store(total, Ordering::Relaxed);
        total
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All variables together take more than may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VarsFull;
