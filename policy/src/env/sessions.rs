//! Who has signed in, and who no more: what a gateway remembers besides the cookies that people carry.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Remembers while the process lives.
#[derive(Default)]
pub struct InMemory(Mutex<All>);

#[derive(Default)]
struct All {
    /// When they were ended, and until when it matters.
    ended: HashMap<Ended, (SystemTime, SystemTime)>,
    kept: HashMap<String, (Arc<[u8]>, SystemTime)>,
    used: HashMap<String, SystemTime>,
}

// === impl InMemory ===

impl InMemory {
    // Nothing panics while it holds the lock.
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions for InMemory {
    fn is_ended(&self, session: &SessionKeys) -> bool {
        let all = self.all();
        if all.ended.is_empty() {
            return false;
        }
        let mut names = session.names().into_iter().flatten();
        names.any(|name| {
            let ended = all.ended.get(&name);
            ended.is_some_and(|(at, _)| {
                !matches!(name, Ended::Person { .. }) || session.began <= *at
            })
        })
    }

    fn end(&self, which: Ended, now: SystemTime, until: SystemTime) {
        let ended = &mut self.all().ended;
        make_room(ended, now, |(_, until)| *until);
        ended.insert(which, (now, until));
    }

    fn get(&self, name: &str) -> Option<Arc<[u8]>> {
        let all = self.all();
        all.kept.get(name).map(|(value, _)| Arc::clone(value))
    }

    fn put(&self, name: &str, value: Arc<[u8]>, now: SystemTime, until: SystemTime) {
        let kept = &mut self.all().kept;
        make_room(kept, now, |(_, until)| *until);
        kept.insert(name.to_owned(), (value, until));
    }

    fn use_once(&self, value: &str, now: SystemTime, until: SystemTime) -> bool {
        let used = &mut self.all().used;
        make_room(used, now, |until| *until);
        used.insert(value.to_owned(), until).is_none()
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

/// When there are too many, those go whose time is over, and if that is not enough, those whose time ends first.
fn make_room<K: Clone + Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    now: SystemTime,
    until: impl Fn(&V) -> SystemTime,
) {
    if map.len() < KEPT_MAX {
        return;
    }
    map.retain(|_, value| until(value) > now);
    if map.len() < KEPT_MAX {
        return;
    }
    let mut ends: Vec<_> = map.values().map(&until).collect();
    let middle = ends.len() / 2;
    let (_, &mut half, _) = ends.select_nth_unstable(middle);
    map.retain(|_, value| until(value) > half);
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
        assert!(map.len() < KEPT_MAX);
        assert!(map.contains_key(&(KEPT_MAX as u64)));
        assert!(!map.contains_key(&1));
    }
}
