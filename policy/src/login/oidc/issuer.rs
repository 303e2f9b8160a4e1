//! The name of an OpenID Connect provider, which is a URL.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::jose::discovery::Discovery;

/// An issuer's URL as the policy spells it: https, or http on this machine. It is compared letter by letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issuer(String);

// === impl Issuer ===

impl Issuer {
    /// Reads an issuer (OpenID Connect Discovery 1.0 §3).
    ///
    /// # Errors
    /// When it is no URL, has a query, a fragment or a user, or is http on another machine.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match Discovery::url(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(format!(
                "issuer_url {text} cannot be used: write it as the provider does, like https://login.example.com \
                 (http only for one on this machine, without query and fragment) (ERR_ADIT_2227)"
            )),
        }
    }

    /// The URL as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IssuerVisitor)
    }
}

struct IssuerVisitor;

impl Visitor<'_> for IssuerVisitor {
    type Value = Issuer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an issuer's URL")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Issuer, E> {
        Issuer::parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in [
            "https://id.example",
            "https://id.example/realms/a/",
            "http://127.0.0.1:9411",
            "http://[::1]:9411",
            "http://localhost:9411/",
        ] {
            assert_eq!(Issuer::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "id.example",
            "http://id.example",
            "ftp://127.0.0.1",
            "http://127.0.0.1.evil.example",
            "https://id.example?a=1",
            "https://id.example#a",
            "https://a:b@id.example",
        ] {
            let why = Issuer::parse(bad).unwrap_err();
            assert!(why.ends_with("(ERR_ADIT_2227)"), "{why}");
        }
    }
}
