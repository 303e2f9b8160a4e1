//! How long to wait before the next try: longer each time, and never in step with others.

use std::{ops::RangeInclusive, time::Duration};

use tokio::time::Instant;

/// A thing that worked this long is tried again as if it had never failed.
pub(crate) const LIVED: Duration = Duration::from_secs(10);

/// For how long whoever was sent on looks for the new place in short steps: while a gateway is replaced, a connection
/// may still come to the old process, or to nobody.
const HURRY: Duration = Duration::from_secs(1);

/// The waits in a hurry.
const STEPS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(50);

/// Waits that double from the least to the most, each drawn between the least and the double.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    tries: u32,
    /// The end of the newest hurry, which may be over.
    hurry: Option<Instant>,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            tries: 0,
            hurry: None,
        }
    }

    /// The same waits for something else that has not failed yet. A hurry goes on.
    pub(crate) fn anew(&self) -> Self {
        Self {
            tries: 0,
            ..self.clone()
        }
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
        self.hurry = None;
    }

    pub(crate) fn next(&mut self) -> Duration {
        if self.is_in_a_hurry() {
            return rand::random_range(STEPS);
        }
        self.tries = self.tries.saturating_add(1);
        let doubled = self.least.saturating_mul(1 << self.tries.min(16));
        rand::random_range(self.least..=doubled.clamp(self.least, self.most.max(self.least)))
    }

    /// The wait after the peer, which has `served` for so long, said that it moves: none, and short ones for a second.
    /// A peer that sends on whoever has just come is not asked in a tight circle.
    pub(crate) fn moved(&mut self, served: Duration) -> Duration {
        let first = self.tries == 0 && self.hurry.is_none();
        if !first && served < HURRY {
            return self.next();
        }
        self.hurry = Some(Instant::now() + HURRY);
        Duration::ZERO
    }

    /// Whether the peer said a moment ago that it moves.
    pub(crate) fn is_in_a_hurry(&self) -> bool {
        self.hurry.is_some_and(|until| Instant::now() < until)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

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

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_moves_is_looked_for_at_once_and_then_in_short_steps_for_a_second() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(backoff.moved(Duration::from_secs(3600)), Duration::ZERO);
            let began = Instant::now();
            while began.elapsed() < HURRY {
                let wait = backoff.next();
                assert!(STEPS.contains(&wait), "{wait:?}");
                assert!(STEPS.contains(&backoff.anew().next()));
                advance(wait).await;
            }
            assert!(backoff.next() >= Duration::from_millis(500));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_everybody_on_is_asked_ever_less_often() {
        let mut backoff = Backoff::default();
        let (began, mut asked) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(60) {
            asked += 1;
            advance(backoff.moved(Duration::from_millis(1))).await;
        }
        assert!(asked < 70, "{asked}");
        assert!(backoff.moved(Duration::ZERO) >= Duration::from_millis(500));
    }
}
