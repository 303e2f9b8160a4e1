//! The keys that a provider publishes: a JWK Set (RFC 7517 §5).

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key::Key;
use super::strict_json;

/// Most keys of a set; a longer set is refused.
const KEYS_MAX: usize = 100;
/// So many keys at most are tried for one token: those of its name, or all that fit if it names none.
pub(crate) const TRIES_MAX: usize = 16;

/// The keys of one provider that can be used, and the set as it was published.
#[derive(Clone, Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    json: Map<String, Value>,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are left out: encryption keys, unknown types, short ones, private ones.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let json =
            strict_json::object(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
        let Some(Value::Array(all)) = json.get("keys") else {
            return Err("it holds no list `keys`".to_owned());
        };
        if all.len() > KEYS_MAX {
            return Err(format!("it holds more than {KEYS_MAX} keys"));
        }
        let objects = all.iter().filter_map(Value::as_object);
        let keys = objects.filter_map(|key| Key::read(key).ok()).collect();
        Ok(Self { keys, json })
    }

    /// The set as it was published.
    pub(crate) fn json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// Whether a token with this header could be verified. Without a name, every key that fits is tried.
    pub(crate) fn knows(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.candidates(id, algorithm).next().is_some()
    }

    /// Whether any key has this name.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id() == Some(id))
    }

    /// The keys to try for a token with this header. A name need not be unique.
    pub(crate) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| (id.is_none() || key.id() == id) && key.fits(algorithm);
        self.keys.iter().filter(fits)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::key::Unusable;
    use crate::jose::testing::{RSA_JWK, Signer, base64};

    fn read(key: Value) -> Result<Key, Unusable> {
        Key::read(key.as_object().unwrap())
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn a_key_is_used_for_what_it_is_meant_for_only() {
        let key = || Signer::new("a", "ES256").jwk();
        for (name, value, said) in [
            ("use", json!("enc"), Some(Unusable::Use)),
            ("use", json!("sig"), None),
            ("use", json!(null), None),
            ("use", json!(1), Some(Unusable::Malformed)),
            ("key_ops", json!(["sign"]), Some(Unusable::Use)),
            ("key_ops", json!(["verify"]), None),
            ("key_ops", json!("verify"), Some(Unusable::Malformed)),
            ("alg", json!("ES256"), None),
            ("alg", json!("ES384"), Some(Unusable::Algorithm)),
            ("alg", json!("HS256"), Some(Unusable::Algorithm)),
            ("crv", json!("P-384"), Some(Unusable::Malformed)),
            ("crv", json!("P-521"), Some(Unusable::Kind)),
            ("crv", json!("secp256k1"), Some(Unusable::Kind)),
            ("kty", json!("oct"), Some(Unusable::Kind)),
            ("kty", json!("RSA"), Some(Unusable::Malformed)),
            ("kty", json!(null), Some(Unusable::Malformed)),
            ("x", json!("AA"), Some(Unusable::Malformed)),
            ("x", json!("not base64!"), Some(Unusable::Malformed)),
            ("y", json!(5), Some(Unusable::Malformed)),
            ("kid", json!(5), Some(Unusable::Malformed)),
            ("d", json!("AA"), Some(Unusable::Private)),
            ("k", json!("AA"), Some(Unusable::Private)),
        ] {
            assert_eq!(
                read(with(key(), name, value.clone())).err(),
                said,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn an_rsa_key_has_2048_bits_at_least() {
        let rsa: Value = serde_json::from_str(RSA_JWK).unwrap();
        let public = json!({"kty": "RSA", "n": rsa["n"], "e": rsa["e"]});
        assert!(read(public.clone()).is_ok());
        assert_eq!(read(rsa).err(), Some(Unusable::Private));
        let mut modulus = vec![0x80; 256];
        assert!(read(with(public.clone(), "n", base64(&modulus).into())).is_ok());
        modulus.insert(0, 0);
        assert!(read(with(public.clone(), "n", base64(&modulus).into())).is_ok());
        for modulus in [
            vec![0x7f; 256],
            vec![0xff; 255],
            vec![0xff; 1_025],
            Vec::new(),
        ] {
            assert!(read(with(public.clone(), "n", base64(&modulus).into())).is_err());
        }
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_the_rest_counts() {
        let good = Signer::new("good", "EdDSA").jwk();
        let json =
            json!({"keys": [{"kty": "oct", "k": "AA", "kid": "a"}, 5, null, {}, good], "x": 1});
        let set = KeySet::read(json.to_string().as_bytes()).unwrap();
        assert_eq!(set.keys.len(), 1);
        assert!(set.has("good") && !set.has("a"));
        assert!(set.knows(Some("good"), Algorithm::EdDSA) && set.knows(None, Algorithm::EdDSA));
        assert!(!set.knows(Some("good"), Algorithm::ES256));
        assert_eq!(set.json()["x"], 1);
        assert!(KeySet::read(br#"{"keys":[]}"#).unwrap().keys.is_empty());
        for wrong in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(KeySet::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let many = json!({"keys": vec![json!({}); KEYS_MAX + 1]}).to_string();
        assert!(KeySet::read(many.as_bytes()).is_err());
    }
}
