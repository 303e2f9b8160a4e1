//! A rule in shadow mode: evaluated and recorded, never applied.

use super::{Rule, rule::told};
use crate::action::{Flow, Phase, Shadow};
use crate::exchange::Exchange;
use crate::trace::{ActionTrace, Matched, Outcome, ShadowRecord};

/// Tries a rule on a copy of the exchange. What it would have done is all that stays.
pub(super) async fn run(rule: &Rule, phase: Phase, index: usize, exchange: &mut Exchange<'_>) {
    let told = told(&rule.matches(exchange));
    let mut actions = Vec::new();
    if told == Matched::Yes {
        let mut trial = exchange.trial();
        for (action, step) in rule.steps.iter().enumerate() {
            let (outcome, goes_on) = match step.action.in_shadow() {
                Shadow::WouldRun => (Outcome::WouldRun, false),
                Shadow::Try => {
                    let flow = step.run(phase, &mut trial).await;
                    (Outcome::of(&flow), matches!(flow, Ok(Flow::Next)))
                }
            };
            actions.push(ActionTrace::tried(action, step.kind, outcome));
            if !goes_on {
                break;
            }
        }
        exchange.take_back(trial);
    }
    record(rule, phase, index, exchange, told, actions);
}

/// The same for the message of an event stream. Nothing but the message and the memory can change there.
pub(super) fn run_on_message(rule: &Rule, phase: Phase, index: usize, exchange: &mut Exchange<'_>) {
    let told = told(&rule.matches(exchange));
    let mut actions = Vec::new();
    if told == Matched::Yes {
        let message = exchange.message.as_deref().cloned();
        let copy = exchange.memory.copy();
        let memory = std::mem::replace(&mut exchange.memory, copy);
        for (action, step) in rule.steps.iter().enumerate() {
            let flow = step.begin(phase, exchange);
            let goes_on = matches!(flow, Ok(Flow::Next));
            actions.push(ActionTrace::tried(action, step.kind, Outcome::of(&flow)));
            if !goes_on {
                break;
            }
        }
        exchange.memory = memory;
        if let (Some(after), Some(before)) = (exchange.message.as_deref_mut(), message) {
            *after = before;
        }
    }
    record(rule, phase, index, exchange, told, actions);
}

fn record(
    rule: &Rule,
    phase: Phase,
    index: usize,
    exchange: &mut Exchange<'_>,
    told: Matched,
    actions: Vec<ActionTrace>,
) {
    if !matches!(told, Matched::No { .. }) {
        exchange.memory.add_shadow(ShadowRecord {
            phase,
            rule: index,
            name: rule.name.clone(),
            matched: told.clone(),
            decision: actions
                .last()
                .map(|last| (last.action, last.kind, last.outcome.clone())),
        });
    }
    if let Some(trace) = exchange.memory.trace_mut() {
        let mut entry = rule.trace(phase, index, told);
        entry.actions = actions;
        trace.rules.push(entry);
    }
}
