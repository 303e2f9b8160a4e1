//! Choosing a member of a pool.

use std::sync::Arc;

use rand::RngExt;

use super::member::Member;

/// A member that takes traffic, has not been tried, and runs the policy that already ran, if one did.
///
/// The lowest tier that can serve does. Within it chance decides by weight, which needs no state
/// that cores would have to share.
pub(crate) fn choose(
    members: &[Arc<Member>],
    tried: &[u64],
    like: Option<&Member>,
) -> Option<Arc<Member>> {
    let able = || {
        members.iter().filter(|member| {
            member.takes_traffic()
                && !tried.contains(&member.id)
                && like.is_none_or(|like| same_policy(like, member))
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

fn same_policy(one: &Member, other: &Member) -> bool {
    let text = |member: &Member| {
        member
            .spec
            .policy
            .as_ref()
            .map(|policy| Arc::clone(&policy.text))
    };
    text(one) == text(other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            dial_timeout: Duration::from_secs(1),
        };
        let session = Arc::new(Session::new(terms, mpsc::channel(1).0));
        let spec = MemberSpec {
            weight,
            tier,
            ..MemberSpec::default()
        };
        Arc::new(Member::new(id, session, spec, 1))
    }

    #[test]
    fn weights_share_the_traffic_and_zero_takes_none() {
        let members = [member(1, 90, 0), member(2, 10, 0), member(3, 0, 0)];
        let mut counts = [0; 4];
        for _ in 0..10_000 {
            counts[choose(&members, &[], None).unwrap().id as usize] += 1;
        }
        // Five standard deviations around 9000.
        assert!((8850..9150).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[3], 0);
    }

    #[test]
    fn a_higher_tier_serves_only_when_no_lower_can() {
        let members = [member(1, 1, 0), member(2, 1, 1)];
        assert_eq!(choose(&members, &[], None).unwrap().id, 1);
        assert_eq!(choose(&members, &[1], None).unwrap().id, 2);
        members[0].session.drain();
        assert_eq!(choose(&members, &[], None).unwrap().id, 2);
        assert!(choose(&members, &[2], None).is_none());
    }

    #[test]
    fn a_single_member_that_was_tried_is_not_chosen_again() {
        let members = [member(1, 1, 0)];
        assert!(choose(&members, &[], None).is_some());
        assert!(choose(&members, &[1], None).is_none());
    }
}
