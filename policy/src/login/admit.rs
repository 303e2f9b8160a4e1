//! Somebody who has signed in goes on to the service, and the following actions are told who it is.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::SET_COOKIE;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};

use super::provider::Person;
use super::session::Session;
use super::{Login, email};
use crate::action::{Fault, Flow};
use crate::exchange::Exchange;
use crate::expr::Value;
use crate::identity::{Identity, groups};
use crate::taint::Taints;

/// What of the results nobody is shown.
const TOKENS: [&str; 3] = ["access_token", "refresh_token", "identity_token"];

/// Which of the two login actions this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OpenIdConnect,
    OAuth,
}

/// How somebody has come to be let in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    /// Whether the browser gets the session anew, however lately it got it.
    pub(super) renews: bool,
    /// Whether the provider was asked just now.
    pub(super) is_fresh: bool,
}

// === impl Kind ===

impl Kind {
    /// The name of results and identities.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OpenIdConnect => "oidc",
            Self::OAuth => "oauth",
        }
    }

    /// Whether an address is verified of which the provider says nothing: OpenID Connect leaves the claim to providers, and
    /// many leave it out because they give the addresses themselves.
    const fn trusts_silence(self) -> bool {
        matches!(self, Self::OpenIdConnect)
    }
}

impl Login {
    /// Lets a request pass.
    pub(super) fn admit(
        &self,
        session: Session,
        came: Came,
        exchange: &mut Exchange<'_>,
    ) -> Result<Flow, Fault> {
        let now = exchange.env.clock().now();
        let mut session = session;
        if came.renews || session.is_stale(&self.settings, now) {
            session.seen = now;
            let lines = exchange.request()?.head.lines();
            let lines = self.carrier(exchange)?.lines(&session, lines);
            for line in lines {
                exchange.memory.mark_response(SET_COOKIE, line);
            }
        }
        let identity = self.identity(&session);
        if exchange.memory.wants_results() {
            let result = self.result(&session, &identity, came);
            let tokens = Taints::fields(&TOKENS);
            exchange
                .memory
                .set_marked_result(self.kind.name(), result, tokens);
        }
        exchange.memory.set_identity(Arc::new(identity));
        Ok(Flow::Next)
    }

    /// Lets a request pass for somebody whom a case names, where there is no provider.
    pub(super) fn admit_stand_in(&self, given: Arc<Identity>, exchange: &mut Exchange<'_>) -> Flow {
        let identity = Identity {
            kind: self.kind.name(),
            issuer: self.provider.name().to_owned(),
            ..Identity::clone(&given)
        };
        if exchange.memory.wants_results() {
            let result = self.result_of(&identity, "", Tokens::default(), Came::default());
            let tokens = Taints::fields(&TOKENS);
            exchange
                .memory
                .set_marked_result(self.kind.name(), result, tokens);
        }
        exchange.memory.set_identity(Arc::new(identity));
        Flow::Next
    }

    fn identity(&self, session: &Session) -> Identity {
        let person = &session.person;
        let (email, email_verified) = self.email(person);
        Identity {
            kind: self.kind.name(),
            id: person.subject.clone(),
            name: person.name.clone(),
            email,
            email_verified,
            issuer: (*session.keys.issuer).to_owned(),
            groups: groups(&person.claims),
            claims: Arc::clone(&person.claims),
            session: Some(session.keys.clone()),
            until: Some(session.end(&self.settings)),
        }
    }

    /// The address if it is good, and whether the provider says that it is verified.
    pub(super) fn email(&self, person: &Person) -> (String, bool) {
        let is_good = person
            .email_verified
            .unwrap_or_else(|| self.kind.trusts_silence());
        let email = is_good.then(|| email::canonical(&person.email)).flatten();
        let is_verified = email.is_some() && person.email_verified == Some(true);
        (email.unwrap_or_default(), is_verified)
    }

    fn result(&self, session: &Session, identity: &Identity, came: Came) -> Value<'static> {
        let tokens = Tokens {
            access: &session.tokens.access,
            refresh: session.tokens.refresh.as_deref().unwrap_or_default(),
            id: session.tokens.id.as_deref().unwrap_or_default(),
            expires_at: session
                .tokens
                .expires
                .and_then(|time| Timestamp::try_from(time).ok())
                .map_or_else(String::new, |time| time.to_string()),
        };
        self.result_of(identity, &session.keys.id, tokens, came)
    }

    fn result_of(
        &self,
        identity: &Identity,
        session: &str,
        tokens: Tokens<'_>,
        came: Came,
    ) -> Value<'static> {
        let text = |text: &str| Value::text(text.to_owned());
        let at_provider = identity.session.as_ref();
        let at_provider = at_provider.and_then(|keys| keys.provider_session.as_deref());
        let who = Value::map([
            ("id", text(&id(identity))),
            ("email", text(&identity.email)),
            ("name", text(&identity.name)),
            ("provider_user_id", text(&identity.id)),
            ("current_session_id", text(session)),
            (
                "current_provider_session_id",
                text(at_provider.unwrap_or_default()),
            ),
        ]);
        let none = Value::map([("code", text("")), ("message", text(""))]);
        let mut fields = vec![
            ("access_token", text(tokens.access)),
            ("refresh_token", text(tokens.refresh)),
            ("expires_at", text(&tokens.expires_at)),
            ("session_timed_out", Value::Bool(false)),
            ("session_max_duration_reached", Value::Bool(false)),
            ("userinfo_refreshed", Value::Bool(came.is_fresh)),
            ("user_info_refreshed", Value::Bool(came.is_fresh)),
            ("identity", who),
            ("error", none),
        ];
        if self.kind == Kind::OpenIdConnect {
            fields.push(("identity_token", text(tokens.id)));
        }
        Value::map(fields)
    }
}

/// Tokens as results show them; empty if there are none.
#[derive(Default)]
struct Tokens<'s> {
    access: &'s str,
    refresh: &'s str,
    id: &'s str,
    expires_at: String,
}

/// The same for a person at a provider for ever, and another for everybody else.
fn id(identity: &Identity) -> String {
    let name = format!("{}\0{}", identity.issuer, identity.id);
    let digest = digest(&SHA256, name.as_bytes());
    let bytes = digest.as_ref().get(..15).unwrap_or_default();
    format!("idt_{}", URL_SAFE_NO_PAD.encode(bytes))
}
