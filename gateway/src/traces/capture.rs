//! Of which exchanges the steps of their policies are kept.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;

/// Decides for each exchange as it begins. While nobody has asked for anything, that is one look at a flag.
#[derive(Debug)]
pub(crate) struct Capture {
    /// Whether there is a plan, or a share of all exchanges.
    armed: AtomicBool,
    /// Exchanges of each second, for as long as nobody asks for something else.
    sample: u32,
    plan: ArcSwapOption<Plan>,
    started: Instant,
    /// The second of the last one, in the upper half, and how many there were in it.
    window: AtomicU64,
}

/// What somebody has asked for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) until: Instant,
    /// The id of an endpoint; without one, all.
    pub(crate) endpoint: Option<String>,
    pub(crate) per_second: u32,
}

// === impl Capture ===

impl Capture {
    pub(super) fn new(sample: u32) -> Self {
        Self {
            armed: AtomicBool::new(sample > 0),
            sample,
            plan: ArcSwapOption::empty(),
            started: Instant::now(),
            window: AtomicU64::new(0),
        }
    }

    /// Keeps the steps of what the plan says, until it is over.
    pub(crate) fn set(&self, plan: Option<Plan>) {
        let armed = plan.is_some() || self.sample > 0;
        self.plan.store(plan.map(Into::into));
        self.armed.store(armed, Ordering::Relaxed);
    }

    /// What is asked for at this moment.
    pub(crate) fn plan(&self) -> Option<Plan> {
        let plan = self.plan.load();
        plan.as_deref()
            .filter(|plan| plan.until > Instant::now())
            .cloned()
    }

    /// Exchanges of each second that are captured without being asked for.
    pub(crate) fn sample(&self) -> u32 {
        self.sample
    }

    /// Whether the steps of an exchange with this endpoint are to be kept.
    pub(crate) fn takes(&self, endpoint: &str) -> bool {
        self.armed.load(Ordering::Relaxed) && self.decide(endpoint, Instant::now())
    }

    #[cold]
    fn decide(&self, endpoint: &str, now: Instant) -> bool {
        let plan = self.plan.load();
        let (wanted, most) = match plan.as_deref() {
            Some(plan) if plan.until > now => {
                let named = plan.endpoint.as_deref();
                (named.is_none_or(|named| named == endpoint), plan.per_second)
            }
            Some(_) => {
                self.set(None);
                (true, self.sample)
            }
            None => (true, self.sample),
        };
        wanted && self.has_room(now.saturating_duration_since(self.started), most)
    }

    fn has_room(&self, now: Duration, most: u32) -> bool {
        let second = now.as_secs();
        let window = self.window.load(Ordering::Relaxed);
        let taken = match window >> 32 == second {
            true => window & u64::from(u32::MAX),
            false => 0,
        };
        if taken >= u64::from(most) {
            return false;
        }
        // Another core may count at the same time: then one of the two is enough.
        let next = (second << 32) | (taken + 1);
        let swapped =
            self.window
                .compare_exchange(window, next, Ordering::Relaxed, Ordering::Relaxed);
        swapped.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(capture: &Capture, endpoint: &str, at: Instant) -> usize {
        let asked = (0..100).filter(|_| capture.decide(endpoint, at));
        asked.count()
    }

    #[test]
    fn so_many_of_a_second_are_taken_and_no_more() {
        let capture = Capture::new(3);
        let start = capture.started;
        assert_eq!(taken(&capture, "ep_a", start), 3);
        assert_eq!(
            taken(&capture, "ep_a", start + Duration::from_millis(999)),
            0
        );
        assert_eq!(taken(&capture, "ep_b", start + Duration::from_secs(1)), 3);
        assert!(!Capture::new(0).takes("ep_a"));
    }

    #[test]
    fn a_plan_is_for_its_endpoint_and_ends_by_itself() {
        let capture = Capture::new(0);
        let start = Instant::now();
        capture.set(Some(Plan {
            until: start + Duration::from_secs(60),
            endpoint: Some("ep_a".to_owned()),
            per_second: 10,
        }));
        assert_eq!(taken(&capture, "ep_b", start), 0);
        assert!(capture.takes("ep_a"));
        assert_eq!(taken(&capture, "ep_a", start + Duration::from_secs(30)), 10);
        assert_eq!(taken(&capture, "ep_a", start + Duration::from_secs(61)), 0);
        assert!(!capture.takes("ep_a") && capture.plan().is_none());
    }
}
