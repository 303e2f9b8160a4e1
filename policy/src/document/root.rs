//! The root of a policy: its phases, or `inbound` and `outbound` of the older form.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::keys::{Keys, ListOf, Setting};
use super::{Document, RuleText, scope};
use crate::action::Phase;

/// Most rules in one phase; one more is refused.
const RULES_MAX: usize = 1_000;

const PHASES: Keys = Keys {
    of: "phase",
    known: &[
        "on_tcp_connect",
        "on_http_request",
        "on_http_response",
        "on_event_stream_message",
    ],
    code: 2230,
};

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy: a map of phases")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document {
            phases: Default::default(),
            results_read: HashSet::new(),
            reads_secrets: false,
        };
        let mut enabled = Enabled(true);
        let mut keys = RootKeys::default();
        while let Some(key) = map.next_key_seed(&mut keys)? {
            match key {
                Key::Phase { phase, is_older } => {
                    let setting = Setting {
                        phase,
                        any_case: is_older,
                    };
                    document.phases[phase.index()] = rules_in(setting, &mut map)?;
                }
                Key::Enabled => enabled = map.next_value()?,
                Key::Nobodys => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        if document.phases.iter().all(Vec::is_empty) {
            return Err(A::Error::custom(
                "a policy needs at least one rule with an action (ERR_ADIT_2206)",
            ));
        }
        if let Some(conflict) = conflict(&document) {
            return Err(A::Error::custom(conflict));
        }
        document.results_read = scope::take_results();
        document.reads_secrets = scope::take_reads_secrets();
        if !enabled.0 {
            document.phases = Default::default();
        }
        Ok(document)
    }
}

/// Two logins that would take each other's cookies and paths, if there are any.
fn conflict(document: &Document) -> Option<String> {
    let mut logins: Vec<(String, String, String)> = Vec::new();
    for (phase, rules) in Phase::ALL.iter().zip(&document.phases) {
        for (rule, text) in rules.iter().enumerate() {
            for (action, text) in text.actions.iter().enumerate() {
                let Some((auth_id, settings)) = text.config.login() else {
                    continue;
                };
                let place = format!("{phase}[{rule}].actions[{action}]");
                let mut others = logins.iter();
                let conflicts = |(known, set, _): &&(String, String, String)| {
                    *known == auth_id && *set != settings
                };
                if let Some((_, _, other)) = others.find(conflicts) {
                    return Some(format!(
                        "{other} and {place} are logins with the same `auth_id` and other settings; give each an \
                         `auth_id` of its own (ERR_ADIT_2239)"
                    ));
                }
                logins.push((auth_id, settings, place));
            }
        }
    }
    None
}

fn rules_in<'de, A: MapAccess<'de>>(
    setting: Setting,
    map: &mut A,
) -> Result<Vec<RuleText>, A::Error> {
    let list = ListOf {
        setting,
        max: RULES_MAX,
        what: "rules",
        hint: "a phase is a list: put `-` before the rule",
        item: PhantomData,
    };
    scope::with_phase(setting.phase, || map.next_value_seed(list))
}

/// Reads the keys of the root, which are all of one form.
#[derive(Default)]
struct RootKeys {
    seen: Vec<Key>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Phase {
        phase: Phase,
        is_older: bool,
    },
    /// Whether the policy is applied at all; only in the older form.
    Enabled,
    /// A home for anchors.
    Nobodys,
}

// === impl Key ===

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        let phase = |phase, is_older| Ok(Self::Phase { phase, is_older });
        if let Some(known) = Phase::ALL.iter().find(|phase| phase.name() == text) {
            return phase(*known, false);
        }
        match text.to_ascii_lowercase().as_str() {
            "inbound" => phase(Phase::OnHttpRequest, true),
            "outbound" => phase(Phase::OnHttpResponse, true),
            "enabled" => Ok(Self::Enabled),
            _ if text.starts_with("x-") => Ok(Self::Nobodys),
            "on_tls_request" => Err(
                "there is no phase `on_tls_request`: write `on_tcp_connect`, which knows conn.tls.sni (ERR_ADIT_2230)"
                    .to_owned(),
            ),
            _ => Err(PHASES.unknown(text)),
        }
    }

    /// Whether the key is of the older form; `None` if it may stand anywhere.
    fn is_older(self) -> Option<bool> {
        match self {
            Self::Phase { is_older, .. } => Some(is_older),
            Self::Enabled => Some(true),
            Self::Nobodys => None,
        }
    }
}

// === impl RootKeys ===

impl<'de> DeserializeSeed<'de> for &mut RootKeys {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for &mut RootKeys {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
        let key = Key::parse(text).map_err(E::custom)?;
        let Some(is_older) = key.is_older() else {
            return Ok(key);
        };
        if self.seen.contains(&key) {
            return Err(E::custom(format_args!(
                "the key `{text}` stands here twice (ERR_ADIT_2236)"
            )));
        }
        if self
            .seen
            .iter()
            .any(|seen| seen.is_older() != Some(is_older))
        {
            return Err(E::custom(format_args!(
                "`{text}` cannot stand here: `inbound`, `outbound` and `enabled` are an older form, which is not mixed \
                 with phases (ERR_ADIT_2236)"
            )));
        }
        if let Key::Phase {
            phase,
            is_older: true,
        } = key
        {
            scope::warn(format!("`{text}` is called `{phase}` now"));
        }
        self.seen.push(key);
        Ok(key)
    }
}

/// The older form's switch.
struct Enabled(bool);

impl<'de> Deserialize<'de> for Enabled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let enabled = Option::deserialize(deserializer)?.unwrap_or(true);
        if !enabled {
            scope::warn("the policy is not enabled: nothing of it is applied");
        }
        Ok(Self(enabled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_warned;
    use crate::testing::{policy, refused};

    fn warned(text: &str) -> Vec<String> {
        let (_, warnings) = read_warned::<Document>("policy.yaml", text).unwrap();
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_older_form_is_understood_in_any_case_and_warned_of() {
        let older = r#"{"Inbound": [{"Name": "a", "Expressions": ["req.method == 'GET'"], "Actions":
            [{"Config": {"status_code": 404}, "Type": "deny"}]}], "outbound": [{"ACTIONS": [{"type": "custom-response"}]}]}"#;
        let newer = "
on_http_request: [{name: a, expressions: [\"req.method == 'GET'\"], actions: [{type: deny, config: {status_code: 404}}]}]
on_http_response: [{actions: [{type: custom-response}]}]
";
        assert_eq!(
            format!("{:?}", policy(older)),
            format!("{:?}", policy(newer))
        );
        let warnings = warned(older);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0]
                .starts_with("policy.yaml:1:2: warning: `Inbound` is called `on_http_request` now"),
            "{}",
            warnings[0]
        );
        assert!(warnings[1].contains("`outbound` is called `on_http_response` now"));
        assert!(warned(newer).is_empty());
        assert!(refused("On_Http_Request: []").contains("unknown phase `On_Http_Request`"));
        assert!(refused("on_http_request: [{Actions: []}]").contains("unknown field `Actions`"));
    }

    #[test]
    fn a_policy_that_is_not_enabled_does_nothing_and_is_still_checked() {
        let text = "enabled: false\ninbound: [{actions: [{type: deny}]}]\n";
        assert!(policy(text).is_empty());
        assert!(
            warned(text)[0].starts_with(
                "policy.yaml:1:10: warning: enabled: the policy is not enabled: nothing of it is applied"
            ),
            "{:?}",
            warned(text)
        );
        assert!(!policy(&text.replace("false", "true")).is_empty());
        assert!(refused(&text.replace("deny", "dney")).contains("unknown action `dney`"));
        assert!(refused("enabled: false").contains("at least one rule"));
    }

    #[test]
    fn forms_are_not_mixed() {
        for (text, place) in [
            (
                "on_http_request: [{actions: [{type: deny}]}]\noutbound: []\n",
                "policy.yaml:2:1: `outbound` cannot stand here",
            ),
            (
                "inbound: []\non_http_request: [{actions: [{type: deny}]}]\n",
                "policy.yaml:2:1: `on_http_request` cannot stand here",
            ),
            (
                "on_http_request: [{actions: [{type: deny}]}]\nEnabled: false\n",
                "policy.yaml:2:1: `Enabled` cannot stand here",
            ),
            (
                "inbound: [{actions: [{type: deny}]}]\nInbound: []\n",
                "policy.yaml:2:1: the key `Inbound` stands here twice",
            ),
            (
                "inbound: [{actions: [{type: deny, Type: log}]}]\n",
                "policy.yaml:1:35: inbound[0].actions[0]: the key `type` stands here twice",
            ),
        ] {
            let message = refused(text);
            assert!(message.starts_with(place), "{message}");
            assert!(message.contains("(ERR_ADIT_2236)"), "{message}");
        }
        let text = "x-a: &a [{actions: [{type: deny}]}]\ninbound: *a\n";
        assert!(!policy(text).is_empty());
    }

    #[test]
    fn on_tls_request_gets_a_hint() {
        assert_eq!(
            refused("on_tls_request: [{actions: [{type: deny}]}]\n"),
            "policy.yaml:1:1: there is no phase `on_tls_request`: write `on_tcp_connect`, which knows conn.tls.sni (ERR_ADIT_2230)
    1 | on_tls_request: [{actions: [{type: deny}]}]
      | ^"
        );
    }

    #[test]
    fn what_is_never_reached_is_refused_at_its_place() {
        for (text, said) in [
            (
                "on_http_request:
  - actions:
      - type: deny
      - {type: log, config: {metadata: {}}}
",
                "policy.yaml:4:9: on_http_request[0].actions[1]: this action is never reached: `deny` before it ends the phase (ERR_ADIT_2207)",
            ),
            (
                "on_http_request:
  - actions: [{type: custom-response}]
  - expressions: [\"req.method == 'GET'\"]
    actions: [{type: deny}]
",
                "policy.yaml:3:5: on_http_request[1]: this rule is never reached: `custom-response` before it ends the phase (ERR_ADIT_2207)",
            ),
            (
                "on_tcp_connect:
  - expressions: ['true', '1 == 1']
    actions: [{type: log, config: {metadata: {}}}, {type: close-connection}]
  - name: late
    mode: shadow
    actions: [{type: deny}]
",
                "policy.yaml:4:5: on_tcp_connect[1] \"late\": this rule is never reached: `close-connection` before it",
            ),
        ] {
            let message = refused(text);
            assert!(message.starts_with(said), "{message}");
        }
        let message = refused(
            "on_http_request:\n  - actions: [{type: deny}, {type: deny}]\n  - actions: [{type: deny}]\n  - actions: [{type: deny}]\n",
        );
        assert!(message.ends_with("3 mistakes"), "{message}");
        let message = refused("on_http_request:\n  - actions: [{type: deny}, {type: dney}]\n");
        assert!(message.contains("unknown action `dney`"), "{message}");
    }

    #[test]
    fn what_may_be_reached_is_not_refused() {
        for first in [
            "{expressions: [\"req.method == 'GET'\"], actions: [{type: deny}]}",
            "{expressions: 'false', actions: [{type: deny}]}",
            "{mode: shadow, actions: [{type: deny}]}",
            "{actions: [{type: redirect, config: {to: /}}]}",
            "{actions: [{type: basic-auth, config: {credentials: ['a:12345678']}}]}",
        ] {
            let text = format!("on_http_request: [{first}, {{actions: [{{type: deny}}]}}]\n");
            assert!(!policy(&text).is_empty());
        }
        let text = "on_tcp_connect: [{actions: [{type: deny}]}]\non_http_request: [{actions: [{type: deny}]}]\n";
        assert!(!policy(text).is_empty(), "each phase has its own end");
    }
}
