//! What is told of an exchange when it has ended.

use adit_wire::message::ExchangeReport;
use pingora_proxy::Session;
use tracing::{Level, debug, enabled};

use super::exchange::Exchange;
use crate::edge::Edge;

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
    let path = request.uri.path();
    debug!(
        target: "adit::access",
        client = %routed.client.ip(), method = %request.method, host = %routed.host, path, status, micros,
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
