//! Sign-in at providers that speak OAuth 2.0: the code flow for an access token, and what their own interface says of
//! whoever it belongs to.

mod github;
mod paths;
mod presets;

use async_trait::async_trait;
use serde_json::{Map, Value};

pub(crate) use self::paths::{Path, Paths};
pub(crate) use self::presets::{NAMES, Preset};
use super::code_flow::{Along, ClientAuth, CodeFlow};
use super::person::person;
use super::provider::{Answer, Ask, Client, Failed, LogoutToken, Provider, SignedIn, Tokens};
use super::web::{UserInfo, Web};
use crate::env::Env;
use crate::jose::identity_url::IdentityUrl;

/// An OAuth 2.0 provider: one that is known here, or one that a policy describes.
#[derive(Clone, Debug)]
pub(crate) struct OAuth {
    name: String,
    /// What it calls itself when it sends a browser back, if it does (RFC 9207).
    iss: Option<&'static str>,
    authorization_url: String,
    token_url: String,
    client_auth: ClientAuth,
    pkce: bool,
    again: Option<(&'static str, &'static str)>,
    scopes: Vec<String>,
    more: Vec<(String, String)>,
    asks: Asks,
}

/// How one learns who an access token belongs to.
#[derive(Clone, Debug)]
enum Asks {
    /// One request, whose answer says everything.
    Once(Box<Once>),
    GitHub,
}

#[derive(Clone, Debug)]
struct Once {
    url: IdentityUrl,
    paths: Paths,
    verified: Verified,
    /// Whether the request names the client, too.
    names_client: bool,
}

/// Whether an address that the provider says is the person's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verified {
    /// It documents that it says no others.
    Always,
    /// It does not say, so that nobody can rely on it.
    Never,
    /// It says so here.
    At(Path),
}

/// A provider that a policy describes.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) authorization_url: IdentityUrl,
    pub(crate) token_url: IdentityUrl,
    pub(crate) userinfo_url: IdentityUrl,
    pub(crate) paths: Paths,
    pub(crate) email_verified: Path,
    pub(crate) scopes: Vec<String>,
}

// === impl OAuth ===

impl OAuth {
    /// A provider that is known here. Without scopes it is asked for what it needs at least.
    pub(crate) fn preset(
        preset: Preset,
        scopes: Option<Vec<String>>,
        more: Vec<(String, String)>,
    ) -> Result<Self, String> {
        preset.provider(scopes, more)
    }

    /// A provider that a policy describes. Its secret goes into an `authorization` line, which every provider must
    /// understand (RFC 6749 §2.3.1).
    pub(crate) fn custom(custom: Custom, more: Vec<(String, String)>) -> Self {
        Self {
            name: format!("custom {}", custom.token_url),
            iss: None,
            authorization_url: custom.authorization_url.to_string(),
            token_url: custom.token_url.to_string(),
            client_auth: ClientAuth::Basic,
            pkce: true,
            again: Some(("prompt", "login")),
            scopes: custom.scopes,
            more,
            asks: Asks::Once(Box::new(Once {
                url: custom.userinfo_url,
                paths: custom.paths,
                verified: Verified::At(custom.email_verified),
                names_client: false,
            })),
        }
    }

    fn flow(&self) -> CodeFlow<'_> {
        CodeFlow {
            authorization_url: &self.authorization_url,
            token_url: &self.token_url,
            client_auth: self.client_auth,
        }
    }

    /// Who the tokens belong to.
    async fn signed_in(
        &self,
        tokens: Tokens,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed> {
        let access = &tokens.access;
        let claims = match &self.asks {
            Asks::GitHub => github::claims(access, &self.scopes, env).await?,
            Asks::Once(once) => once.claims(access, client, env).await?,
        };
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.unwrap_or_default().to_owned();
        let person = person(claims, subject);
        Ok(SignedIn { person, tokens })
    }
}

impl Once {
    async fn claims(
        &self,
        access: &str,
        client: &Client,
        env: &Env,
    ) -> Result<Map<String, Value>, Failed> {
        let headers: &[_] = match self.names_client {
            true => &[("client-id", client.id.as_str())],
            false => &[],
        };
        let asked = UserInfo {
            url: &self.url,
            access,
            headers,
        };
        let answer = Web(env).user_info(asked).await?;
        let is_verified = match &self.verified {
            Verified::Always => true,
            Verified::Never => false,
            Verified::At(path) => path.find(&answer).is_some_and(is_yes),
        };
        self.paths.claims(&answer, is_verified)
    }
}

/// Some providers write `true` as text, Microsoft as a number.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// Claims in the words of OpenID Connect, in front of everything that the provider said.
fn in_standard_words(
    mut said: Map<String, Value>,
    standard: [(&str, Option<Value>); 5],
) -> Map<String, Value> {
    for (name, value) in standard {
        match value {
            Some(value) => said.insert(name.to_owned(), value),
            None => said.remove(name),
        };
    }
    said
}

#[async_trait]
impl Provider for OAuth {
    fn name(&self) -> &str {
        &self.name
    }

    async fn authorize(&self, ask: &Ask<'_>, client: &Client, _: &Env) -> Result<String, Failed> {
        let along = Along {
            scopes: &self.scopes,
            more: &self.more,
            again: self.again,
            nonce: false,
            pkce: self.pkce,
        };
        self.flow().authorize(ask, along, client)
    }

    async fn redeem(
        &self,
        answer: &Answer<'_>,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed> {
        let other = |(said, own): (&str, &str)| said != own;
        if answer.iss.zip(self.iss).is_some_and(other) {
            let why = "the answer is of another issuer";
            return Err(Failed::Unbelievable(why.to_owned()));
        }
        let tokens = self.flow().redeem(answer, self.pkce, client, env).await?;
        self.signed_in(tokens, client, env).await
    }

    async fn refresh(
        &self,
        tokens: &Tokens,
        subject: &str,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed> {
        let tokens = match &tokens.refresh {
            None => tokens.clone(),
            Some(refresh) => {
                let mut new = self.flow().refresh(refresh, client, env).await?;
                if new.refresh.is_none() {
                    new.refresh = Some(refresh.clone());
                }
                new
            }
        };
        let signed_in = self.signed_in(tokens, client, env).await?;
        if signed_in.person.subject == subject {
            Ok(signed_in)
        } else {
            let why = "the tokens belong to somebody else now";
            Err(Failed::Unbelievable(why.to_owned()))
        }
    }

    async fn sign_out(&self, _: &Tokens, _: &str, _: &Client, _: &Env) -> Option<String> {
        None
    }

    async fn logout_token(&self, _: &str, _: &Client, _: &Env) -> Result<LogoutToken, Failed> {
        let why = "this provider does not say who signs out";
        Err(Failed::Unbelievable(why.to_owned()))
    }
}

#[cfg(test)]
mod tests;
