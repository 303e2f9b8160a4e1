//! Which rules and actions of a policy its cases reached.

use std::collections::HashSet;

use super::run::Run;
use crate::Policy;
use crate::action::Phase;
use crate::document::{Places, Step};
use crate::trace::Matched;

/// What of a policy was reached. A rule is reached when it matches, an action when it runs; trials count.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    parts: Vec<Part>,
    reached: HashSet<(Phase, usize, Option<usize>)>,
}

/// A rule, or one of its actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The policy's file.
    pub file: String,
    /// The line where it stands.
    pub line: usize,
    /// As in `on_http_request[0] "admins".actions[1] (deny)`.
    pub path: String,
    of: (Phase, usize, Option<usize>),
}

// === impl Coverage ===

impl Coverage {
    /// Everything that a policy holds, and nothing reached yet.
    pub(super) fn of(file: &str, text: &str, policy: &Policy) -> Self {
        let places = Places::of(file, text);
        let mut parts = Vec::new();
        for rule in policy.outline() {
            let mut way: Vec<Step> = vec![rule.phase.name().into(), rule.rule.into()];
            let name = rule
                .name
                .map_or_else(String::new, |name| format!(" \"{name}\""));
            let path = format!("{}[{}]{name}", rule.phase, rule.rule);
            let part = |path: String, way: &[Step], action| Part {
                file: file.to_owned(),
                line: places.line(way),
                path,
                of: (rule.phase, rule.rule, action),
            };
            parts.push(part(path.clone(), &way, None));
            way.push("actions".into());
            for (index, kind) in rule.actions.iter().enumerate() {
                way.push(index.into());
                let path = format!("{path}.actions[{index}] ({kind})");
                parts.push(part(path, &way, Some(index)));
                way.pop();
            }
        }
        Self {
            parts,
            reached: HashSet::new(),
        }
    }

    /// One more exchange has ended.
    pub(super) fn add(&mut self, run: &Run) {
        let matched = run.trace.rules.iter();
        for rule in matched.filter(|rule| rule.matched == Matched::Yes) {
            self.reached.insert((rule.phase, rule.rule, None));
            for action in &rule.actions {
                self.reached
                    .insert((rule.phase, rule.rule, Some(action.action)));
            }
        }
    }

    /// How many rules and actions there are.
    pub fn all(&self) -> usize {
        self.parts.len()
    }

    /// Those that no case reached.
    pub fn missed(&self) -> impl Iterator<Item = &Part> {
        self.parts
            .iter()
            .filter(|part| !self.reached.contains(&part.of))
    }

    /// How many of 100 were reached, rounded down; 100 if there is nothing to reach.
    pub fn percent(&self) -> usize {
        percent(self.all() - self.missed().count(), self.all())
    }
}

/// How many of 100, rounded down: only everything is 100.
pub fn percent(part: usize, all: usize) -> usize {
    (part * 100).checked_div(all).unwrap_or(100)
}
