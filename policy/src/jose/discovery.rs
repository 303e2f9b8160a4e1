//! What an issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::identity_url::IdentityUrl;
use super::jwks::Jwks;
use super::published::{Published, Unavailable};
use super::strict_json;
use crate::env::Env;

/// A description is good for so long at most; a shorter `max-age` is honoured, down to a minute.
const LASTS: Duration = Duration::from_secs(60 * 60);
/// Where an issuer describes itself, behind its URL.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// An issuer's description of itself, kept for all policies of a gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Discovery(Arc<Published<Issuer>>);

/// An issuer, as it describes itself.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// The issuer exactly as it is written in tokens.
    pub(crate) name: String,
    jwks_uri: IdentityUrl,
    /// Found once: every request asks for it.
    jwks: OnceLock<Jwks>,
    /// The whole description.
    pub(crate) json: Map<String, Value>,
}

impl Discovery {
    /// Where an issuer describes itself. The error says what is wrong with its URL, and ends with its number.
    pub(crate) fn url(issuer: &str) -> Result<IdentityUrl, String> {
        if issuer.contains(['?', '#']) {
            return Err(format!(
                "issuer {issuer} cannot be used: it has a query or a fragment (ERR_ADIT_2226)"
            ));
        }
        // OpenID Connect Discovery 1.0 §4.1: one `/` at the end does not stand in this URL; in the name it does.
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        IdentityUrl::parse(&format!("{base}{WELL_KNOWN}"))
            .map_err(|why| format!("issuer {issuer} cannot be used: {why} (ERR_ADIT_2226)"))
    }

    /// The description of an issuer. Nothing is fetched before somebody asks.
    pub(crate) fn of(issuer: &str, env: &Env) -> Result<Self, String> {
        let url = Self::url(issuer)?;
        let make = || {
            let name = issuer.to_owned();
            let read = move |bytes: &[u8]| Issuer::read(bytes, &name);
            Self(Arc::new(Published::new(url, LASTS, read)))
        };
        // Two spellings of one issuer have one URL, and only one of them is right.
        let shared = env.common_state(&format!("issuer {issuer}"), make);
        Ok(Self::clone(&shared))
    }

    /// The description, if nobody need wait for it.
    pub(crate) fn at_hand(&self, env: &Env) -> Option<Arc<Issuer>> {
        self.0.at_hand(env)
    }

    /// Has it fetched in the background if it is not at hand.
    pub(crate) fn prepare(&self, env: &Env) {
        self.0.prepare(env);
    }

    /// The description.
    pub(crate) async fn issuer(&self, env: &Env) -> Result<Arc<Issuer>, Unavailable> {
        self.0.get(env, |_| true).await
    }
}

impl Issuer {
    fn read(bytes: &[u8], name: &str) -> Result<Self, String> {
        let json =
            strict_json::object(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        match text("issuer") {
            Some(said) if said == name => {}
            Some(said) if said.trim_end_matches('/') == name.trim_end_matches('/') => {
                return Err(format!(
                    "its `issuer` is {said}, and the policy says {name}: the slash at the end counts"
                ));
            }
            Some(said) => {
                return Err(format!(
                    "its `issuer` is {said}, and the policy says {name}"
                ));
            }
            None => return Err("it has no `issuer`".to_owned()),
        }
        let jwks_uri = text("jwks_uri").ok_or("it has no `jwks_uri`")?;
        let jwks_uri = IdentityUrl::parse(jwks_uri)
            .map_err(|why| format!("its `jwks_uri` cannot be used: {why}"))?;
        Ok(Self {
            name: name.to_owned(),
            jwks_uri,
            jwks: OnceLock::new(),
            json,
        })
    }

    /// Its keys.
    pub(crate) fn jwks(&self, env: &Env) -> &Jwks {
        self.jwks.get_or_init(|| Jwks::of(&self.jwks_uri, env))
    }
}
