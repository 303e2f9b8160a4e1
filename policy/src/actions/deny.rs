//! `deny`: refuses the exchange with an empty body.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::status::Status;
use crate::action::{Action, Config, Fault, Flow, Phase, Reply, Unbuildable};
use crate::document::scope;
use crate::env::Env;
use crate::exchange::Exchange;

/// Config of `deny`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deny {
    /// What the client gets, 200 to 599. Default: 403. In `on_tcp_connect` there is nobody to tell it to.
    #[serde(default = "forbidden", deserialize_with = "status")]
    status_code: Status,
    /// Refused, with a hint: a refusal with a body is a `custom-response`.
    #[serde(default, rename = "body")]
    _body: Option<NoBody>,
}

impl Config for Deny {
    const TYPE: &'static str = "deny";
    const PHASES: &'static [Phase] = &[Phase::OnTcpConnect, Phase::OnHttpRequest];
    type Action = Self;

    fn ends_the_phase(&self) -> bool {
        true
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for Deny {
    /// The connection ends in order; nobody sees the reply.
    fn on_tcp_connect(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.on_http_request(exchange)
    }

    fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let mut reply = Reply::new(Bytes::new());
        *reply.status_mut() = self.status_code.0;
        Ok(Flow::Deny(reply))
    }
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
    if scope::phase() == Some(Phase::OnTcpConnect) {
        scope::warn("`status_code` has no effect in on_tcp_connect: the connection is closed");
    }
    Status::deserialize(deserializer)
}

fn forbidden() -> Status {
    Status(StatusCode::FORBIDDEN)
}

/// Refuses every value, at the value's place.
#[derive(Debug)]
struct NoBody;

impl<'de> Deserialize<'de> for NoBody {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "`deny` sends no body; use `custom-response` (ERR_ADIT_2203)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::Policy;
    use crate::document::{Document, read_warned};
    use crate::testing::{ENV, connection, one, policy, refused, request};
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn denies_with_403_unless_told_otherwise() {
        for (config, status) in [
            ("{}", 403),
            ("null", 403),
            ("", 403),
            ("{status_code: 404}", 404),
        ] {
            let policy = policy(&one("on_http_request", "deny", config));
            let verdict = policy
                .on_http_request(&mut request(&HeaderMap::new()))
                .await;
            let Verdict::Deny { reply, .. } = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(reply.status(), status, "{config}");
            assert!(reply.body().is_empty() && reply.headers().is_empty());
        }
    }

    #[tokio::test]
    async fn a_connection_is_closed_and_a_status_for_it_warned_of() {
        let text = one("on_tcp_connect", "deny", "{status_code: 404}");
        let (document, warnings) = read_warned::<Document>("policy.yaml", &text).unwrap();
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            ["policy.yaml:4:31: warning: on_tcp_connect[0].actions[0].config.status_code: `status_code` has no effect in on_tcp_connect: the connection is closed
    4 |         config: {status_code: 404}
      |                               ^"]
        );
        let policy = Policy::build(document, &ENV).unwrap();
        let verdict = policy.on_tcp_connect(&mut connection()).await;
        assert!(matches!(verdict, Verdict::Deny { .. }), "{verdict:?}");
        let text = one("on_http_request", "deny", "{status_code: 404}");
        let (_, warnings) = read_warned::<Document>("policy.yaml", &text).unwrap();
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_wrong_config_is_refused_at_its_place() {
        assert_eq!(
            refused(&one("on_http_request", "deny", "{body: no}")),
            "policy.yaml:4:24: on_http_request[0].actions[0].config.body: `deny` sends no body; use `custom-response` (ERR_ADIT_2203)
    4 |         config: {body: no}
      |                        ^"
        );
        assert_eq!(
            refused(&one("on_http_request", "deny", "{statuscode: 404}")),
            "policy.yaml:4:18: on_http_request[0].actions[0].config: unknown field `statuscode`, expected `status_code` or `body`
    4 |         config: {statuscode: …
      |                  ^
did you mean `status_code`?"
        );
        assert_eq!(
            refused(&one("on_http_request", "deny", "{status_code: 700}")),
            "policy.yaml:4:31: on_http_request[0].actions[0].config.status_code: status 700 is not from 200 to 599 (ERR_ADIT_2215)
    4 |         config: {status_code: 700}
      |                               ^"
        );
        assert!(
            refused(&one("on_http_request", "deny", "403"))
                .contains("invalid type: integer `403`, expected a map")
        );
    }
}
