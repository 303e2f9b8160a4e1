//! What a provider publishes, kept and renewed: so that almost no request waits for it, and none fails while its provider
//! is away for a while.
//!
//! | age | what happens |
//! |---|---|
//! | up to 80 % of its time | it is used |
//! | up to its time: what `max-age` says, from a minute to what the document allows | it is used, and renewed in the background |
//! | older | whoever needs it waits until it has been renewed; if its provider has failed before, it is used, and renewed in the background |
//! | a day | it is not used any more |
//!
//! One request to the provider is under way at a time, and all wait for the same one, on whatever thread they are. After a
//! failure the next one is sent a second later at the earliest, then two, four and so on up to half a minute.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Shared;
use thiserror::Error;

use super::document;
use super::identity_url::IdentityUrl;
use crate::env::Env;

/// A document is good for so long at least, whatever its provider says.
const SHORTEST: Duration = Duration::from_secs(60);
/// The last good one serves for so long while its provider fails.
const LAST_RESORT: Duration = Duration::from_secs(24 * 60 * 60);
/// Whoever misses something in a document has it renewed, but not more often than this.
const ASKED_AGAIN: Duration = Duration::from_secs(60);
/// The longest wait after failures.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A document that is fetched when it is first needed. One of these is shared by all that need the document.
pub(super) struct Published<T> {
    url: IdentityUrl,
    /// It is good for so long at most.
    lasts: Duration,
    read: Box<Read<T>>,
    state: Mutex<State<T>>,
}

/// Why a document is not there: what is said to operators, never to clients.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{url}: {why}")]
pub(crate) struct Unavailable {
    url: Arc<str>,
    why: Arc<str>,
}

struct State<T> {
    held: Option<Held<T>>,
    flight: Option<Flight<T>>,
    /// Why the last request failed, if it did; and how many did in a row.
    failed: Option<Unavailable>,
    failures: u32,
    /// No request is sent before.
    not_before: Duration,
    /// When somebody missed something, and it was renewed for that.
    asked_again: Option<Duration>,
}

struct Held<T> {
    value: Arc<T>,
    body: Bytes,
    since: Duration,
    lasts: Duration,
}

/// Makes a value of a document's text, or says why it is none.
type Read<T> = dyn Fn(&[u8]) -> Result<T, String> + Send + Sync;
type Landed<T> = Result<Arc<T>, Unavailable>;
type Flight<T> = Shared<Pin<Box<dyn Future<Output = Landed<T>> + Send>>>;

/// What is at hand without waiting.
enum AtHand<T> {
    Good(Arc<T>),
    /// It is good, and is to be renewed.
    Due(Arc<T>),
    Nothing,
}

// === impl Published ===

impl<T: Send + Sync + 'static> Published<T> {
    pub(super) fn new(
        url: IdentityUrl,
        lasts: Duration,
        read: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            url,
            lasts,
            read: Box::new(read),
            state: Mutex::new(State {
                held: None,
                flight: None,
                failed: None,
                failures: 0,
                not_before: Duration::ZERO,
                asked_again: None,
            }),
        }
    }

    #[cfg(test)]
    pub(super) fn url(&self) -> &IdentityUrl {
        &self.url
    }

    /// The document, if nobody need wait for it.
    pub(super) fn at_hand(self: &Arc<Self>, env: &Env) -> Option<Arc<T>> {
        let mut state = self.state();
        match state.at_hand(env.clock().elapsed()) {
            AtHand::Good(value) => Some(value),
            AtHand::Nothing => None,
            AtHand::Due(value) => {
                let renewal = self.board(&mut state, env, false);
                drop(state);
                if let Some((flight, true)) = renewal {
                    in_background(flight, env);
                }
                Some(value)
            }
        }
    }

    /// Has it fetched in the background if it is not at hand.
    pub(super) fn prepare(self: &Arc<Self>, env: &Env) {
        if self.at_hand(env).is_none() {
            let renewal = self.board(&mut self.state(), env, false);
            if let Some((flight, true)) = renewal {
                in_background(flight, env);
            }
        }
    }

    /// The document. If it is not what is wanted, it is renewed, unless that was done a short while ago.
    pub(super) async fn get(
        self: &Arc<Self>,
        env: &Env,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Landed<T> {
        let value = match self.at_hand(env) {
            Some(value) => value,
            None => {
                let (value, is_new) = self.renewed(env, false).await?;
                if is_new {
                    return Ok(value);
                }
                value
            }
        };
        if is_wanted(&value) {
            return Ok(value);
        }
        // A request that was under way may have left before the provider published what is missed: then one more goes.
        for _ in 0..2 {
            match self.renewed(env, true).await {
                Ok((value, is_new)) if is_new || is_wanted(&value) => return Ok(value),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(self.at_hand(env).unwrap_or(value))
    }

    /// What the next request brings, and whether it was sent just now. If it brings nothing, what is at hand.
    async fn renewed(
        self: &Arc<Self>,
        env: &Env,
        is_missed: bool,
    ) -> Result<(Arc<T>, bool), Unavailable> {
        let boarded = self.board(&mut self.state(), env, is_missed);
        let Some((flight, is_new)) = boarded else {
            return match self.at_hand(env) {
                Some(value) => Ok((value, false)),
                None => Err(self.failure()),
            };
        };
        if is_new {
            // It goes on when nobody waits for it any more.
            in_background(flight.clone(), env);
        }
        match flight.await {
            Ok(value) => Ok((value, is_new)),
            Err(failure) => match self.at_hand(env) {
                Some(value) => Ok((value, is_new)),
                None => Err(failure),
            },
        }
    }

    /// The request that is under way, or a new one if it may be sent; and whether it is new.
    fn board(
        self: &Arc<Self>,
        state: &mut State<T>,
        env: &Env,
        is_missed: bool,
    ) -> Option<(Flight<T>, bool)> {
        if let Some(flight) = &state.flight {
            return Some((flight.clone(), false));
        }
        let now = env.clock().elapsed();
        let asked_lately = |at: Duration| now < at + ASKED_AGAIN;
        if now < state.not_before || (is_missed && state.asked_again.is_some_and(asked_lately)) {
            return None;
        }
        if is_missed {
            state.asked_again = Some(now);
        }
        let flight = self.flight(env.clone()).boxed().shared();
        state.flight = Some(flight.clone());
        Some((flight, true))
    }

    fn flight(self: &Arc<Self>, env: Env) -> impl Future<Output = Landed<T>> + Send + 'static {
        // The flight is kept by what it would keep.
        let (landing, url) = (Arc::downgrade(self), self.url.clone());
        async move {
            let departed = env.clock().elapsed();
            let fetched = document::fetch(&url, &env).await;
            let gone = || Unavailable::of(&url, "nobody needs it any more");
            let published = landing.upgrade().ok_or_else(gone)?;
            published.landed(fetched, departed, &env)
        }
    }

    fn landed(
        &self,
        fetched: Result<document::Document, String>,
        departed: Duration,
        env: &Env,
    ) -> Landed<T> {
        let known = self
            .state()
            .held
            .as_ref()
            .map(|held| (Arc::clone(&held.value), held.body.clone()));
        let read = fetched.and_then(|document| {
            let value = match known {
                // The same text is the same value: what was made of it stays good.
                Some((value, body)) if body == document.body => value,
                _ => Arc::new((self.read)(&document.body)?),
            };
            Ok((value, document))
        });
        let mut state = self.state();
        state.flight = None;
        match read {
            Ok((value, document)) => {
                let lasts = document.max_age.unwrap_or(self.lasts);
                state.failures = 0;
                state.failed = None;
                state.not_before = Duration::ZERO;
                state.held = Some(Held {
                    value: Arc::clone(&value),
                    body: document.body,
                    since: departed,
                    lasts: lasts.clamp(SHORTEST, self.lasts),
                });
                Ok(value)
            }
            Err(why) => {
                let failure = Unavailable::of(&self.url, &why);
                let pause = Duration::from_secs(1 << state.failures.min(5));
                state.failures = state.failures.saturating_add(1);
                state.not_before = env.clock().elapsed() + pause.min(PAUSE_MAX);
                state.failed = Some(failure.clone());
                drop(state);
                env.log()
                    .warn(&failure.url, &format!("it could not be fetched: {why}"));
                Err(failure)
            }
        }
    }

    fn failure(&self) -> Unavailable {
        let failed = self.state().failed.clone();
        failed.unwrap_or_else(|| Unavailable::of(&self.url, "it could not be fetched"))
    }

    // Nothing panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_background<T: Send + Sync + 'static>(flight: Flight<T>, env: &Env) {
    env.work().spawn(flight.map(drop).boxed());
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

// === impl State ===

impl<T> State<T> {
    fn at_hand(&mut self, now: Duration) -> AtHand<T> {
        let Some(held) = &self.held else {
            return AtHand::Nothing;
        };
        let age = now.saturating_sub(held.since);
        let value = Arc::clone(&held.value);
        if age >= LAST_RESORT {
            self.held = None;
            return AtHand::Nothing;
        }
        match age {
            young if young < held.lasts * 4 / 5 => AtHand::Good(value),
            good if good < held.lasts => AtHand::Due(value),
            _ if self.failures > 0 => AtHand::Due(value),
            _ => AtHand::Nothing,
        }
    }
}

// === impl Unavailable ===

impl Unavailable {
    pub(super) fn of(url: &IdentityUrl, why: &str) -> Self {
        Self {
            url: url.to_string().into(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests;
