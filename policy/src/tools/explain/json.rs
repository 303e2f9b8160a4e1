//! The same for programs: one JSON object. Keys are added in later versions, and never change their meaning.
//!
//! ```json
//! {
//!   "verdict": "deny", "code": null, "reason": null, "forward_to": null,
//!   "by": "on_http_request[0].actions[1] (deny)",
//!   "phases": [{
//!     "phase": "on_http_request", "verdict": "deny",
//!     "rules": [{
//!       "index": 0, "name": "admins", "shadow": false, "matched": true,
//!       "expressions": [{ "text": "req.method == 'GET'", "value": true, "error": null }],
//!       "actions": [{
//!         "index": 0, "type": "add-headers", "outcome": "next", "status": null, "code": null, "error": null, "url": null,
//!         "edits": [{ "edit": "append", "name": "x-a", "value": "1" }], "target": null, "result": null, "took_ns": 0
//!       }]
//!     }]
//!   }],
//!   "vars": {}, "results": {}, "fetched": [], "log": [],
//!   "upstream": null,
//!   "client": { "status": 403, "headers": [["x-a", "1"]], "body": "" }
//! }
//! ```
//!
//! `value` of an expression that was not looked at is null. Secrets are `***` unless they are asked for; what came from `secrets.get` is
//! `[secret vault/name]` always.

use http::HeaderMap;
use serde_json::{Value as Json, json};

use super::{Explanation, shown_if};
use crate::RuleOutline;
use crate::action::Phase;
use crate::exchange::HeaderEdit;
use crate::expr::json::to_json;
use crate::trace::{ActionTrace, Matched, Outcome, RuleTrace};

impl Explanation<'_> {
    /// Everything as JSON.
    pub fn json(&self) -> Json {
        let run = self.run;
        let (end, parts) = (run.end(), &run.secret_parts);
        let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        let vars = run.vars.iter().map(|(name, value)| (name.as_str(), value));
        let results = run.results.iter().map(|(name, value)| (*name, value));
        let named =
            |(name, value): (&str, _)| (name.to_owned(), self.secrets.json(name, to_json(value)));
        json!({
            "verdict": run.verdict(),
            "by": end.and_then(|end| end.by.as_ref()).map(ToString::to_string),
            "code": end.and_then(|end| end.code).map(|code| format!("ERR_ADIT_{code}")),
            "reason": end.and_then(|end| end.reason.as_deref()),
            "forward_to": end.and_then(|end| end.forward_to.as_deref()),
            "phases": Phase::ALL.iter().filter_map(|phase| self.phase_json(*phase)).collect::<Json>(),
            "vars": Json::Object(vars.map(named).collect()),
            "results": Json::Object(results.map(named).collect()),
            "fetched": run.fetched.iter().map(|sent| json!({
                "method": sent.method.as_str(),
                "url": shown_if(!sent.is_secret, &sent.url),
                "headers": self.lines(&sent.headers),
                "body": shown_if(!sent.is_secret, &String::from_utf8_lossy(&sent.body)),
            })).collect::<Json>(),
            "log": run.logged.iter().map(|line| {
                serde_json::from_str(line).unwrap_or_else(|_| Json::from(line.as_str()))
            }).collect::<Json>(),
            "upstream": run.upstream.as_ref().map(|sent| json!({
                "method": sent.method.as_str(),
                "url": parts.target.hide(sent.url.clone()),
                "headers": self.lines(&sent.headers),
                "body": parts.request_body.hide(text(&sent.body)),
            })),
            "client": run.client.as_ref().map(|got| json!({
                "status": got.status.as_u16(),
                "headers": self.lines(&got.headers),
                "body": parts.response_body.hide(text(&got.body)),
            })),
        })
    }

    /// `None` if the policy has nothing there, or did not come so far.
    fn phase_json(&self, phase: Phase) -> Option<Json> {
        let ended = self.run.phases.iter().rfind(|ended| ended.phase == phase)?;
        let outlines: Vec<_> = self
            .policy
            .outline()
            .filter(|rule| rule.phase == phase)
            .collect();
        let rules = self
            .run
            .trace
            .rules
            .iter()
            .filter(|rule| rule.phase == phase);
        let rules = rules.filter_map(|rule| Some(self.rule_json(rule, outlines.get(rule.rule)?)));
        Some(json!({
            "phase": phase.name(),
            "verdict": ended.verdict,
            "rules": rules.collect::<Json>(),
        }))
    }

    fn rule_json(&self, rule: &RuleTrace, outline: &RuleOutline<'_>) -> Json {
        let expressions = outline.expressions.iter().enumerate();
        let expressions = expressions.map(|(index, text)| {
            let (value, error) = match &rule.matched {
                Matched::Yes => (Some(true), None),
                Matched::No { expression } if *expression == index => (Some(false), None),
                Matched::Failed { expression, error } if *expression == index => {
                    (None, Some(error))
                }
                Matched::No { expression } | Matched::Failed { expression, .. } => {
                    ((index < *expression).then_some(true), None)
                }
            };
            json!({ "text": text, "value": value, "error": error })
        });
        json!({
            "index": rule.rule,
            "name": outline.name,
            "shadow": rule.shadow,
            "matched": rule.matched == Matched::Yes,
            "expressions": expressions.collect::<Json>(),
            "actions": rule.actions.iter().map(|action| self.action_json(action)).collect::<Json>(),
        })
    }

    fn action_json(&self, action: &ActionTrace) -> Json {
        let (word, status, code, error, url) = match &action.outcome {
            Outcome::Next => ("next", None, None, None, None),
            Outcome::Answered(status) => ("answered", Some(status), None, None, None),
            Outcome::Denied(status) => ("denied", Some(status), None, None, None),
            Outcome::Refused(status, code) => ("refused", Some(status), Some(code), None, None),
            Outcome::Closed => ("closed", None, None, None, None),
            Outcome::Forwarded(url) => ("forwarded", None, None, None, Some(url)),
            Outcome::Failed { error, code } => ("failed", None, Some(code), Some(error), None),
            Outcome::WouldRun => ("would_run", None, None, None, None),
        };
        let result = action.result.as_ref().map(|(name, value)| {
            json!({ "name": name, "value": self.secrets.json(name, to_json(value)) })
        });
        json!({
            "index": action.action,
            "type": action.kind,
            "outcome": word,
            "status": status.map(|status| status.as_u16()),
            "code": code.map(|code| format!("ERR_ADIT_{code}")),
            "error": error,
            "url": url,
            "edits": action.edits.iter().map(|edit| self.edit_json(edit)).collect::<Json>(),
            "target": action.target,
            "result": result,
            "took_ns": u64::try_from(action.took.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    fn edit_json(&self, edit: &HeaderEdit) -> Json {
        let (word, name, value) = match edit {
            HeaderEdit::Set { name, value } => ("set", name, Some(value)),
            HeaderEdit::Append { name, value } => ("append", name, Some(value)),
            HeaderEdit::Remove { name } => ("remove", name, None),
        };
        let value = value.map(|value| self.secrets.value(name, value));
        json!({ "edit": word, "name": name.as_str(), "value": value })
    }

    fn lines(&self, lines: &HeaderMap) -> Json {
        let lines = lines.iter();
        let lines = lines.map(|(name, value)| json!([name.as_str(), self.value(name, value)]));
        lines.collect()
    }
}
