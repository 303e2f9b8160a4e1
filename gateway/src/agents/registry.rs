//! The sessions there are, and which of two sessions of one agent is the newer.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use adit_wire::message::{GatewayMessage, RefusalCode, Refused};

use crate::pools::session::Session;

/// Agents whose last epoch is remembered after their session ended.
const REMEMBERED: usize = 8192;

/// All sessions.
#[derive(Debug)]
pub(crate) struct Registry {
    inside: Mutex<Inside>,
}

/// An agent process: its credential's name and its own id.
type Agent = (String, String);

#[derive(Debug, Default)]
struct Inside {
    limit: usize,
    sessions: HashMap<u64, Arc<Session>>,
    /// The newest epoch and session of each agent.
    newest: HashMap<Agent, (u64, u64)>,
    /// Agents without a session, longest gone first.
    gone: VecDeque<Agent>,
    draining: bool,
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new(limit: usize) -> Self {
        let inside = Inside {
            limit,
            ..Inside::default()
        };
        Self {
            inside: Mutex::new(inside),
        }
    }

    /// How many there may be from now on. Those that are more than that stay.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.lock().limit = limit;
    }

    /// How long opening a stream may take from now on, in all sessions.
    pub(crate) fn set_dial_timeout(&self, timeout: Duration) {
        let inside = self.lock();
        let sessions = inside.sessions.values();
        sessions.for_each(|session| session.set_dial_timeout(timeout));
    }

    /// Takes a session in and closes the older one of the same agent, if there is one.
    pub(crate) fn enter(&self, session: &Arc<Session>) -> Result<(), Refused> {
        let mut inside = self.lock();
        if inside.draining {
            return Err(unavailable("the gateway is shutting down (ERR_ADIT_803)"));
        }
        let agent = (session.owner.clone(), session.agent_id.clone());
        let newest = inside.newest.get(&agent).copied();
        if newest.is_some_and(|(epoch, _)| epoch >= session.epoch) {
            return Err(Refused {
                code: RefusalCode::Stale,
                reason: "a newer session of this agent exists".into(),
                retryable: true,
            });
        }
        let old = newest.and_then(|(_, id)| inside.sessions.remove(&id));
        if old.is_none() && inside.sessions.len() >= inside.limit {
            return Err(unavailable(
                "the gateway has as many agents as it may (ERR_ADIT_108)",
            ));
        }
        inside.newest.insert(agent, (session.epoch, session.id));
        inside.sessions.insert(session.id, Arc::clone(session));
        drop(inside);
        if let Some(old) = old {
            old.close();
        }
        Ok(())
    }

    /// Forgets a session that has ended. Its epoch stays, so that it cannot be replayed.
    pub(crate) fn leave(&self, session: &Session) {
        let mut inside = self.lock();
        inside.sessions.remove(&session.id);
        let agent = (session.owner.clone(), session.agent_id.clone());
        if inside
            .newest
            .get(&agent)
            .is_some_and(|(_, id)| *id == session.id)
        {
            inside.gone.push_back(agent);
        }
        while inside.gone.len() > REMEMBERED {
            let Some(oldest) = inside.gone.pop_front() else {
                break;
            };
            let back = inside
                .newest
                .get(&oldest)
                .is_some_and(|(_, id)| inside.sessions.contains_key(id));
            if !back {
                inside.newest.remove(&oldest);
            }
        }
    }

    pub(crate) fn find(&self, id: u64) -> Option<Arc<Session>> {
        self.lock().sessions.get(&id).cloned()
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().sessions.values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Tells every agent to connect elsewhere, and lets no new one in.
    pub(crate) async fn drain(&self, deadline_ms: u64) {
        let sessions: Vec<_> = {
            let mut inside = self.lock();
            inside.draining = true;
            inside.sessions.values().cloned().collect()
        };
        for session in sessions {
            // One that does not listen finds out when its connection closes.
            let told = session.tell(GatewayMessage::Drain { deadline_ms });
            drop(tokio::time::timeout(Duration::from_millis(100), told).await);
        }
    }

    pub(crate) fn close_all(&self) {
        let sessions: Vec<_> = self.lock().sessions.values().cloned().collect();
        sessions.iter().for_each(|session| session.close());
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(reason: &str) -> Refused {
    Refused {
        code: RefusalCode::Unavailable,
        reason: reason.into(),
        retryable: true,
    }
}

#[cfg(test)]
mod tests {
    use adit_wire::message::Token;
    use tokio::sync::mpsc;

    use super::*;
    use crate::pools::session::Terms;

    fn session(owner: &str, agent_id: &str, epoch: u64) -> Arc<Session> {
        let terms = Terms {
            owner: owner.into(),
            agent_id: agent_id.into(),
            epoch,
            join_key: Token::new(""),
            lane_count: 1,
            version: 1,
            dial_timeout: Duration::from_secs(1),
        };
        Arc::new(Session::new(terms, mpsc::channel(1).0))
    }

    #[test]
    fn a_newer_epoch_replaces_the_stale_session() {
        let registry = Registry::new(1);
        let old = session("alice", "laptop", 1);
        registry.enter(&old).unwrap();
        let new = session("alice", "laptop", 2);
        registry.enter(&new).unwrap();
        assert!(old.end.is_cancelled() && !new.end.is_cancelled());
        assert!(registry.find(old.id).is_none());
    }

    #[test]
    fn a45_a_a_registration_sent_again_is_refused_even_after_the_session_ended() {
        let registry = Registry::new(10);
        let first = session("alice", "laptop", 7);
        registry.enter(&first).unwrap();
        registry.leave(&first);
        let again = registry.enter(&session("alice", "laptop", 7)).unwrap_err();
        assert_eq!(again.code, RefusalCode::Stale);
    }

    #[test]
    fn a45_b_an_older_epoch_is_refused_and_the_session_lives_on() {
        let registry = Registry::new(10);
        let live = session("alice", "laptop", 7);
        registry.enter(&live).unwrap();
        assert!(registry.enter(&session("alice", "laptop", 6)).is_err());
        assert!(!live.end.is_cancelled());
    }

    #[test]
    fn a45_c_another_credential_cannot_replace_a_session() {
        let registry = Registry::new(10);
        let alice = session("alice", "laptop", 1);
        registry.enter(&alice).unwrap();
        registry.enter(&session("mallory", "laptop", 99)).unwrap();
        assert!(!alice.end.is_cancelled());
    }

    #[test]
    fn a_full_gateway_says_so() {
        let registry = Registry::new(1);
        registry.enter(&session("alice", "a", 1)).unwrap();
        let refused = registry.enter(&session("bob", "b", 1)).unwrap_err();
        assert!(refused.retryable && refused.code == RefusalCode::Unavailable);
        registry.set_limit(2);
        registry.enter(&session("bob", "b", 1)).unwrap();
        registry.set_limit(0);
        assert_eq!(registry.count(), 2);
    }
}
