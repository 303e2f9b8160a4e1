//! To the provider: a browser is sent there to sign in.

use http::header::SET_COOKIE;

use super::attempt::Attempt;
use super::pages::{self, Trouble};
use super::provider::{Ask, Failed};
use super::return_to::ReturnTo;
use super::{Login, paths};
use crate::action::{Fault, Flow};
use crate::exchange::Exchange;

impl Login {
    /// Sends a browser to the provider; it comes back to the path.
    pub(super) async fn begin(
        &self,
        return_to: &ReturnTo,
        again: bool,
        exchange: &mut Exchange<'_>,
    ) -> Result<Flow, Fault> {
        let client = self.client(exchange)?;
        let context = self.attempt_context(exchange)?;
        let redirect_uri = redirect_uri(exchange)?;
        let attempt = Attempt::begin(&self.settings.auth_id, return_to, exchange.env);
        let ask = Ask {
            redirect_uri: &redirect_uri,
            state: &attempt.state,
            nonce: &attempt.nonce,
            challenge: &attempt.challenge(),
            again,
        };
        let url = self.provider.authorize(&ask, &client, exchange.env).await;
        let reply = url.and_then(|url| {
            let not_a_url =
                || Failed::Misconfigured("its authorization endpoint is no URL".to_owned());
            pages::redirect(&url).ok_or_else(not_a_url)
        });
        let mut reply = match reply {
            Ok(reply) => reply,
            Err(failed) => {
                self.warn(exchange, &failed.to_string());
                let trouble = match failed {
                    Failed::Unreachable(_) => Trouble::Unreachable,
                    Failed::Misconfigured(_) => Trouble::Misconfigured,
                    Failed::Refused(_) | Failed::Unbelievable(_) => Trouble::ProviderError,
                };
                let refusal = trouble.refusal(Some(return_to.as_str().to_owned()));
                return Ok(Flow::Refuse(refusal));
            }
        };
        let carrier = self.carrier(exchange)?;
        let lines = exchange.request()?.head.lines();
        let attempt = attempt.lines(&self.names, &context, lines, exchange.env);
        for line in attempt.into_iter().chain(carrier.removal_lines(lines)) {
            reply.headers_mut().append(SET_COOKIE, line);
        }
        Ok(Flow::Deny(reply))
    }
}

/// Where the provider sends browsers back to.
pub(super) fn redirect_uri(exchange: &Exchange<'_>) -> Result<String, Fault> {
    let authority = exchange.request()?.authority;
    Ok(format!("https://{authority}{}", paths::CALLBACK))
}
