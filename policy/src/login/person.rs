//! Who somebody is, out of claims in the words of OpenID Connect Core 1.0 §5.1.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::provider::{Failed, Person};

/// The person of these claims.
pub(super) fn person(claims: Map<String, Value>, subject: String) -> Person {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = match (text("name"), text("given_name"), text("family_name")) {
        ("", "", "") => text("preferred_username").to_owned(),
        ("", given, family) => format!("{given} {family}").trim().to_owned(),
        (name, ..) => name.to_owned(),
    };
    Person {
        subject,
        name,
        email: text("email").to_owned(),
        email_verified: claims.get("email_verified").map(is_true),
        provider_session: claims.get("sid").and_then(Value::as_str).map(str::to_owned),
        claims: Arc::new(claims),
    }
}

/// The person's id at the provider, which every provider must say.
pub(super) fn subject(claim: Option<&Value>) -> Result<String, Failed> {
    match claim {
        Some(Value::String(id)) if !id.is_empty() => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        _ => Err(Failed::Unbelievable(
            "it does not say the person's id".to_owned(),
        )),
    }
}

/// Adds what is not said yet. An address is verified only by whoever says this very address.
pub(super) fn add(claims: &mut Map<String, Value>, mut said: Map<String, Value>) {
    if claims.contains_key("email") && claims.get("email") != said.get("email") {
        said.remove("email_verified");
    }
    for (name, value) in said {
        claims.entry(name).or_insert(value);
    }
}

/// Says it anew.
pub(super) fn renew(claims: &mut Map<String, Value>, said: Map<String, Value>) {
    if said.contains_key("email") {
        claims.remove("email_verified");
    }
    claims.extend(said);
}

/// Some providers write it as text. Anything else is not true.
fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || value.as_str() == Some("true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_person_has_a_name_if_the_claims_have_one() {
        let name = |claims| person(map(claims), "1".to_owned()).name;
        assert_eq!(name(json!({"name": "A B", "given_name": "A"})), "A B");
        assert_eq!(name(json!({"given_name": "A", "family_name": "B"})), "A B");
        assert_eq!(name(json!({"family_name": "B"})), "B");
        assert_eq!(name(json!({"preferred_username": "ab"})), "ab");
        assert_eq!(name(json!({"name": 1})), "");
    }

    #[test]
    fn a37_c_an_address_is_verified_if_the_provider_says_so_and_not_otherwise() {
        let verified = |claims| person(map(claims), "1".to_owned()).email_verified;
        assert_eq!(verified(json!({"email": "a@b"})), None);
        for (said, expected) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(1), false),
            (json!(null), false),
        ] {
            assert_eq!(
                verified(json!({"email": "a@b", "email_verified": said})),
                Some(expected)
            );
        }
    }

    #[test]
    fn a37_c_an_address_is_not_verified_by_what_is_said_of_another() {
        let mut claims = map(json!({"email": "a@corp"}));
        add(
            &mut claims,
            map(json!({"email": "a@evil", "email_verified": true, "name": "A"})),
        );
        assert_eq!(claims, map(json!({"email": "a@corp", "name": "A"})));
        let mut claims = map(json!({"email": "a@corp"}));
        add(
            &mut claims,
            map(json!({"email": "a@corp", "email_verified": true})),
        );
        assert_eq!(claims["email_verified"], true);
        let mut claims = map(json!({"email": "a@corp"}));
        add(&mut claims, map(json!({"email_verified": true})));
        assert_eq!(claims.get("email_verified"), None);
        let mut claims = map(json!({"email": "a@corp", "email_verified": true, "groups": ["x"]}));
        renew(&mut claims, map(json!({"email": "b@corp"})));
        assert_eq!(claims, map(json!({"email": "b@corp", "groups": ["x"]})));
    }

    #[test]
    fn an_id_is_text_or_a_number_and_not_empty() {
        assert_eq!(subject(Some(&json!("a"))).unwrap(), "a");
        assert_eq!(subject(Some(&json!(583231))).unwrap(), "583231");
        for none in [json!(""), json!(null), json!(["a"])] {
            assert!(subject(Some(&none)).is_err());
        }
        assert!(subject(None).is_err());
    }
}
