//! Where an exchange was let in, and whether it still would be by the same policy.

use std::sync::Arc;

use adit_policy::Policy;

use super::Why;
use crate::pools::{endpoints::Endpoint, member::Member, routes::Routes};

/// A place that an exchange has passed, with the policy that stood there, if any.
#[derive(Debug)]
pub(crate) enum Passed {
    /// An endpoint as it was, with the operator's policy.
    Endpoint(Arc<Endpoint>),
    /// An agent's share of an endpoint, with the agent's own policy.
    Member(Arc<Member>, Option<Arc<Policy>>),
}

// === impl Passed ===

impl Passed {
    /// Why it is not as it was: another policy stands there, or one where none was, or the agent may not serve it.
    pub(super) fn changed(&self, routes: &Routes) -> Option<Why> {
        let same = match self {
            Self::Endpoint(then) => {
                let now = routes.at(&then.url);
                let now = now.and_then(|endpoint| endpoint.policy.as_ref());
                is_same(then.policy.as_ref(), now)
            }
            Self::Member(member, then) => {
                if let Some(why) = member.withdrawn() {
                    return Some(why);
                }
                let now = member.policy();
                is_same(then.as_ref(), now.as_ref().map(|now| &now.policy))
            }
        };
        (!same).then_some(Why::PolicyChanged)
    }
}

fn is_same(one: Option<&Arc<Policy>>, other: Option<&Arc<Policy>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
