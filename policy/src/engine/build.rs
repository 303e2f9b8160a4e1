//! From a document to a policy: each action gets what it needs from outside.

use std::collections::HashSet;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, HeaderValue, IF_RANGE, RANGE};
use thiserror::Error;

use super::{Policy, Rule, Step};
use crate::action::{Phase, Unbuildable};
use crate::document::{Document, RuleText};
use crate::env::Env;
use crate::exchange::HeaderEdit;
use crate::verdict::Place;

/// A policy that was read well and cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{at}: {source}")]
pub struct BuildError {
    /// The action that cannot be built.
    pub at: Place,
    /// What it lacks.
    pub source: Unbuildable,
}

impl Policy {
    /// Builds what was read. It gets from `env` what its actions need from outside.
    pub fn build(document: Document, env: &Env) -> Result<Self, BuildError> {
        let Document {
            phases,
            results_read,
            reads_secrets,
            ..
        } = document;
        let env = env.for_building();
        let mut policy = Self {
            secrets: reads_secrets.then(|| Arc::clone(env.secrets())),
            ..Self::default()
        };
        for (phase, rules) in Phase::ALL.iter().zip(phases) {
            let rules = rules.into_iter().enumerate().map(|(index, rule)| {
                build_rule(*phase, index, rule, &results_read, &env, &mut policy)
            });
            let rules = rules.collect::<Result<_, BuildError>>()?;
            policy.phases[phase.index()] = rules;
        }
        Ok(policy)
    }
}

fn build_rule(
    phase: Phase,
    index: usize,
    rule: RuleText,
    results_read: &HashSet<&'static str>,
    env: &Env,
    policy: &mut Policy,
) -> Result<Rule, BuildError> {
    let RuleText {
        name,
        expressions,
        shadow,
        actions,
    } = rule;
    let trial = shadow.then(|| env.in_shadow());
    let env = trial.as_ref().unwrap_or(env);
    let steps = actions.into_iter().enumerate().map(|(action, text)| {
        let kind = text.kind;
        let at = || Place {
            phase,
            rule: index,
            name: name.clone(),
            action: Some((action, kind)),
        };
        policy.reads_request_body |= text.config.reads_request_body();
        policy.reads_body_at.extend(text.config.reads_body_at());
        policy.marks_responses |= text.config.marks_responses() && !shadow;
        if !shadow && phase == Phase::OnHttpRequest {
            policy.vouched.extend(text.config.vouches_in());
        }
        let own_paths = text.config.own_paths();
        let is_open = text.config.own_paths_are_open() && phase == Phase::OnHttpRequest;
        policy.has_open_paths |= is_open && !shadow;
        if text.config.reads_response_body() && !shadow {
            ask_for_plain_bodies(phase, &mut policy.upstream_edits);
        }
        let results = text.config.results();
        let action = text
            .config
            .build(env)
            .map_err(|source| BuildError { at: at(), source })?;
        Ok(Step {
            kind,
            results,
            results_wanted: results.is_some_and(|name| results_read.contains(name)),
            own_paths,
            is_open,
            action,
        })
    });
    let steps = steps.collect::<Result<_, BuildError>>()?;
    Ok(Rule {
        name,
        expressions,
        shadow,
        steps,
    })
}

/// Asks the service for bodies without a coding and, if whole bodies are looked at, for whole ones: a part could hide
/// from a rule what the next part completes. It may always answer with the whole (RFC 9110 §14.2).
fn ask_for_plain_bodies(phase: Phase, edits: &mut Vec<HeaderEdit>) {
    let plain = HeaderEdit::Set {
        name: ACCEPT_ENCODING,
        value: HeaderValue::from_static("identity"),
    };
    let whole = [RANGE, IF_RANGE].map(|name| HeaderEdit::Remove { name });
    let whole = whole.into_iter().filter(|_| phase == Phase::OnHttpResponse);
    for edit in [plain].into_iter().chain(whole) {
        if !edits.contains(&edit) {
            edits.push(edit);
        }
    }
}
