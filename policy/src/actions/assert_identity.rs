//! `assert-identity`: tells the service who the caller is, signed, so that it need not believe a plain header.

mod signed;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use self::signed::Signed;
use super::headers::{Line, settable};
use crate::action::{Action, Config, Fault, Flow, Phase, Reply, Unbuildable};
use crate::canonical::Authority;
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{FromText, Interpolated, unusable};
use crate::go_duration::GoDuration;
use crate::taint::Taint;

/// Where services get the public keys.
const KEYS_PATH: &str = "/adit/jwks.json";
/// The header, if the config names no other.
const HEADER: HeaderName = HeaderName::from_static("adit-assertion");
/// Most claims that are copied; one more is refused.
const CLAIMS_MAX: usize = 32;
/// What the assertion says itself, so that nothing of the provider can take its place.
const OWN_CLAIMS: &[&str] = &[
    "aud",
    "email",
    "email_verified",
    "exp",
    "groups",
    "iat",
    "idp",
    "iss",
    "jti",
    "name",
    "nbf",
    "sub",
];

/// Config of `assert-identity`. It stands behind an action that authenticates.
///
/// The assertion is a JWT, signed with ES256, with `iss` (scheme and authority of the request's URL, as in
/// `https://app.example.com`), `sub` (the caller's id), `idp` (who knows the caller by that id), `aud`, `iat`, `exp`, and
/// `email`, `email_verified`, `name` and `groups` if they are known. A service verifies it with the keys at `/adit/jwks.json`
/// of the same host, which everybody may read, whatever other rules say. An id is unique with its `idp`.
///
/// Nobody is authenticated: there is no header, and a client's own is gone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssertIdentity {
    /// Which header holds the assertion. What a client says there is taken out, in any spelling. Default `adit-assertion`.
    #[serde(default = "adit_assertion", deserialize_with = "header")]
    header: HeaderName,
    /// Whom the assertion is for, `aud`: a service refuses assertions for others. May hold `${…}`. Default: the
    /// request's host without its port.
    #[serde(default)]
    audience: Option<Interpolated>,
    /// For how long it is valid, 10s to 10m. A request carries one with at least half of it left. Default `60s`.
    #[serde(default = "a_minute", deserialize_with = "lifetime")]
    lifetime: Duration,
    /// Names of claims of the provider to be copied, if they are there; at most 32.
    #[serde(default, deserialize_with = "claims")]
    claims: Vec<String>,
}

impl Config for AssertIdentity {
    const TYPE: &'static str = "assert-identity";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const OWN_PATHS_ARE_OPEN: bool = true;
    type Action = Asserting;

    fn own_paths(&self) -> Vec<String> {
        vec![KEYS_PATH.to_owned()]
    }

    fn adds_headers(&self) -> Vec<HeaderName> {
        vec![self.header.clone()]
    }

    fn vouches_in(&self) -> Vec<HeaderName> {
        vec![self.header.clone()]
    }

    fn build(self, _: &Env) -> Result<Asserting, Unbuildable> {
        Ok(Asserting {
            signed: Signed::new(self.lifetime, self.claims),
            header: self.header,
            audience: self.audience,
        })
    }
}

/// `assert-identity`, built.
#[derive(Debug)]
pub(super) struct Asserting {
    header: HeaderName,
    audience: Option<Interpolated>,
    signed: Signed,
}

impl Action for Asserting {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        if exchange.request()?.target.path() == KEYS_PATH {
            return keys(exchange).map(Flow::Answer);
        }
        let Some(identity) = exchange.memory.identity().cloned() else {
            let head = &mut exchange.request_mut()?.head;
            head.remove(self.header.clone())?;
            return Ok(Flow::Next);
        };
        let request = exchange.request()?;
        let issuer = format!("{}://{}", request.scheme, request.authority);
        let (audience, taint) = match &self.audience {
            Some(audience) => {
                let (audience, taint) = audience.marked("audience", exchange)?;
                (audience.into_owned(), taint)
            }
            None => (host(request.authority), Taint::None),
        };
        let token = self.signed.token(&identity, issuer, audience, exchange.env);
        let token = token.ok_or_else(|| Fault::Other {
            reason: "there is no key to sign with".to_owned(),
            code: 2300,
        })?;
        let line = Line::from_text(&token).map_err(|reason| unusable("claims", &reason));
        let Line(mut value) = line?;
        exchange.memory.mark_line(&mut value, taint);
        exchange.memory.vouch_in(&self.header);
        let head = &mut exchange.request_mut()?.head;
        head.set(self.header.clone(), value)?;
        Ok(Flow::Next)
    }
}

/// The public keys (RFC 7517). A service may keep them for an hour: a new key is published a day before it is used.
fn keys(exchange: &Exchange<'_>) -> Result<Reply, Fault> {
    let method = exchange.request()?.method;
    if method != Method::GET && method != Method::HEAD {
        let mut reply = Reply::new(Bytes::new());
        *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        reply.headers_mut().insert(ALLOW, allowed);
        return Ok(reply);
    }
    let mut reply = Reply::new(exchange.env.keys().jwks().into());
    for (name, value) in [
        (CONTENT_TYPE, "application/jwk-set+json"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ] {
        let value = HeaderValue::from_static(value);
        reply.headers_mut().insert(name, value);
    }
    Ok(reply)
}

fn host(authority: &str) -> String {
    let parsed = Authority::parse_borrowed(authority.as_bytes());
    parsed.map_or_else(|_| authority.to_owned(), |parsed| parsed.host.to_string())
}

fn adit_assertion() -> HeaderName {
    HEADER
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

fn header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.eq_ignore_ascii_case(HEADER.as_str()) {
        return Ok(HEADER);
    }
    let name = settable(&text).map_err(D::Error::custom)?;
    match name.as_str() {
        "authorization" | "cookie" | "host" | "user-agent" => Err(D::Error::custom(format_args!(
            "header `{name}` has a meaning of its own; name another one for assertions (ERR_ADIT_2211)"
        ))),
        _ => Ok(name),
    }
}

fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let GoDuration(time) = GoDuration::deserialize(deserializer)?;
    match time.as_secs() {
        10..=599 => Ok(time),
        600 if time.subsec_nanos() == 0 => Ok(time),
        _ => Err(D::Error::custom(
            "an assertion lives for 10s to 10m (ERR_ADIT_2203)",
        )),
    }
}

fn claims<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.len() > CLAIMS_MAX {
        return Err(D::Error::custom(format_args!(
            "more than {CLAIMS_MAX} claims (ERR_ADIT_2203)"
        )));
    }
    match names.iter().find(|name| OWN_CLAIMS.contains(&&***name)) {
        Some(own) => Err(D::Error::custom(format_args!(
            "an assertion says `{own}` itself; leave it out (ERR_ADIT_2203)"
        ))),
        None => Ok(names),
    }
}
