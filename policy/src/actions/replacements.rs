//! What the find-replace actions share: `from`, a regular expression, and `to`, what takes the place of its matches.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::Regex;
use serde::Deserialize;
use serde::de::Deserializer;

use super::list::Bounds;
use crate::action::Fault;
use crate::body::BODY_MAX;
use crate::body::find_replace::{Found, Rules};
use crate::body::replacement::Replacement;
use crate::exchange::Exchange;
use crate::expr::pattern::compile_bytes;
use crate::expr::{Field, FromText, Part, Value, interpolation};

/// Most entries of `replacements`; one more is refused.
const ENTRIES: Bounds = Bounds {
    field: "replacements",
    max: 100,
    code: 2218,
};
/// Longest `from` and `to` in a policy, in bytes; a longer one is refused.
const TEXT_MAX: usize = 64 << 10;
/// Longest `to` that a `${…}` may make, in bytes; beyond, the phase fails.
const MADE_MAX: usize = 1 << 20;

/// One replacement in a body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InBody {
    /// A regular expression in RE2's syntax; may hold `${…}`. What it yields stands in the expression as it is: escape
    /// what comes from a client.
    from: Field<Pattern>,
    /// What takes the place of every match; may hold `${…}`. `$1` is the first group, `$$` a dollar; a `$` that comes out
    /// of a `${…}` is only a dollar. Default: nothing, which deletes the match.
    #[serde(default)]
    to: To,
}

/// The replacements in a body, made once if they are the same for every exchange.
#[derive(Debug)]
pub(super) struct BodyRules {
    entries: Vec<InBody>,
    ready: Option<Arc<Rules>>,
}

/// A regular expression in RE2's syntax, for bytes that are read as UTF-8 where they are UTF-8.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

/// What takes the place of a match. `$1` of the policy's own text is a group; a `$` that a `${…}` yields is a dollar.
#[derive(Debug)]
pub(super) struct To(Field<Replacement>);

/// Reads the list `replacements`.
pub(super) fn entries<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    ENTRIES.read(deserializer)
}

/// The two, for an exchange.
pub(super) fn rule(
    from: &Field<Pattern>,
    to: &To,
    exchange: &Exchange<'_>,
) -> Result<(Regex, Replacement), Fault> {
    let pattern = from.get("from", exchange).map_err(recoded)?;
    let to = to.get(exchange).map_err(recoded)?;
    Ok((pattern.into_owned().0, to.into_owned()))
}

/// The two, if they are the same for every exchange.
pub(super) fn fixed(from: &Field<Pattern>, to: &To) -> Option<(Regex, Replacement)> {
    Some((from.fixed()?.0.clone(), to.0.fixed()?.clone()))
}

/// What an action leaves of the rules that matched.
pub(super) fn results<'f>(found: impl IntoIterator<Item = &'f Found>) -> Value<'static> {
    let found = found.into_iter().map(|found| {
        let index = i64::try_from(found.rule).unwrap_or(i64::MAX);
        Value::map([
            ("replacement_index", Value::Int(index)),
            ("matched_content", Value::text(found.text.clone())),
        ])
    });
    Value::map([("replacements", Value::list(found))])
}

/// The numbers of these actions: 3900 for a `${…}` that fails, 3901 if what it yields is no regular expression.
pub(super) fn recoded(fault: Fault) -> Fault {
    match fault {
        Fault::Interpolation {
            field,
            reason,
            code: code @ (2238 | 2261),
        } => Fault::Interpolation {
            field,
            reason: reason.replace("ERR_ADIT_2261", "ERR_ADIT_3901"),
            code: if code == 2261 { 3901 } else { 3900 },
        },
        other => other,
    }
}

// === impl BodyRules ===

impl BodyRules {
    pub(super) fn new(entries: Vec<InBody>) -> Self {
        let fixed: Option<_> = entries
            .iter()
            .map(|one| fixed(&one.from, &one.to))
            .collect();
        let ready = fixed.map(|rules| Arc::new(Rules::new(rules, BODY_MAX)));
        Self { entries, ready }
    }

    /// The rules for an exchange.
    pub(super) fn get(&self, exchange: &Exchange<'_>) -> Result<Arc<Rules>, Fault> {
        if let Some(ready) = &self.ready {
            return Ok(Arc::clone(ready));
        }
        let rules = self
            .entries
            .iter()
            .map(|one| rule(&one.from, &one.to, exchange));
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Arc::new(Rules::new(rules, BODY_MAX)))
    }
}

// === impl Pattern ===

impl FromText for Pattern {
    fn from_text(text: &str) -> Result<Self, String> {
        within(text, "from")?;
        let pattern = compile_bytes(text).map_err(|reason| {
            format!("`from` is not a regular expression: {reason} (ERR_ADIT_2261)")
        })?;
        Ok(Self(pattern))
    }
}

// === impl To ===

impl Default for To {
    fn default() -> Self {
        Self(Field::Fixed(Replacement::default()))
    }
}

impl To {
    /// The text for an exchange.
    pub(super) fn get(&self, exchange: &Exchange<'_>) -> Result<Cow<'_, Replacement>, Fault> {
        let template = match &self.0 {
            Field::Fixed(to) => return Ok(Cow::Borrowed(to)),
            Field::Computed(template) => template,
        };
        let mut made = 0;
        let parts = template.parts().iter().map(|part| match part {
            Part::Text(text) => Ok(Replacement::parse(text)),
            Part::Expression(expression) => {
                let value = expression.value(exchange);
                let value = value.map_err(|error| interpolation("to", error))?;
                let text = value.to_text();
                made += text.len();
                match made > MADE_MAX {
                    true => Err(too_long()),
                    false => Ok(Replacement::literal(&text)),
                }
            }
        });
        parts.collect::<Result<_, Fault>>().map(Cow::Owned)
    }
}

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Field::deserialize(deserializer).map(Self)
    }
}

impl FromText for Replacement {
    fn from_text(text: &str) -> Result<Self, String> {
        within(text, "to")?;
        Ok(Self::parse(text))
    }
}

fn within(text: &str, field: &str) -> Result<(), String> {
    match text.len() > TEXT_MAX {
        true => Err(format!(
            "`{field}` is longer than {TEXT_MAX} bytes (ERR_ADIT_2221)"
        )),
        false => Ok(()),
    }
}

fn too_long() -> Fault {
    Fault::Interpolation {
        field: "to",
        reason: format!("it is longer than {MADE_MAX} bytes (ERR_ADIT_50002)"),
        code: 50002,
    }
}
