//! Agents that are lost and come back again and again: they are left out for a while when they are back.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::session::Session;
use crate::config::Eject;

/// Losses are remembered for so long.
const REMEMBERED: Duration = Duration::from_secs(60);

/// From so many losses on an agent begins ejected.
const TOO_OFTEN: usize = 3;

/// Losses of one agent beyond this change nothing more.
const MOST: usize = 16;

/// Agents that are remembered; of more, those whose loss was noted now are forgotten.
const AGENTS: usize = 1024;

/// The losses of a pool's agents.
#[derive(Debug, Default)]
pub(crate) struct Returns {
    losses: Mutex<HashMap<Agent, VecDeque<Instant>>>,
}

/// A credential's name and the agent's own id.
type Agent = (String, String);

// === impl Returns ===

impl Returns {
    /// An agent was lost without a word.
    pub(super) fn lost(&self, session: &Session, now: Instant) {
        let mut losses = self.losses();
        losses.retain(|_, times| times.back().is_some_and(|last| is_recent(*last, now)));
        let agent = agent(session);
        if losses.len() >= AGENTS && !losses.contains_key(&agent) {
            return;
        }
        let times = losses.entry(agent).or_default();
        times.push_back(now);
        if times.len() > MOST {
            times.pop_front();
        }
    }

    /// An agent joins; how long it has to wait before it is tried, if it has to.
    pub(super) fn wait(&self, session: &Session, now: Instant, eject: &Eject) -> Option<Duration> {
        let losses = self.losses();
        let times = losses.get(&agent(session))?;
        let recent = times.iter().filter(|time| is_recent(**time, now)).count();
        let more = u32::try_from(recent.checked_sub(TOO_OFTEN)?).ok()?;
        let time = eject.time.0.saturating_mul(1 << more.min(MOST as u32));
        Some(time.min(eject.most.0)).filter(|time| !time.is_zero())
    }

    // Nothing panics while it holds the lock.
    fn losses(&self) -> MutexGuard<'_, HashMap<Agent, VecDeque<Instant>>> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn agent(session: &Session) -> Agent {
    (session.owner.clone(), session.agent_id.clone())
}

fn is_recent(time: Instant, now: Instant) -> bool {
    now.saturating_duration_since(time) < REMEMBERED
}

#[cfg(test)]
mod tests {
    use adit_wire::message::Token;
    use tokio::sync::mpsc;

    use super::*;
    use crate::pools::session::Terms;

    fn session(agent_id: &str) -> Session {
        let terms = Terms {
            owner: "a".into(),
            agent_id: agent_id.into(),
            epoch: 1,
            join_key: Token::new(""),
            lane_count: 1,
            version: 1,
            dial_timeout: Duration::from_secs(1),
        };
        Session::new(terms, mpsc::channel(1).0)
    }

    #[test]
    fn who_is_lost_three_times_in_a_minute_waits_longer_with_each_loss_more() {
        let (returns, eject) = (Returns::default(), Eject::default());
        let (storm, steady) = (session("storm"), session("steady"));
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..6 {
            now += Duration::from_secs(5);
            returns.lost(&storm, now);
            waits.push(returns.wait(&storm, now, &eject).map(|wait| wait.as_secs()));
        }
        let expected = [None, None, Some(5), Some(10), Some(20), Some(40)];
        assert_eq!(waits, expected);
        returns.lost(&steady, now);
        assert_eq!(returns.wait(&steady, now, &eject), None);
        now += REMEMBERED;
        assert_eq!(returns.wait(&storm, now, &eject), None);
    }

    #[test]
    fn the_wait_and_the_memory_have_an_end() {
        let (returns, eject) = (Returns::default(), Eject::default());
        let now = Instant::now();
        (0..100).for_each(|_| returns.lost(&session("storm"), now));
        assert_eq!(
            returns.wait(&session("storm"), now, &eject),
            Some(eject.most.0)
        );
        (0..2 * AGENTS).for_each(|n| returns.lost(&session(&n.to_string()), now));
        assert_eq!(returns.losses().len(), AGENTS);
    }
}
