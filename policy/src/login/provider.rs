//! What a provider is asked, whatever protocol it speaks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::env::Env;

/// The client that is registered at a provider; its texts may come from `${…}`.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: crate::secret::Secret,
}

/// Somebody who can say who a person is: OpenID Connect, or OAuth 2.0 with a user-info call.
///
/// It keeps what it has learned of the provider (discovery, keys), and asks through [`Env::fetch`] only.
#[async_trait]
pub(crate) trait Provider: fmt::Debug + Send + Sync {
    /// Names it in sessions, cookies and messages: the issuer's URL, or `google`, `github` …
    fn name(&self) -> &str;

    /// Where a browser is sent to sign in.
    async fn authorize(&self, ask: &Ask<'_>, client: &Client, env: &Env) -> Result<String, Failed>;

    /// Who has come back.
    async fn redeem(
        &self,
        answer: &Answer<'_>,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed>;

    /// Asks again about somebody who has signed in: new tokens if there is a refresh token, and the claims of today.
    async fn refresh(
        &self,
        tokens: &Tokens,
        subject: &str,
        client: &Client,
        env: &Env,
    ) -> Result<SignedIn, Failed>;

    /// Where a browser is sent to sign out there, too (OpenID Connect RP-Initiated Logout 1.0); `None` if there is no
    /// such place.
    async fn sign_out(
        &self,
        tokens: &Tokens,
        back_to: &str,
        client: &Client,
        env: &Env,
    ) -> Option<String>;

    /// Whose sessions end, says the provider itself (OpenID Connect Back-Channel Logout 1.0). Checked: signature, issuer,
    /// audience, time, events, no nonce. Whether its `jti` came before is for the caller to see.
    async fn logout_token(
        &self,
        token: &str,
        client: &Client,
        env: &Env,
    ) -> Result<LogoutToken, Failed>;
}

/// What a browser takes along to the provider.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// Where it comes back to.
    pub(crate) redirect_uri: &'a str,
    /// What it brings back.
    pub(crate) state: &'a str,
    /// What the ID token must hold.
    pub(crate) nonce: &'a str,
    /// BASE64URL(SHA256(verifier)), RFC 7636.
    pub(crate) challenge: &'a str,
    /// Whether the person is to sign in again, though the provider knows them.
    pub(crate) again: bool,
}

/// What a browser has brought back, and what was kept for it.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// The authorization code.
    pub(crate) code: &'a str,
    /// The `iss` parameter, RFC 9207.
    pub(crate) iss: Option<&'a str>,
    /// The same as when it was sent.
    pub(crate) redirect_uri: &'a str,
    /// The nonce that the ID token must hold.
    pub(crate) nonce: &'a str,
    /// The PKCE verifier.
    pub(crate) verifier: &'a str,
}

/// Who has signed in, as the provider says it.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) person: Person,
    pub(crate) tokens: Tokens,
}

/// A person at a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    /// The id at the provider, never empty.
    pub(crate) subject: String,
    pub(crate) name: String,
    /// As the provider wrote it; whoever shows it looks at `email_verified`.
    pub(crate) email: String,
    /// `None`: the provider does not say.
    pub(crate) email_verified: Option<bool>,
    /// All claims.
    pub(crate) claims: Arc<Map<String, Value>>,
    /// The provider's own session, if it names it (`sid`).
    pub(crate) provider_session: Option<String>,
}

/// What the provider gave. None of it is shown.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    /// As it came, for `id_token_hint`.
    pub(crate) id: Option<String>,
    /// When the access token ends, if the provider says so.
    pub(crate) expires: Option<SystemTime>,
}

/// Whose sessions are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    /// `jti`: a token is accepted once.
    pub(crate) id: String,
    pub(crate) expires: SystemTime,
}

/// Why a provider did not say who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    /// It did not answer, or not in time, or with a failure of its own. Sessions that have begun go on.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// It answered that this person, code or token is not good (any more).
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// What it answered cannot be believed: a wrong signature, issuer, audience, nonce, time.
    #[error("the provider's answer is not to be believed: {0}")]
    Unbelievable(String),
    /// The settings do not fit the provider: an unknown client, a wrong secret, a redirect URI that is not registered.
    #[error("the provider does not accept this gateway: {0}")]
    Misconfigured(String),
}

/// A request to a provider waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of a provider in bytes.
pub(crate) const ANSWER_MAX: usize = 1 << 20;

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
