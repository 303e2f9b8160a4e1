//! Choosing a member of a pool.

use std::sync::Arc;

use rand::RngExt;

use super::member::{AgentPolicy, Member};

/// What the members have to have in common with whoever had the exchange before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Like<'a> {
    /// Nothing: no member's policy has run.
    Any,
    /// The text of the policy that has run; or to have none, if none has.
    Policy(Option<&'a AgentPolicy>),
}

/// A member that takes traffic, has not been tried, and runs the policy that already ran, if one did.
///
/// The lowest tier that can serve does. Within it chance decides by weight, which needs no state
/// that cores would have to share.
pub(crate) fn choose(
    members: &[Arc<Member>],
    tried: &[u64],
    like: Like<'_>,
) -> Option<Arc<Member>> {
    let able = || {
        members.iter().filter(|member| {
            member.takes_traffic() && !tried.contains(&member.id) && like.is_met_by(member)
        })
    };
    if let [only] = members {
        return able().next().map(|_| Arc::clone(only));
    }
    let tier = able().map(|member| member.spec.tier).min()?;
    let serving = || able().filter(|member| member.spec.tier == tier);
    let total: u64 = serving().map(|member| u64::from(member.spec.weight)).sum();
    let mut ticket = rand::rng().random_range(0..total.max(1));
    for member in serving() {
        match ticket.checked_sub(u64::from(member.spec.weight)) {
            Some(rest) => ticket = rest,
            None => return Some(Arc::clone(member)),
        }
    }
    // A member left between the count and the draw.
    serving().next().map(Arc::clone)
}

// === impl Like ===

impl Like<'_> {
    fn is_met_by(self, member: &Member) -> bool {
        match self {
            Self::Any => true,
            Self::Policy(ran) => {
                ran.map(|ran| &ran.text) == member.policy().as_ref().map(|has| &has.text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use adit_policy::{Policy, env::Env};
    use adit_wire::message::Token;
    use tokio::sync::mpsc;

    use super::*;
    use crate::pools::{
        member::MemberSpec,
        session::{Session, Terms},
    };

    fn member(id: u64, weight: u32, tier: u32) -> Arc<Member> {
        let terms = Terms {
            owner: "a".into(),
            agent_id: id.to_string(),
            epoch: 1,
            join_key: Token::new(""),
            lane_count: 1,
            version: 1,
            dial_timeout: Duration::from_secs(1),
        };
        let session = Arc::new(Session::new(terms, mpsc::channel(1).0));
        let spec = MemberSpec {
            weight,
            tier,
            ..MemberSpec::default()
        };
        Arc::new(Member::new(id, session, (spec, None), 1))
    }

    #[test]
    fn weights_share_the_traffic_and_zero_takes_none() {
        let members = [member(1, 90, 0), member(2, 10, 0), member(3, 0, 0)];
        let mut counts = [0; 4];
        for _ in 0..10_000 {
            counts[choose(&members, &[], Like::Any).unwrap().id as usize] += 1;
        }
        // Five standard deviations around 9000.
        assert!((8850..9150).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[3], 0);
    }

    #[test]
    fn a_higher_tier_serves_only_when_no_lower_can() {
        let members = [member(1, 1, 0), member(2, 1, 1)];
        assert_eq!(choose(&members, &[], Like::Any).unwrap().id, 1);
        assert_eq!(choose(&members, &[1], Like::Any).unwrap().id, 2);
        members[0].session.drain();
        assert_eq!(choose(&members, &[], Like::Any).unwrap().id, 2);
        assert!(choose(&members, &[2], Like::Any).is_none());
    }

    #[test]
    fn a_single_member_that_was_tried_is_not_chosen_again() {
        let members = [member(1, 1, 0)];
        assert!(choose(&members, &[], Like::Any).is_some());
        assert!(choose(&members, &[1], Like::Any).is_none());
    }

    fn policy(text: &str) -> AgentPolicy {
        let policy = Policy::load("p", text, &Env::system()).unwrap();
        AgentPolicy {
            policy: Arc::new(policy),
            text: text.into(),
        }
    }

    #[test]
    fn another_member_takes_over_only_if_it_has_the_policy_that_ran() {
        const OLD: &str = "on_http_request: [{ actions: [{ type: deny }] }]";
        const NEW: &str = "on_http_request: [{ actions: [{ type: close-connection }] }]";
        let members = [member(1, 1, 0), member(2, 1, 0)];
        members.iter().for_each(|m| m.set_policy(Some(policy(OLD))));
        let ran = members[0].policy();
        let next = |like| choose(&members, &[1], like).map(|member| member.id);
        assert_eq!(next(Like::Policy(ran.as_deref())), Some(2));
        // What counts is the policy that has run, whatever its member has by now.
        members[0].set_policy(Some(policy(NEW)));
        assert_eq!(next(Like::Policy(ran.as_deref())), Some(2));
        members[1].set_policy(Some(policy(NEW)));
        assert_eq!(next(Like::Policy(ran.as_deref())), None);
        let newer = members[0].policy();
        assert_eq!(next(Like::Policy(newer.as_deref())), Some(2));
        members[1].set_policy(None);
        assert_eq!(next(Like::Policy(ran.as_deref())), None);
        assert_eq!(next(Like::Policy(None)), Some(2));
    }
}
