//! `attempts:`, how often somebody may try a wrong password, and who has.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::super::count::Count;
use super::super::rate_limit::Rate;
use super::recent::Recent;
use crate::env::Env;
use crate::limit::{Algorithm, Key, KeyHasher, Limiter, Limiters, Settings};

/// For so long it is remembered where a user has signed in, or for half of it if many do.
const FAMILIAR_FOR: Duration = Duration::from_secs(24 * 3_600);
/// So many places of users are remembered for each endpoint.
const FAMILIAR_MAX: usize = 10_000;

/// `off`, or how many attempts may fail in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempts {
    Off,
    Limited(Limit),
}

/// Of one client, and of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    /// So many attempts may fail, 1 to 2,000,000,000. Default: 10.
    #[serde(default = "ten")]
    max: Count,
    /// Within this time: whole seconds, 1s to 24h. Default: 1m.
    #[serde(default = "minute")]
    per: Rate,
}

/// The attempts that have failed at one endpoint.
#[derive(Debug)]
pub(super) struct Failures {
    limiter: Limiter,
    window: Duration,
    /// Whose failures elsewhere lock nobody out here: users, each with a network where they have signed in.
    familiar: Recent<Key>,
    /// Until then some attempt counts, in seconds. Nearly always that is past, and there is nothing to look up.
    count_until: AtomicU64,
}

/// A user and a client who try to sign in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) failures: &'a Failures,
    pub(super) client: IpAddr,
    pub(super) user: &'a [u8],
}

// === impl Attempts ===

impl Default for Attempts {
    fn default() -> Self {
        Self::Limited(Limit {
            max: ten(),
            per: minute(),
        })
    }
}

impl Attempts {
    /// What has failed so far; counting goes on under a new policy with the same limit.
    pub(super) fn failures(self, env: &Env) -> Option<Arc<Failures>> {
        let Self::Limited(limit) = self else {
            return None;
        };
        let settings = Settings {
            algorithm: Algorithm::SlidingWindow,
            capacity: limit.max.0,
            seconds: limit.per.0,
        };
        let failures = || Failures {
            limiter: Limiters::of(env).limiter(settings),
            window: Duration::from_secs(u64::from(limit.per.0.get())),
            familiar: Recent::new(FAMILIAR_FOR, FAMILIAR_MAX),
            count_until: AtomicU64::new(0),
        };
        Some(env.shared_state(&format!("basic-auth attempts {settings:?}"), failures))
    }
}

fn ten() -> Count {
    Count(const { NonZeroU32::new(10).unwrap() })
}

fn minute() -> Rate {
    Rate(const { NonZeroU32::new(60).unwrap() })
}

impl<'de> Deserialize<'de> for Attempts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AttemptsVisitor)
    }
}

struct AttemptsVisitor;

impl<'de> Visitor<'de> for AttemptsVisitor {
    type Value = Attempts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`off`, or a map as in `{ max: 10, per: 1m }`")
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<Attempts, E> {
        // Older YAML reads `off` so, and JSON has nothing else.
        match is_on {
            false => Ok(Attempts::Off),
            true => Ok(Attempts::default()),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Attempts, E> {
        match word {
            "off" => Ok(Attempts::Off),
            _ => Err(E::custom(
                "`attempts` is `off`, or a map as in `{ max: 10, per: 1m }` (ERR_ADIT_2222)",
            )),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Attempts, A::Error> {
        Limit::deserialize(MapAccessDeserializer::new(map)).map(Attempts::Limited)
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// How long nobody is let in, with whatever password; `None` if there is no reason to wait.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let failures = self.failures;
        if now.as_secs() > failures.count_until.load(Ordering::Relaxed) {
            return None;
        }
        let client = failures.limiter.wait(self.by_client(), now);
        client.or_else(|| {
            let user = failures.limiter.wait(self.by_user(), now)?;
            let is_familiar = failures.familiar.has(&self.by_both(), now);
            (!is_familiar).then_some(user)
        })
    }

    /// The password was wrong.
    pub(super) fn failed(&self, now: Duration) {
        let failures = self.failures;
        failures.limiter.check(self.by_client(), now);
        failures.limiter.check(self.by_user(), now);
        // A tenth more than the window, as the limiter counts, and the seconds that rounding takes.
        let until = (now + failures.window * 11 / 10).as_secs() + 2;
        failures.count_until.fetch_max(until, Ordering::Relaxed);
    }

    /// The password was right.
    pub(super) fn succeeded(&self, now: Duration) {
        self.failures.familiar.add(self.by_both(), now);
    }

    fn by_client(&self) -> KeyHasher {
        let mut key = self.failures.limiter.key();
        key.part(b"client");
        with_network(&mut key, self.client);
        key
    }

    fn by_user(&self) -> KeyHasher {
        let mut key = self.failures.limiter.key();
        key.part(b"user");
        key.part(self.user);
        key
    }

    fn by_both(&self) -> Key {
        let mut key = self.failures.limiter.key();
        key.part(b"both");
        with_network(&mut key, self.client);
        key.part(self.user);
        key.finish()
    }
}

/// Whoever has one address of a /64 has all of them.
fn with_network(key: &mut KeyHasher, client: IpAddr) {
    match client.to_canonical() {
        IpAddr::V4(address) => key.part(&address.octets()),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64;
            key.part(&network.to_be_bytes());
        }
    }
}
