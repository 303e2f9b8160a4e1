//! Whether an ID token can be believed (OpenID Connect Core 1.0 §3.1.3.7), and what it says.

use std::time::SystemTime;

use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet};
use openidconnect::{
    AccessToken, AccessTokenHash, Audience, ClaimsVerificationError, ClientId, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::told::in_other_words;
use crate::jose::algorithm::Algorithm;
use crate::jose::claims::{SKEW, in_time};
use crate::jose::key::Key;
use crate::jose::key_set::KeySet;
use crate::jose::token::Token;

/// What an ID token must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// The only algorithms that it may be signed with.
    pub(super) algorithms: &'a [Algorithm],
    /// What was sent along; `None` for a token that came of a refresh, where nobody was sent.
    pub(super) nonce: Option<&'a str>,
    /// The access token that came with it.
    pub(super) access: &'a str,
    pub(super) now: SystemTime,
}

/// All claims of an ID token, if its signature and everything that is expected of it fits. The error says what does not.
pub(super) fn claims(
    text: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, String> {
    let taken_apart = Token::parse(text).map_err(|why| why.to_string())?;
    let token: CoreIdToken = text.parse().map_err(|_| "it is none")?;
    let issuer = IssuerUrl::new(expected.issuer.to_owned()).map_err(|why| why.to_string())?;
    let client = ClientId::new(expected.client_id.to_owned());
    let now = expected.now;
    let algorithms = expected.algorithms.iter();
    // Without a secret, HS256 has no key at all.
    let verifier = CoreIdTokenVerifier::new_public_client(client, issuer, usable(keys))
        .set_allowed_algs(algorithms.filter_map(|algorithm| in_other_words(*algorithm)))
        .set_time_fn(move || (now - SKEW).into())
        // Then it must name us as the one it was issued to, see below.
        .set_other_audience_verifier_fn(|_: &Audience| true);
    let claims = match expected.nonce {
        Some(nonce) => token.claims(&verifier, &Nonce::new(nonce.to_owned())),
        None => token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
    };
    let claims = claims.map_err(wrong)?;

    let party = claims.authorized_party().map(|party| party.as_str());
    let alone = claims.audiences().len() < 2;
    if !(party == Some(expected.client_id) || party.is_none() && alone) {
        return Err("azp: it was issued to another client".to_owned());
    }
    if let Some(hash) = claims.access_token_hash() {
        let access = AccessToken::new(expected.access.to_owned());
        let own = token.signing_alg().and_then(|algorithm| {
            let key = token.signing_key(&verifier)?;
            AccessTokenHash::from_token(&access, algorithm, key)
                .map_err(|why| SignatureVerificationError::Other(why.to_string()))
        });
        if own.as_ref() != Ok(hash) {
            return Err("at_hash: the access token is not the one it came with".to_owned());
        }
    }
    let believed = taken_apart.believed().map_err(|why| why.to_string())?;
    in_time(&believed.claims, now, false).map_err(|why| why.to_string())?;
    Ok(believed.claims)
}

/// What a token says that was believed when it came.
pub(super) fn said(token: &str) -> Map<String, Value> {
    let believed = Token::parse(token).and_then(Token::believed);
    believed.map(|token| token.claims).unwrap_or_default()
}

/// The keys that are public and long enough, as the verifier wants them.
fn usable(keys: &KeySet) -> CoreJsonWebKeySet {
    let all = keys.json().get("keys").and_then(Value::as_array);
    let all = all.into_iter().flatten();
    let usable = all.filter(|key| key.as_object().is_some_and(|key| Key::read(key).is_ok()));
    let usable: Vec<_> = usable.collect();
    CoreJsonWebKeySet::deserialize(json!({ "keys": usable })).unwrap_or_default()
}

fn wrong(error: ClaimsVerificationError) -> String {
    match error {
        ClaimsVerificationError::SignatureVerification(why) => format!("signature: {why}"),
        other => other.to_string(),
    }
}
