//! What lies outside the engine and is lent to it: time, chance, counters that outlive a reload, a way to fetch, secrets,
//! keys, and who has signed in.

mod fetch;
mod keys;
mod secrets;
mod sessions;
mod state;
mod work;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng;

pub use fetch::{Fetch, FetchError, Fetched, NoFetch, Purpose, ToFetch};
pub use keys::{BadKey, Keyring, Keys, OwnKeys, SigningKey};
pub use secrets::{KnownSecrets, NoSecrets, Secrets};
pub use sessions::{Ended, InMemory, SessionKeys, Sessions};
use state::States;
pub use work::{Busy, NoWork, Work};

/// Lends actions what is outside. Cheap to clone; clones share their counters. Tests pass a still clock and known bytes.
#[derive(Clone, Debug)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    fetch: Arc<dyn Fetch>,
    log: Arc<dyn Log>,
    secrets: Arc<dyn Secrets>,
    keys: Arc<dyn Keyring>,
    sessions: Arc<dyn Sessions>,
    work: Arc<dyn Work>,
    states: States,
}

/// A clock on the wall and a stopwatch that never runs back.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// Time since a moment that stays the same while this clock lives.
    fn elapsed(&self) -> Duration;
}

/// A source of bytes that nobody can guess.
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// Where the `log` action writes, and what an operator should know of a policy.
pub trait Log: fmt::Debug + Send + Sync {
    /// Writes one line: the endpoint's URL and the metadata as JSON.
    fn write(&self, endpoint: &str, metadata: &str);

    /// Writes that a policy did not do what its author may expect, and why.
    fn warn(&self, endpoint: &str, what: &str);
}

// === impl Env ===

impl Env {
    /// An environment of these parts, with counters, keys and sessions of its own, that fetches nothing, logs nothing
    /// and knows no secret.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            fetch: Arc::new(NoFetch),
            log: Arc::new(NoLog),
            secrets: Arc::new(NoSecrets),
            keys: Arc::new(OwnKeys::new(Arc::clone(&random))),
            sessions: Arc::new(InMemory::default()),
            work: Arc::new(NoWork),
            clock,
            random,
            states: States::default(),
        }
    }

    /// The environment of a running program.
    #[allow(clippy::disallowed_methods, reason = "here the clock comes in")]
    pub fn system() -> Self {
        Self::new(
            Arc::new(SystemClock(Instant::now())),
            Arc::new(SystemRandom),
        )
    }

    /// The same with a way to fetch.
    pub fn with_fetch(self, fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, ..self }
    }

    /// The same with a place to log to.
    pub fn with_log(self, log: Arc<dyn Log>) -> Self {
        Self { log, ..self }
    }

    /// The same with these secrets.
    pub fn with_secrets(self, secrets: Arc<dyn Secrets>) -> Self {
        Self { secrets, ..self }
    }

    /// The same with these keys.
    pub fn with_keys(self, keys: Arc<dyn Keyring>) -> Self {
        Self { keys, ..self }
    }

    /// The same with another memory of who has signed in.
    pub fn with_sessions(self, sessions: Arc<dyn Sessions>) -> Self {
        Self { sessions, ..self }
    }

    /// The same with somebody who does what must not delay an exchange.
    pub fn with_work(self, work: Arc<dyn Work>) -> Self {
        Self { work, ..self }
    }

    /// The same for the policy of one endpoint: its counters are its own, and found again by the endpoint's next policy.
    pub fn for_endpoint(&self, url: &str) -> Self {
        let states = self.states.of(url);
        Self {
            states,
            ..self.clone()
        }
    }

    /// The same for a rule that is only tried: it counts apart.
    pub(crate) fn in_shadow(&self) -> Self {
        self.for_endpoint("shadow")
    }

    /// The same for one building of a policy: the first action of some settings finds the first counters of these
    /// settings, the second the second.
    pub(crate) fn for_building(&self) -> Self {
        let states = self.states.counted();
        Self {
            states,
            ..self.clone()
        }
    }

    /// Something that actions with the same key share, in the endpoint's next policy too.
    pub(crate) fn shared_state<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.states.shared(key, make)
    }

    /// Something of one action alone, found again by the action of the same key in the endpoint's next policy.
    pub(crate) fn own_state<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.states.own(key, make)
    }

    /// Something that all policies of this environment share, whatever their endpoint.
    pub(crate) fn common_state<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.states.common(key, make)
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The source of random bytes.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// The way to fetch.
    pub fn fetch(&self) -> &dyn Fetch {
        &*self.fetch
    }

    /// Where the `log` action writes.
    pub fn log(&self) -> &dyn Log {
        &*self.log
    }

    /// Named texts that policies may use and nobody may see. A policy keeps those that it was built with, wherever it
    /// runs.
    pub fn secrets(&self) -> &Arc<dyn Secrets> {
        &self.secrets
    }

    /// The keys as they are now.
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.keys()
    }

    /// Who has signed in, and who no more.
    pub fn sessions(&self) -> &dyn Sessions {
        &*self.sessions
    }

    /// Who does what must not delay an exchange.
    pub fn work(&self) -> &dyn Work {
        &*self.work
    }
}

#[derive(Debug)]
struct NoLog;

impl Log for NoLog {
    fn write(&self, _: &str, _: &str) {}

    fn warn(&self, _: &str, _: &str) {}
}

#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "here the clock comes in")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Debug)]
struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_lends_a_running_clock_and_fresh_bytes() {
        let env = Env::system();
        let earlier = env.clock().elapsed();
        assert!(env.clock().elapsed() >= earlier);
        assert!(env.clock().now() > SystemTime::UNIX_EPOCH);
        let mut bytes = [[0; 16]; 2];
        for half in &mut bytes {
            env.random().fill(half);
        }
        assert_ne!(bytes[0], bytes[1]);
    }
}
