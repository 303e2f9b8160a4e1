//! What a policy holds, for whoever tells people about it: rules by name, expressions by their text, actions by type.

use super::Policy;
use crate::action::Phase;

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOutline<'p> {
    /// The phase in which it stands.
    pub phase: Phase,
    /// Index in the phase, from 0.
    pub rule: usize,
    /// Its own name.
    pub name: Option<&'p str>,
    /// Whether it is only tried.
    pub shadow: bool,
    /// The texts of its expressions.
    pub expressions: Vec<&'p str>,
    /// The types of its actions.
    pub actions: Vec<&'static str>,
}

impl Policy {
    /// Every rule, in the order in which they run.
    pub fn outline(&self) -> impl Iterator<Item = RuleOutline<'_>> {
        Phase::ALL.iter().flat_map(|phase| {
            let rules = self.rules(*phase).iter().enumerate();
            rules.map(|(index, rule)| RuleOutline {
                phase: *phase,
                rule: index,
                name: rule.name.as_deref(),
                shadow: rule.shadow,
                expressions: rule.expressions.iter().map(|e| e.text()).collect(),
                actions: rule.steps.iter().map(|step| step.kind).collect(),
            })
        })
    }
}
