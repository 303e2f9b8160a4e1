//! What a case is given: a request, what is known of its connection, and what the world outside would answer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use jiff::Timestamp;
use serde::Deserialize;

use super::said::{Lines, Said};
use super::url::Url;
use crate::go_duration::GoDuration;
use crate::identity::Identity;
use crate::secret::Secret;

/// One request as it arrives, and its surroundings. Everything has a default: `GET https://app.example.com/` from
/// 192.0.2.1, and a service that answers 200 with nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// The request's method. Default: GET.
    pub method: Option<Said<Method>>,
    /// Where to: a whole URL, or only its path, as in `/admin?all=1`. `tcp://` and `tls://` stand for a connection that
    /// carries no request. The endpoint is the URL's scheme, host and port.
    pub url: Option<Said<Url>>,
    /// `HTTP/1.1` or `HTTP/2`. Default: HTTP/1.1.
    pub version: Option<Said<HttpVersion>>,
    /// The request's header: a text, a list of texts, or null to leave out a line that all cases have.
    pub headers: Lines,
    /// The request's body.
    pub body: Option<Said<String>>,
    /// The same in base64, for what is no text.
    pub body_base64: Option<Said<Base64>>,
    /// Who asks. Default: 192.0.2.1.
    pub client_ip: Option<Said<IpAddr>>,
    /// The name of the gateway's location. Default: `default`.
    pub region: Option<String>,
    /// When the request arrives, as in 2026-03-01T12:00:00Z; the clock stands still then. Default:
    /// 2026-01-01T00:00:00Z, or the time of the request before.
    pub time: Option<Said<Timestamp>>,
    /// How long after the request before (its `time` is this much later).
    pub after: Option<GoDuration>,
    /// What the handshake said. Default for https and tls: the URL's host as SNI, TLS 1.3.
    pub tls: Option<Tls>,
    /// What chance gives: a number from which a row of bytes is made. Default: 0.
    pub random: Option<u64>,
    /// Who is taken for signed in by `openid-connect`, `oauth` and `jwt-validation`, without cookie and token. Default:
    /// nobody.
    pub identity: Option<Caller>,
    /// What `http-request` and others would be answered. An URL that is not here cannot be reached.
    pub fetch: Option<Vec<FetchAnswer>>,
    /// What `secrets.get` finds: by vault, and by name. No output shows it.
    pub secrets: BTreeMap<String, BTreeMap<String, Secret>>,
    /// What the service answers: `offline`, or status, headers and body.
    pub upstream: Option<Upstream>,
    /// What another endpoint answers that the policy forwards to. Default: as `upstream`.
    pub forward: Option<Upstream>,
    /// How often the request is sent; what is expected is said of the last. Default: 1.
    pub repeat: Option<u32>,
    /// Whether this request finds counters that nobody used yet. Default: false; each case begins with fresh ones.
    pub fresh: bool,
}

/// What a TLS handshake said. Default of all: empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The host of the ClientHello. Default: the URL's.
    pub sni: Option<String>,
    /// The JA4 fingerprint.
    pub ja4: String,
    /// `1.2` or `1.3`. Default: 1.3.
    pub version: Option<Said<String>>,
    /// The suite's IANA name.
    pub cipher_suite: String,
    /// The application protocol.
    pub alpn: String,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
}

/// Who has signed in, as the provider would say it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    /// The id at the provider. Default: `somebody`.
    pub id: String,
    /// The name.
    pub name: String,
    /// The address. Actions leave it out if it is not verified.
    pub email: String,
    /// Whether the provider says that it is. Default: true.
    pub email_verified: bool,
    /// The groups.
    pub groups: Vec<String>,
    /// All else that the provider says.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// One answer for a policy's own requests. Of several with the same URL each is given once, the last one ever after.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchAnswer {
    /// Which URL is asked.
    pub url: String,
    /// With which method; without it, any.
    pub method: Option<Said<Method>>,
    /// The answer's status. Default: 200.
    #[serde(default = "ok")]
    pub status: Said<StatusCode>,
    /// Its header.
    #[serde(default)]
    pub headers: Lines,
    /// Its body.
    #[serde(default = "nothing")]
    pub body: Said<String>,
    /// That there is no answer: `timeout`, or any other reason.
    pub error: Option<String>,
}

/// What the service does.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// Nobody is there.
    Offline,
    /// It answers.
    Answers(Answer),
}

/// An answer of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Default: 200.
    #[serde(default = "ok")]
    pub status: Said<StatusCode>,
    /// The header, as the service sends it.
    #[serde(default)]
    pub headers: Lines,
    /// The body.
    pub body: Option<Said<String>>,
    /// The same in base64, for what is no text.
    pub body_base64: Option<Said<Base64>>,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpVersion(pub Version);

/// Bytes, from base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(pub Bytes);

// === impl Given ===

impl Given {
    /// This, and from `common` whatever is not said here.
    pub fn on(self, common: &Self) -> Self {
        let own_body = self.body.is_some() || self.body_base64.is_some();
        let (body, body_base64) = match own_body {
            true => (self.body, self.body_base64),
            false => (common.body.clone(), common.body_base64.clone()),
        };
        Self {
            method: self.method.or_else(|| common.method.clone()),
            url: match (self.url, &common.url) {
                (Some(own), Some(common)) => Some(Said(own.0.on(&common.0))),
                (own, common) => own.or_else(|| common.clone()),
            },
            version: self.version.or(common.version),
            headers: self.headers.on(&common.headers),
            body,
            body_base64,
            client_ip: self.client_ip.or(common.client_ip),
            region: self.region.or_else(|| common.region.clone()),
            time: self.time.or(common.time),
            after: self.after.or(common.after),
            tls: self.tls.or_else(|| common.tls.clone()),
            random: self.random.or(common.random),
            identity: self.identity.or_else(|| common.identity.clone()),
            fetch: self.fetch.or_else(|| common.fetch.clone()),
            secrets: match self.secrets.is_empty() {
                true => common.secrets.clone(),
                false => self.secrets,
            },
            upstream: self.upstream.or_else(|| common.upstream.clone()),
            forward: self.forward.or_else(|| common.forward.clone()),
            repeat: self.repeat.or(common.repeat),
            fresh: self.fresh || common.fresh,
        }
    }

    /// The request's body.
    pub fn body(&self) -> Bytes {
        bytes(self.body.as_ref(), self.body_base64.as_ref())
    }
}

// === impl Answer ===

impl Answer {
    /// The body.
    pub fn body(&self) -> Bytes {
        bytes(self.body.as_ref(), self.body_base64.as_ref())
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: ok(),
            headers: Lines::default(),
            body: None,
            body_base64: None,
        }
    }
}

// === impl Caller ===

impl Default for Caller {
    fn default() -> Self {
        Self {
            id: "somebody".to_owned(),
            name: String::new(),
            email: String::new(),
            email_verified: true,
            groups: Vec::new(),
            claims: serde_json::Map::new(),
        }
    }
}

impl Caller {
    /// The same as an action would find it out.
    pub(super) fn identity(&self) -> Identity {
        let Self {
            id,
            name,
            email,
            email_verified,
            groups,
            claims,
        } = self.clone();
        let mut claims = claims;
        let mut says = |name: &str, value: serde_json::Value| {
            claims.entry(name).or_insert(value);
        };
        says("sub", id.as_str().into());
        if !name.is_empty() {
            says("name", name.as_str().into());
        }
        if !email.is_empty() {
            says("email", email.as_str().into());
            says("email_verified", email_verified.into());
        }
        if !groups.is_empty() {
            says("groups", groups.clone().into());
        }
        Identity {
            kind: "",
            id,
            name,
            email: if email_verified { email } else { String::new() },
            email_verified,
            issuer: String::new(),
            groups,
            claims: Arc::new(claims),
            session: None,
            until: None,
        }
    }
}

// === impl Lines ===

impl Lines {
    /// These, and those of `common` with other names.
    fn on(self, common: &Self) -> Self {
        let is_own = |name: &HeaderName| self.0.iter().any(|(own, _)| own == name);
        let others = common.0.iter().filter(|(name, _)| !is_own(name)).cloned();
        Self(others.chain(self.0.iter().cloned()).collect())
    }

    /// The lines as a header.
    pub fn to_map(&self) -> HeaderMap {
        let lines = self.pairs();
        let lines = lines
            .filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_str(value).ok()?)));
        let mut map = HeaderMap::new();
        lines.for_each(|(name, value)| drop(map.try_append(name, value)));
        map
    }
}

// === how each reads itself ===

impl FromStr for HttpVersion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "HTTP/1.0" => Ok(Self(Version::HTTP_10)),
            "HTTP/1.1" => Ok(Self(Version::HTTP_11)),
            "HTTP/2" | "HTTP/2.0" => Ok(Self(Version::HTTP_2)),
            _ => Err("a version is HTTP/1.0, HTTP/1.1 or HTTP/2"),
        }
    }
}

impl FromStr for Base64 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match STANDARD.decode(text) {
            Ok(bytes) => Ok(Self(bytes.into())),
            Err(_) => Err("this is not base64"),
        }
    }
}

impl From<Vec<u8>> for Base64 {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UpstreamVisitor)
    }
}

struct UpstreamVisitor;

impl<'de> serde::de::Visitor<'de> for UpstreamVisitor {
    type Value = Upstream;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`offline`, or a map of status, headers and body")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Upstream, E> {
        match text {
            "offline" => Ok(Upstream::Offline),
            other => Err(E::invalid_value(
                serde::de::Unexpected::Str(other),
                &"`offline`, or a map of status, headers and body",
            )),
        }
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Upstream, A::Error> {
        let answer = serde::de::value::MapAccessDeserializer::new(map);
        Answer::deserialize(answer).map(Upstream::Answers)
    }
}

fn ok() -> Said<StatusCode> {
    Said(StatusCode::OK)
}

fn nothing() -> Said<String> {
    Said(String::new())
}

fn bytes(text: Option<&Said<String>>, base64: Option<&Said<Base64>>) -> Bytes {
    match (text, base64) {
        (_, Some(Said(Base64(bytes)))) => bytes.clone(),
        (Some(Said(text)), None) => Bytes::copy_from_slice(text.as_bytes()),
        (None, None) => Bytes::new(),
    }
}
