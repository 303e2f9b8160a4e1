//! One exchange that can be ended while it runs.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use adit_policy::{env::Sessions, identity::Identity};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Passed;
use crate::{
    edge::Edge,
    front::ending::{Closing, Ending},
    pools::routes::Routes,
};

/// How long a call of gRPC that was let in by an older policy may take to end by itself: a short one cannot be told from
/// a stream.
const GRACE: Duration = Duration::from_secs(2);

/// How long an exchange that was told to end may take, before its client's connection is torn.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// An exchange that runs.
#[derive(Debug)]
pub(crate) struct Endable {
    client: Client,
    /// Callers with a session, as the policies on the way have found them out.
    callers: Vec<Arc<Identity>>,
    grpc: bool,
    /// Set when it turns out to be a stream.
    passed: OnceLock<Vec<Passed>>,
    request_ended: AtomicBool,
    answered: OnceLock<Instant>,
    /// Since when another policy stands where it was let in.
    outdated: OnceLock<Instant>,
    ended: OnceLock<(Why, Instant)>,
}

/// How an exchange is interrupted. Whatever its service does: it is its client's side that breaks.
#[derive(Debug)]
pub(crate) enum Client {
    /// The connection, which is nobody else's meanwhile.
    Http1(Ending),
    /// The stream; and the connection, for one that will not end.
    Http2(CancellationToken, Ending),
    /// A connection without HTTP, which ends at once.
    Tcp(CancellationToken),
}

/// Why an exchange was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The caller was signed out.
    SignedOut,
    /// The caller's session has come to its own end.
    SessionOver,
    /// Another policy stands where it was let in.
    PolicyChanged,
    /// The agent's token was revoked.
    TokenRevoked,
    /// The agent may not serve the URL any longer.
    UrlWithdrawn,
}

// === impl Endable ===

impl Endable {
    /// `callers`: those with a session.
    pub(crate) fn new(client: Client, callers: Vec<Arc<Identity>>, grpc: bool) -> Self {
        Self {
            client,
            callers,
            grpc,
            passed: OnceLock::new(),
            request_ended: AtomicBool::new(false),
            answered: OnceLock::new(),
            outdated: OnceLock::new(),
            ended: OnceLock::new(),
        }
    }

    /// It is a stream: it has no end of its own, and does not outlive the policies that it has passed.
    pub(crate) fn is_stream(&self, passed: Vec<Passed>) {
        // The first time is right: nothing is passed later.
        drop(self.passed.set(passed));
    }

    /// Its client has said everything.
    pub(crate) fn request_ended(&self) {
        self.request_ended.store(true, Ordering::Relaxed);
    }

    /// Its service has begun to answer.
    pub(crate) fn answered(&self) {
        self.answered.get_or_init(Instant::now);
    }

    /// Why it was ended, if it was.
    pub(crate) fn ended(&self) -> Option<Why> {
        self.ended.get().map(|(why, _)| *why)
    }

    /// What is cancelled when it is ended, if it shares its connection.
    pub(crate) fn interruption(&self) -> Option<&CancellationToken> {
        match &self.client {
            Client::Http1(_) | Client::Tcp(_) => None,
            Client::Http2(interruption, _) => Some(interruption),
        }
    }

    /// Looks at everything that lets it run. Whether it was ended just now.
    pub(super) fn review(&self, edge: &Edge, now: (Instant, SystemTime)) -> bool {
        let sessions = edge.policy_env.sessions();
        let why = self
            .session_over(sessions, now.1)
            .or_else(|| self.place_changed(&edge.endpoints.snapshot(), now.0));
        self.ended.get().is_none() && why.is_some_and(|why| self.end(why, now.0))
    }

    /// The same for what changes with time alone; and tears what was told to end and has not.
    pub(super) fn tick(&self, edge: &Edge, now: (Instant, SystemTime)) {
        match self.ended.get() {
            Some((_, since)) if now.0.duration_since(*since) >= LAST_WORDS => self.client.tear(),
            Some(_) => {}
            None if self.outdated.get().is_some()
                || self.callers.iter().any(|one| one.until.is_some()) =>
            {
                self.review(edge, now);
            }
            None => {}
        }
    }

    fn end(&self, why: Why, now: Instant) -> bool {
        let first = self.ended.set((why, now)).is_ok();
        if first {
            self.client.interrupt();
        }
        first
    }

    fn session_over(&self, sessions: &dyn Sessions, now: SystemTime) -> Option<Why> {
        for caller in &self.callers {
            if caller
                .session
                .as_ref()
                .is_some_and(|keys| sessions.is_ended(keys))
            {
                return Some(Why::SignedOut);
            }
            if caller.until.is_some_and(|until| until <= now) {
                return Some(Why::SessionOver);
            }
        }
        None
    }

    fn place_changed(&self, routes: &Routes, now: Instant) -> Option<Why> {
        let passed = self.passed.get()?;
        let why = passed.iter().find_map(|place| place.changed(routes))?;
        let since = *self.outdated.get_or_init(|| now);
        (!self.grpc || self.had_its_grace(since, now)).then_some(why)
    }

    /// A call whose client has ended and waits for an answer is as any other request. What it is shows when the answer
    /// begins.
    fn had_its_grace(&self, outdated: Instant, now: Instant) -> bool {
        let since = match self.answered.get() {
            Some(answered) => outdated.max(*answered),
            None if self.request_ended.load(Ordering::Relaxed) => return false,
            None => outdated,
        };
        now.duration_since(since) >= GRACE
    }
}

// === impl Client ===

impl Client {
    fn interrupt(&self) {
        match self {
            Self::Http1(connection) => connection.close(Closing::Deaf),
            Self::Http2(stream, _) | Self::Tcp(stream) => stream.cancel(),
        }
    }

    fn tear(&self) {
        match self {
            Self::Http1(connection) | Self::Http2(_, connection) => {
                connection.close(Closing::Torn);
            }
            Self::Tcp(connection) => connection.cancel(),
        }
    }
}

// === impl Why ===

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignedOut => "session signed out",
            Self::SessionOver => "session over",
            Self::PolicyChanged => "policy changed",
            Self::TokenRevoked => "agent token revoked",
            Self::UrlWithdrawn => "agent may not serve this url any more",
        })
    }
}
