//! What one exchange has tried, and how long it may go on trying.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::errors::ErrorPage;
use crate::{
    config,
    pools::{health::Failure, member::Member},
};

/// The tries of one exchange at the members of one endpoint. Costs nothing until one fails.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// What went wrong so far, in turn.
    pub(super) misses: Vec<Miss>,
    /// How many of them were retries that had to be granted.
    pub(super) retries: u32,
    /// What the client is told if nothing else comes.
    pub(super) page: Option<ErrorPage>,
    /// A retry was granted whose error has yet to come.
    pub(super) granted: bool,
    /// A connection that had nothing done about the request was replaced already.
    pub(super) replaced: bool,
    begun: bool,
    /// When the time for all of them began, if there is a limit: with the first one, or when the client had sent all of
    /// its body.
    clock: Option<Instant>,
    timeout: Option<Duration>,
}

/// A try that came to nothing.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) member: Arc<Member>,
    /// What the member did; `None` if it has only said that it takes no more.
    pub(super) why: Option<Failure>,
}

/// How long one try may take until the head of the response is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    each: Option<Duration>,
    /// The end of all tries, as far as it is known.
    end: Option<Instant>,
    /// How long all of them may take once the client's body has come.
    all: Option<Duration>,
}

// === impl Tries ===

impl Tries {
    /// Another try begins; whether it is the first one.
    pub(super) fn begin(&mut self, settings: &config::Pool) -> bool {
        if let (Some(timeout), None) = (settings.timeout, self.clock) {
            self.clock = Some(Instant::now());
            self.timeout = Some(timeout.0);
        }
        self.page = None;
        !std::mem::replace(&mut self.begun, true)
    }

    /// How long the try that begins may take, if the pool says anything about that.
    pub(super) fn patience(&self, settings: &config::Pool) -> Option<Patience> {
        let each = settings.try_timeout.map(|timeout| timeout.0);
        (each.is_some() || self.timeout.is_some()).then(|| Patience {
            each,
            end: self.end(),
            all: self.timeout,
        })
    }

    /// The client has sent the last of its body: how long it took is not the members' time.
    pub(super) fn body_has_come(&mut self) {
        if self.clock.is_some() && self.misses.is_empty() {
            self.clock = Some(Instant::now());
        }
    }

    /// Whether the time for all of them is over.
    pub(super) fn is_over(&self) -> bool {
        self.end().is_some_and(|end| end <= Instant::now())
    }

    /// Another endpoint is to serve the request: its members are tried anew, and what went wrong stays known.
    pub(super) fn go_elsewhere(&mut self) {
        *self = Self {
            misses: std::mem::take(&mut self.misses),
            ..Self::default()
        };
    }

    fn end(&self) -> Option<Instant> {
        Some(self.clock? + self.timeout?)
    }
}

// === impl Patience ===

impl Patience {
    /// How long to wait for a connection.
    pub(super) fn to_connect(self, now: Instant) -> Option<Duration> {
        let left = self.end.map(|end| end.saturating_duration_since(now));
        earlier(self.each, left)
    }

    /// How long to wait for the head of the response, now that the member has all of the request.
    pub(super) fn for_head(self, now: Instant, had_body: bool) -> Option<Duration> {
        let left = match self.end {
            // The body may have come only now.
            Some(_) if had_body => self.all,
            Some(end) => Some(end.saturating_duration_since(now)),
            None => None,
        };
        earlier(self.each, left)
    }

    /// How long to wait for a member that takes nothing.
    pub(super) fn to_write(self) -> Option<Duration> {
        self.each
    }
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use adit_policy::go_duration::GoDuration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(each: Option<u32>, all: Option<u32>) -> config::Pool {
        let seconds = |n| GoDuration(SECOND * n);
        config::Pool {
            try_timeout: each.map(seconds),
            timeout: all.map(seconds),
            ..config::Pool::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nobody_looks_at_the_clock() {
        let (settings, mut tries) = (settings(None, None), Tries::default());
        assert!(tries.begin(&settings));
        assert!(!tries.begin(&settings));
        assert!(tries.patience(&settings).is_none() && !tries.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_has_its_time_and_all_of_them_have_theirs() {
        let (settings, mut tries) = (settings(Some(2), Some(5)), Tries::default());
        let mut waits = Vec::new();
        while !tries.is_over() {
            tries.begin(&settings);
            let patience = tries.patience(&settings).unwrap();
            let wait = patience.to_connect(Instant::now()).unwrap();
            assert_eq!(patience.for_head(Instant::now(), false), Some(wait));
            tokio::time::advance(wait).await;
            waits.push(wait);
        }
        assert_eq!(waits, [2 * SECOND, 2 * SECOND, SECOND]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clients_own_time_does_not_count() {
        let (settings, mut tries) = (settings(None, Some(5)), Tries::default());
        tries.begin(&settings);
        tokio::time::advance(20 * SECOND).await;
        let patience = tries.patience(&settings).unwrap();
        assert_eq!(patience.for_head(Instant::now(), true), Some(5 * SECOND));
        tries.body_has_come();
        assert!(!tries.is_over());
        tokio::time::advance(5 * SECOND).await;
        assert!(tries.is_over());
    }
}
