//! The authorization code flow (RFC 6749 §4.1) with PKCE (RFC 7636), as every provider here speaks it.

use std::time::{Duration, SystemTime};

use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType as Code, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};

use super::provider::{Answer, Ask, Client, Failed, Tokens};
use super::web::{Unanswered, Web};
use crate::env::Env;

/// What an authorization URL says for us; settings cannot say it otherwise.
pub(crate) const OWN_PARAMETERS: [&str; 11] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Longest text of a provider that goes into a message, in characters.
const SHOWN_MAX: usize = 200;
/// An access token is not believed to live longer than a year.
const LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Where a provider is asked, and how it wants to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeFlow<'a> {
    pub(super) authorization_url: &'a str,
    pub(super) token_url: &'a str,
    pub(super) client_auth: ClientAuth,
}

/// How the client says its secret at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// In an `authorization` line.
    Basic,
    /// In the body.
    Post,
}

/// What a browser takes along besides what the flow says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Along<'a> {
    pub(super) scopes: &'a [String],
    /// Added to the URL; [`OWN_PARAMETERS`] are left out.
    pub(super) more: &'a [(String, String)],
    /// Says that the person is to sign in again, if the provider knows such a thing.
    pub(super) again: Option<(&'static str, &'static str)>,
    pub(super) nonce: bool,
    pub(super) pkce: bool,
}

type Protocol = oauth2::Client<
    BasicErrorResponse,
    Answered,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;
type Answered = StandardTokenResponse<WithIdToken, BasicTokenType>;

#[derive(Clone, Debug, Deserialize, Serialize)]
struct WithIdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for WithIdToken {}

// === impl CodeFlow ===

impl CodeFlow<'_> {
    /// Where a browser is sent to sign in.
    pub(super) fn authorize(
        &self,
        ask: &Ask<'_>,
        along: Along<'_>,
        client: &Client,
    ) -> Result<String, Failed> {
        let protocol = self.protocol(client, Some(ask.redirect_uri))?;
        let scopes = along.scopes.iter().cloned().map(Scope::new);
        let state = || CsrfToken::new(ask.state.to_owned());
        let mut request = protocol.authorize_url(state).add_scopes(scopes);
        if along.nonce {
            request = request.add_extra_param("nonce", ask.nonce);
        }
        if along.pkce {
            // Its own type for this wants the verifier, which is kept elsewhere.
            request = request
                .add_extra_param("code_challenge", ask.challenge)
                .add_extra_param("code_challenge_method", "S256");
        }
        let again = along.again.filter(|_| ask.again);
        if let Some((name, value)) = again {
            request = request.add_extra_param(name, value);
        }
        for (name, value) in along.more {
            let said = again.is_some_and(|(again, _)| again == name);
            if !said && !OWN_PARAMETERS.contains(&name.as_str()) {
                request = request.add_extra_param(name.as_str(), value.as_str());
            }
        }
        let (url, _) = request.url();
        Ok(url.into())
    }

    /// The tokens for a code.
    pub(super) async fn redeem(
        &self,
        answer: &Answer<'_>,
        pkce: bool,
        client: &Client,
        env: &Env,
    ) -> Result<Tokens, Failed> {
        let protocol = self.protocol(client, Some(answer.redirect_uri))?;
        let mut request = protocol.exchange_code(AuthorizationCode::new(answer.code.to_owned()));
        if pkce {
            let verifier = PkceCodeVerifier::new(answer.verifier.to_owned());
            request = request.set_pkce_verifier(verifier);
        }
        let web = Web(env);
        let answered = request.request_async(&web).await;
        tokens(answered, env.clock().now())
    }

    /// New tokens for a refresh token. What the provider does not give anew is left empty.
    pub(super) async fn refresh(
        &self,
        refresh: &str,
        client: &Client,
        env: &Env,
    ) -> Result<Tokens, Failed> {
        let protocol = self.protocol(client, None)?;
        let refresh = RefreshToken::new(refresh.to_owned());
        let request = protocol.exchange_refresh_token(&refresh);
        let web = Web(env);
        let answered = request.request_async(&web).await;
        tokens(answered, env.clock().now())
    }

    fn protocol(&self, client: &Client, back_to: Option<&str>) -> Result<Protocol, Failed> {
        let bad = |what: &str, url: &str| Failed::Misconfigured(format!("{what} {url} is no URL"));
        let authorization = AuthUrl::new(self.authorization_url.to_owned());
        let authorization =
            authorization.map_err(|_| bad("authorization endpoint", self.authorization_url))?;
        let token = TokenUrl::new(self.token_url.to_owned());
        let token = token.map_err(|_| bad("token endpoint", self.token_url))?;
        let auth = match self.client_auth {
            ClientAuth::Basic => AuthType::BasicAuth,
            ClientAuth::Post => AuthType::RequestBody,
        };
        let protocol = oauth2::Client::new(ClientId::new(client.id.clone()))
            .set_client_secret(ClientSecret::new(client.secret.expose().to_owned()))
            .set_auth_type(auth)
            .set_auth_uri(authorization)
            .set_token_uri(token);
        let Some(back_to) = back_to else {
            return Ok(protocol);
        };
        let url = RedirectUrl::new(back_to.to_owned()).map_err(|_| bad("callback", back_to))?;
        Ok(protocol.set_redirect_uri(url))
    }
}

fn tokens(
    answered: Result<Answered, RequestTokenError<Unanswered, BasicErrorResponse>>,
    now: SystemTime,
) -> Result<Tokens, Failed> {
    let answered = answered.map_err(failed)?;
    if *answered.token_type() != BasicTokenType::Bearer {
        let why = "its access token is of a kind that only its owner can use";
        return Err(Failed::Unbelievable(why.to_owned()));
    }
    let life = answered.expires_in();
    Ok(Tokens {
        access: answered.access_token().secret().clone(),
        refresh: answered.refresh_token().map(|token| token.secret().clone()),
        id: answered.extra_fields().id_token.clone(),
        expires: life.map(|life| now + life.min(LIFE_MAX)),
    })
}

fn failed(error: RequestTokenError<Unanswered, BasicErrorResponse>) -> Failed {
    let said = match error {
        RequestTokenError::Request(unanswered) => return unanswered.into(),
        RequestTokenError::ServerResponse(said) => said,
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            let why = "the token endpoint answers something else than tokens";
            return Failed::Unbelievable(why.to_owned());
        }
    };
    let why = shown(&said.to_string());
    match said.error() {
        Code::InvalidGrant => Failed::Refused(why),
        Code::InvalidClient
        | Code::InvalidRequest
        | Code::InvalidScope
        | Code::UnauthorizedClient
        | Code::UnsupportedGrantType => Failed::Misconfigured(why),
        Code::Extension(code) => match code.as_str() {
            "server_error" | "temporarily_unavailable" | "slow_down" => Failed::Unreachable(why),
            // The last two are GitHub's: "Troubleshooting OAuth app access token request errors".
            "invalid_target" | "incorrect_client_credentials" | "redirect_uri_mismatch" => {
                Failed::Misconfigured(why)
            }
            _ => Failed::Refused(why),
        },
    }
}

/// A provider's text as a message may hold it: short, on one line.
fn shown(text: &str) -> String {
    let plain = text.chars().filter(|one| !one.is_control());
    plain.take(SHOWN_MAX).collect()
}
