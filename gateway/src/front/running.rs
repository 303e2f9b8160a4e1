//! How many exchanges of one connection run, the ones that their client has given up included.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Counts the exchanges of one connection. HTTP/2 counts streams, and a stream that was reset counts no
/// more, although the work for it goes on until somebody looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<AtomicU32>);

/// One counted exchange; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place(Running);

impl Running {
    /// A place for one more exchange, unless `most` run already.
    pub(crate) fn enter(&self, most: u32) -> Option<Place> {
        let place = Place(self.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }

    /// Whether none runs.
    pub(super) fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_refused_takes_no_place() {
        let running = Running::default();
        let first = running.enter(1);
        assert!(first.is_some());
        assert!(running.enter(1).is_none() && running.enter(1).is_none());
        drop(first);
        assert!(running.enter(1).is_some());
    }
}
