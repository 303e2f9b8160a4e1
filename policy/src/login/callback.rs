//! Back from the provider: who has come, and whether it was this browser that was sent there.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;
use http::header::SET_COOKIE;

use super::attempt::{Attempt, PATIENCE, State};
use super::begin::redirect_uri;
use super::carrier::Found;
use super::pages::{self, Trouble};
use super::provider::Answer;
use super::return_to::ReturnTo;
use super::session::Session;
use super::{Login, cookies, paths, with_cookies};
use crate::action::{Fault, Flow, Refusal};
use crate::env::Env;
use crate::exchange::Exchange;

impl Login {
    /// A browser has come back from the provider.
    pub(super) async fn callback(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let request = exchange.request()?;
        let home = ReturnTo::read("/");
        let text = paths::parameter(request, "state").map(Cow::into_owned);
        let Some(text) = text else {
            return Ok(self.failed(Trouble::NoState, &home, Vec::new()));
        };
        let Some(state) = State::read(&text) else {
            return Ok(self.failed(Trouble::MalformedState, &home, Vec::new()));
        };
        let context = self.attempt_context(exchange)?;
        let lines = request.head.lines();
        let attempt = match Attempt::find(state, &self.names, &context, lines, exchange.env) {
            Some(Ok(attempt)) => attempt,
            found => {
                if let Some(flow) = self.was_here(&text, exchange)? {
                    return Ok(flow);
                }
                let trouble = if found.is_some() {
                    Trouble::UnreadableAttempt
                } else {
                    Trouble::NoAttempt
                };
                return Ok(self.failed(trouble, &home, Vec::new()));
            }
        };
        let return_to = attempt.return_to();
        let forget: Vec<_> = cookies::host_line(&state.cookie(&self.names), "", 0)
            .into_iter()
            .collect();
        let now = exchange.env.clock().now();
        if now >= attempt.end() {
            return Ok(self.failed(Trouble::Late, &return_to, forget));
        }
        // From here on, whatever comes of it, this state is used.
        if !exchange
            .env
            .sessions()
            .use_once(&format!("state {text}"), now, attempt.end())
        {
            return match self.was_here(&text, exchange)? {
                Some(flow) => Ok(flow),
                None => Ok(self.failed(Trouble::Used, &return_to, forget)),
            };
        }
        match self.redeem(&attempt, exchange).await? {
            Ok(session) => self.let_in(session, &return_to, &text, forget, exchange),
            Err(trouble) => Ok(self.failed(trouble, &return_to, forget)),
        }
    }

    /// A session for what the provider has sent along.
    async fn redeem(
        &self,
        attempt: &Attempt,
        exchange: &mut Exchange<'_>,
    ) -> Result<Result<Session, Trouble>, Fault> {
        let request = exchange.request()?;
        if let Some(error) = paths::parameter(request, "error") {
            let about = paths::parameter(request, "error_description").unwrap_or_default();
            self.warn(
                exchange,
                &format!(
                    "it sent somebody back with {}: {}",
                    shown(&error),
                    shown(&about)
                ),
            );
            return Ok(Err(Trouble::of_error(&error)));
        }
        let Some(code) = paths::parameter(request, "code").filter(|code| !code.is_empty()) else {
            return Ok(Err(Trouble::NoCode));
        };
        let (code, iss) = (code.into_owned(), paths::parameter(request, "iss"));
        let iss = iss.map(Cow::into_owned);
        let client = self.client(exchange)?;
        let redirect_uri = redirect_uri(exchange)?;
        let answer = Answer {
            code: &code,
            iss: iss.as_deref(),
            redirect_uri: &redirect_uri,
            nonce: &attempt.nonce,
            verifier: &attempt.verifier,
        };
        let env = exchange.env;
        let signed_in = self.provider.redeem(&answer, &client, env).await;
        let signed_in = match signed_in {
            Ok(signed_in) if !signed_in.person.subject.is_empty() => signed_in,
            Ok(_) => {
                self.warn(exchange, "it does not say who has come");
                return Ok(Err(Trouble::Unbelievable));
            }
            Err(failed) => {
                self.warn(exchange, &failed.to_string());
                return Ok(Err(Trouble::at_sign_in(&failed)));
            }
        };
        Ok(Ok(Session::begin(
            signed_in,
            &self.issuer,
            self.version,
            env,
        )))
    }

    /// Gives the browser its session, and sends it to where it was going.
    fn let_in(
        &self,
        session: Session,
        return_to: &ReturnTo,
        state: &str,
        forget: Vec<HeaderValue>,
        exchange: &Exchange<'_>,
    ) -> Result<Flow, Fault> {
        let env = exchange.env;
        remember(state, &session, return_to, env);
        let carrier = self.carrier(exchange)?;
        let lines = carrier.lines(&session, exchange.request()?.head.lines());
        Ok(go_to(return_to, lines.into_iter().chain(forget)))
    }

    /// Whoever goes back in the browser's history comes with a state that is used: the one who has used it goes on to where
    /// it led.
    fn was_here(&self, state: &str, exchange: &Exchange<'_>) -> Result<Option<Flow>, Fault> {
        let lines = exchange.request()?.head.lines();
        let Found::Session(session) = self.carrier(exchange)?.find(lines) else {
            return Ok(None);
        };
        if session.over(&self.settings, exchange.env).is_some() {
            return Ok(None);
        }
        let led_to = recall(state, &session, exchange.env);
        Ok(led_to.map(|to| go_to(&to, std::iter::empty())))
    }

    fn failed(&self, trouble: Trouble, return_to: &ReturnTo, forget: Vec<HeaderValue>) -> Flow {
        let refusal: Refusal = trouble.refusal(Some(self.sign_in(return_to)));
        Flow::Refuse(with_cookies(refusal, forget))
    }
}

fn go_to(path: &ReturnTo, cookies: impl Iterator<Item = HeaderValue>) -> Flow {
    // A path that is kept can stand in a line, or it would be `/`.
    let mut reply = pages::redirect(path.as_str()).unwrap_or_default();
    for line in cookies {
        reply.headers_mut().append(SET_COOKIE, line);
    }
    Flow::Deny(reply)
}

/// Remembers where a state has led, as long as it could have been used.
fn remember(state: &str, session: &Session, to: &ReturnTo, env: &Env) {
    let now = env.clock().now();
    let value = format!("{} {}", session.keys.id, to.as_str());
    env.sessions().put(
        &led(state),
        Arc::from(value.as_bytes()),
        now,
        now + PATIENCE,
    );
}

fn recall(state: &str, session: &Session, env: &Env) -> Option<ReturnTo> {
    let value = env.sessions().get(&led(state))?;
    let (id, to) = std::str::from_utf8(&value).ok()?.split_once(' ')?;
    (*id == *session.keys.id).then(|| ReturnTo::read(to))
}

fn led(state: &str) -> String {
    format!("state {state} led to")
}

/// A provider's text as the log may hold it: short, on one line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
