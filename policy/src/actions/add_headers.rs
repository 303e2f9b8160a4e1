//! `add-headers`: appends header lines to the request, or to the response.

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::headers::{Headers, Line};
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Field, Value};
use crate::taint::Taints;

/// Config of `add-headers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddHeaders {
    /// Names and values, at least one. A line is appended and never replaces one, except that a request has only one
    /// `host` and one `user-agent`: those are replaced. Where a response then sends clients to the new host, it sends them to
    /// the old one.
    ///
    /// A value that looks at who the caller is (`identity.*`, and the results of actions that authenticate) is for the
    /// service to believe. What a client says under such a name, in any spelling (`X_User`), is taken out of its request before
    /// any rule runs, whether the action runs or not. Of `authorization`, which those actions read, it is taken
    /// out when the action runs. A value that was put into `vars` before is not recognized: take the header out first.
    #[serde(deserialize_with = "some_headers")]
    headers: Headers,
    /// Whether it says in `authorization` who the caller is.
    #[serde(skip)]
    authorizes: bool,
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

    fn vouches_in(&self) -> Vec<HeaderName> {
        let lines = self.headers.0.iter();
        let vouched = lines.filter(|(name, value)| {
            // These are replaced when the action runs.
            !matches!(*name, HOST | USER_AGENT | AUTHORIZATION) && is_about_caller(value)
        });
        vouched.map(|(name, _)| name.clone()).collect()
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        let mut lines = self.headers.0.iter();
        let authorizes = lines.any(|(name, value)| name == AUTHORIZATION && is_about_caller(value));
        Ok(Self { authorizes, ..self })
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
                AUTHORIZATION if self.authorizes => head.set(name, value)?,
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

fn is_about_caller(value: &Field<Line>) -> bool {
    match value {
        Field::Fixed(_) => false,
        Field::Computed(template) => template.is_about_caller(),
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
    use std::sync::Arc;

    use crate::exchange::HeaderEdit;
    use crate::identity::Identity;
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

    /// What the service gets of a request with these lines, by the name of the header.
    async fn sent(text: &str, sent: &http::HeaderMap, who: bool) -> Vec<(String, String)> {
        let policy = policy(text);
        let mut exchange = request(sent);
        if who {
            exchange.memory.set_identity(Arc::new(Identity {
                kind: "oidc",
                email: "alice@example.com".to_owned(),
                name: "Zoë".to_owned(),
                ..Identity::default()
            }));
        }
        let verdict = policy.on_http_request(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let lines = exchange.request().unwrap().head.lines().iter();
        let text = |value: &http::HeaderValue| String::from_utf8(value.as_bytes().to_vec());
        lines
            .map(|(name, value)| (name.to_string(), text(value).unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn a12_d_an_identity_header_is_removed_even_when_nobody_is_authenticated() {
        let lies = lines(&[
            ("x-user", "admin"),
            ("x_user", "admin"),
            ("x.user", "admin"),
            ("x-user-agent", "curl"),
        ]);
        let kept = ("x-user-agent".to_owned(), "curl".to_owned());
        for value in [
            "${identity.email}",
            "user ${identity.claims.email} of ${identity.issuer}",
            "${actions.ngrok.oidc.identity.email}",
            "${actions.ngrok.oauth.identity.email}",
            "${actions.ngrok.openid_connect.identity.email}",
            "${actions.ngrok.jwt_validation.tokens[0].payload.sub}",
            "${actions.ngrok.basic_auth.credentials.username}",
            "${has(identity.name) ? 'a' : 'b'}",
            "${[identity.id].map(i, i)[0]}",
            "${'ops' in identity.groups ? 'yes' : 'no'}",
        ] {
            let text = format!(
                "on_http_request:\n  - expressions: [identity.authenticated]\n    actions:\n      - type: add-headers\n        \
                 config: {{headers: {{x-user: \"{value}\"}}}}\n"
            );
            assert_eq!(
                sent(&text, &lies, false).await,
                std::slice::from_ref(&kept),
                "{value}"
            );
        }
        // What is not about the caller is appended, as ever.
        let other = one(
            "on_http_request",
            "add-headers",
            "{headers: {x-user: '${req.method}'}}",
        );
        assert_eq!(sent(&other, &lies, false).await.len(), 5);
    }

    #[tokio::test]
    async fn a12_no_line_of_the_client_stands_beside_ours() {
        let lies = lines(&[("x-user", "admin"), ("x-user", "root"), ("x_user", "admin")]);
        let config = "{headers: {x-user: '${identity.email}', x-name: '${identity.name}'}}";
        let text = one("on_http_request", "add-headers", config);
        let mut found = sent(&text, &lies, true).await;
        found.sort();
        let ours = [("x-name", "Zoë"), ("x-user", "alice@example.com")];
        assert_eq!(
            found,
            ours.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        // `authorization` is what the caller is known by, so it is replaced only now.
        let config = "{headers: {authorization: 'User ${identity.email}'}}";
        let text = one("on_http_request", "add-headers", config);
        let found = sent(&text, &lines(&[("authorization", "Bearer x")]), true).await;
        assert_eq!(
            found,
            [(
                "authorization".to_owned(),
                "User alice@example.com".to_owned()
            )]
        );
    }

    #[tokio::test]
    async fn a_header_of_the_response_says_nothing_of_the_request() {
        let text = one(
            "on_http_response",
            "add-headers",
            "{headers: {x-user: '${identity.email}'}}",
        );
        let said = lines(&[("x-user", "own")]);
        assert_eq!(sent(&text, &said, true).await.len(), 1);
    }
}
