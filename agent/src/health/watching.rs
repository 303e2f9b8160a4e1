//! Checks that go on: when the next one is due, and what several of them together say.

use std::{future::Future, sync::Arc, time::Duration};

use adit_wire::message::Protocol;
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{HealthCheck, probe::Probe};
use crate::{bindings::Key, dial::Dialer, event::printable, reconnect::Command};

/// Checks that run at once, over all endpoints of an agent; others wait for their turn.
const AT_ONCE: usize = 256;

/// Characters of a reason.
const REASON: usize = 255;

/// What the checks of a service say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) up: bool,
    /// Why not.
    pub(crate) reason: String,
}

/// Begins the checks of an agent's endpoints.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    turns: Arc<Semaphore>,
    /// Weak: a check must not keep an agent that nobody holds.
    found: mpsc::WeakUnboundedSender<Command>,
}

/// The checks of one endpoint, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct Checking(AbortHandle);

/// Single outcomes become a state that does not flap.
#[derive(Debug)]
struct Tally {
    up_after: u32,
    down_after: u32,
    /// Outcomes in a row that are as the last one.
    streak: u32,
    last: bool,
    /// What was told.
    state: Option<Health>,
}

// === impl Checks ===

impl Checks {
    pub(crate) fn new(found: mpsc::WeakUnboundedSender<Command>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            found,
        }
    }

    /// Checks the service of an endpoint from now on. The agent is told of what has changed by [`Command::Checked`].
    pub(crate) fn begin(
        &self,
        key: Key,
        check: &HealthCheck,
        dialer: &Arc<Dialer>,
        protocol: Protocol,
    ) -> Checking {
        let probe = Probe::new(check, dialer, protocol);
        let (check, checks) = (check.clone(), self.clone());
        let watching = tokio::spawn(async move {
            let tell = |health| {
                let found = checks.found.upgrade();
                found.is_some_and(|found| found.send(Command::Checked { key, health }).is_ok())
            };
            watch(&check, &checks.turns, || probe.ask(), tell).await;
        });
        Checking(watching.abort_handle())
    }
}

impl Drop for Checking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One check after the other, never two at once, until nobody wants to be told any more.
async fn watch<P: Future<Output = Result<(), String>>>(
    check: &HealthCheck,
    turns: &Semaphore,
    ask: impl Fn() -> P,
    tell: impl Fn(Health) -> bool,
) {
    let mut tally = Tally::new(check.up_after, check.down_after);
    loop {
        // An error would mean that the semaphore was closed, which nobody does.
        let turn = turns.acquire().await;
        let began = Instant::now();
        let outcome = match timeout(check.timeout, ask()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {:?}", check.timeout)),
        };
        drop(turn);
        if let Some(health) = tally.count(outcome)
            && !tell(health)
        {
            return;
        }
        sleep_until(began + about(check.interval)).await;
    }
}

/// Give or take a tenth, so that many checks do not fall into step.
fn about(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..=1.1))
}

// === impl Tally ===

impl Tally {
    fn new(up_after: u32, down_after: u32) -> Self {
        Self {
            up_after,
            down_after,
            streak: 0,
            last: false,
            state: None,
        }
    }

    /// Counts an outcome. Answers what is to be told, if that is something else than before.
    fn count(&mut self, outcome: Result<(), String>) -> Option<Health> {
        let up = outcome.is_ok();
        self.streak = match up == self.last {
            true => self.streak.saturating_add(1),
            false => 1,
        };
        self.last = up;
        let enough = match (&self.state, up) {
            (None, false) => 1,
            (_, true) => self.up_after,
            (_, false) => self.down_after,
        };
        if self.streak < enough {
            return None;
        }
        let reason = outcome.err().unwrap_or_default();
        let reason = printable(&reason).chars().take(REASON).collect();
        let health = Health { up, reason };
        let news = self.state.as_ref() != Some(&health);
        self.state = Some(health.clone());
        news.then_some(health)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::pending};

    use super::*;

    /// What is told of these outcomes: `+` passes, anything else fails with that reason.
    fn told(tally: &mut Tally, outcomes: &str) -> Vec<String> {
        let outcomes = outcomes.chars().map(|c| match c {
            '+' => Ok(()),
            reason => Err(reason.to_string()),
        });
        outcomes
            .filter_map(|outcome| tally.count(outcome))
            .map(|health| {
                if health.up {
                    "up".into()
                } else {
                    health.reason
                }
            })
            .collect()
    }

    #[test]
    fn the_first_outcome_decides_and_then_it_takes_several_in_a_row() {
        let tally = || Tally::new(1, 2);
        assert_eq!(told(&mut tally(), "+++"), ["up"]);
        assert_eq!(told(&mut tally(), "--"), ["-"]);
        assert_eq!(told(&mut tally(), "+-+-+"), ["up"]);
        assert_eq!(told(&mut tally(), "+--+"), ["up", "-", "up"]);
        // Another reason is news, at once.
        assert_eq!(told(&mut tally(), "+-abb+"), ["up", "a", "b", "up"]);
    }

    #[test]
    fn a_service_that_flaps_stays_as_it_is() {
        let mut tally = Tally::new(3, 3);
        assert_eq!(told(&mut tally, "++"), [""; 0]);
        assert_eq!(told(&mut tally, "+"), ["up"]);
        assert_eq!(told(&mut tally, "--+--+--+"), [""; 0]);
        assert_eq!(told(&mut tally, "---"), ["-"]);
        assert_eq!(told(&mut tally, "++-++-++-"), [""; 0]);
        assert_eq!(told(&mut tally, "+++"), ["up"]);
    }

    #[test]
    fn a_reason_is_short_and_printable() {
        let mut tally = Tally::new(1, 1);
        let health = tally
            .count(Err(format!("\u{1b}[2J{}", "x".repeat(1000))))
            .unwrap();
        assert_eq!(health.reason.chars().count(), REASON);
        assert!(!health.reason.contains('\u{1b}'));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_in_time_and_they_never_pile_up() {
        let check = HealthCheck::tcp()
            .interval(Duration::from_secs(1))
            .timeout(Duration::from_secs(3));
        let (began, asked, said) = (Instant::now(), RefCell::new(0), RefCell::new(Vec::new()));
        let turns = Semaphore::new(1);
        let ask = || {
            *asked.borrow_mut() += 1;
            let hangs = *asked.borrow() < 3;
            async move { if hangs { pending().await } else { Ok(()) } }
        };
        let tell = |health: Health| {
            said.borrow_mut().push((began.elapsed().as_secs(), health));
            said.borrow().len() < 2
        };
        watch(&check, &turns, ask, tell).await;
        let late = Health {
            up: false,
            reason: "no answer within 3s".into(),
        };
        let well = Health {
            up: true,
            reason: String::new(),
        };
        assert_eq!(*said.borrow(), [(3, late), (6, well)]);
    }

    #[tokio::test(start_paused = true)]
    async fn checks_are_an_interval_apart_give_or_take_a_tenth() {
        let check = HealthCheck::tcp().down_after(1);
        let moments = RefCell::new(Vec::new());
        let turns = Semaphore::new(1);
        let ask = || {
            moments.borrow_mut().push(Instant::now());
            // Each time something else, so that each is told.
            let reason = moments.borrow().len().to_string();
            async move { Err(reason) }
        };
        watch(&check, &turns, ask, |_| moments.borrow().len() < 20).await;
        for pair in moments.borrow().windows(2) {
            let apart = pair[1] - pair[0];
            assert!(
                apart.as_millis() >= 4500 && apart.as_millis() <= 5501,
                "{apart:?}"
            );
        }
    }
}
