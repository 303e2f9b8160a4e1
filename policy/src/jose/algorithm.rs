//! The algorithms that a policy may allow (RFC 7518 §3.1, RFC 8037).

use std::fmt;

pub(crate) use jsonwebtoken::Algorithm;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Each algorithm by its name in tokens. All of them verify with a public key.
pub(crate) const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The algorithm of this name, which is spelled exactly so (RFC 7515 §4.1.1).
pub(crate) fn named(name: &str) -> Option<Algorithm> {
    let found = ALGORITHMS.iter().find(|(known, _)| *known == name);
    found.map(|(_, algorithm)| *algorithm)
}

/// An algorithm as a config names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) Algorithm);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NamedVisitor)
    }
}

struct NamedVisitor;

impl Visitor<'_> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an algorithm")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Named, E> {
        named(name)
            .map(Named)
            .ok_or_else(|| E::custom(refusal(name)))
    }
}

fn refusal(name: &str) -> String {
    if name.eq_ignore_ascii_case("none") {
        return "algorithm `none` leaves tokens unsigned, so anybody could write them; remove it (ERR_ADIT_2222)"
            .to_owned();
    }
    if matches!(name, "HS256" | "HS384" | "HS512") {
        return format!(
            "algorithm `{name}` verifies with the secret that signs, and keys come from public documents; use one with a key pair, like `ES256` (ERR_ADIT_2222)"
        );
    }
    if name == "ES512" {
        return "algorithm `ES512` (P-521) is not built into this version; use `ES384` (ERR_ADIT_2222)".to_owned();
    }
    let names: Vec<_> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
    format!(
        "unknown algorithm `{name}`, expected one of `{}` (ERR_ADIT_2222)",
        names.join("`, `")
    )
}
