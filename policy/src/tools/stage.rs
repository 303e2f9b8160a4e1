//! What a simulated exchange is lent: a clock that stands where it is put, chance that repeats itself, answers that were
//! written down, and a log that is read afterwards.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::given::{FetchAnswer, Given};
use crate::env::{
    Clock, Env, Fetch, FetchError, Fetched, KnownSecrets, Log, Purpose, Random, Secrets, ToFetch,
};
use crate::secret::Secret;

/// When a case plays that does not say: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);
/// What the stopwatch shows in the beginning, so that nothing is older than time.
const RUNNING_SINCE: Duration = Duration::from_secs(86_400);

/// Where an OpenID Connect provider describes itself.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The world around simulated exchanges.
#[derive(Debug)]
pub(super) struct Stage {
    now: Mutex<Now>,
    /// Measures how long things take, if somebody wants to know.
    stopwatch: Option<Env>,
    chance: AtomicU64,
    answers: Mutex<Vec<FetchAnswer>>,
    secrets: Mutex<KnownSecrets>,
    given: Mutex<HashSet<usize>>,
    fetched: Mutex<Vec<ToFetch>>,
    logged: Mutex<Vec<String>>,
    warned: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    /// Since 1970.
    wall: Duration,
    running: Duration,
}

// === impl Stage ===

impl Stage {
    /// A stage, and the environment that it is for policies. With `measures`, the stopwatch runs as in reality.
    pub(super) fn new(measures: bool) -> (Arc<Self>, Env) {
        let stage = Arc::new(Self {
            now: Mutex::new(Now {
                wall: BEGINNING,
                running: RUNNING_SINCE,
            }),
            stopwatch: measures.then(Env::system),
            chance: AtomicU64::new(0),
            answers: Mutex::default(),
            secrets: Mutex::default(),
            given: Mutex::default(),
            fetched: Mutex::default(),
            logged: Mutex::default(),
            warned: Mutex::default(),
        });
        let clock: Arc<dyn Clock> = Arc::<Self>::clone(&stage);
        let random: Arc<dyn Random> = Arc::<Self>::clone(&stage);
        let fetch: Arc<dyn Fetch> = Arc::<Self>::clone(&stage);
        let log: Arc<dyn Log> = Arc::<Self>::clone(&stage);
        let secrets: Arc<dyn Secrets> = Arc::<Self>::clone(&stage);
        let env = Env::new(clock, random)
            .with_fetch(fetch)
            .with_log(log)
            .with_secrets(secrets);
        (stage, env)
    }

    /// Puts everything where a request wants it.
    pub(super) fn set(&self, given: &Given) {
        let mut now = held(&self.now);
        if let Some(time) = &given.time {
            let wall = since_1970(time.0);
            let later = wall.saturating_sub(now.wall);
            now.running += later;
            now.wall = wall;
        }
        drop(now);
        self.pass(given.after.map_or(Duration::ZERO, |after| after.0));
        if let Some(seed) = given.random {
            self.chance.store(seed, Ordering::Relaxed);
        }
        let mut known = KnownSecrets::default();
        for (vault, secrets) in &given.secrets {
            for (name, secret) in secrets {
                known.insert(vault, name, secret.clone());
            }
        }
        *held(&self.secrets) = known;
        *held(&self.answers) = given.fetch.clone().unwrap_or_default();
        held(&self.given).clear();
    }

    /// Lets time pass.
    fn pass(&self, time: Duration) {
        let mut now = held(&self.now);
        now.wall += time;
        now.running += time;
    }

    /// The requests that policies have made since the last time this was asked.
    pub(super) fn take_fetched(&self) -> Vec<ToFetch> {
        std::mem::take(&mut held(&self.fetched))
    }

    /// The metadata that was logged since the last time this was asked.
    pub(super) fn take_logged(&self) -> Vec<String> {
        std::mem::take(&mut held(&self.logged))
    }

    /// What the operator was warned of since the last time this was asked.
    pub(super) fn take_warned(&self) -> Vec<String> {
        std::mem::take(&mut held(&self.warned))
    }

    fn answer(&self, request: &ToFetch) -> Option<FetchAnswer> {
        let answers = held(&self.answers);
        let fits = |answer: &FetchAnswer| {
            let method = answer.method.as_ref();
            answer.url == request.url && method.is_none_or(|method| method.0 == request.method)
        };
        let mut given = held(&self.given);
        let mut fitting = answers
            .iter()
            .enumerate()
            .filter(|(_, answer)| fits(answer));
        let fresh = fitting.clone().find(|(index, _)| !given.contains(index));
        let (index, answer) = fresh.or_else(|| fitting.next_back())?;
        given.insert(index);
        Some(answer.clone())
    }
}

impl Clock for Stage {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + held(&self.now).wall
    }

    fn elapsed(&self) -> Duration {
        let measured = self.stopwatch.as_ref().map(|env| env.clock().elapsed());
        held(&self.now).running + measured.unwrap_or_default()
    }
}

impl Random for Stage {
    /// SplitMix64, so that a seed means the same bytes for ever.
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks_mut(8) {
            let mut mixed = self
                .chance
                .fetch_add(STEP, Ordering::Relaxed)
                .wrapping_add(STEP);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            for (byte, new) in chunk.iter_mut().zip(mixed.to_le_bytes()) {
                *byte = new;
            }
        }
    }
}

#[async_trait]
impl Fetch for Stage {
    async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError> {
        let answer = self.answer(&request);
        let url = request.url.clone();
        let is_discovery =
            request.purpose == Purpose::Identity && request.method == http::Method::GET;
        held(&self.fetched).push(request);
        if answer.is_none()
            && is_discovery
            && let Some(issuer) = url.strip_suffix(WELL_KNOWN)
        {
            return Ok(discovery(issuer));
        }
        let answer = answer
            .ok_or_else(|| FetchError::Failed(format!("no `fetch` of the case answers {url}")))?;
        match answer.error.as_deref() {
            Some("timeout") => Err(FetchError::Timeout),
            Some(error) => Err(FetchError::Failed(error.to_owned())),
            None => Ok(Fetched {
                status: answer.status.0,
                headers: answer.headers.to_map(),
                body: Bytes::from(answer.body.0),
                resolved: None,
                took: Duration::ZERO,
            }),
        }
    }

    async fn pause(&self, time: Duration) {
        self.pass(time);
    }
}

impl Secrets for Stage {
    fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
        held(&self.secrets).get(vault, name)
    }
}

impl Log for Stage {
    fn write(&self, _: &str, metadata: &str) {
        held(&self.logged).push(metadata.to_owned());
    }

    fn warn(&self, _: &str, what: &str) {
        held(&self.warned).push(what.to_owned());
    }
}

/// What a provider says of itself, if the case does not: so that browsers are sent to it.
fn discovery(issuer: &str) -> Fetched {
    let document = serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Fetched {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: document.to_string().into(),
        resolved: None,
        took: Duration::ZERO,
    }
}

fn since_1970(time: Timestamp) -> Duration {
    let wall = SystemTime::from(time).duration_since(SystemTime::UNIX_EPOCH);
    wall.unwrap_or_default()
}

fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn time_stands_still_until_it_is_moved() {
        let (stage, env) = Stage::new(false);
        let before = (env.clock().now(), env.clock().elapsed());
        assert_eq!(before, (env.clock().now(), env.clock().elapsed()));
        stage.set(&read("c", "{time: 2026-01-01T01:00:00Z, after: 30s}").unwrap());
        assert_eq!(env.clock().elapsed() - before.1, Duration::from_secs(3_630));
        stage.set(&read("c", "{time: 2025-01-01T00:00:00Z}").unwrap());
        assert!(env.clock().now() < before.0);
        assert_eq!(
            env.clock().elapsed() - before.1,
            Duration::from_secs(3_630),
            "a stopwatch never runs back"
        );
    }

    #[test]
    fn a_seed_means_the_same_bytes_for_ever() {
        let (stage, env) = Stage::new(false);
        let mut bytes = [0; 9];
        env.random().fill(&mut bytes);
        assert_eq!(
            bytes,
            [0xaf, 0xcd, 0x1d, 0x7b, 0x39, 0xa8, 0x20, 0xe2, 0xf4]
        );
        stage.set(&read("c", "{random: 1}").unwrap());
        let mut others = [0; 9];
        env.random().fill(&mut others);
        assert_ne!(bytes, others);
    }

    #[tokio::test]
    async fn answers_are_given_in_turn_and_the_last_one_ever_after() {
        let (stage, env) = Stage::new(false);
        let text = "fetch:\n- {url: 'https://a/', status: 500}\n- {url: 'https://a/', body: x}\n- {url: 'https://b/', error: timeout}\n";
        stage.set(&read("c", text).unwrap());
        let ask = |url: &str| ToFetch {
            purpose: Purpose::Policy,
            method: http::Method::GET,
            url: url.to_owned(),
            headers: http::HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::ZERO,
            max: 1,
            is_secret: false,
        };
        let fetch = env.fetch();
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(
                fetch
                    .fetch(ask("https://a/"))
                    .await
                    .unwrap()
                    .status
                    .as_u16(),
            );
        }
        assert_eq!(statuses, [500, 200, 200]);
        assert_eq!(
            fetch.fetch(ask("https://b/")).await.unwrap_err(),
            FetchError::Timeout
        );
        assert!(fetch.fetch(ask("https://c/")).await.is_err());
        assert_eq!(stage.take_fetched().len(), 5);
    }
}
