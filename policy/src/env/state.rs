//! Counters that outlive the policy that made them, as long as its next version asks for the same ones.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A view on all counters of an environment: those of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    all: Arc<Mutex<HashMap<String, Weak<dyn Any + Send + Sync>>>>,
    of: Arc<str>,
    /// How often each key was asked for while one policy is built.
    asked: Arc<Mutex<HashMap<String, usize>>>,
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
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all
            .get(&key)
            .and_then(Weak::upgrade)
            .and_then(|state| state.downcast::<T>().ok());
        if let Some(state) = known {
            return state;
        }
        // Whoever asks for something new pays for taking away what nobody holds any more.
        all.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(make());
        let erased: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&state);
        all.insert(key, Arc::downgrade(&erased));
        state
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
    fn what_nobody_holds_is_forgotten() {
        let states = States::default();
        drop(states.shared("a", || 1_u32));
        let _held = states.shared("b", || 2_u32);
        assert_eq!(*states.shared("a", || 3_u32), 3);
        assert_eq!(*states.shared("b", || 4_u32), 2);
    }
}
