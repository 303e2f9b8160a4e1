//! `custom-response`: answers with a status, headers and a body from the policy.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::headers::Headers;
use super::status::Status;
use crate::action::{Action, Config, Fault, Flow, Phase, Reply, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Interpolated, unusable};

/// Longest body in bytes; a longer one is refused.
const BODY_MAX: usize = 64 << 10;

/// Config of `custom-response`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Said")]
pub(super) struct CustomResponse {
    said: Said,
    /// The answer, made once, if it is the same for every exchange.
    ready: Option<Reply>,
}

/// What the config says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// What the client gets, 200 to 599. Default: 200.
    #[serde(default = "ok")]
    status_code: Status,
    /// The text of the body; may hold `${…}`. Default: empty. Older policies say `content`.
    #[serde(default = "no_body", alias = "content")]
    body: Interpolated,
    /// Names and values; values may hold `${…}`. Without a `content-type`, one is guessed from the body.
    #[serde(default)]
    headers: Headers,
}

impl Config for CustomResponse {
    const TYPE: &'static str = "custom-response";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest, Phase::OnHttpResponse];
    type Action = Self;

    fn ends_the_phase(&self) -> bool {
        true
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for CustomResponse {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.answer(exchange)
    }

    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.answer(exchange)
    }
}

impl CustomResponse {
    fn answer(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        if let Some(ready) = &self.ready {
            return Ok(Flow::Answer(ready.clone()));
        }
        let (body, taint) = self.said.body.marked("body", exchange)?;
        if taint.is_secret() {
            exchange
                .memory
                .mark_parts(|parts| parts.response_body = taint);
        }
        let lines = self.said.headers.lines(exchange)?;
        let reply = reply(self.said.status_code, &body, lines);
        reply
            .map(Flow::Answer)
            .map_err(|reason| unusable("body", &reason))
    }
}

impl TryFrom<Said> for CustomResponse {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, String> {
        let lines = said.headers.0.iter();
        let lines: Option<Vec<_>> = lines
            .map(|(name, field)| Some((name.clone(), field.fixed()?.0.clone())))
            .collect();
        let ready = match (said.body.fixed(), lines) {
            (Some(body), Some(lines)) => Some(reply(said.status_code, body, lines)?),
            (Some(body), None) => reply(said.status_code, body, Vec::new()).map(|_| None)?,
            (None, _) => None,
        };
        Ok(Self { said, ready })
    }
}

fn reply(
    Status(status): Status,
    body: &str,
    lines: Vec<(HeaderName, HeaderValue)>,
) -> Result<Reply, String> {
    let bodiless = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    if bodiless.contains(&status) && !body.is_empty() {
        return Err(format!(
            "status {} allows no body (ERR_ADIT_3604)",
            status.as_u16()
        ));
    }
    if body.len() > BODY_MAX {
        return Err(format!(
            "the body is longer than {BODY_MAX} bytes (ERR_ADIT_2221)"
        ));
    }
    let mut reply = Reply::new(Bytes::copy_from_slice(body.as_bytes()));
    *reply.status_mut() = status;
    for (name, value) in lines {
        reply.headers_mut().append(name, value);
    }
    if let Some(guess) = content_type(body) {
        let guess = HeaderValue::from_static(guess);
        reply.headers_mut().entry(CONTENT_TYPE).or_insert(guess);
    }
    Ok(reply)
}

fn ok() -> Status {
    Status(StatusCode::OK)
}

fn no_body() -> Interpolated {
    Interpolated::Fixed(String::new())
}

/// A guess by the first bytes; none for an empty body.
fn content_type(body: &str) -> Option<&'static str> {
    let start = body.trim_start();
    let begins = |prefix: &str| {
        start
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    let json = start.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(start).is_ok();
    match body {
        "" => None,
        _ if json => Some("application/json"),
        _ if begins("<!doctype html") || begins("<html") => Some("text/html; charset=utf-8"),
        _ if begins("<?xml") => Some("application/xml"),
        _ => Some("text/plain; charset=utf-8"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::content_type;
    use crate::action::Reply;
    use crate::testing::{one, policy, refused, request, response};
    use crate::verdict::Verdict;

    async fn answer(config: &str) -> Reply {
        let policy = policy(&one("on_http_request", "custom-response", config));
        let verdict = policy
            .on_http_request(&mut request(&HeaderMap::new()))
            .await;
        let Verdict::Answer { reply, .. } = verdict else {
            panic!("{verdict:?}");
        };
        reply
    }

    #[tokio::test]
    async fn answers_with_200_and_nothing_unless_told_otherwise() {
        let reply = answer("{}").await;
        assert_eq!(reply.status(), 200);
        assert!(reply.body().is_empty() && reply.headers().is_empty());
    }

    #[tokio::test]
    async fn answers_with_what_the_policy_says() {
        let reply =
            answer("{status_code: 201, body: hello, headers: {X-A: b, content-type: text/x}}")
                .await;
        assert_eq!(reply.status(), 201);
        assert_eq!(reply.body(), "hello");
        assert_eq!(reply.headers()["x-a"], "b");
        assert_eq!(reply.headers()["content-type"], "text/x");
        assert_eq!(answer("{content: old}").await.body(), "old");
    }

    #[tokio::test]
    async fn replaces_a_response_in_its_phase() {
        let policy = policy(&one(
            "on_http_response",
            "custom-response",
            "{status_code: 503}",
        ));
        let lines = HeaderMap::new();
        let verdict = policy.on_http_response(&mut response(&lines, &lines)).await;
        assert!(matches!(verdict, Verdict::Answer { reply, .. } if reply.status() == 503));
    }

    #[test]
    fn the_type_of_a_body_is_guessed_by_its_first_bytes() {
        for (body, expected) in [
            ("", None),
            (r#" {"a": 1}"#, Some("application/json")),
            ("[1]", Some("application/json")),
            ("{not json}", Some("text/plain; charset=utf-8")),
            ("5", Some("text/plain; charset=utf-8")),
            ("<!DOCTYPE html><p>", Some("text/html; charset=utf-8")),
            ("<HTML>", Some("text/html; charset=utf-8")),
            ("<?xml version='1.0'?>", Some("application/xml")),
            ("ü", Some("text/plain; charset=utf-8")),
        ] {
            assert_eq!(content_type(body), expected, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_at_load() {
        assert_eq!(
            refused(&one("on_http_request", "custom-response", "{status_code: 204, body: x}")),
            "policy.yaml:4:17: on_http_request[0].actions[0].config: status 204 allows no body (ERR_ADIT_3604)
    4 |         config: {status_code: 204, body: x}
      |                 ^"
        );
        assert_eq!(
            refused(&one("on_http_request", "custom-response", "{body: 'hi ${conn.client}'}")),
            "policy.yaml:4:35: on_http_request[0].actions[0].config.body: unknown variable `conn.client`; did you mean `conn.client_ip`? (ERR_ADIT_2224)
    4 |         config: {body: 'hi ${conn.client}'}
      |                                   ^"
        );
        for (config, said) in [
            ("{body: a, content: b}", "duplicate field `body`"),
            ("{headers: {content-length: 5}}", "(ERR_ADIT_2211)"),
            ("{status_code: 101}", "(ERR_ADIT_2215)"),
            ("{status: 200}", "unknown field `status`"),
        ] {
            let message = refused(&one("on_http_request", "custom-response", config));
            assert!(message.contains(said), "{message}");
        }
        let long = format!("{{body: {}}}", "x".repeat((64 << 10) + 1));
        assert!(
            refused(&one("on_http_request", "custom-response", &long)).contains("(ERR_ADIT_2221)")
        );
    }
}
