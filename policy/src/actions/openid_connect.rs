//! `openid-connect`: lets in who has signed in at an OpenID Connect provider, and sends browsers there.

use std::sync::Arc;

use serde::Deserialize;

use crate::action::{Config, Phase, Unbuildable};
use crate::env::Env;
use crate::login::oidc::{Issuer, Oidc};
use crate::login::settings::{Settings, login_config};
use crate::login::{self, Login};

/// What a provider is asked for unless the policy says otherwise.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// Config of `openid-connect`; its fields are those of [`Said`].
#[derive(Debug, Deserialize)]
#[serde(try_from = "Said")]
pub(super) struct OpenIdConnect {
    issuer: Issuer,
    settings: Settings,
}

login_config! {
    /// What the config says.
    ///
    /// Browsers that open a page without a session are sent to the provider, and come back to
    /// `https://<host>/adit/oauth2/callback`, which is to be registered there. Everybody else gets 401 and the URL to sign in
    /// at. `/adit/logout` signs out, here and at the provider, which sends browsers back there; `/adit/backchannel-logout` is
    /// where the provider may say that somebody has signed out elsewhere. With an `auth_id`, the last two end with
    /// `?auth_id=…`.
    struct Said {
        /// The provider as it calls itself, to the letter: `https://login.example.com`. What is below it at
        /// `/.well-known/openid-configuration` must say the same name.
        issuer_url: Issuer,
    }
}

impl Config for OpenIdConnect {
    const TYPE: &'static str = "openid-connect";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("oidc");
    const READS_BODY_AT: &'static [&'static str] = login::READS_BODY_AT;
    type Action = Login;

    fn marks_responses(&self) -> bool {
        true
    }

    fn own_paths(&self) -> Vec<String> {
        login::own_paths()
    }

    fn login(&self) -> Option<(String, String)> {
        let settings = self.settings.fingerprint();
        let all = format!("{} {settings}", self.issuer);
        Some((self.settings.auth_id.clone(), all))
    }

    fn build(self, env: &Env) -> Result<Login, Unbuildable> {
        let Self { issuer, settings } = self;
        let scopes = settings.scopes.clone();
        let scopes = scopes.unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec());
        let more = settings.authz_url_params.clone();
        let provider = Oidc::new(issuer, scopes, more, env).map_err(Unbuildable)?;
        Ok(Login::openid_connect(settings, Arc::new(provider), env))
    }
}

impl TryFrom<Said> for OpenIdConnect {
    type Error = String;

    fn try_from(mut said: Said) -> Result<Self, String> {
        let settings = Settings::of(said.common(), [385, 386])?;
        let issuer = said.issuer_url;
        Ok(Self { issuer, settings })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::testing::{one, policy, refused, request};
    use crate::verdict::Verdict;

    const CONFIG: &str = "{issuer_url: 'https://id.example', client_id: a, client_secret: b}";

    #[tokio::test]
    async fn a_program_without_a_session_is_told_where_to_sign_in() {
        let policy = policy(&one("on_http_request", "openid-connect", CONFIG));
        let lines = HeaderMap::new();
        let verdict = policy.on_http_request(&mut request(&lines)).await;
        let Verdict::Refuse { refusal, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!((refusal.status.as_u16(), refusal.code), (401, 3108));
        let (link, _) = refusal.help.unwrap().link.unwrap();
        assert_eq!(link, "/adit/login?redirect_path=%2F");
    }

    #[test]
    fn mistakes_are_told() {
        for (config, said) in [
            ("{}", "missing field `issuer_url`"),
            ("{issuer_url: 'http://id.example'}", "(ERR_ADIT_2227)"),
            (
                "{issuer_url: 'https://id.example'}",
                "`client_id` is missing (ERR_ADIT_385)",
            ),
            (
                "{issuer_url: 'https://id.example', client_id: a}",
                "`client_secret` is missing (ERR_ADIT_386)",
            ),
            ("{provider: google}", "unknown field `provider`"),
        ] {
            let message = refused(&one("on_http_request", "openid-connect", config));
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn two_logins_of_one_name_are_the_same() {
        let two = |second: &str| {
            format!(
                "{}  - actions: [{{type: openid-connect, config: {second}}}]\n",
                one("on_http_request", "openid-connect", CONFIG)
            )
        };
        assert!(!policy(&two(CONFIG)).is_empty());
        assert!(!policy(&two(&CONFIG.replace('}', ", auth_id: c}"))).is_empty());
        let message = refused(&two(&CONFIG.replace("secret: b", "secret: c")));
        assert!(
            message.contains(
                "on_http_request[0].actions[0] and on_http_request[1].actions[0] are logins with the same `auth_id`"
            ) && message.contains("(ERR_ADIT_2239)"),
            "{message}"
        );
    }
}
