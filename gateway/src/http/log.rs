//! What is told of an exchange when it has ended.

use std::time::UNIX_EPOCH;

use adit_policy::{
    memory::{Memory, Outcome},
    trace::ShadowRecord,
};
use adit_wire::message::ExchangeReport;
use http::StatusCode;
use pingora_proxy::Session;
use tracing::{Level, debug, enabled, info};

use super::{
    exchange::{Exchange, Layer},
    told::Told,
};
use crate::{
    edge::Edge,
    log::{AccessLog, Field},
    pools::endpoints::Endpoint,
};

/// The longest path that is reported to an agent's display.
const PATH: usize = 256;

/// Tells everybody of the end of an exchange, once: counters, the ring of its core, the access log, the agent if it
/// wants to know, and the log at level debug.
pub(super) fn ended(edge: &Edge, core: usize, session: &Session, exchange: &mut Exchange) {
    if std::mem::replace(&mut exchange.told, true) {
        return;
    }
    let told = Told::of(edge, session, exchange);
    count(edge, exchange, &told);
    let now = told.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = u64::try_from(now.as_micros()).unwrap_or_default();
    edge.traces
        .remember(core, micros, |record| told.record(record));
    if let Some(access) = &edge.access {
        access.write(|field| told.value(field));
    }
    if exchange.routed.is_some() {
        report(exchange, &told);
    }
}

/// The head of the service's response is there.
pub(super) fn answered(edge: &Edge, exchange: &mut Exchange) {
    let told = |access: &AccessLog| access.has(Field::FirstByte);
    if exchange.first_byte.is_none() && edge.access.as_ref().is_some_and(told) {
        exchange.first_byte = Some(exchange.began.elapsed());
    }
}

fn count(edge: &Edge, exchange: &Exchange, told: &Told<'_>) {
    let counts = match &exchange.routed {
        Some(routed) => &routed.endpoint.counts,
        None => &edge.endpoints.nowhere,
    };
    let status = told.status();
    counts.exchange(status);
    // What has no end of its own says nothing about how long people wait.
    if status != Some(StatusCode::SWITCHING_PROTOCOLS.as_u16()) {
        counts.took(told.took);
    }
}

fn report(exchange: &Exchange, told: &Told<'_>) {
    let wanted = exchange.member().filter(|member| member.spec.report);
    if wanted.is_none() && !enabled!(target: "adit::access", Level::DEBUG) {
        return;
    }
    let status = told.status().unwrap_or(0);
    let micros = u64::try_from(told.took.as_micros()).unwrap_or(u64::MAX);
    debug!(
        target: "adit::access",
        client = told.client().map(tracing::field::display), method = %told.method(), host = %told.host(),
        path = told.path(), status, micros,
        ended = exchange.ended().map(tracing::field::display),
        "exchange"
    );
    if let Some(member) = wanted {
        member.session.report(ExchangeReport {
            endpoint: member.id,
            method: told.method().to_owned(),
            path: told.path().chars().take(PATH).collect(),
            status,
            micros,
            missed: 0,
        });
    }
}

/// Tells a policy's actions that wait for it how the exchange ended, and the log what its shadow would have done.
pub(super) fn layer_ended(layer: &mut Layer, outcome: Outcome) {
    layer.memory.ended(outcome);
    shadow(&layer.endpoint, &layer.memory);
}

/// What rules in shadow mode would have done.
pub(crate) fn shadow(endpoint: &Endpoint, memory: &Memory) {
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
