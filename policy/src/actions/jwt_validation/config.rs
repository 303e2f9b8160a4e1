//! What a policy says of the tokens that it wants.

use http::header::HeaderName;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::{Map, Value};

use super::JwtValidation;
use crate::actions::enforce::Enforce;
use crate::actions::headers::header_name;
use crate::actions::list::Bounds;
use crate::actions::one_or_many::OneOrMany;
use crate::expr::{Field, FromText, Interpolated};
use crate::jose::algorithm::{Algorithm, Named};
use crate::jose::discovery::Discovery;
use crate::jose::identity_url::IdentityUrl;

/// Most URLs of keys; one more is refused.
const URLS_MAX: usize = 100;

/// Config of `jwt-validation`.
///
/// A token is signed with a public key, and its key decides how: `none` and HMAC cannot be allowed, and what a token says
/// of its own keys (`jku`, `x5u`, `jwk`, `x5c`) is never looked at. Its `exp` and `nbf` are checked, with 60 seconds for
/// clocks that differ; `iat` may be 10 minutes ahead. Tokens of more than 16 KiB, with a name that stands twice, or with
/// `crit`, are refused.
///
/// Keys are fetched when they are first needed, and kept for 15 minutes, or as long as their `max-age` says if that is
/// shorter (a minute at least). They are renewed in the background before that time is over. A token that names a key
/// which is not among them has them fetched anew, at most once a minute for each URL. While a provider is away, its last
/// keys serve for up to 24 hours; without any, requests get 503.
///
/// The caller of the first token becomes `identity.*`.
///
/// | refused because | status | number |
/// |---|---|---|
/// | the header is not there; the token is not there | 401 | 3408; 3406 |
/// | the prefix is missing; it is no token, or stands in two lines | 401 | 3413; 3416 |
/// | algorithm, key, signature, `typ`, `exp`, `nbf` or `iat` is wrong | 401 | 3401 |
/// | issuer or audience is not allowed | 403 | 3403 |
/// | a body is no JSON; no form; neither; not there with this method | 400 | 3411; 3412; 3414; 3415 |
/// | no keys are known, and none can be fetched | 503 | 3422 |
///
/// `www-authenticate` says which check failed (RFC 6750): `Bearer` alone if nothing was shown, else with `error` and
/// `error_description`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Who may have issued the tokens.
    issuer: Issuers,
    /// Whom the tokens are for. Default: anybody.
    #[serde(default)]
    audience: Option<Audiences>,
    /// Where the tokens are.
    http: Http,
    /// How the tokens are signed.
    jws: Jws,
    /// Adit only: whether a token without `exp` is accepted. Default: false.
    #[serde(default)]
    allow_missing_exp: bool,
    /// Adit only: whether a request without good tokens is refused. Default: true. If false, it passes without an identity
    /// and `actions.ngrok.jwt_validation.error` says why.
    #[serde(default)]
    enforce: Enforce,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Issuers {
    /// One of them must be the token's `iss`, exactly: a slash at the end counts.
    #[serde(deserialize_with = "values")]
    allow_list: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Audiences {
    /// One of them must be in the token's `aud`.
    #[serde(deserialize_with = "values")]
    allow_list: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// May hold `${…}`.
    value: Field<NotEmpty>,
}

/// Where the tokens of a request are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    /// At least one. All of them must be there, and be valid.
    #[serde(deserialize_with = "tokens")]
    pub(super) tokens: Vec<TokenAt>,
}

/// Where one token is.
#[derive(Debug, Deserialize)]
#[serde(try_from = "SaidToken")]
pub(super) struct TokenAt {
    pub(super) kind: TokenKind,
    pub(super) place: Place,
    pub(super) prefix: Option<Interpolated>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidToken {
    /// `jwt`, `id_token`, `access_token`, `plain`: any. `at+jwt`, `it+jwt`: the token's header must say this `typ`.
    #[serde(rename = "type", deserialize_with = "kind")]
    kind: TokenKind,
    /// `header`, or `body`: a text of a JSON object, or a field of a form, of at most 1 MiB; for POST, PUT and PATCH.
    #[serde(deserialize_with = "method")]
    method: Method,
    /// The name of the header or of the field, without regard to case; may hold `${…}`. A header with several lines of this
    /// name is refused.
    name: Interpolated,
    /// What stands in front of the token, without regard to case, such as `Bearer `; may hold `${…}`. Default: nothing.
    #[serde(default)]
    prefix: Option<Interpolated>,
}

/// Where a token is.
#[derive(Debug)]
pub(super) enum Place {
    Header(Field<LineName>),
    Body(Interpolated),
}

/// The name of a header line.
#[derive(Clone, Debug)]
pub(super) struct LineName(pub(super) HeaderName);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Any,
    /// `at+jwt` (RFC 9068).
    Access,
    /// `it+jwt`.
    Id,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Header,
    Body,
}

/// How tokens are signed.
#[derive(Debug, Deserialize)]
#[serde(from = "SaidJws")]
pub(super) struct Jws {
    pub(super) algorithms: Vec<Algorithm>,
    /// Where the keys are; none if they are found through the issuers.
    pub(super) urls: Vec<Field<IdentityUrl>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidJws {
    /// `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` or `EdDSA`; at least one.
    #[serde(deserialize_with = "algorithms")]
    allowed_algorithms: Vec<Named>,
    /// Where the keys are. Default (Adit only): at the issuers of `issuer.allow_list`, which say where in
    /// `<issuer>/.well-known/openid-configuration`; a token is then verified with keys of its own issuer only.
    #[serde(default)]
    keys: OneOrMany<SaidKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidKeys {
    #[serde(default)]
    sources: OneOrMany<Sources>,
    /// How a token names its key. There is one way, which is the default.
    #[serde(default)]
    #[expect(dead_code, reason = "what may stand there changes nothing")]
    identification: OneOrMany<Identification>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sources {
    /// URLs of JWK sets, at most 100; may hold `${…}`. https, or http for this machine, and whom the operator lets policies
    /// ask. A key of any of them verifies tokens of any issuer of the list.
    #[serde(default, deserialize_with = "urls")]
    additional_jkus: Vec<Field<IdentityUrl>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identification {
    /// Only `kid`.
    #[serde(default)]
    #[expect(dead_code, reason = "what may stand there changes nothing")]
    token_claims: Vec<KeyId>,
}

#[derive(Debug)]
struct KeyId;

// === impl Said ===

impl TryFrom<Said> for JwtValidation {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, String> {
        let texts = |list: Vec<Listed>| list.into_iter().map(|listed| listed.value.into_text());
        let issuers: Vec<_> = texts(said.issuer.allow_list).collect();
        if said.jws.urls.is_empty() {
            for issuer in issuers.iter().filter_map(Field::fixed) {
                Discovery::url(issuer)?;
            }
        }
        let audiences = said.audience.map(|said| texts(said.allow_list).collect());
        Ok(Self {
            issuers,
            audiences: audiences.unwrap_or_default(),
            http: said.http,
            jws: said.jws,
            allow_missing_exp: said.allow_missing_exp,
            enforce: said.enforce,
        })
    }
}

impl TryFrom<SaidToken> for TokenAt {
    type Error = String;

    fn try_from(said: SaidToken) -> Result<Self, String> {
        let place = match (said.method, said.name) {
            (Method::Body, name) => Place::Body(name),
            (Method::Header, Field::Computed(name)) => Place::Header(Field::Computed(name)),
            (Method::Header, Field::Fixed(name)) => {
                Place::Header(Field::Fixed(LineName::from_text(&name)?))
            }
        };
        Ok(Self {
            kind: said.kind,
            place,
            prefix: said.prefix,
        })
    }
}

impl From<SaidJws> for Jws {
    fn from(said: SaidJws) -> Self {
        let algorithms = said.allowed_algorithms.into_iter().map(|named| named.0);
        let sources = said.keys.0.into_iter().flat_map(|keys| keys.sources.0);
        Self {
            algorithms: algorithms.collect(),
            urls: sources.flat_map(|source| source.additional_jkus).collect(),
        }
    }
}

// === impl Http ===

impl Http {
    /// Whether a token may be in the body.
    pub(super) fn reads_body(&self) -> bool {
        let mut places = self.tokens.iter().map(|token| &token.place);
        places.any(|place| matches!(place, Place::Body(_)))
    }

    /// The kind of a token, by its place in the list.
    pub(super) fn kind(&self, index: usize) -> Option<TokenKind> {
        self.tokens.get(index).map(|token| token.kind)
    }
}

// === impl TokenKind ===

impl TokenKind {
    /// Whether a token with this header is of this kind. `application/` may be left out of a `typ` (RFC 7515 §4.1.9).
    pub(super) fn fits(self, header: &Map<String, Value>) -> bool {
        let wanted = match self {
            Self::Any => return true,
            Self::Access => "at+jwt",
            Self::Id => "it+jwt",
        };
        let said = header.get("typ").and_then(Value::as_str);
        said.is_some_and(|said| {
            let said = said.to_ascii_lowercase();
            said.strip_prefix("application/").unwrap_or(&said) == wanted
        })
    }
}

// === reading ===

/// A text that is not empty.
#[derive(Clone, Debug)]
struct NotEmpty(String);

impl FromText for NotEmpty {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.is_empty() {
            true => Err("`value` must not be empty (ERR_ADIT_2223)".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl Field<NotEmpty> {
    fn into_text(self) -> Interpolated {
        match self {
            Self::Fixed(NotEmpty(text)) => Field::Fixed(text),
            Self::Computed(template) => Field::Computed(template),
        }
    }
}

impl FromText for LineName {
    fn from_text(text: &str) -> Result<Self, String> {
        header_name(text).map(Self)
    }
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Listed>, D::Error> {
    bounds("allow_list", 100, 2218).read(deserializer)
}

fn tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TokenAt>, D::Error> {
    bounds("tokens", 10, 2218).read(deserializer)
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Named>, D::Error> {
    bounds("allowed_algorithms", 20, 2218).read(deserializer)
}

fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Field<IdentityUrl>>, D::Error> {
    let urls = Vec::deserialize(deserializer)?;
    match urls.len() > URLS_MAX {
        true => Err(D::Error::custom(format_args!(
            "more than {URLS_MAX} items in `additional_jkus` (ERR_ADIT_7193)"
        ))),
        false => Ok(urls),
    }
}

fn bounds(field: &'static str, max: usize, code: u16) -> Bounds {
    Bounds { field, max, code }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TokenKind, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "jwt" | "id_token" | "access_token" | "plain" => Ok(TokenKind::Any),
        "at+jwt" => Ok(TokenKind::Access),
        "it+jwt" => Ok(TokenKind::Id),
        other => Err(D::Error::custom(format_args!(
            "`type` is `jwt`, `id_token`, `access_token`, `at+jwt`, `it+jwt` or `plain`, not `{other}` (ERR_ADIT_2222)"
        ))),
    }
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "header" => Ok(Method::Header),
        "body" => Ok(Method::Body),
        other => Err(D::Error::custom(format_args!(
            "`method` is `header` or `body`, not `{other}` (ERR_ADIT_2222)"
        ))),
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "kid" => Ok(Self),
            other => Err(D::Error::custom(format_args!(
                "a token names its key with `kid`, not with `{other}` (ERR_ADIT_2222)"
            ))),
        }
    }
}
