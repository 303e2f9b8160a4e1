//! What lies outside the engine and is lent to it: time and chance.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng;

/// Lends actions what is outside. Cheap to clone; tests pass a still clock and known bytes.
#[derive(Clone, Debug)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
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

// === impl Env ===

impl Env {
    /// An environment of these parts.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// The environment of a running program.
    #[allow(clippy::disallowed_methods, reason = "here the clock comes in")]
    pub fn system() -> Self {
        Self::new(
            Arc::new(SystemClock(Instant::now())),
            Arc::new(SystemRandom),
        )
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The source of random bytes.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }
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
