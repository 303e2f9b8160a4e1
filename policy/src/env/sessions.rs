//! Who has signed in, and who no more: what a gateway remembers besides the cookies that people carry.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// How a session can be named when it is ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    /// The session's own id: random, and never used again.
    pub id: Arc<str>,
    /// Who vouched for the person: the issuer's URL, or the provider's name.
    pub issuer: Arc<str>,
    /// The person's id there.
    pub subject: Arc<str>,
    /// The provider's name of its own session (`sid`), if it told one.
    pub provider_session: Option<Arc<str>>,
    /// When the session began.
    pub began: SystemTime,
}

/// Which sessions are ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// This one.
    Session(Arc<str>),
    /// All that belong to one session at a provider.
    AtProvider {
        /// The provider.
        issuer: Arc<str>,
        /// Its name of the session.
        session: Arc<str>,
    },
    /// All of one person that have begun until now.
    Person {
        /// The provider that knows the person.
        issuer: Arc<str>,
        /// The person's id there.
        subject: Arc<str>,
    },
}

/// Remembers sessions. Whoever implements it bounds what it keeps.
pub trait Sessions: fmt::Debug + Send + Sync {
    /// Whether a session was ended before its time.
    fn is_ended(&self, session: &SessionKeys) -> bool;

    /// Ends sessions at `now`, and the traffic that runs for them. Nobody asks any more after `until`.
    fn end(&self, which: Ended, now: SystemTime, until: SystemTime);

    /// What was kept under this name last.
    fn get(&self, name: &str) -> Option<Arc<[u8]>>;

    /// Keeps something under a name until then.
    fn put(&self, name: &str, value: Arc<[u8]>, now: SystemTime, until: SystemTime);

    /// Takes note of a value that may be used once. False: it was used before.
    fn use_once(&self, value: &str, now: SystemTime, until: SystemTime) -> bool;
}

/// Most entries of each kind; beyond, those that end first are forgotten.
const KEPT_MAX: usize = 100_000;
/// Most bytes of all kept values together; beyond, those that end first are forgotten.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Remembers while the process lives.
#[derive(Default)]
pub struct InMemory {
    /// When they were ended, and until when it matters. Every request of somebody who has signed in reads it.
    ended: RwLock<HashMap<Ended, (SystemTime, SystemTime)>>,
    kept: Mutex<Kept>,
    used: Mutex<HashMap<String, SystemTime>>,
}

#[derive(Default)]
struct Kept {
    values: HashMap<String, (Arc<[u8]>, SystemTime)>,
    bytes: usize,
}

impl Sessions for InMemory {
    fn is_ended(&self, session: &SessionKeys) -> bool {
        // Nothing panics while it holds one of the locks.
        let all = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return false;
        }
        let mut names = session.names().into_iter().flatten();
        names.any(|name| {
            let ended = all.get(&name);
            ended.is_some_and(|(at, _)| {
                !matches!(name, Ended::Person { .. }) || session.began <= *at
            })
        })
    }

    fn end(&self, which: Ended, now: SystemTime, until: SystemTime) {
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut ended, now, |(_, until)| *until);
        let (at, end) = ended.entry(which).or_insert((now, until));
        *at = now.max(*at);
        *end = until.max(*end);
    }

    fn get(&self, name: &str) -> Option<Arc<[u8]>> {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.values.get(name).map(|(value, _)| Arc::clone(value))
    }

    fn put(&self, name: &str, value: Arc<[u8]>, now: SystemTime, until: SystemTime) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(name, value, now, until);
    }

    fn use_once(&self, value: &str, now: SystemTime, until: SystemTime) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut used, now, |until| *until);
        used.insert(value.to_owned(), until).is_none()
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

// === impl Kept ===

impl Kept {
    fn put(&mut self, name: &str, value: Arc<[u8]>, now: SystemTime, until: SystemTime) {
        if value.len() > KEPT_BYTES_MAX {
            return;
        }
        self.bytes += value.len();
        if let Some((old, _)) = self.values.insert(name.to_owned(), (value, until)) {
            self.bytes -= old.len();
        }
        while self.values.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let before = self.values.len();
            forget(&mut self.values, now, |(_, until)| *until);
            self.bytes = self.values.values().map(|(value, _)| value.len()).sum();
            if self.values.len() == before {
                break;
            }
        }
    }
}

/// Forgets some when there are too many.
fn make_room<K: Clone + Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    now: SystemTime,
    until: impl Fn(&V) -> SystemTime,
) {
    if map.len() >= KEPT_MAX {
        forget(map, now, until);
    }
}

/// A quarter goes: those whose time is over, and if they are fewer, those whose time ends first. So nobody pays for
/// looking through all of them soon again.
fn forget<K: Clone + Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    now: SystemTime,
    until: impl Fn(&V) -> SystemTime,
) {
    let room = map.len() / 4 * 3;
    map.retain(|_, value| until(value) > now);
    let mut surplus = map.len().saturating_sub(room);
    if surplus == 0 {
        return;
    }
    let mut ends: Vec<_> = map.values().map(&until).collect();
    let (_, &mut last, _) = ends.select_nth_unstable(surplus - 1);
    map.retain(|_, value| {
        let stays = surplus == 0 || until(value) > last;
        surplus -= usize::from(!stays);
        stays
    });
}

// === impl SessionKeys ===

impl SessionKeys {
    /// The ways in which somebody may have ended it.
    pub fn names(&self) -> [Option<Ended>; 3] {
        let issuer = || Arc::clone(&self.issuer);
        [
            Some(Ended::Session(Arc::clone(&self.id))),
            self.provider_session
                .as_ref()
                .map(|session| Ended::AtProvider {
                    issuer: issuer(),
                    session: Arc::clone(session),
                }),
            Some(Ended::Person {
                issuer: issuer(),
                subject: Arc::clone(&self.subject),
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn session(began: u64) -> SessionKeys {
        SessionKeys {
            id: "s1".into(),
            issuer: "https://id.example".into(),
            subject: "alice".into(),
            provider_session: Some("p1".into()),
            began: at(began),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_ends_by_each_of_its_names() {
        for name in session(5).names().into_iter().flatten() {
            let sessions = InMemory::default();
            assert!(!sessions.is_ended(&session(5)));
            sessions.end(name, at(10), at(100));
            assert!(sessions.is_ended(&session(5)));
        }
    }

    #[test]
    fn a_person_may_sign_in_again() {
        let sessions = InMemory::default();
        let person = Ended::Person {
            issuer: "https://id.example".into(),
            subject: "alice".into(),
        };
        sessions.end(person, at(10), at(100));
        assert!(sessions.is_ended(&session(10)));
        assert!(!sessions.is_ended(&session(11)));
    }

    #[test]
    fn a_value_is_used_once() {
        let sessions = InMemory::default();
        assert!(sessions.use_once("a", at(1), at(9)));
        assert!(!sessions.use_once("a", at(2), at(9)));
        assert!(sessions.use_once("b", at(2), at(9)));
    }

    #[test]
    fn what_ends_first_is_forgotten_first() {
        let mut map: HashMap<u64, SystemTime> = (1..=KEPT_MAX as u64).map(|n| (n, at(n))).collect();
        make_room(&mut map, at(0), |until| *until);
        assert_eq!(map.len(), KEPT_MAX / 4 * 3);
        assert!(map.contains_key(&(KEPT_MAX as u64)));
        assert!(!map.contains_key(&1));
        let mut same: HashMap<u64, SystemTime> = (0..KEPT_MAX as u64).map(|n| (n, at(9))).collect();
        make_room(&mut same, at(0), |until| *until);
        assert_eq!(same.len(), KEPT_MAX / 4 * 3, "and no more than a quarter");
    }

    #[test]
    fn values_are_kept_up_to_a_number_of_bytes() {
        let sessions = InMemory::default();
        let big: Arc<[u8]> = vec![0; KEPT_BYTES_MAX / 4].into();
        for turn in 0..10_u64 {
            sessions.put(&turn.to_string(), Arc::clone(&big), at(0), at(100 + turn));
            let kept = sessions.kept.lock().unwrap();
            assert!(kept.bytes <= KEPT_BYTES_MAX);
            assert_eq!(kept.bytes, kept.values.len() * big.len());
        }
        assert!(sessions.get("9").is_some(), "the one that ends last");
        assert!(sessions.get("0").is_none());
        sessions.put("9", vec![1].into(), at(0), at(200));
        assert_eq!(*sessions.get("9").unwrap(), [1]);
        sessions.put("x", vec![0; KEPT_BYTES_MAX + 1].into(), at(0), at(200));
        assert!(sessions.get("x").is_none(), "one that alone is too much");
    }

    #[test]
    fn what_has_ended_does_not_begin_again() {
        let sessions = InMemory::default();
        let person = Ended::Person {
            issuer: "https://id.example".into(),
            subject: "alice".into(),
        };
        sessions.end(person.clone(), at(20), at(100));
        sessions.end(person, at(10), at(50));
        assert!(sessions.is_ended(&session(20)));
    }
}
