//! Tests of the engine.
use http::HeaderMap;

use super::*;
use crate::action::{Config, Fault, Unbuildable};
use crate::actions::ReadConfig;
use crate::document::{ActionText, Document, RuleText};
use crate::memory::Memory;
use crate::testing::{ENV, get, policy, refused, request, response};
use crate::trace::{Matched, Outcome};

#[test]
fn the_empty_policy_has_no_phase() {
    let policy = Policy::default();
    assert!(
        policy.is_empty()
            && !policy.has_phase(Phase::OnHttpRequest)
            && !policy.has_phase(Phase::OnHttpResponse)
    );
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
      - { type: redirect, config: { to: /elsewhere } }
      - { type: add-headers, config: { headers: { x-a: '3' } } }
",
    );
    assert!(policy.has_phase(Phase::OnHttpRequest) && !policy.has_phase(Phase::OnHttpResponse));
    let lines = HeaderMap::new();
    let mut exchange = request(&lines);
    let verdict = policy.on_http_request(&mut exchange).await;
    let Verdict::Answer { reply, by } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(reply.status(), 302);
    assert_eq!(by.to_string(), "on_http_request[1].actions[0] (redirect)");
    assert_eq!(by.name.as_deref(), Some("stop"));
    let values: Vec<_> = exchange
        .request()
        .unwrap()
        .head
        .lines()
        .get_all("x-a")
        .iter()
        .collect();
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
    assert_eq!(exchange.head_mut().unwrap().edits().len(), 1);
    assert!(exchange.request().unwrap().head.edits().is_empty());
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

impl Action for Lacking {}

impl Config for Lacking {
    const TYPE: &'static str = "lacking";
    const PHASES: &'static [Phase] = Phase::ALL;
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Err(Unbuildable("no secret called \"oidc\"".to_owned()))
    }
}

fn lacking() -> Document {
    let config: Box<dyn ReadConfig> = Box::new(Lacking);
    let rule = RuleText {
        actions: vec![ActionText {
            kind: Lacking::TYPE,
            config,
        }],
        ..RuleText::default()
    };
    Document {
        phases: [Vec::new(), vec![rule], Vec::new(), Vec::new()],
        results_read: Default::default(),
        reads_secrets: false,
    }
}

#[test]
fn a_build_error_says_which_action() {
    assert_eq!(
        Policy::build(lacking(), &ENV).unwrap_err().to_string(),
        "on_http_request[0].actions[0] (lacking): no secret called \"oidc\""
    );
}

#[tokio::test]
async fn an_action_in_a_phase_that_it_lacks_is_a_fault_and_not_a_pass() {
    let rule = Rule {
        name: None,
        expressions: Vec::new(),
        shadow: false,
        steps: vec![Step {
            kind: Lacking::TYPE,
            results: None,
            results_wanted: false,
            own_paths: Vec::new(),
            is_open: false,
            action: Box::new(Lacking),
        }],
    };
    let policy = Policy {
        phases: [Vec::new(), vec![rule], Vec::new(), Vec::new()].map(Arc::from),
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

#[tokio::test]
async fn a_rule_runs_if_all_its_expressions_are_true() {
    let policy = policy(
        "on_http_request:
  - name: post
    expressions: [\"req.method == 'POST'\"]
    actions: [{ type: deny }]
  - name: admin
    expressions:
      - req.url.path.startsWith('/admin')
      - \"!inCidrRange(conn.client_ip, '10.0.0.0/8')\"
    actions: [{ type: deny, config: { status_code: 404 } }]
",
    );
    let lines = HeaderMap::new();
    let mut traced = get("/admin/users", &lines);
    traced.memory = Memory::traced();
    let verdict = policy.on_http_request(&mut traced).await;
    assert!(
        matches!(&verdict, Verdict::Deny { reply, .. } if reply.status() == 404),
        "{verdict:?}"
    );
    let rules = &traced.memory.trace().unwrap().rules;
    assert_eq!(rules[0].matched, Matched::No { expression: 0 });
    assert_eq!(rules[1].matched, Matched::Yes);
    assert!(matches!(rules[1].actions[0].outcome, Outcome::Denied(status) if status == 404));
    let verdict = policy.on_http_request(&mut get("/", &lines)).await;
    assert!(matches!(verdict, Verdict::Continue));
}

#[tokio::test]
async fn an_expression_that_fails_is_a_fault_and_never_false() {
    let policy = policy(
        "on_http_request:
  - expressions: [\"req.headers['x-role'][0] != 'admin'\"]
    actions: [{ type: deny }]
",
    );
    let lines = HeaderMap::new();
    let verdict = policy.on_http_request(&mut request(&lines)).await;
    let Verdict::Fault { fault, by } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(fault.code(), 2254);
    assert_eq!(fault.to_string(), "expression 1: no such key: `x-role`");
    assert_eq!(by.to_string(), "on_http_request[0].expressions");
}

#[tokio::test]
async fn a_rule_in_shadow_mode_is_recorded_and_changes_nothing() {
    let policy = policy(
        "on_http_request:
  - name: soon
    mode: shadow
    actions:
      - { type: add-headers, config: { headers: { x-a: '1' } } }
      - { type: deny, config: { status_code: 451 } }
",
    );
    let lines = HeaderMap::new();
    let mut exchange = request(&lines);
    assert!(matches!(
        policy.on_http_request(&mut exchange).await,
        Verdict::Continue
    ));
    assert!(exchange.request().unwrap().head.edits().is_empty());
    let [record] = exchange.memory.shadow() else {
        panic!("{:?}", exchange.memory.shadow());
    };
    assert_eq!(record.name.as_deref(), Some("soon"));
    assert!(matches!(record.decision, Some((1, "deny", Outcome::Denied(status))) if status == 451));
}

#[tokio::test]
async fn results_are_there_for_later_rules_and_only_if_somebody_looks() {
    let with = |rule: &str| {
        format!(
            "on_http_request:
  - actions: [{{ type: add-headers, config: {{ headers: {{ x-a: \"${{req.method}}\" }} }} }}]
{rule}"
        )
    };
    let lines = HeaderMap::new();
    let looked = policy(&with(
        "  - expressions: [\"actions.ngrok.add_headers.headers_added['x-a'] == 'GET'\"]
    actions: [{ type: deny }]
",
    ));
    let mut exchange = request(&lines);
    assert!(matches!(
        looked.on_http_request(&mut exchange).await,
        Verdict::Deny { .. }
    ));
    let unlooked = policy(&with(""));
    let mut exchange = request(&lines);
    assert!(matches!(
        unlooked.on_http_request(&mut exchange).await,
        Verdict::Continue
    ));
    assert_eq!(exchange.memory.results().count(), 0);
}
