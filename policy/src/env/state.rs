//! Counters that outlive the policy that made them: its next version finds the same ones, even if nobody held them
//! for a while because the agent that brought the policy was away.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Up to so many counters are kept although nobody holds them; beyond, those that nobody holds are forgotten.
const KEPT_MAX: usize = 4_096;

/// A view on all counters of an environment: those of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    all: Arc<Mutex<All>>,
    of: Arc<str>,
    /// How often each key was asked for while one policy is built.
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

#[derive(Debug, Default)]
struct All {
    by_key: HashMap<String, Arc<dyn Any + Send + Sync>>,
    /// How many are held by somebody, as of the last time that somebody looked.
    held: usize,
}

impl States {
    /// The counters of one more level: an endpoint, or the trials of an endpoint.
    pub(super) fn of(&self, name: &str) -> Self {
        Self {
            all: Arc::clone(&self.all),
            of: format!("{}{name}\n", self.of).into(),
            asked: Arc::clone(&self.asked),
        }
    }

    /// The same, counting from the first again.
    pub(super) fn counted(&self) -> Self {
        Self {
            asked: Arc::default(),
            ..self.clone()
        }
    }

    pub(super) fn shared<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.find(format!("{}shared {key}", self.of), make)
    }

    pub(super) fn own<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let key = format!("{}{key}", self.of);
        let nth = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let nth = asked.entry(key.clone()).or_default();
            *nth += 1;
            *nth
        };
        self.find(format!("{key} #{nth}"), make)
    }

    pub(super) fn common<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.find(format!("common {key}"), make)
    }

    fn find<T: Send + Sync + 'static>(&self, key: String, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(known) = self.lock().known(&key) {
            return known;
        }
        // Made outside of the lock: it may be made of other states.
        let made = Arc::new(make());
        let mut all = self.lock();
        if let Some(known) = all.known(&key) {
            return known;
        }
        all.sweep();
        let erased: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&made);
        all.by_key.insert(key, erased);
        made
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn known<T: Send + Sync + 'static>(&self, key: &str) -> Option<Arc<T>> {
        let state = self.by_key.get(key)?;
        Arc::clone(state).downcast().ok()
    }

    /// Whoever asks for something new pays for taking away what nobody holds, when there is too much of it.
    fn sweep(&mut self) {
        if self.by_key.len() >= self.held * 2 + KEPT_MAX {
            self.by_key.retain(|_, state| Arc::strong_count(state) > 1);
            self.held = self.by_key.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn the_next_policy_finds_the_counters_of_the_one_before_it() {
        let states = States::default().of("https://a");
        let first = states.counted().own("breaker 5", AtomicU32::default);
        first.store(7, Ordering::Relaxed);
        let next = states.counted();
        assert_eq!(
            next.own("breaker 5", AtomicU32::default)
                .load(Ordering::Relaxed),
            7
        );
        assert_eq!(
            next.own("breaker 5", AtomicU32::default)
                .load(Ordering::Relaxed),
            0,
            "the second of its kind"
        );
        assert_eq!(
            next.own("breaker 6", AtomicU32::default)
                .load(Ordering::Relaxed),
            0
        );
        let other = States::default().of("https://b").counted();
        assert_eq!(
            other
                .own("breaker 5", AtomicU32::default)
                .load(Ordering::Relaxed),
            0
        );
    }

    #[test]
    fn what_nobody_holds_is_kept_until_there_is_too_much_of_it() {
        let states = States::default();
        drop(states.shared("a", || 1));
        assert_eq!(*states.shared("a", || 2), 1);
        let held = states.shared("b", || 3);
        for number in 0..KEPT_MAX {
            states.shared(&number.to_string(), || number);
        }
        assert_eq!(*states.shared("a", || 4), 4);
        assert_eq!(*states.shared("b", || 5), *held);
        assert!(states.lock().by_key.len() < 5);
    }

    #[test]
    fn a_state_may_be_made_of_another() {
        let states = States::default();
        let made = states.shared("a", || *states.common("b", || 1) + 1);
        assert_eq!(*made, 2);
    }
}
