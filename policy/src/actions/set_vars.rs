//! `set-vars`: keeps values under `vars.` for the rest of the phase.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::list::Bounds;
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Tree, interpolation};
use crate::memory::VARS_MAX;

/// Most variables of one action; one more is refused.
const ENTRIES_MAX: usize = 1_000;
/// Longest name in bytes.
const NAME_MAX: usize = 64;
/// Deepest nesting of a value; a deeper one is refused.
const DEPTH_MAX: usize = 16;

/// Config of `set-vars`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetVars {
    /// The variables in the order in which they are set, each a map of one entry: `- name: value`. A value is anything that
    /// YAML has, and each text in it may hold `${…}`; one that is nothing but `${…}` keeps the type of its value. A later
    /// entry may use an earlier one. Names have letters, digits and `_`.
    #[serde(deserialize_with = "entries")]
    vars: Vec<Entry>,
}

/// One variable.
#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    value: Tree,
}

impl Config for SetVars {
    const TYPE: &'static str = "set-vars";
    const PHASES: &'static [Phase] = &[
        Phase::OnTcpConnect,
        Phase::OnHttpRequest,
        Phase::OnHttpResponse,
    ];
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for SetVars {
    fn on_tcp_connect(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.set(exchange)
    }

    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.set(exchange)
    }

    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.set(exchange)
    }
}

impl SetVars {
    fn set(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        for Entry { name, value } in &self.vars {
            let value = value.value(exchange);
            let (value, taint) = value.map_err(|error| interpolation("vars", error))?;
            let kept = exchange.memory.set_var(name, value, taint);
            kept.map_err(|_| Fault::Other {
                reason: format!("with `{name}`, the variables take more than {VARS_MAX} bytes"),
                code: 2249,
            })?;
        }
        Ok(Flow::Next)
    }
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    deserializer.deserialize_any(EntriesVisitor)
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of variables")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<Entry>, A::Error> {
        let bounds = Bounds {
            field: "vars",
            max: ENTRIES_MAX,
            code: 2218,
        };
        bounds.items(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Entry>, A::Error> {
        let mut meant = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            meant.push(format!("{{{name}: …}}"));
        }
        Err(A::Error::custom(format_args!(
            "`vars` is a list, so that its order is certain: write [{}] (ERR_ADIT_2252)",
            meant.join(", ")
        )))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of one variable")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let Some(name) = map.next_key_seed(Name)? else {
            return Err(A::Error::custom(
                "an entry of `vars` names one variable (ERR_ADIT_2252)",
            ));
        };
        let value = map.next_value_seed(Bounded)?;
        match map.next_key::<String>()? {
            None => Ok(Entry { name, value }),
            Some(other) => Err(A::Error::custom(format_args!(
                "an entry of `vars` names one variable: put `-` before `{other}` (ERR_ADIT_2252)"
            ))),
        }
    }
}

/// Reads the name of a variable.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a variable")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = text.bytes().all(is_part) && !text.starts_with(|c: char| c.is_ascii_digit());
        match is_name && (1..=NAME_MAX).contains(&text.len()) {
            true => Ok(text.into()),
            false => Err(E::custom(format_args!(
                "{text:?} is no name of a variable: up to {NAME_MAX} letters, digits and `_`, no digit first \
                 (ERR_ADIT_2204)"
            ))),
        }
    }
}

/// Reads a value that is not nested too deep.
struct Bounded;

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let value = Tree::deserialize(deserializer)?;
        match value.depth() > DEPTH_MAX {
            true => Err(D::Error::custom(format_args!(
                "the variable is nested deeper than {DEPTH_MAX} lists and maps (ERR_ADIT_2250)"
            ))),
            false => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::json::encode;
    use crate::testing::{connection, get, lines, one, policy, refused, response};
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn values_keep_their_types_and_later_ones_see_earlier_ones() {
        let policy = policy(&one(
            "on_http_request",
            "set-vars",
            "{vars: [{n: 1}, {n: '${vars.n + 1}'}, {list: [a, '${req.method}']}, {m: {deep: ['${vars.n}']}}, \
             {plain: req.method}, {text: 'n is ${vars.n}'}, {nothing: null}, {half: 0.5}, {yes: true}]}",
        ));
        let lines = lines(&[]);
        let mut exchange = get("/", &lines);
        let verdict = policy.on_http_request(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let vars: Vec<_> = exchange
            .memory
            .vars()
            .map(|(name, value)| format!("{name}={}", encode(&value)))
            .collect();
        assert_eq!(
            vars,
            [
                "n=2",
                r#"list=["a","GET"]"#,
                r#"m={"deep":[2]}"#,
                r#"plain="req.method""#,
                r#"text="n is 2""#,
                "nothing=null",
                "half=0.5",
                "yes=true",
            ]
        );
    }

    #[tokio::test]
    async fn variables_decide_about_later_rules_of_their_phase_and_no_other() {
        let text = |phase: &str, then: &str| {
            format!(
                "{phase}:
  - actions: [{{type: set-vars, config: {{vars: [{{a: '${{conn.client_ip}}'}}]}}}}]
  - expressions: [\"vars.a == '192.0.2.1'\"]
    actions: [{{type: {then}}}]
"
            )
        };
        let lines = lines(&[]);
        let early = policy(&text("on_tcp_connect", "deny"));
        let verdict = early.on_tcp_connect(&mut connection()).await;
        assert!(matches!(verdict, Verdict::Deny { .. }), "{verdict:?}");
        let late = policy(&text("on_http_response", "custom-response"));
        let verdict = late.on_http_response(&mut response(&lines, &lines)).await;
        assert!(matches!(verdict, Verdict::Answer { .. }), "{verdict:?}");
        let between = policy(
            "on_http_request: [{actions: [{type: set-vars, config: {vars: [{a: 1}]}}]}]
on_http_response: [{actions: [{type: set-vars, config: {vars: [{b: '${vars.a}'}]}}]}]
",
        );
        let mut exchange = response(&lines, &lines);
        assert!(matches!(
            between.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        let verdict = between.on_http_response(&mut exchange).await;
        assert!(
            matches!(&verdict, Verdict::Fault { fault, .. } if fault.code() == 2238),
            "{verdict:?}"
        );
    }

    #[tokio::test]
    async fn all_variables_together_are_bounded() {
        let policy = policy(
            "on_http_request:
  - actions:
      - type: set-vars
        config:
          vars:
            - a: \"${req.url.path + req.url.path}\"
            - b: ['${vars.a}', '${vars.a}', '${vars.a}', '${vars.a}', '${vars.a}', '${vars.a}', '${vars.a}', '${vars.a}']
            - c: ['${vars.b}', '${vars.b}', '${vars.b}', '${vars.b}', '${vars.b}', '${vars.b}', '${vars.b}', '${vars.b}']
"
        );
        let path = format!("/{}", "x".repeat(40_000));
        let lines = lines(&[]);
        let verdict = policy.on_http_request(&mut get(&path, &lines)).await;
        assert!(
            matches!(&verdict, Verdict::Fault { fault, .. } if fault.code() == 2249),
            "{verdict:?}"
        );
        let verdict = policy.on_http_request(&mut get("/", &lines)).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
    }

    #[test]
    fn a_wrong_list_is_refused_at_its_place() {
        for (config, said) in [
            (
                "{vars: {a: 1, b: 2}}",
                "4:24: on_http_request[0].actions[0].config.vars: `vars` is a list, so that its order is certain: write [{a: …}, {b: …}] (ERR_ADIT_2252)",
            ),
            (
                "{vars: [{a: 1, b: 2}]}",
                "4:25: on_http_request[0].actions[0].config.vars[0]: an entry of `vars` names one variable: put `-` before `b` (ERR_ADIT_2252)",
            ),
            ("{vars: [{}]}", "names one variable (ERR_ADIT_2252)"),
            ("{vars: [a]}", "expected a map of one variable"),
            ("{vars: []}", "at least one item (ERR_ADIT_2223)"),
            ("{}", "missing field `vars`"),
            ("{vars: [{a-b: 1}]}", "\"a-b\" is no name of a variable"),
            ("{vars: [{1a: 1}]}", "(ERR_ADIT_2204)"),
            ("{vars: [{'': 1}]}", "(ERR_ADIT_2204)"),
            ("{vars: [{a: ['${x}']}]}", "vars[0].a[0]: "),
        ] {
            let message = refused(&one("on_http_request", "set-vars", config));
            assert!(message.contains(said), "{message}");
        }
        let nested = |depth: usize| {
            let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            one(
                "on_http_request",
                "set-vars",
                &format!("{{vars: [{{a: {value}}}]}}"),
            )
        };
        assert!(!policy(&nested(16)).is_empty());
        assert!(
            refused(&nested(17)).contains("nested deeper than 16 lists and maps (ERR_ADIT_2250)")
        );
        let named = |length: usize| {
            let name = "a".repeat(length);
            one(
                "on_http_request",
                "set-vars",
                &format!("{{vars: [{{{name}: 1}}]}}"),
            )
        };
        assert!(!policy(&named(64)).is_empty());
        assert!(refused(&named(65)).contains("(ERR_ADIT_2204)"));
    }
}
