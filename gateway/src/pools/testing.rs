//! Members and pools for tests: without an agent behind them.

use std::{sync::Arc, time::Duration};

use adit_policy::{Policy, env::Env};
use adit_wire::message::Token;
use tokio::sync::mpsc;

use super::{
    member::{AgentPolicy, Member, MemberSpec, Place},
    pool::Pool,
    session::{Session, Terms},
};
use crate::config;

/// A member of an agent of its own.
pub(super) fn member(id: u64, weight: u32, tier: u32) -> Arc<Member> {
    member_of(&format!("agent-{id}"), id, weight, tier)
}

/// A member of this agent, that was its `epoch`-th connection.
pub(super) fn member_of(agent: &str, id: u64, weight: u32, tier: u32) -> Arc<Member> {
    let terms = Terms {
        owner: agent.into(),
        agent_id: agent.into(),
        epoch: id,
        join_key: Token::new(""),
        lane_count: 1,
        version: 1,
        dial_timeout: Duration::from_secs(1),
    };
    let session = Arc::new(Session::new(terms, mpsc::channel(1).0));
    let spec = MemberSpec {
        pooling: true,
        mark: id.into(),
        ..MemberSpec::default()
    };
    let about = (spec, place(weight, tier), None);
    Arc::new(Member::new(id, session, about, 1))
}

pub(super) fn place(weight: u32, tier: u32) -> Place {
    Place {
        weight,
        tier,
        ..Place::default()
    }
}

/// A pool of one core that works as these lines under `pool:` say.
pub(super) fn pool(settings: &str, members: &[Arc<Member>]) -> Arc<Pool> {
    let settings: config::Pool = serde_yaml::from_str(settings).unwrap();
    let pool = Arc::new(Pool::new(settings, 1));
    for member in members {
        pool.join(member, false, Duration::MAX).unwrap();
    }
    pool
}

pub(super) fn policy(text: &str) -> AgentPolicy {
    let policy = Policy::load("p", text, &Env::system()).unwrap();
    AgentPolicy {
        policy: Arc::new(policy),
        text: text.into(),
    }
}
