//! Who may connect, as the configuration says now, and how a session follows its own entry.

use std::sync::Arc;

use adit_wire::message::{RefusalCode, Refused};
use tokio::sync::watch;

use crate::config::AgentEntry;

/// The agents' entries of this moment.
#[derive(Debug)]
pub(crate) struct Credentials(watch::Sender<Arc<[AgentEntry]>>);

/// The entry that a session came in by.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(super) entry: AgentEntry,
    list: watch::Receiver<Arc<[AgentEntry]>>,
}

// === impl Credentials ===

impl Credentials {
    pub(crate) fn new(entries: Vec<AgentEntry>) -> Self {
        Self(watch::Sender::new(entries.into()))
    }

    /// Puts other entries in the place of those in use. Sessions follow at once. How many entries are new, other or gone.
    pub(crate) fn set(&self, entries: Vec<AgentEntry>) -> usize {
        let known = self.0.borrow().clone();
        let missing = |from: &[AgentEntry], one: &AgentEntry| !from.contains(one);
        let changed = entries.iter().filter(|one| missing(&known, one)).count();
        let named = |one: &AgentEntry| entries.iter().any(|other| other.name == one.name);
        let gone = known.iter().filter(|one| !named(one)).count();
        if changed + gone > 0 {
            self.0.send_replace(entries.into());
        }
        changed + gone
    }

    /// Looks at every credential, so that the time tells nothing about which one was near.
    pub(crate) fn authenticate(&self, token: &str) -> Result<Credential, Refused> {
        let mut list = self.0.subscribe();
        let mut found = None;
        for entry in list.borrow_and_update().iter() {
            if entry.token_hash.is_of(token) {
                found = Some(entry.clone());
            }
        }
        let entry = found.ok_or_else(|| Refused {
            code: RefusalCode::Token,
            reason: "the gateway does not know this authtoken; `adit gateway token NAME` makes one (ERR_ADIT_107)"
                .into(),
            retryable: false,
        })?;
        Ok(Credential { entry, list })
    }
}

// === impl Credential ===

impl Credential {
    /// Waits until the entry is another one: `Ok` if it still is the same credential, with another access list.
    pub(super) async fn changed(&mut self) -> Result<(), Refused> {
        loop {
            if self.list.changed().await.is_err() {
                // The gateway is stopping, and sessions end in another way.
                std::future::pending::<()>().await;
            }
            let list = self.list.borrow_and_update().clone();
            let now = list.iter().find(|entry| entry.name == self.entry.name);
            match now {
                Some(now) if *now == self.entry => {}
                Some(now) if now.token_hash == self.entry.token_hash => {
                    self.entry = now.clone();
                    return Ok(());
                }
                _ => return Err(self.revoked(&list)),
            }
        }
    }

    fn revoked(&self, list: &[AgentEntry]) -> Refused {
        // Under another name it is another owner, but its agent may come again.
        let renamed = list
            .iter()
            .any(|entry| entry.token_hash == self.entry.token_hash);
        Refused {
            code: match renamed {
                true => RefusalCode::Unavailable,
                false => RefusalCode::Token,
            },
            reason: match renamed {
                true => "this authtoken has another name in gateway.yaml now (ERR_ADIT_300)",
                false => {
                    "this authtoken was revoked: gateway.yaml does not have it any more (ERR_ADIT_300)"
                }
            }
            .into(),
            retryable: renamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::token::TokenHash;

    fn entries(yaml: &str) -> Vec<AgentEntry> {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn agent(name: &str, token: &str, acl: &str) -> String {
        let hash = TokenHash::of(token);
        format!("- {{ name: {name}, token_hash: \"{hash}\", acl: [{acl}] }}\n")
    }

    #[test]
    fn a_session_follows_its_own_entry_and_no_other() {
        let (alice, bob) = (agent("alice", "a", "\"bind:*\""), agent("bob", "b", ""));
        let credentials = Credentials::new(entries(&alice));
        assert!(credentials.authenticate("b").is_err());
        let mut hers = credentials.authenticate("a").unwrap();
        assert_eq!(credentials.set(entries(&format!("{alice}{bob}"))), 1);
        assert!(hers.changed().now_or_never().is_none());
        assert_eq!(credentials.set(entries(&format!("{bob}{alice}"))), 0);
        assert!(credentials.authenticate("b").is_ok());

        assert_eq!(credentials.set(entries(&agent("alice", "a", ""))), 2);
        assert_eq!(hers.changed().now_or_never(), Some(Ok(())));
        assert_eq!(hers.entry, entries(&agent("alice", "a", ""))[0]);

        credentials.set(entries(&agent("alice", "another", "")));
        let refused = hers.changed().now_or_never().unwrap().unwrap_err();
        assert!(!refused.retryable && refused.code == RefusalCode::Token);
        assert!(credentials.authenticate("a").is_err());
    }

    #[test]
    fn a_token_under_another_name_may_come_again() {
        let credentials = Credentials::new(entries(&agent("alice", "a", "")));
        let mut hers = credentials.authenticate("a").unwrap();
        assert_eq!(credentials.set(entries(&agent("carol", "a", ""))), 2);
        let refused = hers.changed().now_or_never().unwrap().unwrap_err();
        assert!(refused.retryable);
    }
}
