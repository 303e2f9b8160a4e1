//! The connections of one core that are open, so that each can be told that the gateway goes.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::ending::Ending;

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    connections: HashMap<u64, Ending>,
    leaving: bool,
}

/// One open connection; dropping it forgets it.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    open: &'a Open,
    id: u64,
}

// === impl Open ===

impl Open {
    /// Takes note of a connection.
    pub(crate) fn enter(&self, ending: Ending) -> Entry<'_> {
        let mut inside = self.lock();
        if inside.leaving {
            ending.leave();
        }
        let id = inside.next;
        inside.next += 1;
        inside.connections.insert(id, ending);
        Entry { open: self, id }
    }

    /// Tells all connections that the gateway goes, those that are still to come included.
    pub(crate) fn leave(&self) {
        let mut inside = self.lock();
        inside.leaving = true;
        inside.connections.values().for_each(Ending::leave);
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.open.lock().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_at_the_last_moment_is_told_too_and_who_went_is_forgotten() {
        let open = Open::default();
        let (early, late) = (Ending::default(), Ending::default());
        let entry = open.enter(early.clone());
        assert!(!early.is_leaving());
        open.leave();
        drop(open.enter(late.clone()));
        assert!(early.is_leaving() && late.is_leaving());
        drop(entry);
        assert!(open.lock().connections.is_empty());
    }
}
