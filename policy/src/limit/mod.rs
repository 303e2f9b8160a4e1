//! Rate limits: how many requests may pass in how much time, for each of up to a million keys.
//!
//! All limiters of a process share one [`Limiters`], which bounds their memory. A bucket is known by a keyed hash of
//! its limiter's number and the values of its key. So whoever wants to go on counting after a reload keeps the limiter.
//!
//! | module | what it holds |
//! |---|---|
//! | `window` | the sliding window |
//! | `tokens` | the token bucket |
//! | `key` | the hash that a bucket is known by |
//! | `buckets` | a bounded map of buckets that forgets the least recently used |

mod buckets;
mod key;
mod tokens;
mod window;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::buckets::{Bucket, Buckets};
pub(crate) use self::key::Key;
pub use self::key::KeyHasher;
use self::tokens::Tokens;
use self::window::Window;
use crate::env::{Env, Random};

/// How many buckets one process keeps. Beyond, the least recently used is forgotten: its key has its whole capacity
/// again. This is about 85 MB.
pub const BUCKETS_MAX: usize = 1_000_000;

/// What a limiter allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How passed requests are counted.
    pub algorithm: Algorithm,
    /// How many requests may pass in `seconds`.
    pub capacity: NonZeroU32,
    /// The length of time that `capacity` is for.
    pub seconds: NonZeroU32,
}

/// How passed requests are counted. Refused requests never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Requests that passed lately are counted in sub-windows of a tenth of the time; the oldest, which the window
    /// has left in part, counts for the part that is left (rounded down to whole requests).
    ///
    /// In any ten sub-windows in a row at most `capacity` requests pass. The weight of the oldest sub-window takes its
    /// requests for evenly spread; where they were not, the error is bounded too: in **any** stretch of time of the
    /// window's length, wherever it begins, at most `capacity` and a tenth of it (rounded up) pass. The whole capacity
    /// can pass at once, and is free again at most 1.1 times the window later.
    SlidingWindow,
    /// A bucket of `capacity` tokens, one more each `seconds / capacity` until it is full; a request takes one. This
    /// is the generic cell rate algorithm (GCRA) of the crate `governor`.
    ///
    /// The whole capacity can pass at once, and after a pause it can again; meanwhile one request passes for each new
    /// token. So in a stretch of time of any length at most `capacity` requests pass, and one for each whole interval
    /// in it: just after a burst up to twice `capacity` within `seconds`, on average never more than `capacity`. The
    /// interval is whole nanoseconds, rounded up.
    TokenBucket,
}

/// What a limiter says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request passes, and is counted.
    Passed {
        /// How many more could pass at this moment.
        remaining: u32,
        /// Time until the whole capacity is free, if no other request passes.
        reset: Duration,
    },
    /// The request does not pass, and is not counted.
    Limited {
        /// Time until a request passes, if no other does before.
        retry_after: Duration,
        /// Time until the whole capacity is free, if no other request passes.
        reset: Duration,
    },
}

/// The buckets of all limiters of a process.
pub struct Limiters {
    shards: Box<[Mutex<Buckets>]>,
    hasher: KeyHasher,
    dropped: AtomicU64,
    /// How many limiters there were so far: the number of the next one.
    made: AtomicU64,
}

/// One rate limit.
#[derive(Debug)]
pub struct Limiter {
    limiters: Arc<Limiters>,
    settings: Settings,
    /// Knows the limiter's number already.
    hasher: KeyHasher,
}

// === impl Limiters ===

impl Limiters {
    /// Those that all policies of an environment share.
    pub fn of(env: &Env) -> Arc<Self> {
        env.common_state("limiters", || Self::new(env.random()))
    }

    /// Keeps up to [`BUCKETS_MAX`] buckets.
    pub fn new(random: &dyn Random) -> Self {
        // So many that cores seldom meet, and so few buckets for each that its hash table just fits them.
        Self::with_bound(80, BUCKETS_MAX / 80, random)
    }

    /// Keeps up to `bound` buckets behind each of `shards` locks.
    fn with_bound(shards: usize, bound: usize, random: &dyn Random) -> Self {
        let mut seed = [0; 16];
        random.fill(&mut seed);
        Self {
            shards: (0..shards)
                .map(|_| Mutex::new(Buckets::new(bound)))
                .collect(),
            hasher: KeyHasher::new(&seed),
            dropped: AtomicU64::new(0),
            made: AtomicU64::new(0),
        }
    }

    /// A limiter with buckets of its own.
    pub fn limiter(self: &Arc<Self>, settings: Settings) -> Limiter {
        let mut hasher = self.hasher.clone();
        hasher.number(self.made.fetch_add(1, Ordering::Relaxed));
        Limiter {
            limiters: Arc::clone(self),
            settings,
            hasher,
        }
    }

    /// How many buckets with something in them were forgotten because there were too many.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many buckets are kept, those included that have become empty since and whose place is free.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    /// Whether no bucket is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: Key) -> &Mutex<Buckets> {
        // The low half chooses the place inside a shard.
        let at = ((key.high >> 32) * self.shards.len() as u64) >> 32;
        &self.shards[at as usize]
    }
}

impl fmt::Debug for Limiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the seed nor the buckets: the one is a secret, the others are many.
        f.debug_struct("Limiters")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

// === impl Limiter ===

impl Limiter {
    /// What the values of a bucket's key are fed to, before [`Limiter::check`].
    pub fn key(&self) -> KeyHasher {
        self.hasher.clone()
    }

    /// Decides about one request for the bucket of this key, and counts it if it passes. `now` is the reading of a
    /// clock that never runs back, the same one for all limiters.
    pub fn check(&self, key: KeyHasher, now: Duration) -> Outcome {
        let key = key.finish();
        let mut shard = self
            .limiters
            .shard(key)
            .lock()
            // A bucket that a panic left half changed is no worse than one that was forgotten.
            .unwrap_or_else(PoisonError::into_inner);
        let (bucket, dropped) = shard.touch(key, now, self.settings.memory(), || {
            self.settings.bucket(now)
        });
        if dropped {
            self.limiters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.settings.check(bucket, now)
    }

    /// How long the bucket of this key lets nothing pass; `None` if a request would pass now. Counts nothing, and makes
    /// no bucket.
    pub fn wait(&self, key: KeyHasher, now: Duration) -> Option<Duration> {
        let key = key.finish();
        let shard = self
            .limiters
            .shard(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut bucket = *shard.find(key)?;
        drop(shard);
        match self.settings.check(&mut bucket, now) {
            Outcome::Passed { .. } => None,
            Outcome::Limited { retry_after, .. } => Some(retry_after),
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> Settings {
        self.settings
    }
}

// === impl Settings ===

impl Settings {
    /// An empty bucket.
    fn bucket(&self, now: Duration) -> Bucket {
        match self.algorithm {
            Algorithm::SlidingWindow => Window::new(self, now).into(),
            Algorithm::TokenBucket => Tokens::default().into(),
        }
    }

    fn check(&self, bucket: &mut Bucket, now: Duration) -> Outcome {
        match self.algorithm {
            Algorithm::SlidingWindow => {
                let mut window = Window::from(*bucket);
                let outcome = window.check(self, now);
                *bucket = window.into();
                outcome
            }
            Algorithm::TokenBucket => {
                let mut tokens = Tokens::from(*bucket);
                let outcome = tokens.check(self, now);
                *bucket = tokens.into();
                outcome
            }
        }
    }

    fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds.get()))
    }

    /// After this time without a request a bucket is as good as a new one.
    fn memory(&self) -> Duration {
        self.window() + self.window() / 10
    }
}

fn nanos(time: Duration) -> u64 {
    // 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    const ONE_PER_MINUTE: Settings = Settings {
        algorithm: Algorithm::SlidingWindow,
        capacity: NonZeroU32::MIN,
        seconds: NonZeroU32::new(60).unwrap(),
    };

    fn limiters(shards: usize, bound: usize) -> Arc<Limiters> {
        Arc::new(Limiters::with_bound(shards, bound, Env::system().random()))
    }

    fn passes(limiter: &Limiter, key: &str, seconds: u64) -> bool {
        let mut hasher = limiter.key();
        hasher.part(key.as_bytes());
        let outcome = limiter.check(hasher, Duration::from_secs(seconds));
        matches!(outcome, Outcome::Passed { .. })
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        for algorithm in [Algorithm::SlidingWindow, Algorithm::TokenBucket] {
            let settings = Settings {
                algorithm,
                ..ONE_PER_MINUTE
            };
            let limiter = limiters(4, 100).limiter(settings);
            assert!(passes(&limiter, "alice", 0) && passes(&limiter, "bob", 0));
            assert!(!passes(&limiter, "alice", 1) && !passes(&limiter, "bob", 1));
            assert!(passes(&limiter, "alice", 66) && passes(&limiter, "bob", 66));
        }
    }

    #[test]
    fn each_limiter_has_buckets_of_its_own() {
        let limiters = limiters(4, 100);
        let [one, other] = [(); 2].map(|()| limiters.limiter(ONE_PER_MINUTE));
        assert!(passes(&one, "alice", 0) && passes(&other, "alice", 0));
        assert!(!passes(&one, "alice", 0) && !passes(&other, "alice", 0));
    }

    #[test]
    fn forgotten_buckets_are_counted_and_empty_ones_are_not() {
        let limiters = limiters(1, 3);
        let limiter = limiters.limiter(ONE_PER_MINUTE);
        assert!(limiters.is_empty());
        for key in ["a", "b", "c", "a"] {
            passes(&limiter, key, 0);
        }
        assert!(passes(&limiter, "d", 0));
        assert_eq!((limiters.dropped(), limiters.len()), (1, 3));
        assert!(!passes(&limiter, "a", 0), "b was the least recently used");
        assert!(passes(&limiter, "b", 0));
        assert_eq!(limiters.dropped(), 2);
        for key in ["e", "f", "g", "h"] {
            assert!(passes(&limiter, key, 100));
        }
        assert_eq!((limiters.dropped(), limiters.len()), (3, 3));
    }

    #[test]
    fn keys_spread_over_all_shards() {
        let limiters = Arc::new(Limiters::new(Env::system().random()));
        let limiter = limiters.limiter(ONE_PER_MINUTE);
        for number in 0..2_000 {
            assert!(passes(&limiter, &number.to_string(), 0));
        }
        assert_eq!(limiters.len(), 2_000);
        let sizes: HashSet<_> = limiters
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .collect();
        assert!(!sizes.contains(&0), "{sizes:?}");
    }

    #[test]
    fn many_threads_together_pass_no_more_than_the_capacity() {
        let settings = Settings {
            capacity: NonZeroU32::new(1_000).unwrap(),
            ..ONE_PER_MINUTE
        };
        for algorithm in [Algorithm::SlidingWindow, Algorithm::TokenBucket] {
            let limiter = limiters(4, 100).limiter(Settings {
                algorithm,
                ..settings
            });
            let passed: usize = thread::scope(|scope| {
                let run = || (0..700).filter(|_| passes(&limiter, "alice", 5)).count();
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .sum()
            });
            assert_eq!(passed, 1_000);
        }
    }
}
