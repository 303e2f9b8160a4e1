//! What `redirect` and `url-rewrite` share: `from`, a regular expression on the whole URL, and `to`, what takes its place.

use std::fmt;

use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IntoDeserializer, Visitor};

use super::replacements::To;
use super::results::error_value;
use crate::action::Fault;
use crate::body::replacement::Replacement;
use crate::exchange::Exchange;
use crate::expr::pattern::compile;
use crate::expr::{Field, FromText, Piece, Value, pieces, unusable};
use crate::memory::Memory;
use crate::taint::{Taint, Taints};

/// Longest URL that an action may make, in bytes; beyond, the phase fails.
const URL_MAX: usize = 8 << 10;
/// Longest `from` in a policy, in bytes; a longer one is refused.
const FROM_MAX: usize = 64 << 10;
/// Variables of older policies, and what they are called now.
const OLDER: &[(&str, &str)] = &[
    ("args", "${req.url.query}"),
    ("authority", "${req.url.authority}"),
    ("host", "${req.url.host}"),
    ("is_args", "${req.url.query == '' ? '' : '?'}"),
    ("is_user", "${req.url.user_password == '' ? '' : '@'}"),
    ("port", "${req.url.port}"),
    ("query_string", "${req.url.query}"),
    ("scheme", "${req.url.scheme}"),
    ("uri", "${req.url.uri}"),
    ("user", "${req.url.user_password}"),
];

/// A regular expression in RE2's syntax, searched for in the whole URL.
#[derive(Clone, Debug)]
pub(super) struct UrlPattern(Regex);

/// What takes the place of its matches, without the variables of older policies.
#[derive(Debug)]
pub(super) struct UrlTo(To);

/// A URL in which all matches gave way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// What matched; kept only if somebody looks at it.
    pub(super) matches: Vec<String>,
    /// What became of the URL, still to be made sense of.
    pub(super) url: String,
}

/// Replaces all matches in the request's URL; without `from`, all of it. `None`: there are none.
pub(super) fn replaced(
    from: Option<&Field<UrlPattern>>,
    to: &UrlTo,
    exchange: &Exchange<'_>,
) -> Result<Option<Made>, Fault> {
    let subject = exchange.request()?.url();
    let is_told = exchange.memory.wants_results();
    let pattern = from.map(|from| from.get("from", exchange)).transpose();
    let pattern = pattern.map_err(at_run_time)?;
    let to = to.0.get(exchange)?;
    let made = match &pattern {
        Some(pattern) => in_matches(&pattern.0, &to, &subject, is_told)?,
        None => {
            let url = to.of_whole(&subject);
            let matches = if is_told { vec![subject] } else { Vec::new() };
            Some(Made { matches, url })
        }
    };
    match made {
        Some(made) if made.url.len() > URL_MAX => Err(too_long()),
        made => Ok(made),
    }
}

/// Leaves under `actions.ngrok.<name>` what matched, the URL that the action ended with, and what went wrong.
pub(super) fn leave_results(
    name: &'static str,
    matches: Vec<String>,
    url: String,
    fault: Option<&Fault>,
    memory: &mut Memory,
) {
    let error = fault.map(|fault| (fault.code(), fault.to_string()));
    let left = Value::map([
        ("matches", Value::texts(matches)),
        ("url", Value::text(url)),
        ("error", error_value(error)),
    ]);
    let mut taints = Taints::default();
    for field in ["matches", "url"] {
        taints.add(&[field], taint(memory));
    }
    memory.set_marked_result(name, left, taints);
}

/// Whether the URL that was made came from a secret, the one that was there before included.
pub(super) fn taint(memory: &Memory) -> Taint {
    match memory.has_secrets() {
        true => memory.action_taint().and(memory.secret_parts().target),
        false => Taint::None,
    }
}

/// What `to` has made is no URL that can be used.
pub(super) fn unusable_url(reason: impl fmt::Display) -> Fault {
    unusable("to", &format!("{reason} (ERR_ADIT_2247)"))
}

fn in_matches(
    pattern: &Regex,
    to: &Replacement,
    subject: &str,
    is_told: bool,
) -> Result<Option<Made>, Fault> {
    let mut matches = Vec::new();
    let mut url = None;
    let mut copied = 0;
    for groups in pattern.captures_iter(subject) {
        let whole = groups.get_match();
        if is_told {
            matches.push(whole.as_str().to_owned());
        }
        let url = url.get_or_insert_with(String::new);
        url.push_str(subject.get(copied..whole.start()).unwrap_or_default());
        to.expand(&groups, url);
        copied = whole.end();
        // There may be as many matches as characters.
        if url.len() > URL_MAX {
            return Err(too_long());
        }
    }
    Ok(url.map(|mut url| {
        url.push_str(subject.get(copied..).unwrap_or_default());
        Made { matches, url }
    }))
}

fn too_long() -> Fault {
    unusable_url(format_args!("the URL would be longer than {URL_MAX} bytes"))
}

/// A `from` that is no regular expression has another number once it is made for an exchange.
fn at_run_time(fault: Fault) -> Fault {
    match fault {
        Fault::Interpolation {
            field,
            reason,
            code: 2261,
        } => Fault::Interpolation {
            field,
            reason: reason.replace("ERR_ADIT_2261", "ERR_ADIT_3901"),
            code: 3901,
        },
        other => other,
    }
}

// === impl UrlPattern ===

impl FromText for UrlPattern {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.len() > FROM_MAX {
            return Err(format!(
                "`from` is longer than {FROM_MAX} bytes (ERR_ADIT_2221)"
            ));
        }
        compile(text).map(Self).map_err(|reason| {
            format!("`from` is not a regular expression: {reason} (ERR_ADIT_2261)")
        })
    }
}

// === impl UrlTo ===

impl<'de> Deserialize<'de> for UrlTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(UrlToVisitor)
    }
}

struct UrlToVisitor;

impl Visitor<'_> for UrlToVisitor {
    type Value = UrlTo;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UrlTo, E> {
        if let Some((variable, now)) = older_variable(text) {
            return Err(E::custom(format_args!(
                "`${variable}` belongs to older policies: write {now}, or `$$` for a dollar (ERR_ADIT_2204)"
            )));
        }
        To::deserialize(text.into_deserializer()).map(UrlTo)
    }
}

/// The first variable of older policies, outside of `${…}`, and what it is called now.
fn older_variable(text: &str) -> Option<(String, String)> {
    // What cannot be cut into pieces is refused when it is read.
    let pieces = pieces(text).ok()?;
    pieces.iter().find_map(|piece| match piece {
        Piece::Text(literal) => in_literal(&literal.replace("$$", "")),
        Piece::Expression { .. } => None,
    })
}

fn in_literal(literal: &str) -> Option<(String, String)> {
    literal.split('$').skip(1).find_map(|behind| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word = behind.split(|c| !is_word(c)).next()?;
        let now = match word.strip_prefix("arg_") {
            Some(name) => format!("${{req.url.query_params['{name}'][0]}}"),
            None => {
                let (_, now) = OLDER.iter().find(|(older, _)| *older == word)?;
                (*now).to_owned()
            }
        };
        Some((word.to_owned(), now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_older_policies_are_known_by_their_whole_name() {
        for (text, now) in [
            ("/a?$args", Some("${req.url.query}")),
            ("https://$host/x", Some("${req.url.host}")),
            ("$scheme://a", Some("${req.url.scheme}")),
            ("/$arg_id-x", Some("${req.url.query_params['id'][0]}")),
            ("/${req.method}$uri", Some("${req.url.uri}")),
            ("/$hostile", None),
            ("/$$host", None),
            ("/$1/$", None),
            ("/${'$host'}", None),
            ("$${host}", None),
        ] {
            let found = older_variable(text).map(|(_, now)| now);
            assert_eq!(found.as_deref(), now, "{text}");
        }
    }

    #[test]
    fn a_url_does_not_grow_without_end() {
        let pattern = Regex::new("").unwrap();
        let to = Replacement::parse(&"x".repeat(1_000));
        let fault = in_matches(&pattern, &to, "https://a.example/path", false).unwrap_err();
        assert_eq!(fault.code(), 2247);
        let to = Replacement::parse("-");
        let made = in_matches(&pattern, &to, "ab", true).unwrap().unwrap();
        assert_eq!(made.url, "-a-b-");
        assert_eq!(made.matches, ["", "", ""]);
    }
}
