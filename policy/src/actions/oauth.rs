//! `oauth`: lets in who has signed in at an OAuth 2.0 provider, and sends browsers there.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::action::{Config, Phase, Unbuildable};
use crate::env::Env;
use crate::jose::identity_url::IdentityUrl;
use crate::login::oauth::{Custom, NAMES, OAuth as Provider, Path, Paths, Preset};
use crate::login::settings::{Settings, login_config};
use crate::login::{self, Login};
use crate::nearest::nearest;

/// The provider that the policy describes itself.
const CUSTOM: &str = "custom";

/// Config of `oauth`; its fields are those of [`Said`].
#[derive(Debug, Deserialize)]
#[serde(try_from = "Said")]
pub(super) struct OAuth {
    provider: Provider,
    settings: Settings,
}

login_config! {
    /// What the config says.
    ///
    /// Browsers that open a page without a session are sent to the provider, and come back to
    /// `https://<host>/adit/oauth2/callback`, which is to be registered there. Everybody else gets 401 and the URL to sign in
    /// at. `/adit/logout` signs out here; the provider is not told.
    ///
    /// `identity.email` is empty unless the provider says that the address is verified: Facebook and Amazon never do, and
    /// Microsoft only with the claim `xms_edov`. What they say stands in `identity.claims`.
    struct Said {
        /// Who signs people in: `amazon`, `facebook`, `github`, `gitlab`, `google`, `linkedin`, `microsoft`, `twitch`, or
        /// `custom` with the following four fields.
        provider: Named,
        /// `custom` only: where browsers are sent to sign in.
        #[serde(default)]
        authorization_url: Option<Endpoint>,
        /// `custom` only: where codes are exchanged for tokens. The client's secret goes into an `authorization` line.
        #[serde(default)]
        token_url: Option<Endpoint>,
        /// `custom` only: what says, as JSON, who an access token belongs to.
        #[serde(default)]
        userinfo_url: Option<Endpoint>,
        /// `custom` only: where it says what. Default: as OpenID Connect does.
        #[serde(default)]
        userinfo: Option<Mapping>,
    }
}

/// Where user-info says what: `user.email`, or `/user/email` (RFC 6901).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    /// The person's id, which must be there. Default: `sub`.
    id: Option<Path>,
    /// Default: `email`.
    email: Option<Path>,
    /// Default: `name`.
    name: Option<Path>,
    /// Whether the address is verified; if it does not say so, nobody can rely on the address. Default: `email_verified`.
    email_verified: Option<Path>,
    /// A list of texts, or one. Default: `groups`.
    groups: Option<Path>,
}

/// A provider by its name.
#[derive(Clone, Copy, Debug)]
enum Named {
    Known(Preset),
    Custom,
}

/// A URL of a provider: https, or http on this machine.
#[derive(Debug)]
struct Endpoint(IdentityUrl);

impl Config for OAuth {
    const TYPE: &'static str = "oauth";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("oauth");
    const READS_BODY_AT: &'static [&'static str] = login::READS_BODY_AT;
    type Action = Login;

    fn marks_responses(&self) -> bool {
        true
    }

    fn own_paths(&self) -> Vec<String> {
        login::own_paths()
    }

    fn login(&self) -> Option<(String, String)> {
        let all = format!("{:?} {}", self.provider, self.settings.fingerprint());
        Some((self.settings.auth_id.clone(), all))
    }

    fn build(self, env: &Env) -> Result<Login, Unbuildable> {
        let Self { provider, settings } = self;
        Ok(Login::oauth(settings, Arc::new(provider), env))
    }
}

impl TryFrom<Said> for OAuth {
    type Error = String;

    fn try_from(mut said: Said) -> Result<Self, String> {
        let common = said.common();
        if common.client_id.is_none() && common.client_secret.is_none() {
            return Err(
                "`client_id` and `client_secret` are missing: register this gateway as an application at the provider, with the callback https://<host>/adit/oauth2/callback, and write what it gives you (ERR_ADIT_2234)"
                    .to_owned(),
            );
        }
        let settings = Settings::of(common, [383, 384])?;
        let scopes = settings.scopes.clone();
        let more = settings.authz_url_params.clone();
        let provider = match said.provider {
            Named::Known(preset) => {
                said.has_nothing_of_custom()?;
                Provider::preset(preset, scopes, more)?
            }
            Named::Custom => Provider::custom(said.custom(scopes.unwrap_or_default())?, more),
        };
        Ok(Self { provider, settings })
    }
}

impl Said {
    fn has_nothing_of_custom(&self) -> Result<(), String> {
        let fields = [
            ("authorization_url", self.authorization_url.is_some()),
            ("token_url", self.token_url.is_some()),
            ("userinfo_url", self.userinfo_url.is_some()),
            ("userinfo", self.userinfo.is_some()),
        ];
        match fields.into_iter().find(|(_, is_said)| *is_said) {
            None => Ok(()),
            Some((field, _)) => Err(format!(
                "`{field}` is for `provider: custom` only: take it out, or describe the provider yourself (ERR_ADIT_2240)"
            )),
        }
    }

    fn custom(self, scopes: Vec<String>) -> Result<Custom, String> {
        let needed = |url: Option<Endpoint>, field: &str| {
            let Endpoint(url) = url.ok_or_else(|| {
                format!("`provider: custom` needs `{field}`, a URL that stands in the provider's documentation (ERR_ADIT_2234)")
            })?;
            Ok::<_, String>(url)
        };
        let default = Paths::default();
        let (paths, email_verified) = match self.userinfo {
            None => (default, None),
            Some(mapping) => {
                let paths = Paths {
                    id: mapping.id.unwrap_or(default.id),
                    email: mapping.email.unwrap_or(default.email),
                    name: mapping.name.unwrap_or(default.name),
                    groups: mapping.groups.unwrap_or(default.groups),
                    root: default.root,
                };
                (paths, mapping.email_verified)
            }
        };
        Ok(Custom {
            authorization_url: needed(self.authorization_url, "authorization_url")?,
            token_url: needed(self.token_url, "token_url")?,
            userinfo_url: needed(self.userinfo_url, "userinfo_url")?,
            paths,
            email_verified: email_verified.map_or_else(|| Path::parse("email_verified"), Ok)?,
            scopes,
        })
    }
}

// === how each reads itself ===

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NamedVisitor)
    }
}

struct NamedVisitor;

impl Visitor<'_> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a provider")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Named, E> {
        if name == CUSTOM {
            return Ok(Named::Custom);
        }
        let known = Preset::named(name).map(Named::Known);
        known.ok_or_else(|| E::custom(unknown(name)))
    }
}

fn unknown(name: &str) -> String {
    let all = NAMES.into_iter().chain([CUSTOM]);
    match nearest(&name.to_ascii_lowercase(), all) {
        Some(meant) => {
            format!("unknown provider `{name}`; did you mean `{meant}`? (ERR_ADIT_365)")
        }
        None => format!(
            "unknown provider `{name}`, expected one of `{}` or `{CUSTOM}`; for an OpenID Connect provider use the action `openid-connect` (ERR_ADIT_365)",
            NAMES.join("`, `")
        ),
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(EndpointVisitor)
    }
}

struct EndpointVisitor;

impl Visitor<'_> for EndpointVisitor {
    type Value = Endpoint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Endpoint, E> {
        let url = IdentityUrl::parse(text).map(Endpoint);
        url.map_err(|why| E::custom(format_args!("{text} cannot be used: {why} (ERR_ADIT_2226)")))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{one, policy, refused};

    const CLIENT: &str = "client_id: a, client_secret: b";
    const URLS: &str = "authorization_url: 'https://a/auth', token_url: 'https://a/token', userinfo_url: 'https://a/me'";

    fn oauth(config: &str) -> String {
        one("on_http_request", "oauth", config)
    }

    #[test]
    fn each_provider_needs_little() {
        for name in super::NAMES {
            policy(&oauth(&format!("{{provider: {name}, {CLIENT}}}")));
        }
        policy(&oauth(&format!("{{provider: custom, {URLS}, {CLIENT}}}")));
        let mapping = "userinfo: {id: user.id, email: /user/emails/0, groups: teams}";
        policy(&oauth(&format!(
            "{{provider: custom, {URLS}, {CLIENT}, {mapping}}}"
        )));
    }

    #[test]
    fn mistakes_are_told() {
        for (config, said) in [
            ("{client_id: a}".to_owned(), "missing field `provider`"),
            (
                format!("{{provider: gogle, {CLIENT}}}"),
                "did you mean `google`? (ERR_ADIT_365)",
            ),
            (
                format!("{{provider: GitHub, {CLIENT}}}"),
                "did you mean `github`? (ERR_ADIT_365)",
            ),
            (
                format!("{{provider: okta-saml, {CLIENT}}}"),
                "use the action `openid-connect` (ERR_ADIT_365)",
            ),
            ("{provider: github}".to_owned(), "register this gateway"),
            (
                "{provider: github, client_secret: b}".to_owned(),
                "`client_id` is missing (ERR_ADIT_383)",
            ),
            (
                "{provider: github, client_id: a}".to_owned(),
                "`client_secret` is missing (ERR_ADIT_384)",
            ),
            (
                format!("{{provider: github, {URLS}, {CLIENT}}}"),
                "`authorization_url` is for `provider: custom` only",
            ),
            (
                format!("{{provider: custom, {CLIENT}}}"),
                "needs `authorization_url`",
            ),
            (
                format!("{{provider: custom, token_url: 'http://a/token', {CLIENT}}}"),
                "it must begin with https:// (ERR_ADIT_2226)",
            ),
            (
                format!("{{provider: custom, {URLS}, userinfo: {{id: a..b}}, {CLIENT}}}"),
                "`a..b` is no path",
            ),
            (
                format!("{{provider: custom, {URLS}, userinfo: {{mail: a}}, {CLIENT}}}"),
                "unknown field `mail`",
            ),
            (
                format!("{{provider: github, issuer_url: a, {CLIENT}}}"),
                "unknown field `issuer_url`",
            ),
        ] {
            let message = refused(&oauth(&config));
            assert!(message.contains(said), "{config}: {message}");
        }
    }

    #[test]
    fn two_logins_of_one_name_are_the_same() {
        let two = |second: &str| {
            let first = oauth(&format!("{{provider: github, {CLIENT}}}"));
            format!("{first}  - actions: [{{type: oauth, config: {second}}}]\n")
        };
        policy(&two(&format!("{{provider: github, {CLIENT}}}")));
        policy(&two(&format!("{{provider: gitlab, {CLIENT}, auth_id: b}}")));
        let message = refused(&two(&format!("{{provider: gitlab, {CLIENT}}}")));
        assert!(message.contains("(ERR_ADIT_2239)"), "{message}");
    }
}
