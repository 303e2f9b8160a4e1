//! Sign-in at any provider that speaks OpenID Connect: discovery, code flow, ID token, user-info, logout.

mod id_token;
mod issuer;
mod logout_token;
mod told;

use std::sync::Arc;

use async_trait::async_trait;
use oauth2::url::Url;
use serde_json::{Map, Value};

use self::id_token::Expected;
pub(crate) use self::issuer::Issuer;
use self::told::Told;
use super::code_flow::Along;
use super::person::{self, person};
use super::provider::{Answer, Ask, Client, Failed, LogoutToken, Provider, SignedIn, Tokens};
use super::web::{UserInfo, Web, object};
use crate::env::Env;
use crate::jose::discovery::{self, Discovery};
use crate::jose::identity_url::IdentityUrl;
use crate::jose::token::Token;

/// An OpenID Connect provider as a policy describes it.
#[derive(Debug)]
pub(crate) struct Oidc {
    issuer: Issuer,
    scopes: Vec<String>,
    more: Vec<(String, String)>,
    discovery: Discovery,
}

/// What a provider that signs people in again is told.
const AGAIN: Option<(&str, &str)> = Some(("prompt", "login"));
/// A longer ID token is not sent along when somebody signs out: the URL would be too long for many servers.
const HINT_MAX: usize = 4_096;

// === impl Oidc ===

impl Oidc {
    /// A provider that is asked for these scopes, `openid` always among them, and sent these parameters besides ours.
    ///
    /// # Errors
    /// None for an issuer that was read from a text.
    pub(crate) fn new(
        issuer: Issuer,
        mut scopes: Vec<String>,
        more: Vec<(String, String)>,
        env: &Env,
    ) -> Result<Self, String> {
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        let discovery = Discovery::of(issuer.as_str(), env)?;
        Ok(Self {
            issuer,
            scopes,
            more,
            discovery,
        })
    }

    /// What the provider says of itself.
    async fn described(&self, env: &Env) -> Result<(Arc<discovery::Issuer>, Told), Failed> {
        let described = self.discovery.issuer(env).await;
        let described = described.map_err(|why| Failed::Unreachable(why.to_string()))?;
        let told = Told::read(&described, &self.issuer)?;
        Ok((described, told))
    }

    /// The claims of an ID token that came with an access token.
    async fn believe(
        &self,
        (described, told): &(Arc<discovery::Issuer>, Told),
        tokens: &Tokens,
        nonce: Option<&str>,
        client: &Client,
        env: &Env,
    ) -> Result<Map<String, Value>, Failed> {
        let bad =
            |why: String| Failed::Unbelievable(format!("the ID token of {}: {why}", self.issuer));
        let id = tokens
            .id
            .as_deref()
            .ok_or_else(|| bad("there is none".to_owned()))?;
        let key_id = Token::parse(id).map_err(|why| bad(why.to_string()))?;
        let keys = described.jwks(env).keys(key_id.key_id(), env).await;
        let keys = keys.map_err(|why| Failed::Unreachable(why.to_string()))?;
        let expected = Expected {
            issuer: self.issuer.as_str(),
            client_id: &client.id,
            algorithms: &told.algorithms,
            nonce,
            access: &tokens.access,
            now: env.clock().now(),
        };
        id_token::claims(id, &keys, &expected).map_err(bad)
    }

    /// What user-info says of the same person.
    async fn user_info(
        &self,
        url: &IdentityUrl,
        access: &str,
        subject: &str,
        env: &Env,
    ) -> Result<Map<String, Value>, Failed> {
        let headers = &[];
        let asked = UserInfo {
            url,
            access,
            headers,
        };
        let said = object(Web(env).user_info(asked).await?, "user-info")?;
        // The access token may be somebody else's (OpenID Connect Core 1.0 §5.3.2).
        if said.get("sub").and_then(Value::as_str) == Some(subject) {
            Ok(said)
        } else {
            Err(Failed::Unbelievable(
                "user-info is about somebody else".to_owned(),
            ))
        }
    }

    /// The person of these claims, with what user-info adds if there is more to know.
    async fn signed_in(
        &self,
        told: &Told,
        mut claims: Map<String, Value>,
        tokens: Tokens,
        env: &Env,
    ) -> Result<SignedIn, Failed> {
        let subject = person::subject(claims.get("sub"))?;
        let lacking = ["email", "name", "groups"]
            .iter()
            .any(|name| !claims.contains_key(*name));
        if let Some(url) = told.user_info.as_ref().filter(|_| lacking) {
            let said = self.user_info(url, &tokens.access, &subject, env).await?;
            person::add(&mut claims, said);
        }
        let person = person(claims, subject);
        Ok(SignedIn { person, tokens })
    }
}

#[async_trait]
impl Provider for Oidc {
    fn name(&self) -> &str {
        self.issuer.as_str()
    }

    async fn authorize(&self, ask: &Ask<'_>, client: &Client, env: &Env) -> Result<String, Failed> {
        let described = self.described(env).await?;
        let told = &described.1;
        let along = Along {
            scopes: &self.scopes,
            more: &self.more,
            again: AGAIN,
            nonce: true,
            pkce: true,
        };
        told.flow().authorize(ask, along, client)
    }

    async fn redeem(
        &self,
        answer: &Answer<'_>,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed> {
        let described = self.described(env).await?;
        let told = &described.1;
        // A code of one provider must not be carried to another (RFC 9207 §2.4).
        match answer.iss {
            Some(iss) if iss != self.issuer.as_str() => {
                return Err(Failed::Unbelievable(
                    "the answer is of another issuer".to_owned(),
                ));
            }
            None if told.says_iss => {
                return Err(Failed::Unbelievable(
                    "the answer does not say its issuer".to_owned(),
                ));
            }
            _ => {}
        }
        let tokens = told.flow().redeem(answer, true, client, env).await?;
        let claims = self
            .believe(&described, &tokens, Some(answer.nonce), client, env)
            .await?;
        self.signed_in(told, claims, tokens, env).await
    }

    async fn refresh(
        &self,
        tokens: &Tokens,
        subject: &str,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed> {
        let described = self.described(env).await?;
        let told = &described.1;
        let mut new = match &tokens.refresh {
            Some(refresh) => told.flow().refresh(refresh, client, env).await?,
            None => tokens.clone(),
        };
        let fresh = new.id.is_some() && tokens.refresh.is_some();
        if new.refresh.is_none() {
            new.refresh.clone_from(&tokens.refresh);
        }
        if fresh {
            let claims = self.believe(&described, &new, None, client, env).await?;
            if claims.get("sub").and_then(Value::as_str) != Some(subject) {
                let why = "the new ID token is about somebody else";
                return Err(Failed::Unbelievable(why.to_owned()));
            }
            return self.signed_in(told, claims, new, env).await;
        }
        // It was believed when it came; what has changed since, user-info says.
        new.id.clone_from(&tokens.id);
        let mut claims = new.id.as_deref().map(id_token::said).unwrap_or_default();
        match told.user_info.as_ref() {
            Some(url) => {
                let said = self.user_info(url, &new.access, subject, env).await?;
                person::renew(&mut claims, said);
            }
            None if tokens.refresh.is_some() => {}
            None => {
                let why = "it gave no refresh token and has no user-info to ask";
                return Err(Failed::Unreachable(format!("{}: {why}", self.issuer)));
            }
        }
        let person = person(claims, subject.to_owned());
        Ok(SignedIn {
            person,
            tokens: new,
        })
    }

    async fn sign_out(
        &self,
        tokens: &Tokens,
        back_to: &str,
        client: &Client,
        env: &Env,
    ) -> Option<String> {
        let (_, told) = self.described(env).await.ok()?;
        let mut url = Url::parse(told.end_session.as_deref()?).ok()?;
        let hint = tokens.id.as_deref().filter(|hint| hint.len() <= HINT_MAX);
        let hint = hint.map(|hint| ("id_token_hint", hint));
        let others = [
            ("client_id", client.id.as_str()),
            ("post_logout_redirect_uri", back_to),
        ];
        url.query_pairs_mut()
            .extend_pairs(hint.into_iter().chain(others));
        Some(url.into())
    }

    async fn logout_token(
        &self,
        token: &str,
        client: &Client,
        env: &Env,
    ) -> Result<LogoutToken, Failed> {
        let (described, told) = self.described(env).await?;
        let bad = |why: String| {
            Failed::Unbelievable(format!("the logout token of {}: {why}", self.issuer))
        };
        let parsed = Token::parse(token).map_err(|why| bad(why.to_string()))?;
        let keys = described.jwks(env).keys(parsed.key_id(), env).await;
        let keys = keys.map_err(|why| Failed::Unreachable(why.to_string()))?;
        parsed
            .verify(&keys, &told.algorithms)
            .map_err(|why| bad(why.to_string()))?;
        let verified = parsed.believed().map_err(|why| bad(why.to_string()))?;
        let now = env.clock().now();
        logout_token::read(&verified, self.issuer.as_str(), &client.id, now).map_err(bad)
    }
}

#[cfg(test)]
mod tests;
