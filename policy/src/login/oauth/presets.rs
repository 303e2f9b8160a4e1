//! The providers that are known here. What is in the table stands in each provider's documentation, named beside it.

use super::{Asks, OAuth, Once, Path, Paths, Verified};
use crate::jose::identity_url::IdentityUrl;
use crate::login::code_flow::ClientAuth;

/// What a policy may say for `provider`, besides `custom`.
pub(crate) const NAMES: [&str; 8] = [
    "amazon",
    "facebook",
    "github",
    "gitlab",
    "google",
    "linkedin",
    "microsoft",
    "twitch",
];

/// A provider that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preset(&'static str);

struct Known {
    authorization_url: &'static str,
    token_url: &'static str,
    client_auth: ClientAuth,
    /// Whether it documents PKCE for clients that have a secret; others have answered with errors.
    pkce: bool,
    /// How it is told to have people sign in again.
    again: Option<(&'static str, &'static str)>,
    scopes: &'static [&'static str],
    /// What is added to the authorization URL, unless the policy says it otherwise.
    more: &'static [(&'static str, &'static str)],
    iss: Option<&'static str>,
    /// GitHub alone has a file of its own for this.
    user_info: Option<&'static str>,
    /// In front of the names of all members.
    root: &'static str,
    id: &'static str,
    name: &'static str,
    verified: Verified,
    /// Whether it wants to know which client asks, besides the access token.
    names_client: bool,
}

impl Preset {
    /// The provider of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.into_iter().find(|known| *known == name).map(Self)
    }

    pub(super) fn provider(
        self,
        scopes: Option<Vec<String>>,
        more: Vec<(String, String)>,
    ) -> Result<OAuth, String> {
        let Self(name) = self;
        let known = self.known();
        let said = |name: &str| more.iter().any(|(said, _)| said == name);
        let added = known.more.iter().filter(|(name, _)| !said(name));
        let added = added.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let added = added.chain(more.iter().cloned()).collect();
        let scopes = scopes.unwrap_or_else(|| {
            let least = known.scopes.iter();
            least.map(|scope| (*scope).to_owned()).collect()
        });
        let member = |name| Path::of(known.root, name);
        let asks = match known.user_info {
            None => Asks::GitHub,
            Some(url) => Asks::Once(Box::new(Once {
                url: IdentityUrl::parse(url)?,
                paths: Paths {
                    root: Path::parse(known.root)?,
                    id: member(known.id),
                    email: member("email"),
                    name: member(known.name),
                    groups: member("groups"),
                },
                verified: known.verified,
                names_client: known.names_client,
            })),
        };
        Ok(OAuth {
            name: name.to_owned(),
            iss: known.iss,
            authorization_url: known.authorization_url.to_owned(),
            token_url: known.token_url.to_owned(),
            client_auth: known.client_auth,
            pkce: known.pkce,
            again: known.again,
            scopes,
            more: added,
            asks,
        })
    }

    fn known(self) -> Known {
        // Most providers show the secret in the body in their documentation, and all of them take it there.
        let most = Known {
            authorization_url: "",
            token_url: "",
            client_auth: ClientAuth::Post,
            pkce: true,
            again: Some(("prompt", "login")),
            scopes: &["openid", "email", "profile"],
            more: &[],
            iss: None,
            user_info: None,
            root: "",
            id: "sub",
            name: "name",
            verified: Verified::At(Path::of("", "email_verified")),
            names_client: false,
        };
        match self.0 {
            // developer.amazon.com/docs/login-with-amazon: "Authorization Code Grant", "Customer Profile". It does not say
            // whether an address is verified.
            "amazon" => Known {
                authorization_url: "https://www.amazon.com/ap/oa",
                token_url: "https://api.amazon.com/auth/o2/token",
                again: None,
                scopes: &["profile"],
                user_info: Some("https://api.amazon.com/user/profile"),
                id: "user_id",
                verified: Verified::Never,
                ..most
            },
            // developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow, "Re-authentication", and the Graph
            // API's "User". PKCE is documented for `openid` only; whether an address is verified is not said.
            "facebook" => Known {
                authorization_url: "https://www.facebook.com/dialog/oauth",
                token_url: "https://graph.facebook.com/oauth/access_token",
                pkce: false,
                again: Some(("auth_type", "reauthenticate")),
                scopes: &["email"],
                user_info: Some("https://graph.facebook.com/me?fields=id,name,email"),
                id: "id",
                verified: Verified::Never,
                ..most
            },
            // docs.github.com/en/apps/oauth-apps: "Authorizing OAuth apps".
            "github" => Known {
                authorization_url: "https://github.com/login/oauth/authorize",
                token_url: "https://github.com/login/oauth/access_token",
                again: Some(("prompt", "select_account")),
                scopes: &["read:user", "user:email"],
                ..most
            },
            // docs.gitlab.com: "OAuth 2.0 identity provider API", "GitLab as OpenID Connect identity provider".
            "gitlab" => Known {
                authorization_url: "https://gitlab.com/oauth/authorize",
                token_url: "https://gitlab.com/oauth/token",
                iss: Some("https://gitlab.com"),
                user_info: Some("https://gitlab.com/oauth/userinfo"),
                ..most
            },
            // developers.google.com/identity/protocols/oauth2/web-server, …/openid-connect/openid-connect. Without
            // `access_type=offline` there is no refresh token, and sessions would end after an hour.
            "google" => Known {
                authorization_url: "https://accounts.google.com/o/oauth2/v2/auth",
                token_url: "https://oauth2.googleapis.com/token",
                again: Some(("prompt", "select_account")),
                more: &[("access_type", "offline")],
                iss: Some("https://accounts.google.com"),
                user_info: Some("https://openidconnect.googleapis.com/v1/userinfo"),
                ..most
            },
            // learn.microsoft.com/linkedin: "Authorization Code Flow", "Sign In with LinkedIn using OpenID Connect". PKCE is
            // for native clients, at another address.
            "linkedin" => Known {
                authorization_url: "https://www.linkedin.com/oauth/v2/authorization",
                token_url: "https://www.linkedin.com/oauth/v2/accessToken",
                pkce: false,
                again: None,
                user_info: Some("https://api.linkedin.com/v2/userinfo"),
                ..most
            },
            // learn.microsoft.com/entra/identity-platform: "OAuth 2.0 authorization code flow", "UserInfo endpoint",
            // "Optional claims reference". `email` is what an account says of itself: only `xms_edov` says that the owner of
            // its domain vouches for it.
            "microsoft" => Known {
                authorization_url: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
                token_url: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
                user_info: Some("https://graph.microsoft.com/oidc/userinfo"),
                verified: Verified::At(Path::of("", "xms_edov")),
                ..most
            },
            // dev.twitch.tv/docs/authentication: "Getting OAuth Access Tokens"; dev.twitch.tv/docs/api/reference: "Get Users",
            // which answers verified addresses only.
            "twitch" => Known {
                authorization_url: "https://id.twitch.tv/oauth2/authorize",
                token_url: "https://id.twitch.tv/oauth2/token",
                pkce: false,
                again: Some(("force_verify", "true")),
                scopes: &["user:read:email"],
                user_info: Some("https://api.twitch.tv/helix/users"),
                root: "/data/0",
                id: "id",
                name: "display_name",
                verified: Verified::Always,
                names_client: true,
                ..most
            },
            _ => most,
        }
    }
}
