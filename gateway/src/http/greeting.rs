//! `on_tcp_connect`: what policies say of a connection before its first request.
//!
//! It runs once per connection and policy. With TLS, the policy of the endpoint that the ClientHello names runs before
//! the handshake goes on; any other, and an agent's own policy, before the first request that it is for. A reload puts
//! another policy in the place of one, and the connection meets that one before its next request.

use std::sync::Arc;

use adit_policy::{
    Policy,
    action::{Phase, Unreached},
    endpoint_url::Scheme,
    exchange,
    memory::Memory,
    verdict::{Place, Verdict},
};
use tokio::sync::Mutex;
use tracing::{debug, warn};

use super::{log, view};
use crate::{
    edge::Edge,
    front::{ending::Closing, io::Connection},
    pools::endpoints::Endpoint,
};

/// The policies that a connection has met.
#[derive(Debug, Default)]
pub(crate) struct Greetings(Mutex<Vec<Greeting>>);

#[derive(Debug)]
struct Greeting {
    /// Held, so that its address is nobody else's.
    policy: Arc<Policy>,
    said: Result<Memory, Closing>,
}

/// Runs the policy of the endpoint that a ClientHello names, if there is one.
pub(crate) async fn greet_named(edge: &Edge, facts: &Connection) -> Result<(), Closing> {
    let Some(name) = &facts.sni else {
        return Ok(());
    };
    let endpoint = {
        let routes = edge.endpoints.snapshot();
        routes.find(Scheme::Https, name.as_str()).map(Arc::clone)
    };
    let policy = endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.policy.as_ref());
    match (&endpoint, policy) {
        (Some(endpoint), Some(policy)) => greet(edge, facts, endpoint, policy).await.map(drop),
        _ => Ok(()),
    }
}

/// What a request's policy begins with: what the same policy has said of the request's connection, which it is asked
/// for now if it was not before. `Err`: the connection is to be closed.
pub(super) async fn greet(
    edge: &Edge,
    facts: &Connection,
    endpoint: &Endpoint,
    policy: &Arc<Policy>,
) -> Result<Memory, Closing> {
    if !policy.has_phase(Phase::OnTcpConnect) {
        return Ok(Memory::default());
    }
    // Held while the policy runs: the requests of an HTTP/2 connection come together.
    let mut met = facts.greetings.0.lock().await;
    let known = met.iter().find(|known| Arc::ptr_eq(&known.policy, policy));
    let said = match known {
        Some(known) => &known.said,
        None => {
            let said = run(edge, facts, endpoint, policy).await;
            met.push(Greeting {
                policy: Arc::clone(policy),
                said,
            });
            match met.last() {
                Some(now) => &now.said,
                None => return Err(Closing::Orderly),
            }
        }
    };
    said.as_ref()
        .map(Memory::of_connection)
        .map_err(|closing| *closing)
}

async fn run(
    edge: &Edge,
    facts: &Connection,
    endpoint: &Endpoint,
    policy: &Policy,
) -> Result<Memory, Closing> {
    let (verdict, memory) = ask(edge, facts, endpoint, policy, Memory::default(), None).await;
    log::shadow(endpoint, &memory);
    if let Verdict::Forward { by, .. } = &verdict {
        warn!(endpoint = %endpoint.url, rule = %by, "an http connection cannot be forwarded, only its requests");
    }
    match closing(endpoint, &verdict) {
        None => Ok(memory),
        Some(closing) => {
            debug!(endpoint = %endpoint.url, client = %facts.peer, "closed by a policy");
            Err(closing)
        }
    }
}

/// Lets a policy look at a connection, or go on behind an action that forwarded it in vain.
pub(crate) async fn ask(
    edge: &Edge,
    facts: &Connection,
    endpoint: &Endpoint,
    policy: &Policy,
    memory: Memory,
    after: Option<(&Place, &Unreached)>,
) -> (Verdict, Memory) {
    let conn = view::conn(facts, facts.peer);
    let shown = view::endpoint(endpoint);
    let mut seen = exchange::Exchange::of(&conn, &shown, edge.env(facts.hops));
    seen.memory = memory;
    let verdict = match after {
        None => policy.on_tcp_connect(&mut seen).await,
        Some((by, failure)) => policy.resume_tcp_connect(by, failure, &mut seen).await,
    };
    endpoint.counts.verdict(&verdict);
    (verdict, seen.memory)
}

/// How a verdict closes a connection that it does not let go on.
pub(crate) fn closing(endpoint: &Endpoint, verdict: &Verdict) -> Option<Closing> {
    match verdict {
        Verdict::Continue => None,
        Verdict::Close { .. } => Some(Closing::Reset),
        Verdict::Fault { fault, by } => {
            warn!(endpoint = %endpoint.url, rule = %by, %fault, "a policy could not decide");
            Some(Closing::Orderly)
        }
        Verdict::Forward { .. }
        | Verdict::Answer { .. }
        | Verdict::Deny { .. }
        | Verdict::Refuse { .. } => Some(Closing::Orderly),
    }
}
