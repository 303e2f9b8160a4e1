//! The end of a session: its person signs out, or the provider says that it is over.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};

use super::carrier::Found;
use super::pages;
use super::provider::{Failed, LogoutToken};
use super::return_to::ReturnTo;
use super::{Login, paths};
use crate::action::{Fault, Flow};
use crate::canonical::query_pairs;
use crate::env::Ended;
use crate::exchange::Exchange;

/// Longest body of a provider's news in bytes.
const NEWS_MAX: usize = 64 << 10;

impl Login {
    /// Somebody signs out: here, and at the provider if it knows how.
    ///
    /// Another site can send a browser here with a link, as it can to any address; what it gains is that somebody has to
    /// sign in again. The cookies come with no other request of another site (`SameSite=Lax`).
    pub(super) async fn sign_out(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let carrier = self.carrier(exchange)?;
        let request = exchange.request()?;
        let (lines, env) = (request.head.lines(), exchange.env);
        let session = match carrier.find(lines) {
            Found::Session(session) => Some(session),
            Found::Unreadable | Found::Nothing => None,
        };
        let mut elsewhere = None;
        if let Some(session) = session {
            let (id, now) = (Arc::clone(&session.keys.id), env.clock().now());
            env.sessions()
                .end(Ended::Session(id), now, session.end(&self.settings));
            let back_to = format!(
                "https://{}{}",
                request.authority,
                paths::sign_out(&self.settings.auth_id)
            );
            let client = self.client(exchange)?;
            let tokens = &session.tokens;
            elsewhere = self.provider.sign_out(tokens, &back_to, &client, env).await;
        }
        // Whoever comes back from there has no session, and gets the page.
        let elsewhere = elsewhere.and_then(|url| pages::redirect(&url));
        let mut reply = elsewhere
            .unwrap_or_else(|| pages::signed_out(lines, &self.sign_in(&ReturnTo::read("/"))));
        for line in carrier.removal_lines(lines) {
            reply.headers_mut().append(SET_COOKIE, line);
        }
        Ok(Flow::Deny(reply))
    }

    /// The provider says whose sessions are over (OpenID Connect Back-Channel Logout 1.0).
    pub(super) async fn news(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let env = exchange.env;
        let client = self.client(exchange)?;
        let request = exchange.request_mut()?;
        if request.method != Method::POST {
            let allow = (ALLOW, HeaderValue::from_static("POST"));
            return Ok(answer(StatusCode::METHOD_NOT_ALLOWED, Some(allow)));
        }
        let kind = request.head.lines().get(CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| {
            kind.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        let body = match is_form {
            true => request.body(NEWS_MAX).await?,
            false => Bytes::new(),
        };
        let Some(token) = logout_token(&body) else {
            return Ok(answer(StatusCode::BAD_REQUEST, None));
        };
        match self.provider.logout_token(&token, &client, env).await {
            Ok(news) => Ok(self.carry_out(news, exchange)),
            Err(failed) => {
                self.warn(exchange, &format!("a logout token is refused: {failed}"));
                let status = match failed {
                    Failed::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::BAD_REQUEST,
                };
                Ok(answer(status, None))
            }
        }
    }

    fn carry_out(&self, news: LogoutToken, exchange: &Exchange<'_>) -> Flow {
        let env = exchange.env;
        let (sessions, now) = (env.sessions(), env.clock().now());
        let issuer = self.provider.name();
        let once = format!("logout {issuer} {}", news.id);
        if !sessions.use_once(&once, now, news.expires.max(now)) {
            self.warn(exchange, "a logout token came twice");
            return answer(StatusCode::BAD_REQUEST, None);
        }
        let issuer: Arc<str> = issuer.into();
        // The session alone if it is named: the person may have others, on other machines.
        let ended = match (news.session, news.subject) {
            (Some(session), _) => Ended::AtProvider {
                issuer,
                session: session.into(),
            },
            (None, Some(subject)) => Ended::Person {
                issuer,
                subject: subject.into(),
            },
            (None, None) => return answer(StatusCode::BAD_REQUEST, None),
        };
        sessions.end(ended, now, now + self.settings.max_session);
        answer(StatusCode::OK, None)
    }
}

fn answer(status: StatusCode, more: Option<(http::HeaderName, HeaderValue)>) -> Flow {
    Flow::Deny(pages::short(status, more))
}

/// The `logout_token` of a form, if there is exactly one.
fn logout_token(form: &[u8]) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    let mut tokens = query_pairs(form).filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned())
}
