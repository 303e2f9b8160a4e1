//! `add-headers`: appends header lines to the request, or to the response.

use http::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::headers::Headers;
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Value;
use crate::taint::Taints;

/// Config of `add-headers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddHeaders {
    /// Names and values, at least one. A line is appended and never replaces one, except that a request has only one
    /// `host` and one `user-agent`: those are replaced. Where a response then sends clients to the new host, it sends them to
    /// the old one.
    #[serde(deserialize_with = "some_headers")]
    headers: Headers,
}

impl Config for AddHeaders {
    const TYPE: &'static str = "add-headers";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest, Phase::OnHttpResponse];
    const RESULTS: Option<&'static str> = Some("add_headers");
    type Action = Self;

    fn marks_responses(&self) -> bool {
        self.headers.0.iter().any(|(name, _)| name == HOST)
    }

    fn adds_headers(&self) -> Vec<HeaderName> {
        let lines = self.headers.0.iter();
        lines.map(|(name, _)| name.clone()).collect()
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for AddHeaders {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let lines = self.headers.lines(exchange)?;
        leave_results(exchange, &lines);
        for (name, value) in lines {
            if name == HOST {
                exchange.memory.replace_host(value.clone());
            }
            let head = &mut exchange.request_mut()?.head;
            match name {
                HOST | USER_AGENT => head.set(name, value)?,
                _ => head.append(name, value)?,
            }
        }
        Ok(Flow::Next)
    }

    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let lines = self.headers.lines(exchange)?;
        leave_results(exchange, &lines);
        let head = &mut exchange.response_mut()?.head;
        for (name, value) in lines {
            head.append(name, value)?;
        }
        Ok(Flow::Next)
    }
}

fn leave_results(exchange: &mut Exchange<'_>, lines: &[(HeaderName, HeaderValue)]) {
    if exchange.memory.wants_results() {
        let mut taints = Taints::default();
        for (name, value) in lines {
            let taint = exchange.memory.taint_of_line(value);
            taints.add(&["headers_added", name.as_str()], taint);
        }
        let added = lines.iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), Value::text(text))
        });
        let added = Value::map([("headers_added", Value::map(added))]);
        let memory = &mut exchange.memory;
        memory.set_marked_result("add_headers", added, taints);
    }
}

fn some_headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    let headers = Headers::deserialize(deserializer)?;
    if headers.0.is_empty() {
        return Err(D::Error::custom(
            "`headers` needs at least one header (ERR_ADIT_2223)",
        ));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use crate::exchange::HeaderEdit;
    use crate::testing::{lines, one, policy, refused, request, response};
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn appends_to_the_request_and_never_replaces() {
        let policy = policy(&one(
            "on_http_request",
            "add-headers",
            "{headers: {X-Role: admin, x-n: 5}}",
        ));
        let lines = lines(&[("x-role", "user")]);
        let mut exchange = request(&lines);
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        let values: Vec<_> = exchange
            .request()
            .unwrap()
            .head
            .lines()
            .get_all("x-role")
            .iter()
            .collect();
        assert_eq!(values, ["user", "admin"]);
        let added = ("x-n".parse().unwrap(), "5".parse().unwrap());
        assert_eq!(
            exchange.request().unwrap().head.edits()[1],
            HeaderEdit::Append {
                name: added.0,
                value: added.1
            }
        );
    }

    #[tokio::test]
    async fn replaces_the_host_and_the_user_agent_of_a_request() {
        let policy = policy(&one(
            "on_http_request",
            "add-headers",
            "{headers: {host: b.example, user-agent: adit}}",
        ));
        let lines = lines(&[("host", "a.example"), ("user-agent", "curl")]);
        let mut exchange = request(&lines);
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        assert_eq!(exchange.request().unwrap().head.lines().len(), 2);
        assert_eq!(
            exchange.request().unwrap().head.lines()["host"],
            "b.example"
        );
        assert_eq!(
            exchange.request().unwrap().head.lines()["user-agent"],
            "adit"
        );
    }

    #[tokio::test]
    async fn appends_to_the_response_in_its_phase() {
        let policy = policy(&one(
            "on_http_response",
            "add-headers",
            "{headers: {x-a: b}}",
        ));
        let lines = lines(&[]);
        let mut exchange = response(&lines, &lines);
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        assert_eq!(exchange.head_mut().unwrap().lines()["x-a"], "b");
        assert!(exchange.request().unwrap().head.edits().is_empty());
    }

    #[test]
    fn a05_a_header_that_could_break_a_message_is_refused_at_load() {
        for (headers, said) in [
            (
                "{Connection: close}",
                "header `connection` belongs to the connection, not to a policy (ERR_ADIT_2211)",
            ),
            (
                "{content-length: 5}",
                "header `content-length` belongs to the connection",
            ),
            (
                "{transfer-encoding: chunked}",
                "header `transfer-encoding` belongs to the connection",
            ),
            (
                "{Adit-Error-Code: x}",
                "header `adit-error-code` is set by the gateway only (ERR_ADIT_2219)",
            ),
            (
                "{ngrok-error-code: x}",
                "header `ngrok-error-code` is set by the gateway only (ERR_ADIT_2219)",
            ),
            (
                "{':path': /x}",
                "\":path\" is not a header name (ERR_ADIT_2210)",
            ),
            ("{'a b': x}", "\"a b\" is not a header name (ERR_ADIT_2210)"),
            ("{'': x}", "\"\" is not a header name (ERR_ADIT_2210)"),
            (
                r#"{a: "b\r\nc: d"}"#,
                "a header value holds a line break or a control character (ERR_ADIT_2211)",
            ),
            (
                r#"{a: "b\0"}"#,
                "a header value holds a line break or a control character (ERR_ADIT_2211)",
            ),
            ("{a: '${req.id}'}", "unknown variable `req.id`"),
            ("{}", "`headers` needs at least one header (ERR_ADIT_2223)"),
            ("{a: [b]}", "invalid type: list, expected a text"),
        ] {
            let config = format!("{{headers: {headers}}}");
            let message = refused(&one("on_http_request", "add-headers", &config));
            assert!(message.contains(said), "{message}");
            assert!(message.starts_with("policy.yaml:4:"), "{message}");
        }
        assert!(
            refused(&one("on_http_request", "add-headers", "{}"))
                .contains("missing field `headers`")
        );
    }

    #[test]
    fn a_wrong_value_is_shown_at_its_place() {
        assert_eq!(
            refused(&one(
                "on_http_request",
                "add-headers",
                r#"{headers: {a: b, c: "d\n"}}"#
            )),
            r#"policy.yaml:4:37: on_http_request[0].actions[0].config.headers.c: a header value holds a line break or a control character (ERR_ADIT_2211)
    4 |         config: {headers: {a: b, c: "d\n"}}
      |                                     ^"#
        );
    }

    #[test]
    fn names_values_and_maps_have_bounds() {
        let with = |headers: String| {
            one(
                "on_http_request",
                "add-headers",
                &format!("{{headers: {{{headers}}}}}"),
            )
        };
        let many = |count: usize| (0..count).map(|n| format!("a{n}: b, ")).collect::<String>();
        assert!(!policy(&with(many(100))).is_empty());
        assert!(refused(&with(many(101))).contains("more than 100 headers (ERR_ADIT_2212)"));
        assert!(!policy(&with(format!("{}: b", "a".repeat(256)))).is_empty());
        assert!(refused(&with(format!("{}: b", "a".repeat(257)))).contains("(ERR_ADIT_2208)"));
        assert!(!policy(&with(format!("a: {}", "b".repeat(8 << 10)))).is_empty());
        assert!(
            refused(&with(format!("a: {}", "b".repeat((8 << 10) + 1)))).contains("(ERR_ADIT_2209)")
        );
    }
}
