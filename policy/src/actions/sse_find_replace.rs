//! `sse-find-replace`: changes the messages of an event stream, each as it passes.

use regex::bytes::Regex;
use serde::Deserialize;

use super::replacements::{Pattern, To, entries, fixed, recoded, results, rule};
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::body::Message;
use crate::body::find_replace::{Found, Rules};
use crate::body::replacement::Replacement;
use crate::body::sse::MESSAGE;
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText};

/// Config of `sse-find-replace`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SseFindReplace {
    /// What is found and what takes its place, in order: each on what the one before has left. A message of more than
    /// 1 MiB ends the stream, and so does one that cannot be decided about. The service is asked for plain bodies; a stream
    /// in gzip, deflate or br is decoded.
    #[serde(deserialize_with = "entries")]
    replacements: Vec<InMessage>,
}

/// One replacement in a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InMessage {
    /// The field of the message: `data`, its lines joined by line feeds, or `retry`, which stays as it was if it is no
    /// number afterwards; may hold `${…}`. Default: `data`.
    #[serde(default = "data")]
    field: Field<Which>,
    /// A regular expression in RE2's syntax; may hold `${…}`.
    from: Field<Pattern>,
    /// What takes the place of every match; may hold `${…}`. `$1` is the first group, `$$` a dollar; a `$` that comes out
    /// of a `${…}` is only a dollar. Default: nothing, which deletes the match.
    #[serde(default)]
    to: To,
}

/// A field that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Data,
    Retry,
}

#[derive(Debug)]
pub(super) struct Replace(Vec<Step>);

/// One replacement, made once if it is the same for every message.
#[derive(Debug)]
struct Step {
    said: InMessage,
    ready: Option<Rules>,
}

impl Config for SseFindReplace {
    const TYPE: &'static str = "sse-find-replace";
    const PHASES: &'static [Phase] = &[Phase::OnEventStreamMessage];
    const RESULTS: Option<&'static str> = Some("sse_find_replace");
    const READS_RESPONSE_BODY: bool = true;
    type Action = Replace;

    fn build(self, _: &Env) -> Result<Replace, Unbuildable> {
        let steps = self.replacements.into_iter().map(|said| {
            let ready = fixed(&said.from, &said.to).map(one);
            Step { said, ready }
        });
        Ok(Replace(steps.collect()))
    }
}

impl Action for Replace {
    fn on_event_stream_message(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let mut found = Vec::new();
        for (index, step) in self.0.iter().enumerate() {
            let which = *step.said.field.get("field", exchange).map_err(recoded)?;
            let made = match &step.ready {
                Some(_) => None,
                None => Some(one(rule(&step.said.from, &step.said.to, exchange)?)),
            };
            let message = exchange.message.as_deref_mut().ok_or(Fault::Phase)?;
            if let Some(rules) = step.ready.as_ref().or(made.as_ref())
                && let Some(first) = which.replace(message, rules)?
            {
                found.push(Found {
                    rule: index,
                    ..first
                });
            }
        }
        let taint = exchange.memory.action_taint();
        if taint.is_secret() {
            exchange
                .memory
                .mark_parts(|parts| parts.response_body = taint);
        }
        if exchange.memory.wants_results() {
            exchange
                .memory
                .set_result("sse_find_replace", results(&found));
        }
        Ok(Flow::Next)
    }
}

// === impl Which ===

impl Which {
    /// Changes the field, if the message has it.
    fn replace(self, message: &mut Message, rules: &Rules) -> Result<Option<Found>, Fault> {
        let field = match self {
            Self::Data => &mut message.data,
            Self::Retry => &mut message.retry,
        };
        let Some(text) = field else {
            return Ok(None);
        };
        let replaced = rules.apply(text.as_bytes())?;
        let first = replaced.found.into_iter().next();
        if first.is_some() {
            let changed = String::from_utf8_lossy(&replaced.text).into_owned();
            if self == Self::Data || is_number(&changed) {
                *text = changed;
            }
        }
        Ok(first)
    }
}

impl FromText for Which {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "data" => Ok(Self::Data),
            "retry" => Ok(Self::Retry),
            _ => Err(format!(
                "`field` is `data` or `retry`, not `{text}` (ERR_ADIT_2222)"
            )),
        }
    }
}

fn data() -> Field<Which> {
    Field::Fixed(Which::Data)
}

fn one(rule: (Regex, Replacement)) -> Rules {
    Rules::new(vec![rule], MESSAGE)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{lines, one, policy, refused, response};
    use crate::verdict::Verdict;

    const ON: &str = "on_event_stream_message";

    /// Runs the replacements on a message; the fault's number if there is one.
    fn run(replacements: &str, message: &mut Message) -> Result<(), u16> {
        let config = format!("{{replacements: {replacements}}}");
        let policy = policy(&one(ON, "sse-find-replace", &config));
        let (request, came) = (lines(&[("x-a", "a.c"), ("x-to", "$1")]), lines(&[]));
        let mut exchange = response(&request, &came);
        exchange.message = Some(message);
        match policy.on_event_stream_message(&mut exchange) {
            Verdict::Continue => Ok(()),
            Verdict::Fault { fault, .. } => Err(fault.code()),
            other => panic!("{other:?}"),
        }
    }

    fn message(data: &str, retry: &str) -> Message {
        Message {
            data: Some(data.to_owned()),
            retry: Some(retry.to_owned()),
            ..Message::default()
        }
    }

    #[test]
    fn changes_the_data_of_a_message() {
        let mut seen = message("a secret\nof 4 lines", "10");
        run(
            "[{from: 'secret'}, {from: 'of (\\d)', to: 'with $1x'}]",
            &mut seen,
        )
        .unwrap();
        assert_eq!(seen, message("a \nwith 4x lines", "10"));
    }

    #[test]
    fn changes_a_retry_only_to_a_number() {
        let mut seen = message("10", "10");
        run(
            "[{field: retry, from: '1', to: '2'}, {field: retry, from: '0', to: 'x'}]",
            &mut seen,
        )
        .unwrap();
        assert_eq!(seen, message("10", "20"));
        let mut without = Message::default();
        run("[{field: retry, from: '^', to: '2'}]", &mut without).unwrap();
        assert_eq!(without, Message::default());
    }

    #[test]
    fn what_a_client_sends_makes_expressions_and_no_groups() {
        let mut seen = message("abc", "10");
        run(
            "[{field: \"${'data'}\", from: \"(${req.headers['x-a'][0]})\", to: \"<$1 ${req.headers['x-to'][0]}>\"}]",
            &mut seen,
        )
        .unwrap();
        assert_eq!(seen.data.as_deref(), Some("<abc $1>"));
    }

    #[test]
    fn what_cannot_be_decided_is_a_fault() {
        let mut seen = message("abc", "10");
        for (replacements, code) in [
            ("[{from: \"${req.headers['x-none'][0]}\"}]", 3900),
            ("[{from: a, to: \"${req.headers['x-none'][0]}\"}]", 3900),
            ("[{from: \"(${req.headers['x-a'][0]}\"}]", 3901),
            ("[{field: \"${req.method}\", from: a}]", 2222),
        ] {
            assert_eq!(run(replacements, &mut seen), Err(code), "{replacements}");
        }
        let grown = format!("[{{from: '', to: '{}'}}]", "x".repeat(1 << 10));
        let mut long = message(&"a".repeat(1 << 12), "10");
        assert_eq!(run(&grown, &mut long), Err(3903));
    }

    #[test]
    fn the_results_name_what_matched() {
        let mut seen = message("a1b2", "10");
        let policy = policy(&format!(
            "{}  - expressions: [\"actions.ngrok.sse_find_replace.replacements == [{{'replacement_index': 1, 'matched_content': '1'}}]\"]
    actions: [{{type: sse-find-replace, config: {{replacements: [{{from: '^', to: 'yes '}}]}}}}]\n",
            one(ON, "sse-find-replace", "{replacements: [{from: x}, {from: '[0-9]'}]}")
        ));
        let none = lines(&[]);
        let mut exchange = response(&none, &none);
        exchange.message = Some(&mut seen);
        assert!(matches!(
            policy.on_event_stream_message(&mut exchange),
            Verdict::Continue
        ));
        assert_eq!(seen.data.as_deref(), Some("yes ab"));
    }

    #[test]
    fn a_wrong_config_is_refused() {
        for (config, said) in [
            (
                "{replacements: []}",
                "`replacements` needs at least one item (ERR_ADIT_2223)",
            ),
            ("{}", "missing field `replacements`"),
            ("{replacements: [{to: a}]}", "missing field `from`"),
            (
                "{replacements: [{from: '('}]}",
                "`from` is not a regular expression: unclosed group (ERR_ADIT_2261)",
            ),
            (
                "{replacements: [{field: id, from: a}]}",
                "`field` is `data` or `retry`, not `id` (ERR_ADIT_2222)",
            ),
            (
                "{replacements: [{from: a, with: b}]}",
                "unknown field `with`, expected one of `field`, `from`, `to`",
            ),
        ] {
            let message = refused(&one(ON, "sse-find-replace", config));
            assert!(message.contains(said), "{message}");
        }
        assert!(
            refused(&one("on_http_response", "sse-find-replace", "{}")).contains(
                "does not run in on_http_response, only in on_event_stream_message (ERR_ADIT_2202)"
            )
        );
        assert!(refused(&one(ON, "deny", "{}")).contains("(ERR_ADIT_2202)"));
    }
}
