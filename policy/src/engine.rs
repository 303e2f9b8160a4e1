//! The engine: walks the rules of a phase in order until one action ends it.

use std::sync::Arc;

use thiserror::Error;

use crate::action::{Action, Flow, Phase, Unbuildable};
use crate::document::{Document, Mistakes, RuleText, read};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::verdict::{Place, ReplyKind, Verdict};

/// A policy ready to run. Immutable, so that an exchange can hold it while a reload puts a new one in its place.
///
/// The default is the empty policy: it lets everything pass.
#[derive(Debug, Default)]
pub struct Policy {
    on_http_request: Vec<Rule>,
    on_http_response: Vec<Rule>,
}

/// A policy that was read well and cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{at}: {source}")]
pub struct BuildError {
    /// The action that cannot be built.
    pub at: Place,
    /// What it lacks.
    pub source: Unbuildable,
}

/// Why [`Policy::load`] gave none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// The text is wrong.
    #[error(transparent)]
    Read(#[from] Mistakes),
    /// The text is right, and something around it is missing.
    #[error(transparent)]
    Build(#[from] BuildError),
}

#[derive(Debug)]
struct Rule {
    name: Option<Arc<str>>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    kind: &'static str,
    action: Box<dyn Action>,
}

// === impl Policy ===

impl Policy {
    /// Reads and builds a policy. `file` is only a name for messages.
    pub fn load(file: &str, text: &str, env: &Env) -> Result<Self, LoadError> {
        Ok(Self::build(read(file, text)?, env)?)
    }

    /// Builds what was read. It gets from `env` what its actions need from outside.
    pub fn build(document: Document, env: &Env) -> Result<Self, BuildError> {
        let Document {
            on_http_request,
            on_http_response,
        } = document;
        Ok(Self {
            on_http_request: build_rules(Phase::OnHttpRequest, on_http_request, env)?,
            on_http_response: build_rules(Phase::OnHttpResponse, on_http_response, env)?,
        })
    }

    /// Whether no phase has a rule.
    pub fn is_empty(&self) -> bool {
        self.on_http_request.is_empty() && self.on_http_response.is_empty()
    }

    /// Whether anything runs before the upstream.
    pub fn has_request_phase(&self) -> bool {
        !self.on_http_request.is_empty()
    }

    /// Whether anything runs on responses; if not, the caller need not prepare one.
    pub fn has_response_phase(&self) -> bool {
        !self.on_http_response.is_empty()
    }

    /// Runs before the upstream. Edits of `exchange.request` are for the caller to replay.
    pub async fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        run(Phase::OnHttpRequest, &self.on_http_request, exchange).await
    }

    /// Runs before the client gets the response; `exchange.response` must be there.
    pub async fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Verdict {
        run(Phase::OnHttpResponse, &self.on_http_response, exchange).await
    }
}

async fn run(phase: Phase, rules: &[Rule], exchange: &mut Exchange<'_>) -> Verdict {
    for (rule_index, rule) in rules.iter().enumerate() {
        for (action_index, Step { kind, action }) in rule.steps.iter().enumerate() {
            let flow = match phase {
                Phase::OnHttpRequest => action.on_http_request(exchange).await,
                Phase::OnHttpResponse => action.on_http_response(exchange).await,
            };
            let by = || Place {
                phase,
                rule: rule_index,
                name: rule.name.clone(),
                action: action_index,
                kind,
            };
            match flow {
                Ok(Flow::Next) => {}
                Ok(Flow::Stop(reply)) => {
                    return Verdict::Reply {
                        reply,
                        kind: ReplyKind::Answer,
                        by: by(),
                    };
                }
                Ok(Flow::Refuse(reply)) => {
                    return Verdict::Reply {
                        reply,
                        kind: ReplyKind::Refusal,
                        by: by(),
                    };
                }
                Err(fault) => return Verdict::Fault { fault, by: by() },
            }
        }
    }
    Verdict::Continue
}

fn build_rules(phase: Phase, rules: Vec<RuleText>, env: &Env) -> Result<Vec<Rule>, BuildError> {
    let built = rules
        .into_iter()
        .enumerate()
        .map(|(rule, RuleText { name, actions })| {
            let steps = actions.into_iter().enumerate().map(|(action, text)| {
                let kind = text.kind;
                let at = || Place {
                    phase,
                    rule,
                    name: name.clone(),
                    action,
                    kind,
                };
                let action = text
                    .config
                    .build(env)
                    .map_err(|source| BuildError { at: at(), source })?;
                Ok(Step { kind, action })
            });
            let steps = steps.collect::<Result<_, BuildError>>()?;
            Ok(Rule { name, steps })
        });
    built.collect()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http::HeaderMap;

    use super::*;
    use crate::action::{Config, Fault};
    use crate::actions::ReadConfig;
    use crate::document::ActionText;
    use crate::testing::{policy, refused, request, response};

    #[test]
    fn the_empty_policy_has_no_phase() {
        let policy = Policy::default();
        assert!(policy.is_empty() && !policy.has_request_phase() && !policy.has_response_phase());
    }

    #[tokio::test]
    async fn rules_and_actions_run_in_order_until_one_answers() {
        let policy = policy(
            "on_http_request:
  - name: mark
    actions:
      - { type: add-headers, config: { headers: { x-a: '1' } } }
      - { type: add-headers, config: { headers: { x-a: '2' } } }
  - name: stop
    actions:
      - type: deny
      - { type: add-headers, config: { headers: { x-a: '3' } } }
",
        );
        assert!(policy.has_request_phase() && !policy.has_response_phase());
        let lines = HeaderMap::new();
        let mut exchange = request(&lines);
        let verdict = policy.on_http_request(&mut exchange).await;
        let Verdict::Reply { reply, kind, by } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(reply.status(), 403);
        assert!(!kind.runs_response_phase());
        assert_eq!(by.to_string(), "on_http_request[1].actions[0] (deny)");
        assert_eq!(by.name.as_deref(), Some("stop"));
        let values: Vec<_> = exchange.request.lines().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
    }

    #[tokio::test]
    async fn a_policy_without_an_answer_lets_the_exchange_go_on() {
        let policy = policy(
            "on_http_response:\n  - actions:\n      - { type: add-headers, config: { headers: { x-a: '1' } } }\n",
        );
        let lines = HeaderMap::new();
        let verdict = policy.on_http_request(&mut request(&lines)).await;
        assert!(matches!(verdict, Verdict::Continue));
        let mut exchange = response(&lines, &lines);
        let verdict = policy.on_http_response(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue));
        assert_eq!(exchange.head_mut().edits().len(), 1);
        assert!(exchange.request.edits().is_empty());
    }

    #[tokio::test]
    async fn a_response_phase_without_a_response_is_a_fault() {
        let policy = policy(
            "on_http_response:\n  - actions:\n      - { type: add-headers, config: { headers: { x-a: '1' } } }\n",
        );
        let lines = HeaderMap::new();
        let verdict = policy.on_http_response(&mut request(&lines)).await;
        assert!(matches!(
            verdict,
            Verdict::Fault {
                fault: Fault::Phase,
                ..
            }
        ));
    }

    #[test]
    fn a_mistake_in_the_text_is_a_load_error() {
        assert_eq!(
            refused(""),
            "policy.yaml:1:1: a policy needs at least one rule with an action (ERR_ADIT_2206)\n    1 | \n      | ^"
        );
    }

    /// Lacks everything: cannot be built, and implements no phase.
    #[derive(Debug, serde::Deserialize)]
    struct Lacking;

    #[async_trait]
    impl Action for Lacking {}

    impl Config for Lacking {
        const TYPE: &'static str = "lacking";
        const PHASES: &'static [Phase] = Phase::ALL;
        type Action = Self;

        fn build(self, _: &Env) -> Result<Self, Unbuildable> {
            Err(Unbuildable("no secret called \"oidc\"".to_owned()))
        }
    }

    #[test]
    fn a_build_error_says_which_action() {
        let config: Box<dyn ReadConfig> = Box::new(Lacking);
        let actions = vec![ActionText {
            kind: Lacking::TYPE,
            config,
        }];
        let rule = RuleText {
            name: None,
            actions,
        };
        let document = Document {
            on_http_request: vec![rule],
            on_http_response: Vec::new(),
        };
        assert_eq!(
            Policy::build(document, &Env::system())
                .unwrap_err()
                .to_string(),
            "on_http_request[0].actions[0] (lacking): no secret called \"oidc\""
        );
    }

    #[tokio::test]
    async fn an_action_in_a_phase_that_it_lacks_is_a_fault_and_not_a_pass() {
        let steps = vec![Step {
            kind: Lacking::TYPE,
            action: Box::new(Lacking),
        }];
        let rule = Rule { name: None, steps };
        let policy = Policy {
            on_http_request: vec![rule],
            ..Policy::default()
        };
        let verdict = policy
            .on_http_request(&mut request(&HeaderMap::new()))
            .await;
        let Verdict::Fault { fault, by } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(fault, Fault::Phase);
        assert_eq!(by.to_string(), "on_http_request[0].actions[0] (lacking)");
    }
}
