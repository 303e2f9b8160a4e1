//! How long to wait before the next try: longer each time, and never in step with others.

use std::time::Duration;

/// A thing that worked this long is tried again as if it had never failed.
pub(crate) const LIVED: Duration = Duration::from_secs(10);

/// Waits that double from the least to the most, each drawn between the least and the double.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    tries: u32,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            tries: 0,
        }
    }

    /// Whether nothing failed since the last reset.
    pub(crate) fn is_fresh(&self) -> bool {
        self.tries == 0
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        let doubled = self.least.saturating_mul(1 << self.tries.min(16));
        rand::random_range(self.least..=doubled.clamp(self.least, self.most.max(self.least)))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_half_a_second_and_thirty() {
        let mut backoff = Backoff::default();
        for n in 0..100 {
            let wait = backoff.next();
            assert!(wait >= Duration::from_millis(500) && wait <= Duration::from_secs(30));
            assert!(n > 0 || wait <= Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
