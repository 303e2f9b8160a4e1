//! `add-headers`: appends header lines to the request, or to the response.

use async_trait::async_trait;
use http::header::{HOST, USER_AGENT};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::headers::Headers;
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;

/// Config of `add-headers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddHeaders {
    /// Names and values, at least one. A line is appended and never replaces one, except that a request has only one
    /// `host` and one `user-agent`: those are replaced.
    #[serde(deserialize_with = "some_headers")]
    headers: Headers,
}

impl Config for AddHeaders {
    const TYPE: &'static str = "add-headers";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest, Phase::OnHttpResponse];
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

#[async_trait]
impl Action for AddHeaders {
    async fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        for (name, value) in self.headers.0.iter().cloned() {
            match name {
                HOST | USER_AGENT => exchange.request.set(name, value)?,
                _ => exchange.request.append(name, value)?,
            }
        }
        Ok(Flow::Next)
    }

    async fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let response = exchange.response.as_mut().ok_or(Fault::Phase)?;
        for (name, value) in self.headers.0.iter().cloned() {
            response.head.append(name, value)?;
        }
        Ok(Flow::Next)
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
