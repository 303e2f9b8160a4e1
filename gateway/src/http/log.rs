//! What is told of an exchange when it has ended.

use adit_policy::{
    memory::{Memory, Outcome},
    trace::ShadowRecord,
};
use adit_wire::message::ExchangeReport;
use pingora_proxy::Session;
use tracing::{Level, debug, enabled, info};

use super::exchange::{Exchange, Layer};
use crate::{edge::Edge, pools::endpoints::Endpoint};

/// The longest path that is reported to an agent's display.
const PATH: usize = 256;

/// Counts it where it went.
pub(super) fn count(edge: &Edge, session: &Session, exchange: &Exchange) {
    let counts = match &exchange.routed {
        Some(routed) => &routed.endpoint.counts,
        None => &edge.endpoints.nowhere,
    };
    let written = session.response_written();
    counts.exchange(written.map(|response| response.status.as_u16()));
}

/// Tells a policy's actions that wait for it how the exchange ended, and the log what its shadow would have done.
pub(super) fn layer_ended(layer: &mut Layer, outcome: Outcome) {
    layer.memory.ended(outcome);
    shadow(&layer.endpoint, &layer.memory);
}

/// What rules in shadow mode would have done.
pub(super) fn shadow(endpoint: &Endpoint, memory: &Memory) {
    for record in memory.shadow() {
        endpoint.counts.shadow(record);
        let ShadowRecord {
            phase, rule, name, ..
        } = record;
        let (action, kind, outcome) = match &record.decision {
            Some((action, kind, outcome)) => (Some(*action), *kind, format!("{outcome:?}")),
            None => (None, "expressions", format!("{:?}", record.matched)),
        };
        info!(
            target: "adit::policy",
            endpoint = %endpoint.url, rule = %format_args!("{phase}[{rule}]"), name = name.as_deref(), index = action,
            action = kind, %outcome,
            "a rule in shadow mode"
        );
    }
}

/// Tells the agent, if it wants to know, and the log at level debug.
pub(super) fn ended(session: &Session, exchange: &mut Exchange) {
    let Some(routed) = exchange.routed.take() else {
        return;
    };
    let wanted = routed.member.as_ref().filter(|member| member.spec.report);
    if wanted.is_none() && !enabled!(target: "adit::access", Level::DEBUG) {
        return;
    }
    let request = session.req_header();
    let status = session
        .response_written()
        .map_or(0, |response| response.status.as_u16());
    let micros = u64::try_from(exchange.began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut layers = exchange.layers.iter();
    let secret = layers.find_map(|layer| layer.memory.secret_target());
    let path = secret.as_deref().unwrap_or_else(|| request.uri.path());
    debug!(
        target: "adit::access",
        client = %routed.client.ip(), method = %request.method, host = %routed.host, path, status, micros,
        ended = exchange.ended().map(tracing::field::display),
        "exchange"
    );
    if let Some(member) = wanted {
        member.session.report(ExchangeReport {
            endpoint: member.id,
            method: request.method.to_string(),
            path: path.chars().take(PATH).collect(),
            status,
            micros,
            missed: 0,
        });
    }
}
