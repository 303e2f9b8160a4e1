//! `realm:`, as `www-authenticate` says it.

use std::fmt;

use http::header::HeaderValue;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Longest realm in bytes.
const REALM_MAX: usize = 128;

/// What the client's user is told to sign in to.
#[derive(Debug)]
pub(super) struct Realm {
    /// The whole value of `www-authenticate`.
    pub(super) challenge: HeaderValue,
}

impl Default for Realm {
    fn default() -> Self {
        let challenge = HeaderValue::from_static(r#"Basic realm="adit", charset="UTF-8""#);
        Self { challenge }
    }
}

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(RealmVisitor)
    }
}

struct RealmVisitor;

impl Visitor<'_> for RealmVisitor {
    type Value = Realm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a realm")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Realm, E> {
        let is_shown = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let challenge = format!("Basic realm=\"{text}\", charset=\"UTF-8\"");
        match HeaderValue::try_from(challenge) {
            Ok(challenge) if text.len() <= REALM_MAX && text.bytes().all(is_shown) => {
                Ok(Realm { challenge })
            }
            _ => Err(E::custom(
                "a realm has up to 128 ASCII characters, without `\"` and `\\` (ERR_ADIT_2204)",
            )),
        }
    }
}
