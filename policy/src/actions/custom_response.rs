//! `custom-response`: answers with a status, headers and a body from the policy.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::fixed::Fixed;
use super::headers::Headers;
use super::status::Status;
use crate::action::{Action, Config, Fault, Flow, Phase, Reply, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;

/// Longest body in bytes; a longer one is refused.
const BODY_MAX: usize = 64 << 10;

/// Config of `custom-response`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// What the client gets, 200 to 599. Default: 200.
    #[serde(default = "ok")]
    status_code: Status,
    /// The text of the body. Default: empty. Older policies say `content`.
    #[serde(default, alias = "content")]
    body: Fixed,
    /// Names and values. Without a `content-type`, one is guessed from the body.
    #[serde(default)]
    headers: Headers,
}

/// The answer, made once when the policy is read.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Said")]
pub(super) struct CustomResponse(Reply);

impl Config for CustomResponse {
    const TYPE: &'static str = "custom-response";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest, Phase::OnHttpResponse];
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

#[async_trait]
impl Action for CustomResponse {
    async fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(Flow::Stop(self.0.clone()))
    }

    async fn on_http_response(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(Flow::Stop(self.0.clone()))
    }
}

impl TryFrom<Said> for CustomResponse {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, String> {
        let Said {
            status_code: Status(status),
            body: Fixed(body),
            headers: Headers(lines),
        } = said;
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
        let guess = content_type(&body);
        let mut reply = Reply::new(Bytes::from(body));
        *reply.status_mut() = status;
        for (name, value) in lines {
            reply.headers_mut().append(name, value);
        }
        if let Some(guess) = guess {
            reply
                .headers_mut()
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(guess));
        }
        Ok(Self(reply))
    }
}

fn ok() -> Status {
    Status(StatusCode::OK)
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
    use crate::verdict::{ReplyKind, Verdict};

    async fn answer(config: &str) -> Reply {
        let policy = policy(&one("on_http_request", "custom-response", config));
        let verdict = policy
            .on_http_request(&mut request(&HeaderMap::new()))
            .await;
        let Verdict::Reply {
            reply,
            kind: ReplyKind::Answer,
            ..
        } = verdict
        else {
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
        assert!(matches!(verdict, Verdict::Reply { reply, .. } if reply.status() == 503));
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
            refused(&one("on_http_request", "custom-response", "{body: 'hi ${conn.client_ip}'}")),
            "policy.yaml:4:24: on_http_request[0].actions[0].config.body: templates (`${…}`) are not built into this version; a literal `${` is written `$${`
    4 |         config: {body: 'hi ${conn.client_ip}'}
      |                        ^"
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
