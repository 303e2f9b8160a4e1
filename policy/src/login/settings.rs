//! What the config of every login action may say, besides what its provider needs.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use ring::digest::{Context, SHA256};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::code_flow::OWN_PARAMETERS;
use super::provider::Client;
use crate::action::Fault;
use crate::canonical::Host;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText};
use crate::go_duration::GoDuration;
use crate::secret::Secret;

/// Shortest of the durations.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longest of the durations: a year of 365 days.
const LONGEST: Duration = Duration::from_secs(8_760 * HOUR);
const HOUR: u64 = 3_600;
/// Longest `auth_id` in characters.
const AUTH_ID_MAX: usize = 64;
/// Most scopes; one more is refused.
const SCOPES_MAX: usize = 64;
/// Most parameters of the authorization URL; one more is refused.
const PARAMS_MAX: usize = 32;
/// Longest name or value of one of them in bytes.
const PARAM_MAX: usize = 1_024;

/// Writes the config of a login action: the fields between the braces, and those that all login actions have. It gets a
/// method `common`, which takes the latter out.
///
/// serde reads flattened structs without the places of mistakes, and lets unknown fields pass; so they are written out.
macro_rules! login_config {
    ($(#[$about:meta])* struct $name:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($own)*
            /// Tells login actions of one policy apart, in cookies, in `/adit/login?auth_id=…` and `/adit/logout?auth_id=…`:
            /// up to 64 letters, digits, `_` and `-`. Default: empty.
            #[serde(default)]
            auth_id: $crate::login::settings::AuthId,
            /// What the provider calls this gateway; may hold `${…}`. Sessions end when it changes.
            client_id: Option<$crate::expr::Field<$crate::login::settings::ClientId>>,
            /// What this gateway proves itself with to the provider; may hold `${…}`, best `${secrets.get('…', '…')}`.
            /// Sessions end when it changes.
            client_secret: Option<$crate::expr::Field<$crate::secret::Secret>>,
            /// What the gateway asks the provider for: up to 64 words.
            #[serde(default)]
            scopes: Option<$crate::login::settings::Scopes>,
            /// Names and values that are added to the URL of the provider to which browsers are sent, up to 32.
            #[serde(default)]
            authz_url_params: $crate::login::settings::Params,
            /// After this time people sign in again, whatever they do: 1s to 8760h. Default: 336h.
            #[serde(default)]
            max_session_duration: $crate::login::settings::Within<336>,
            /// After this time without a request people sign in again: 1s to 8760h. It is looked at from eighth to eighth.
            /// Default: 72h.
            #[serde(default, alias = "idle_session_duration")]
            idle_session_timeout: $crate::login::settings::Within<72>,
            /// How often the provider is asked whether the person may still come in, and who they are: 1s to 8760h. If it
            /// refuses, the session ends; if it cannot be reached, the session goes on for one more time. Default: 1h.
            #[serde(default)]
            userinfo_refresh_interval: $crate::login::settings::Within<1>,
            /// Whether CORS preflights pass, which browsers send without cookies: `OPTIONS` with `origin` and
            /// `access-control-request-method`. Default: false.
            #[serde(default)]
            allow_cors_preflight: bool,
            /// A domain whose hosts share their sessions: the endpoint's host or one above it. Every host of it gets the
            /// cookies, so let it be one that is wholly yours. Default: the request's host alone.
            #[serde(default)]
            auth_cookie_domain: Option<$crate::login::settings::CookieDomain>,
        }

        impl $name {
            /// Takes out what all login actions have.
            fn common(&mut self) -> $crate::login::settings::Common {
                $crate::login::settings::Common {
                    auth_id: std::mem::take(&mut self.auth_id),
                    client_id: self.client_id.take(),
                    client_secret: self.client_secret.take(),
                    scopes: self.scopes.take(),
                    authz_url_params: std::mem::take(&mut self.authz_url_params),
                    max_session_duration: self.max_session_duration,
                    idle_session_timeout: self.idle_session_timeout,
                    userinfo_refresh_interval: self.userinfo_refresh_interval,
                    allow_cors_preflight: self.allow_cors_preflight,
                    auth_cookie_domain: self.auth_cookie_domain.take(),
                }
            }
        }
    };
}

pub(crate) use login_config;

/// The common fields as they were read.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) auth_id: AuthId,
    pub(crate) client_id: Option<Field<ClientId>>,
    pub(crate) client_secret: Option<Field<Secret>>,
    pub(crate) scopes: Option<Scopes>,
    pub(crate) authz_url_params: Params,
    pub(crate) max_session_duration: Within<336>,
    pub(crate) idle_session_timeout: Within<72>,
    pub(crate) userinfo_refresh_interval: Within<1>,
    pub(crate) allow_cors_preflight: bool,
    pub(crate) auth_cookie_domain: Option<CookieDomain>,
}

/// What a login does, whatever its provider.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) auth_id: String,
    pub(crate) client_id: Field<ClientId>,
    pub(crate) client_secret: Field<Secret>,
    /// `None`: what the provider needs at least.
    pub(crate) scopes: Option<Vec<String>>,
    /// For the authorization URL, besides those of the protocol.
    pub(crate) authz_url_params: Vec<(String, String)>,
    pub(crate) max_session: Duration,
    pub(crate) idle_session: Duration,
    pub(crate) refresh_interval: Duration,
    pub(crate) allow_cors_preflight: bool,
    pub(crate) cookie_domain: Option<Host>,
}

/// `auth_id`.
#[derive(Debug, Default)]
pub(crate) struct AuthId(String);

/// A client's name at a provider, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientId(String);

/// `scopes`.
#[derive(Debug)]
pub(crate) struct Scopes(Vec<String>);

/// `authz_url_params`.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// A duration with its default in hours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<const HOURS: u64>(Duration);

/// `auth_cookie_domain`.
#[derive(Debug)]
pub(crate) struct CookieDomain(Host);

// === impl Settings ===

impl Settings {
    /// What was said, if it says who the client is.
    ///
    /// # Errors
    /// When client id or secret is missing; `codes` are the numbers for these two.
    pub(crate) fn of(common: Common, codes: [u16; 2]) -> Result<Self, String> {
        let [no_id, no_secret] = codes;
        let missing = |field: &str, code: u16| format!("`{field}` is missing (ERR_ADIT_{code})");
        Ok(Self {
            auth_id: common.auth_id.0,
            client_id: common
                .client_id
                .ok_or_else(|| missing("client_id", no_id))?,
            client_secret: common
                .client_secret
                .ok_or_else(|| missing("client_secret", no_secret))?,
            scopes: common.scopes.map(|scopes| scopes.0),
            authz_url_params: common.authz_url_params.0,
            max_session: common.max_session_duration.0,
            idle_session: common.idle_session_timeout.0,
            refresh_interval: common.userinfo_refresh_interval.0,
            allow_cors_preflight: common.allow_cors_preflight,
            cookie_domain: common.auth_cookie_domain.map(|domain| domain.0),
        })
    }

    /// The client for an exchange.
    ///
    /// # Errors
    /// When a `${…}` gives nothing that can be used.
    pub(crate) fn client(&self, exchange: &Exchange<'_>) -> Result<Client, Fault> {
        let id = self.client_id.get("client_id", exchange)?;
        let secret = self.client_secret.get("client_secret", exchange)?;
        Ok(Client {
            id: id.into_owned().0,
            secret: secret.into_owned(),
        })
    }

    /// The same, if it is the same for every exchange.
    pub(crate) fn fixed_client(&self) -> Option<Client> {
        Some(Client {
            id: self.client_id.fixed()?.0.clone(),
            secret: self.client_secret.fixed()?.clone(),
        })
    }

    /// A number that is another when people should be asked for again: other scopes, other parameters.
    pub(crate) fn version(&self) -> u32 {
        let mut context = Context::new(&SHA256);
        let asked = format!("{:?} {:?}", self.scopes, self.authz_url_params);
        context.update(asked.as_bytes());
        let digest = context.finish();
        let bytes = digest.as_ref().first_chunk().copied();
        u32::from_be_bytes(bytes.unwrap_or_default())
    }

    /// All that was said, so that two logins can be compared. It shows no secret, and tells two secrets apart.
    pub(crate) fn fingerprint(&self) -> String {
        let secret = match self.client_secret.fixed() {
            Some(secret) => ring::digest::digest(&SHA256, secret.expose().as_bytes()),
            None => ring::digest::digest(&SHA256, b""),
        };
        format!("{self:?} {secret:?}")
    }
}

// === how each reads itself ===

impl FromText for ClientId {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.is_empty() || text.chars().any(char::is_control) {
            true => Err(
                "a client id has at least one character, and no control characters (ERR_ADIT_2223)"
                    .to_owned(),
            ),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for AuthId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match text.len() <= AUTH_ID_MAX && text.bytes().all(is_known) {
            true => Ok(Self(text)),
            false => Err(D::Error::custom(
                "an auth_id has up to 64 letters, digits, `_` and `-` (ERR_ADIT_2204)",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scopes = Vec::<String>::deserialize(deserializer)?;
        if scopes.len() > SCOPES_MAX {
            return Err(D::Error::custom("more than 64 scopes (ERR_ADIT_2218)"));
        }
        // RFC 6749 §3.3.
        let is_word = |scope: &String| {
            let is_known = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            !scope.is_empty() && scope.bytes().all(is_known)
        };
        match scopes.iter().find(|scope| !is_word(scope)) {
            None => Ok(Self(scopes)),
            Some(scope) => Err(D::Error::custom(format_args!(
                "`{scope}` is no scope: write one word, without spaces (ERR_ADIT_2204)"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParamsVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
        let mut params = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if params.len() == PARAMS_MAX {
                return Err(A::Error::custom("more than 32 parameters (ERR_ADIT_2244)"));
            }
            if OWN_PARAMETERS.contains(&name.as_str()) {
                return Err(A::Error::custom(format_args!(
                    "`{name}` is the login's own parameter (ERR_ADIT_2219)"
                )));
            }
            if name.is_empty() || name.len() > PARAM_MAX {
                return Err(A::Error::custom(
                    "a parameter's name has 1 to 1024 bytes (ERR_ADIT_2245)",
                ));
            }
            if value.len() > PARAM_MAX {
                return Err(A::Error::custom(
                    "a parameter's value has up to 1024 bytes (ERR_ADIT_2246)",
                ));
            }
            params.push((name, value));
        }
        Ok(Params(params))
    }
}

impl<const HOURS: u64> Default for Within<HOURS> {
    fn default() -> Self {
        Self(Duration::from_secs(HOURS * HOUR))
    }
}

impl<'de, const HOURS: u64> Deserialize<'de> for Within<HOURS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let GoDuration(time) = GoDuration::deserialize(deserializer)?;
        match time {
            _ if time < SHORTEST => Err(D::Error::custom(
                "a duration of a login is at least 1s (ERR_ADIT_2204)",
            )),
            _ if time > LONGEST => Err(D::Error::custom(
                "a duration of a login is at most 8760h (ERR_ADIT_2225)",
            )),
            _ => Ok(Self(time)),
        }
    }
}

impl<'de> Deserialize<'de> for CookieDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.strip_prefix('.').unwrap_or(&text);
        let domain = Host::parse(name).map_err(|why| {
            D::Error::custom(format_args!("`{text}` is no domain: {why} (ERR_ADIT_2243)"))
        })?;
        let is_shareable = !domain.is_address() && domain.as_str().contains('.');
        match is_shareable && HeaderValue::from_str(domain.as_str()).is_ok() {
            true => Ok(Self(domain)),
            false => Err(D::Error::custom(format_args!(
                "`{text}` is no domain that hosts can share: write one with a dot in it, as in example.com (ERR_ADIT_2243)"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    login_config! {
        struct Said {
            issuer: String,
        }
    }

    fn settings(text: &str) -> Result<Settings, String> {
        let said = read::<Said>("f", &format!("{{issuer: a, {text}}}"));
        let mut said = said.map_err(|mistakes| mistakes.first().message().to_owned())?;
        assert_eq!(said.issuer, "a");
        Settings::of(said.common(), [385, 386])
    }

    #[test]
    fn little_has_to_be_said() {
        let settings = settings("client_id: a, client_secret: b").unwrap();
        assert_eq!(settings.auth_id, "");
        assert_eq!(settings.max_session, Duration::from_secs(336 * HOUR));
        assert_eq!(settings.idle_session, Duration::from_secs(72 * HOUR));
        assert_eq!(settings.refresh_interval, Duration::from_secs(HOUR));
        assert!(!settings.allow_cors_preflight && settings.cookie_domain.is_none());
        assert!(!format!("{settings:?}").contains("Secret(\"b"));
    }

    #[test]
    fn mistakes_are_told() {
        let client = "client_id: a, client_secret: b";
        for (text, said) in [
            ("client_secret: b", "`client_id` is missing (ERR_ADIT_385)"),
            ("client_id: a", "`client_secret` is missing (ERR_ADIT_386)"),
            ("client_id: '', client_secret: b", "(ERR_ADIT_2223)"),
            (&format!("{client}, auth_id: a.b"), "(ERR_ADIT_2204)"),
            (&format!("{client}, scopes: ['a b']"), "`a b` is no scope"),
            (
                &format!("{client}, max_session_duration: 500ms"),
                "at least 1s",
            ),
            (
                &format!("{client}, max_session_duration: 8761h"),
                "(ERR_ADIT_2225)",
            ),
            (
                &format!("{client}, auth_cookie_domain: com"),
                "(ERR_ADIT_2243)",
            ),
            (
                &format!("{client}, auth_cookie_domain: 192.0.2.1"),
                "(ERR_ADIT_2243)",
            ),
            (
                &format!("{client}, authz_url_params: {{'': a}}"),
                "(ERR_ADIT_2245)",
            ),
            (
                &format!("{client}, authz_url_params: {{state: a}}"),
                "(ERR_ADIT_2219)",
            ),
            (
                &format!("{client}, idle_session_timeout: 1s, idle_session_duration: 1s"),
                "duplicate field",
            ),
            (&format!("{client}, idle: 1s"), "unknown field `idle`"),
        ] {
            let message = settings(text).unwrap_err();
            assert!(message.contains(said), "{text}: {message}");
        }
    }

    #[test]
    fn another_secret_is_another_login() {
        let of =
            |secret: &str| settings(&format!("client_id: a, client_secret: {secret}")).unwrap();
        assert_eq!(of("b").fingerprint(), of("b").fingerprint());
        assert_ne!(of("b").fingerprint(), of("c").fingerprint());
        assert_eq!(of("b").version(), of("c").version());
        let scoped = settings("client_id: a, client_secret: b, scopes: [email]").unwrap();
        assert_ne!(of("b").version(), scoped.version());
    }

    #[test]
    fn a_domain_may_begin_with_a_dot() {
        let settings =
            settings("client_id: a, client_secret: b, auth_cookie_domain: .Example.com").unwrap();
        assert_eq!(settings.cookie_domain.unwrap().as_str(), "example.com");
    }
}
