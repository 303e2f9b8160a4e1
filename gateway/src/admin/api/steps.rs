//! What is remembered of an exchange, as the admin API shows it.

use adit_policy::{
    exchange::HeaderEdit,
    trace::{ActionTrace, Matched, Outcome, RuleTrace},
};
use http::{HeaderName, HeaderValue, header};

use super::super::resources::{
    ActionSteps, PolicySteps, Reference, RuleSteps, Trace, Try, Verdict,
};
use crate::{
    ids::Ids,
    moment,
    printable::printable,
    traces::{Record, Steps},
};

/// Values of these are never shown, wherever they came from.
const SECRET: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
];

pub(super) fn trace(ids: Ids, record: &Record) -> Trace {
    let id = ids.trace(record.number);
    let given = |text: &str| Some(printable(text).into_owned()).filter(|text| !text.is_empty());
    Trace {
        uri: format!("/traces/{id}"),
        id,
        started_at: record.began.map(moment::millis).unwrap_or_default(),
        duration_ms: record.took.as_secs_f64() * 1000.0,
        client_ip: record.client.map(|client| client.to_string()),
        method: printable(&record.method).into_owned(),
        scheme: record.scheme.to_owned(),
        host: printable(&record.host).into_owned(),
        path: printable(&record.path).into_owned(),
        status_code: record.status,
        error_code: given(&record.error),
        endpoint: given(&record.endpoint).map(endpoint),
        forwarded_to: given(&record.served_by).map(endpoint),
        agent: given(&record.agent),
        member_id: record.member.map(|member| ids.member(member)),
        tries: record
            .tries
            .iter()
            .map(|tried| Try {
                member_id: ids.member(tried.member),
                reason: tried.why.to_owned(),
            })
            .collect(),
        verdict: record.verdict.as_ref().map(|(outcome, by)| Verdict {
            outcome: (*outcome).to_owned(),
            rule: by.to_string(),
            name: by.name.as_deref().map(|name| printable(name).into_owned()),
        }),
        trace_id: record.trace_id.map(|id| id.as_str().to_owned()),
        policies: record.steps.iter().map(policy).collect(),
    }
}

pub(super) fn endpoint(id: String) -> Reference {
    Reference {
        uri: format!("/endpoints/{id}"),
        id,
    }
}

fn policy(steps: &Steps) -> PolicySteps {
    PolicySteps {
        endpoint: endpoint(steps.endpoint.clone()),
        agent: steps.agent.clone(),
        rules: steps.trace.rules.iter().map(rule).collect(),
    }
}

fn rule(rule: &RuleTrace) -> RuleSteps {
    let (expression, error) = match &rule.matched {
        Matched::Yes => (None, None),
        Matched::No { expression } => (Some(*expression), None),
        Matched::Failed { expression, error } => (Some(*expression), Some(error)),
    };
    RuleSteps {
        phase: rule.phase.to_string(),
        rule: rule.rule,
        name: rule
            .name
            .as_deref()
            .map(|name| printable(name).into_owned()),
        shadow: rule.shadow,
        matched: rule.matched == Matched::Yes,
        expression,
        error: error.map(|error| printable(error).into_owned()),
        actions: rule.actions.iter().map(action).collect(),
    }
}

fn action(action: &ActionTrace) -> ActionSteps {
    let target = action.target.as_deref();
    ActionSteps {
        kind: action.kind.to_owned(),
        outcome: outcome(&action.outcome),
        edits: action.edits.iter().map(edit).collect(),
        target: target.map(|target| printable(target).into_owned()),
        took_us: u64::try_from(action.took.as_micros()).unwrap_or(u64::MAX),
    }
}

fn outcome(outcome: &Outcome) -> String {
    let text = match outcome {
        Outcome::Next => "next".to_owned(),
        Outcome::Answered(status) => format!("answered {}", status.as_u16()),
        Outcome::Denied(status) => format!("denied {}", status.as_u16()),
        Outcome::Refused(status, code) => format!("refused {} (ERR_ADIT_{code})", status.as_u16()),
        Outcome::Closed => "closed".to_owned(),
        Outcome::Forwarded(url) => format!("forwarded to {url}"),
        Outcome::Failed { error, code } => format!("failed: {error} (ERR_ADIT_{code})"),
        Outcome::WouldRun => "would run".to_owned(),
    };
    printable(&text).into_owned()
}

fn edit(edit: &HeaderEdit) -> String {
    match edit {
        HeaderEdit::Set { name, value } => format!("set {name}: {}", shown(name, value)),
        HeaderEdit::Append { name, value } => format!("append {name}: {}", shown(name, value)),
        HeaderEdit::Remove { name } => format!("remove {name}"),
    }
}

fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if SECRET.contains(name) || value.is_sensitive() {
        return "[redacted]".to_owned();
    }
    printable(&String::from_utf8_lossy(value.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_let_somebody_in_are_hidden() {
        let line = |name: &'static str, value: &'static str| {
            let (name, value) = (name.parse().unwrap(), value.parse().unwrap());
            edit(&HeaderEdit::Set { name, value })
        };
        assert_eq!(line("x-user", "ada"), "set x-user: ada");
        for name in [
            "authorization",
            "cookie",
            "set-cookie",
            "proxy-authorization",
        ] {
            assert_eq!(line(name, "ada"), format!("set {name}: [redacted]"));
        }
        let mut value = HeaderValue::from_static("swordfish");
        value.set_sensitive(true);
        let name = HeaderName::from_static("x-token");
        assert_eq!(
            edit(&HeaderEdit::Append { name, value }),
            "append x-token: [redacted]"
        );
    }
}
