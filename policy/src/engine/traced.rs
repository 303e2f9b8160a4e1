//! Runs actions and writes down what they did, for whoever keeps a trace.

use std::time::Duration;

use super::Step;
use crate::action::{Fault, Flow, Phase};
use crate::exchange::{Exchange, HeaderEdit};
use crate::trace::{ActionTrace, Outcome};

/// How things stood before an action ran.
struct Before {
    edits: usize,
    target: Option<String>,
    clock: Duration,
}

/// Runs an action to its end.
pub(super) async fn run(
    step: &Step,
    phase: Phase,
    action: usize,
    exchange: &mut Exchange<'_>,
) -> Result<Flow, Fault> {
    let before = Before::of(exchange);
    let flow = step.run(phase, exchange).await;
    before.write_down(step, action, &flow, exchange);
    flow
}

/// The same for an action on a message, which never waits.
pub(super) fn begin(
    step: &Step,
    phase: Phase,
    action: usize,
    exchange: &mut Exchange<'_>,
) -> Result<Flow, Fault> {
    let before = Before::of(exchange);
    let flow = step.begin(phase, exchange);
    before.write_down(step, action, &flow, exchange);
    flow
}

impl Before {
    fn of(exchange: &Exchange<'_>) -> Self {
        Self {
            edits: edits(exchange).len(),
            target: target(exchange),
            clock: exchange.env.clock().elapsed(),
        }
    }

    fn write_down(
        self,
        step: &Step,
        action: usize,
        flow: &Result<Flow, Fault>,
        exchange: &mut Exchange<'_>,
    ) {
        let result = step.results.and_then(|name| {
            let value = exchange.memory.shown_result(name)?;
            Some((name, value.into_owned()))
        });
        let new_edits = edits(exchange).get(self.edits..).unwrap_or_default();
        let memory = &exchange.memory;
        let shown = |edit| memory.shown_edit(edit);
        let new_target = target(exchange).filter(|target| Some(target) != self.target.as_ref());
        let told = ActionTrace {
            action,
            kind: step.kind,
            outcome: Outcome::of(flow),
            edits: new_edits.iter().map(shown).collect(),
            target: new_target.map(|target| memory.secret_parts().target.hide(target)),
            result,
            took: exchange.env.clock().elapsed().saturating_sub(self.clock),
        };
        let rules = exchange.memory.trace_mut().map(|trace| &mut trace.rules);
        if let Some(rule) = rules.and_then(|rules| rules.last_mut()) {
            rule.actions.push(told);
        }
    }
}

/// The edits of the header that the running phase may change.
fn edits<'e>(exchange: &'e Exchange<'_>) -> &'e [HeaderEdit] {
    match (&exchange.response, &exchange.request) {
        (Some(response), _) => response.head.edits(),
        (None, Some(request)) => request.head.edits(),
        (None, None) => &[],
    }
}

fn target(exchange: &Exchange<'_>) -> Option<String> {
    let request = exchange.request.as_ref()?;
    request.new_target().map(ToString::to_string)
}
