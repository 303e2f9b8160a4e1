//! What is left under `actions.ngrok.http_request`, and what `last_attempt` is.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::super::results::error_value;
use super::send::{Answer, Asked, Attempt, Failure};
use crate::expr::Value;
use crate::memory::Memory;
use crate::taint::{Taint, Taints};

pub(super) const NAME: &str = "http_request";

type Entry = (&'static str, Value<'static>);

/// Leaves what was asked, what came of each attempt, and what came of the last one.
pub(super) fn leave(asked: &Asked, attempts: &[Attempt], memory: &mut Memory) {
    let told = Value::list(attempts.iter().map(|attempt| brief(&attempt.outcome)));
    let last = of(asked, attempts.last());
    let all = [("attempts", told)].into_iter().chain(last);
    memory.set_marked_result(NAME, Value::map(all), taints(asked, memory));
}

/// What of the request came from secrets, and what may tell of it.
fn taints(asked: &Asked, memory: &Memory) -> Taints {
    let mut taints = Taints::default();
    for path in [["req", "url"], ["error", "message"]] {
        taints.add(&path, asked.url_taint.clone());
    }
    taints.add(&["req", "body"], asked.body_taint.clone());
    for (name, line) in &asked.headers {
        for spelling in ["header", "headers"] {
            let taint = memory.taint_of_line(line);
            taints.add(&["req", spelling, name.as_str()], taint);
        }
    }
    taints
}

/// The same as one mark, for what looks at an attempt as a whole.
pub(super) fn taint(asked: &Asked, memory: &Memory) -> Taint {
    taints(asked, memory).at(&[])
}

/// The same without an attempt, for there was no URL to ask.
pub(super) fn leave_unasked(method: &Method, failure: Failure, memory: &mut Memory) {
    let nothing = [
        ("attempts", Value::list([])),
        ("req", request(method, "", &HeaderMap::new(), "")),
        ("res", response(None)),
        ("error", error(Some(&failure))),
    ];
    memory.set_result(NAME, Value::map(nothing));
}

/// What was asked, and what came of an attempt.
pub(super) fn of(asked: &Asked, attempt: Option<&Attempt>) -> [Entry; 3] {
    let Asked {
        method,
        url,
        headers,
        body,
        ..
    } = asked;
    let body = String::from_utf8_lossy(body);
    let outcome = attempt.map(|attempt| attempt.outcome.as_ref());
    [
        ("req", request(method, &url.to_string(), headers, &body)),
        ("res", response(outcome.and_then(Result::ok))),
        ("error", error(outcome.and_then(Result::err))),
    ]
}

fn error(failure: Option<&Failure>) -> Value<'static> {
    error_value(failure.map(|failure| (failure.code(), failure.reason())))
}

fn brief(outcome: &Result<Answer, Failure>) -> Value<'static> {
    let answer = outcome.as_ref().ok();
    Value::map([
        ("resolved_ip", resolved(answer)),
        (
            "response_header",
            answer.map_or_else(no_lines, |answer| lines(&answer.headers)),
        ),
        ("response_status_code", status(answer)),
        ("response_time_ms", milliseconds(answer)),
    ])
}

fn request(method: &Method, url: &str, headers: &HeaderMap, body: &str) -> Value<'static> {
    let header = lines(headers);
    Value::map([
        ("method", Value::text(method.as_str().to_owned())),
        ("url", Value::text(url.to_owned())),
        ("body", Value::text(body.to_owned())),
        ("header", header.clone()),
        ("headers", header),
    ])
}

/// Complete also without an answer, so that a condition on the status needs no other one before it.
fn response(answer: Option<&Answer>) -> Value<'static> {
    let header = answer.map_or_else(no_lines, |answer| lines(&answer.headers));
    let body = answer.map_or_else(|| "".into(), |answer| String::from_utf8_lossy(&answer.body));
    // Older policies use both spellings of two names.
    Value::map([
        ("resolved_ip", resolved(answer)),
        ("status_code", status(answer)),
        ("statusCode", status(answer)),
        ("time_ms", milliseconds(answer)),
        ("body", Value::text(Arc::<str>::from(body))),
        ("header", header.clone()),
        ("headers", header),
    ])
}

fn status(answer: Option<&Answer>) -> Value<'static> {
    Value::Int(answer.map_or(0, |answer| answer.status.as_u16().into()))
}

fn resolved(answer: Option<&Answer>) -> Value<'static> {
    let address = answer.and_then(|answer| answer.resolved);
    Value::text(address.map_or_else(String::new, |address| address.to_string()))
}

fn milliseconds(answer: Option<&Answer>) -> Value<'static> {
    Value::text(answer.map_or_else(String::new, |answer| answer.took.as_millis().to_string()))
}

fn no_lines() -> Value<'static> {
    Value::map::<&str>([])
}

/// One list of texts for each name.
fn lines(headers: &HeaderMap) -> Value<'static> {
    Value::map(headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        (name.as_str().to_owned(), Value::texts(values))
    }))
}
