//! Who sends a request, as an action has found out: what `identity.*` shows, and what ends with a session.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Map, Value};

use crate::env::SessionKeys;

/// The caller of an exchange. An action that authenticates sets it, and the gateway hands it on to inner policies.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// How the caller was authenticated: `oidc`, `oauth`, `jwt`, `basic-auth`.
    pub kind: &'static str,
    /// The caller's id, unique with the issuer: the subject of a token, a user name.
    pub id: String,
    /// The name for people; empty if it is not known.
    pub name: String,
    /// The address; empty if it is not known, or the provider says that it is not verified.
    pub email: String,
    /// Whether the provider says that the address is verified.
    pub email_verified: bool,
    /// Who vouches: the issuer's URL or the provider's name; empty for `basic-auth`.
    pub issuer: String,
    /// The `groups` claim, if it is a list of texts.
    pub groups: Vec<String>,
    /// All that the issuer has said.
    pub claims: Arc<Map<String, Value>>,
    /// The session that the caller has signed in to, if it is one that can be ended.
    pub session: Option<SessionKeys>,
    /// When the caller has to be authenticated anew at the latest, if that is known. What still runs then is ended.
    pub until: Option<SystemTime>,
}

/// The `groups` of some claims: a list of texts, or one text.
pub(crate) fn groups(claims: &Map<String, Value>) -> Vec<String> {
    match claims.get("groups") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            let texts = all.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_texts() {
        let of = |json: &str| {
            groups(
                serde_json::from_str::<Value>(json)
                    .unwrap()
                    .as_object()
                    .unwrap(),
            )
        };
        assert_eq!(of(r#"{"groups":["a",1,"b"]}"#), ["a", "b"]);
        assert_eq!(of(r#"{"groups":"a"}"#), ["a"]);
        assert!(of(r#"{"groups":{"a":1}}"#).is_empty());
        assert!(of("{}").is_empty());
    }
}
