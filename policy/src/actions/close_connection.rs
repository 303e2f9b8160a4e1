//! `close-connection`: ends the client's connection without a word.

use serde::Deserialize;

use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;

/// Config of `close-connection`: it has no fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CloseConnection {}

impl Config for CloseConnection {
    const TYPE: &'static str = "close-connection";
    const PHASES: &'static [Phase] = &[Phase::OnTcpConnect, Phase::OnHttpRequest];
    type Action = Self;

    fn ends_the_phase(&self) -> bool {
        true
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for CloseConnection {
    fn on_tcp_connect(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(Flow::Close)
    }

    fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(Flow::Close)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{connection, lines, one, policy, refused, request};
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn closes_in_either_phase() {
        let early = policy(&one("on_tcp_connect", "close-connection", "{}"));
        let verdict = early.on_tcp_connect(&mut connection()).await;
        assert!(matches!(verdict, Verdict::Close { .. }), "{verdict:?}");
        let late = policy(&one("on_http_request", "close-connection", ""));
        let verdict = late.on_http_request(&mut request(&lines(&[]))).await;
        assert!(matches!(verdict, Verdict::Close { .. }), "{verdict:?}");
    }

    #[test]
    fn it_has_no_fields() {
        let message = refused(&one(
            "on_http_request",
            "close-connection",
            "{status_code: 404}",
        ));
        assert!(message.contains("unknown field `status_code`"), "{message}");
    }
}
