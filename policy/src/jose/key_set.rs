//! The keys that a provider publishes: a JWK Set (RFC 7517 §5).

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key::Key;
use super::strict_json;

/// Most keys of a set; a longer set is refused.
const KEYS_MAX: usize = 100;
/// So many keys at most are tried for one token: those of one name, or all that fit a token that names none.
pub(super) const TRIES_MAX: usize = 16;

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
        self.keys.iter().filter(fits).take(TRIES_MAX)
    }
}
