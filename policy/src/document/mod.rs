//! A policy as its text says it: typed, every value checked, nothing fetched or built yet.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use crate::actions::{self, Kind, ReadConfig};
use crate::expr::{Expression, is_true};

mod endpoint;
mod keys;
mod reader;
mod root;
pub mod scope;

pub use self::endpoint::{Misplaced, Unhandled};
use self::keys::{Item, Keys, ListOf, Setting};
pub use self::reader::{Both, Mistake, Mistakes, Places, Step, read, read_warned};

/// Most actions in one rule; one more is refused.
const ACTIONS_MAX: usize = 100;
/// Most expressions of one rule; one more is refused.
const EXPRESSIONS_MAX: usize = 100;

/// A policy that was read and not built. It can stand in any document: `traffic_policy: {…}` reads itself into one.
#[derive(Debug)]
pub struct Document {
    /// The rules of each phase, by [`crate::action::Phase::index`].
    pub(crate) phases: [Vec<RuleText>; 4],
    /// The results of actions that expressions look at.
    pub(crate) results_read: HashSet<&'static str>,
    /// Whether an expression reads a secret.
    pub(crate) reads_secrets: bool,
}

/// One rule of a phase.
#[derive(Debug, Default)]
pub(crate) struct RuleText {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) expressions: Vec<Expression>,
    /// Whether the rule is only tried.
    pub(crate) shadow: bool,
    pub(crate) actions: Vec<ActionText>,
}

/// One action of a rule, its config read.
#[derive(Debug)]
pub(crate) struct ActionText {
    pub(crate) kind: &'static str,
    pub(crate) config: Box<dyn ReadConfig>,
}

// === impl RuleText ===

impl Item for RuleText {
    const WHAT: &'static str = "rule";
    const KEYS: Keys = Keys {
        of: "field",
        known: &["name", "expressions", "mode", "actions"],
        code: 2236,
    };

    fn read<'de, A: MapAccess<'de>>(setting: Setting, mut map: A) -> Result<Self, A::Error> {
        const ACTIONS: &str = "`actions` is a list: put `-` before the action";
        let mut rule = Self::default();
        let mut keys = Self::KEYS.of(setting);
        while let Some(key) = keys.next(&mut map)? {
            match key {
                Some("name") => rule.name = map.next_value::<Option<String>>()?.map(Arc::from),
                Some("expressions") => rule.expressions = map.next_value::<Conditions>()?.0,
                Some("mode") => rule.shadow = map.next_value::<Mode>()? == Mode::Shadow,
                Some("actions") => {
                    let list = ListOf {
                        setting,
                        max: ACTIONS_MAX,
                        what: "actions",
                        hint: ACTIONS,
                        item: PhantomData,
                    };
                    rule.actions = map.next_value_seed(list)?;
                }
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        if rule.actions.is_empty() {
            return Err(A::Error::custom(
                "a rule needs at least one action (ERR_ADIT_2206)",
            ));
        }
        Ok(rule)
    }

    fn ends_by(&self) -> Option<&'static str> {
        if self.shadow || !self.expressions.iter().all(is_true) {
            return None;
        }
        self.actions.iter().find_map(Item::ends_by)
    }
}

/// Whether a rule takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// It does.
    Enforce,
    /// It is evaluated and recorded, and changes nothing.
    Shadow,
}

/// A list of expressions; one alone stands for a list of one.
#[derive(Debug)]
struct Conditions(Vec<Expression>);

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConditionsVisitor)
    }
}

struct ConditionsVisitor;

impl<'de> Visitor<'de> for ConditionsVisitor {
    type Value = Conditions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of expressions")
    }

    fn visit_unit<E: Error>(self) -> Result<Conditions, E> {
        Ok(Conditions(Vec::new()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Conditions, E> {
        let expression = Expression::deserialize(value.into_deserializer())?;
        Ok(Conditions(vec![expression]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Conditions, E> {
        let expression = Expression::deserialize(text.into_deserializer())?;
        Ok(Conditions(vec![expression]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Conditions, A::Error> {
        let mut expressions = Vec::new();
        while let Some(expression) = list.next_element()? {
            if expressions.len() == EXPRESSIONS_MAX {
                return Err(A::Error::custom(format_args!(
                    "more than {EXPRESSIONS_MAX} expressions in one rule (ERR_ADIT_2218)"
                )));
            }
            expressions.push(expression);
        }
        Ok(Conditions(expressions))
    }
}

// === impl ActionText ===

impl Item for ActionText {
    const WHAT: &'static str = "action";
    const KEYS: Keys = Keys {
        of: "field",
        known: &["type", "config"],
        code: 2236,
    };

    fn read<'de, A: MapAccess<'de>>(setting: Setting, mut map: A) -> Result<Self, A::Error> {
        let mut kind = None;
        let mut config = None;
        let mut is_early = false;
        let mut keys = Self::KEYS.of(setting);
        while let Some(key) = keys.next(&mut map)? {
            match (key, kind) {
                (Some("type"), _) => {
                    kind = Some(map.next_value_seed(Kind {
                        phase: setting.phase,
                    })?)
                }
                (Some("config"), Some(kind)) => {
                    config = Some(map.next_value_seed(actions::ConfigOf { kind })?)
                }
                (Some("config"), None) => is_early = map.next_value::<IgnoredAny>().is_ok(),
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        let kind =
            kind.ok_or_else(|| A::Error::custom("an action needs a `type` (ERR_ADIT_2206)"))?;
        let config = match config {
            Some(config) => config,
            // Our own reader looks ahead for the type; another one may not.
            None if is_early => {
                return Err(A::Error::custom(
                    "an action's `type` stands before its `config` (ERR_ADIT_2206)",
                ));
            }
            None => actions::ConfigOf { kind }.deserialize(().into_deserializer())?,
        };
        Ok(Self { kind, config })
    }

    fn ends_by(&self) -> Option<&'static str> {
        self.config.ends_the_phase().then_some(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{one, policy, refused};

    #[test]
    fn an_unknown_key_is_refused_at_its_place_with_the_nearest() {
        assert_eq!(
            refused("on_http_request:\n  - nmae: a\n    actions: [{type: deny}]\n"),
            "policy.yaml:2:5: on_http_request[0]: unknown field `nmae`, expected `name` or `expressions` or `mode` or `actions` (ERR_ADIT_2236)
    2 |   - nmae: …
      |     ^
did you mean `name`?"
        );
        assert_eq!(
            refused("on_http_requests: []\n"),
            "policy.yaml:1:1: unknown phase `on_http_requests`, expected `on_tcp_connect` or `on_http_request` or `on_http_response` or `on_event_stream_message` (ERR_ADIT_2230)
    1 | on_http_requests: []
      | ^
did you mean `on_http_request`?"
        );
    }

    #[test]
    fn a_phase_that_is_a_map_gets_a_hint() {
        assert_eq!(
            refused("on_http_request:\n  actions:\n    - type: deny\n"),
            "policy.yaml:2:3: on_http_request: a phase is a list: put `-` before the rule (ERR_ADIT_2236)
    2 |   actions:
      |   ^"
        );
        assert_eq!(
            refused("on_http_request:\n  - actions: deny\n"),
            "policy.yaml:2:14: on_http_request[0].actions: invalid type: string \"deny\", expected a list of actions
    2 |   - actions: deny
      |              ^"
        );
    }

    #[test]
    fn a_rule_without_an_action_is_refused() {
        assert_eq!(
            refused("on_http_request:\n  - name: a\n"),
            "policy.yaml:2:5: on_http_request[0] \"a\": a rule needs at least one action (ERR_ADIT_2206)
    2 |   - name: a
      |     ^"
        );
        assert!(refused("on_http_request:\n  - type: deny\n").contains("unknown field `type`"));
        assert!(
            refused("on_http_request:\n  - actions: [{config: {}}]\n")
                .contains("an action needs a `type`")
        );
        assert!(refused("on_http_request: []\n").contains("at least one rule"));
    }

    #[test]
    fn too_many_rules_or_actions_are_refused() {
        let rule = "  - actions: [{type: log, config: {metadata: {}}}]\n";
        assert!(!policy(&format!("on_http_request:\n{}", rule.repeat(1_000))).is_empty());
        assert!(
            refused(&format!("on_http_request:\n{}", rule.repeat(1_001)))
                .contains("more than 1000 rules")
        );
        let actions = "{type: log, config: {metadata: {}}}, ".repeat(101);
        assert!(
            refused(&format!("on_http_request:\n  - actions: [{actions}]\n"))
                .contains("more than 100 actions")
        );
    }

    #[test]
    fn a_config_may_come_before_its_type() {
        let sorted = r#"{"on_http_request": [{"actions": [{"config": {"status_code": 404}, "type": "deny"}]}]}"#;
        assert!(!policy(sorted).is_empty());
        assert_eq!(
            refused("on_http_request:\n  - actions:\n      - config: {status: 404}\n        type: deny\n"),
            "policy.yaml:3:18: on_http_request[0].actions[0].config: unknown field `status`, expected `status_code` or `body`
    3 |       - config: {status: …
      |                  ^"
        );
    }

    #[test]
    fn a_text_means_the_same_on_either_side_of_its_type() {
        let before = "on_http_request: [{actions: [{config: {headers: {a: 1.50, b: yes, c: true, d: 0x10}}, type: add-headers}]}]";
        let after = "on_http_request: [{actions: [{type: add-headers, config: {headers: {a: 1.50, b: yes, c: true, d: 0x10}}}]}]";
        assert_eq!(
            format!("{:?}", policy(before)),
            format!("{:?}", policy(after))
        );
        let refused_before = refused(
            "on_http_request: [{actions: [{config: {headers: {a: null}}, type: add-headers}]}]",
        );
        assert!(
            refused_before.contains("expected a text"),
            "{refused_before}"
        );
        assert!(
            refused(&one(
                "on_http_request",
                "add-headers",
                "{headers: {a: null}}"
            ))
            .contains("expected a text")
        );
    }

    #[test]
    fn keys_that_begin_with_x_are_a_home_for_anchors() {
        let text = "x-no: &no {metadata: {a: 1}}
on_http_request:
  - x-why: because
    actions:
      - {type: log, config: *no, x-a: 1}
      - {type: deny, config: {x-b: [1], status_code: 404}}
";
        assert!(!policy(text).is_empty());
    }

    #[test]
    fn a_policy_reads_itself_inside_another_document() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Endpoint {
            traffic_policy: Option<Document>,
        }
        let text =
            "- traffic_policy:\n    on_http_request:\n      - actions:\n          - type: dney\n";
        let known = actions::TYPES.join("`, `");
        assert_eq!(
            read::<Vec<Endpoint>>("gateway.yaml", text).unwrap_err().to_string(),
            format!("gateway.yaml:4:19: [0].traffic_policy.on_http_request[0].actions[0].type: unknown action `dney`, expected one of `{known}` (ERR_ADIT_2201)
    4 |           - type: dney
      |                   ^
did you mean `deny`?")
        );
        let read: Vec<Endpoint> = read("gateway.yaml", "- {}\n").unwrap();
        assert!(read[0].traffic_policy.is_none());
    }
}
