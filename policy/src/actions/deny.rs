//! `deny`: refuses the exchange with an empty body.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};

use super::status::Status;
use crate::action::{Action, Config, Fault, Flow, Phase, Reply, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;

/// Config of `deny`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deny {
    /// What the client gets, 200 to 599. Default: 403.
    #[serde(default = "forbidden")]
    status_code: Status,
    /// Refused, with a hint: a refusal with a body is a `custom-response`.
    #[serde(default, rename = "body")]
    _body: Option<NoBody>,
}

impl Config for Deny {
    const TYPE: &'static str = "deny";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

#[async_trait]
impl Action for Deny {
    async fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let mut reply = Reply::new(Bytes::new());
        *reply.status_mut() = self.status_code.0;
        Ok(Flow::Refuse(reply))
    }
}

fn forbidden() -> Status {
    Status(StatusCode::FORBIDDEN)
}

#[derive(Debug)]
struct NoBody;

impl<'de> Deserialize<'de> for NoBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(
            "`deny` sends no body; use `custom-response` (ERR_ADIT_2203)",
        ))
    }
}
