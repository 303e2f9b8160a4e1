//! A policy as its text says it: typed, every value checked, nothing fetched or built yet.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::action::Phase;
use crate::actions::{self, Kind, ReadConfig};
pub use crate::mistake::{Mistake, read};

/// Most rules in one phase; one more is refused.
const RULES_MAX: usize = 1_000;
/// Most actions in one rule; one more is refused.
const ACTIONS_MAX: usize = 100;
/// Parts of the language that a later version brings. To ignore one would turn a policy into another.
const LATER: &[&str] = &[
    "on_tcp_connect",
    "on_event_stream_message",
    "inbound",
    "outbound",
    "expressions",
    "mode",
];

/// A policy that was read and not built. It can stand in any document: `traffic_policy: {…}` reads itself into one.
#[derive(Debug)]
pub struct Document {
    pub(crate) on_http_request: Vec<RuleText>,
    pub(crate) on_http_response: Vec<RuleText>,
}

/// One rule of a phase.
#[derive(Debug, Default)]
pub(crate) struct RuleText {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) actions: Vec<ActionText>,
}

/// One action of a rule, its config read.
#[derive(Debug)]
pub(crate) struct ActionText {
    pub(crate) kind: &'static str,
    pub(crate) config: Box<dyn ReadConfig>,
}

// === impl Document ===

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
        const KEYS: Keys = Keys {
            of: "phase",
            known: &["on_http_request", "on_http_response"],
            code: 2230,
        };
        let mut document = Document {
            on_http_request: Vec::new(),
            on_http_response: Vec::new(),
        };
        while let Some(key) = map.next_key_seed(KEYS)? {
            match key {
                Some("on_http_request") => {
                    document.on_http_request = map.next_value_seed(rules(Phase::OnHttpRequest))?
                }
                Some("on_http_response") => {
                    document.on_http_response = map.next_value_seed(rules(Phase::OnHttpResponse))?
                }
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        if document.on_http_request.is_empty() && document.on_http_response.is_empty() {
            return Err(A::Error::custom(
                "a policy needs at least one rule with an action (ERR_ADIT_2206)",
            ));
        }
        Ok(document)
    }
}

// === impl RuleText ===

fn rules(phase: Phase) -> ListOf<RuleText> {
    ListOf {
        phase,
        max: RULES_MAX,
        what: "rules",
        hint: "a phase is a list: put `-` before the rule",
        item: PhantomData,
    }
}

impl Item for RuleText {
    fn read<'de, A: MapAccess<'de>>(phase: Phase, mut map: A) -> Result<Self, A::Error> {
        const KEYS: Keys = Keys {
            of: "field",
            known: &["name", "actions"],
            code: 2236,
        };
        const ACTIONS: &str = "`actions` is a list: put `-` before the action";
        let mut rule = Self::default();
        while let Some(key) = map.next_key_seed(KEYS)? {
            match key {
                Some("name") => rule.name = map.next_value::<Option<String>>()?.map(Arc::from),
                Some("actions") => {
                    let list = ListOf {
                        phase,
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
}

// === impl ActionText ===

impl Item for ActionText {
    fn read<'de, A: MapAccess<'de>>(phase: Phase, mut map: A) -> Result<Self, A::Error> {
        const KEYS: Keys = Keys {
            of: "field",
            known: &["type", "config"],
            code: 2236,
        };
        let mut kind = None;
        let mut config = None;
        // Machines sort keys, so `config` may come before the word that says how to read it.
        let mut early = None;
        while let Some(key) = map.next_key_seed(KEYS)? {
            match (key, kind) {
                (Some("type"), _) => kind = Some(map.next_value_seed(Kind { phase })?),
                (Some("config"), Some(kind)) => {
                    config = Some(map.next_value_seed(actions::ConfigOf { kind })?)
                }
                (Some("config"), None) => early = Some(map.next_value::<serde_yaml::Value>()?),
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        let kind =
            kind.ok_or_else(|| A::Error::custom("an action needs a `type` (ERR_ADIT_2206)"))?;
        let config = match config {
            Some(config) => config,
            None => {
                let value = early.unwrap_or(serde_yaml::Value::Null);
                let place = |error| A::Error::custom(format_args!("config: {error}"));
                actions::ConfigOf { kind }
                    .deserialize(value)
                    .map_err(place)?
            }
        };
        Ok(Self { kind, config })
    }
}

/// Something that a list of a policy holds.
trait Item: Sized {
    fn read<'de, A: MapAccess<'de>>(phase: Phase, map: A) -> Result<Self, A::Error>;
}

struct ListOf<T> {
    phase: Phase,
    max: usize,
    what: &'static str,
    hint: &'static str,
    item: PhantomData<T>,
}

impl<'de, T: Item> DeserializeSeed<'de> for ListOf<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Item> Visitor<'de> for ListOf<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.what)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Vec<T>, A::Error> {
        Err(A::Error::custom(format_args!(
            "{} (ERR_ADIT_2236)",
            self.hint
        )))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(One {
            phase: self.phase,
            item: PhantomData,
        })? {
            if items.len() == self.max {
                return Err(A::Error::custom(format_args!(
                    "more than {} {} in one list",
                    self.max, self.what
                )));
            }
            items.push(item);
        }
        Ok(items)
    }
}

struct One<T> {
    phase: Phase,
    item: PhantomData<T>,
}

impl<'de, T: Item> DeserializeSeed<'de> for One<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Item> Visitor<'de> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read(self.phase, map)
    }
}

/// The keys of one kind of map. A key that begins with `x-` is nobody's (`None`): a home for anchors.
#[derive(Clone, Copy)]
struct Keys {
    of: &'static str,
    known: &'static [&'static str],
    code: u16,
}

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Keys {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let Self { of, known, code } = self;
        match known.iter().find(|name| **name == key) {
            Some(name) => Ok(Some(name)),
            None if key.starts_with("x-") => Ok(None),
            None if LATER.contains(&key) => Err(E::custom(format_args!(
                "`{key}` is not built into this version"
            ))),
            None => {
                let known = known.join("` or `");
                Err(E::custom(format_args!(
                    "unknown {of} `{key}`, expected `{known}` (ERR_ADIT_{code})"
                )))
            }
        }
    }
}
