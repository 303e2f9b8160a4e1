//! How long things took, counted in buckets: two additions each time, without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in microseconds. Behind the last one is a bucket without a bound.
const BOUNDS: [u64; 12] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// A histogram.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

// === impl Latency ===

impl Latency {
    pub(crate) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| micros <= *bound);
        if let Some(bucket) = self.buckets.get(at.unwrap_or(BOUNDS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Each bound in seconds, the last one infinite, with how many took no longer than that.
    pub(crate) fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        #[allow(clippy::cast_precision_loss)]
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6);
        let counts = self.buckets.iter().scan(0, |sum: &mut u64, bucket| {
            *sum += bucket.load(Ordering::Relaxed);
            Some(*sum)
        });
        bounds.chain([f64::INFINITY]).zip(counts)
    }

    /// All of them together, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_micros(self.micros.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_holds_those_below_it_too() {
        let latency = Latency::default();
        for millis in [1, 2, 2, 30, 20_000] {
            latency.add(Duration::from_millis(millis));
        }
        let told: Vec<_> = latency.up_to().collect();
        assert_eq!(told.len(), BOUNDS.len() + 1);
        assert_eq!(told[0], (0.001, 1));
        assert_eq!(told[1], (0.0025, 3));
        assert_eq!(told[5], (0.05, 4));
        assert_eq!(told[11], (10.0, 4));
        assert_eq!(told[12], (f64::INFINITY, 5));
        assert!((latency.seconds() - 20.035).abs() < 1e-9);
    }
}
