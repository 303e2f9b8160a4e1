//! One rule: whether it lets an exchange in, and how it is told of.

use super::Rule;
use crate::action::{Fault, Phase};
use crate::exchange::Exchange;
use crate::trace::{Matched, RuleTrace};
use crate::verdict::{Place, Verdict};

impl Rule {
    /// Whether the expressions let the exchange in. `Err`: one could not be evaluated, which ends the phase.
    pub(super) fn admit(
        &self,
        phase: Phase,
        index: usize,
        exchange: &mut Exchange<'_>,
    ) -> Result<bool, Box<Verdict>> {
        let matched = self.matches(exchange);
        if let Some(trace) = exchange.memory.trace_mut() {
            trace.rules.push(self.trace(phase, index, told(&matched)));
        }
        match matched {
            Ok(()) => Ok(true),
            Err(Unmatched::At(_)) => Ok(false),
            Err(Unmatched::Failed(_, fault)) => {
                let by = Place {
                    action: None,
                    ..self.place(phase, index, 0)
                };
                Err(Box::new(Verdict::Fault { fault, by }))
            }
        }
    }

    pub(super) fn matches(&self, exchange: &Exchange<'_>) -> Result<(), Unmatched> {
        for (index, expression) in self.expressions.iter().enumerate() {
            match expression.holds(exchange) {
                Ok(true) => {}
                Ok(false) => return Err(Unmatched::At(index)),
                Err(error) => {
                    let fault = Fault::Expression { index, error };
                    return Err(Unmatched::Failed(index, fault));
                }
            }
        }
        Ok(())
    }

    pub(super) fn place(&self, phase: Phase, rule: usize, action: usize) -> Place {
        Place {
            phase,
            rule,
            name: self.name.clone(),
            action: self.steps.get(action).map(|step| (action, step.kind)),
        }
    }

    pub(super) fn trace(&self, phase: Phase, rule: usize, matched: Matched) -> RuleTrace {
        RuleTrace {
            phase,
            rule,
            name: self.name.clone(),
            shadow: self.shadow,
            matched,
            actions: Vec::new(),
        }
    }
}

/// Why a rule does not run.
pub(super) enum Unmatched {
    /// This expression is false.
    At(usize),
    /// This one failed.
    Failed(usize, Fault),
}

pub(super) fn told(matched: &Result<(), Unmatched>) -> Matched {
    match matched {
        Ok(()) => Matched::Yes,
        Err(Unmatched::At(expression)) => Matched::No {
            expression: *expression,
        },
        Err(Unmatched::Failed(expression, fault)) => Matched::Failed {
            expression: *expression,
            error: fault.to_string(),
        },
    }
}
