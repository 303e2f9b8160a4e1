//! What an OpenID Connect provider tells about itself, as far as signing in needs it (OpenID Connect Discovery 1.0 §3).

use openidconnect::core::CoreJwsSigningAlgorithm;
use serde::Deserialize;
use serde_json::Value;

use super::issuer::Issuer;
use crate::jose::algorithm::{ALGORITHMS, Algorithm};
use crate::jose::discovery;
use crate::jose::identity_url::IdentityUrl;
use crate::login::code_flow::{ClientAuth, CodeFlow};
use crate::login::provider::Failed;

/// A provider's description of itself, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    authorization: String,
    token: String,
    client_auth: ClientAuth,
    pub(super) user_info: Option<IdentityUrl>,
    pub(super) end_session: Option<String>,
    /// What ID tokens may be signed with. Each has a public key.
    pub(super) algorithms: Vec<Algorithm>,
    /// Whether it says its name to whoever comes back (RFC 9207).
    pub(super) says_iss: bool,
}

#[derive(Debug, Deserialize)]
struct Document {
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

// === impl Told ===

impl Told {
    /// Reads a description whose issuer is the right one already.
    pub(super) fn read(described: &discovery::Issuer, issuer: &Issuer) -> Result<Self, Failed> {
        let bad = |why: String| Failed::Misconfigured(format!("the discovery of {issuer}: {why}"));
        let document = Document::deserialize(&Value::Object(described.json.clone()));
        let document = document.map_err(|why| bad(why.to_string()))?;
        let checked = |url: &str| {
            let parsed = IdentityUrl::parse(url).map_err(|why| bad(format!("{url}: {why}")))?;
            let plain = parsed.to_string().starts_with("http://");
            match plain && !issuer.as_str().starts_with("http://") {
                true => Err(bad(format!("{url}: it must begin with https://"))),
                false => Ok(parsed),
            }
        };
        checked(&document.authorization_endpoint)?;
        checked(&document.token_endpoint)?;
        let user_info = document.userinfo_endpoint.as_deref().map(checked);
        document
            .end_session_endpoint
            .as_deref()
            .map(checked)
            .transpose()?;
        let listed = &document.id_token_signing_alg_values_supported;
        let algorithms = ALGORITHMS.iter();
        let algorithms = algorithms.filter(|(name, _)| listed.iter().any(|listed| listed == name));
        let algorithms: Vec<_> = algorithms.map(|(_, algorithm)| *algorithm).collect();
        if algorithms.is_empty() {
            return Err(bad(
                "it lists no algorithm with a public key for ID tokens".to_owned()
            ));
        }
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Self {
            client_auth: client_auth(methods.as_deref()).ok_or_else(|| {
                bad(
                    "its token endpoint accepts neither client_secret_basic nor client_secret_post"
                        .to_owned(),
                )
            })?,
            authorization: document.authorization_endpoint,
            token: document.token_endpoint,
            user_info: user_info.transpose()?,
            end_session: document.end_session_endpoint,
            algorithms,
            says_iss: document.authorization_response_iss_parameter_supported,
        })
    }

    /// How people sign in there.
    pub(super) fn flow(&self) -> CodeFlow<'_> {
        CodeFlow {
            authorization_url: &self.authorization,
            token_url: &self.token,
            client_auth: self.client_auth,
        }
    }
}

/// Without a list it is `client_secret_basic` (OpenID Connect Discovery 1.0 §3).
fn client_auth(methods: Option<&[String]>) -> Option<ClientAuth> {
    let has = |wanted: &str| methods.is_some_and(|all| all.iter().any(|one| one == wanted));
    if methods.is_none() || has("client_secret_basic") {
        return Some(ClientAuth::Basic);
    }
    has("client_secret_post").then_some(ClientAuth::Post)
}

/// The same algorithm in the words of the crate that verifies ID tokens.
pub(super) fn in_other_words(algorithm: Algorithm) -> Option<CoreJwsSigningAlgorithm> {
    use CoreJwsSigningAlgorithm as Core;
    Some(match algorithm {
        Algorithm::RS256 => Core::RsaSsaPkcs1V15Sha256,
        Algorithm::RS384 => Core::RsaSsaPkcs1V15Sha384,
        Algorithm::RS512 => Core::RsaSsaPkcs1V15Sha512,
        Algorithm::PS256 => Core::RsaSsaPssSha256,
        Algorithm::PS384 => Core::RsaSsaPssSha384,
        Algorithm::PS512 => Core::RsaSsaPssSha512,
        Algorithm::ES256 => Core::EcdsaP256Sha256,
        Algorithm::ES384 => Core::EcdsaP384Sha384,
        Algorithm::EdDSA => Core::EdDsa,
        _ => return None,
    })
}
