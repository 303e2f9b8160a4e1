//! `user:password`, as a policy says it and as it is compared.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use ring::digest::{SHA256, digest};
use serde::de::{Deserialize, Deserializer, Error};
use subtle::{Choice, ConstantTimeEq};

use crate::action::Fault;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText, Part, interpolation};

/// Longest user name in bytes.
const USER_MAX: usize = 128;
/// How many characters a password may have.
const PASSWORD: RangeInclusive<usize> = 8..=128;

/// One of the list.
pub(super) struct Credential(Field<Hash>);

/// SHA-256 of `user:password`, so that neither what is compared nor its length shows in the time that it takes.
#[derive(Clone)]
pub(super) struct Hash([u8; 32]);

// === impl Credential ===

impl Credential {
    /// The credential for an exchange; the inner error is why it is none.
    pub(super) fn get(
        &self,
        exchange: &Exchange<'_>,
    ) -> Result<Result<Cow<'_, Hash>, String>, Fault> {
        let template = match &self.0 {
            Field::Fixed(hash) => return Ok(Ok(Cow::Borrowed(hash))),
            Field::Computed(template) => template,
        };
        let mut text = String::new();
        let mut colon = None;
        for part in template.parts() {
            match part {
                Part::Text(literal) => {
                    let here = literal.find(':').map(|at| text.len() + at);
                    colon = colon.or(here);
                    text.push_str(literal);
                }
                Part::Expression(expression) => {
                    let value = expression.value(exchange);
                    let value = value.map_err(|error| interpolation("credentials", error))?;
                    text.push_str(&value.to_text());
                }
            }
        }
        // Whoever fills in a user must not be able to choose the password with it.
        if colon.is_some_and(|colon| text.find(':') != Some(colon)) {
            let reason = "the user of a credential holds a colon (ERR_ADIT_2257)";
            return Ok(Err(reason.to_owned()));
        }
        Ok(Hash::from_text(&text).map(Cow::Owned))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let field = Field::deserialize(deserializer)?;
        let parts = match &field {
            Field::Fixed(_) => return Ok(Self(field)),
            Field::Computed(template) => template.parts(),
        };
        let is_whole = matches!(parts, [Part::Expression(_)]);
        let has_colon = |part: &Part| matches!(part, Part::Text(text) if text.contains(':'));
        match is_whole || parts.iter().any(has_colon) {
            true => Ok(Self(field)),
            false => Err(D::Error::custom(
                "the colon of a credential stands outside of `${}`, unless that is all (ERR_ADIT_2257)",
            )),
        }
    }
}

// === impl Hash ===

impl FromText for Hash {
    fn from_text(text: &str) -> Result<Self, String> {
        let reason = match text.split_once(':') {
            None => "a credential has no colon: write `user:password` (ERR_ADIT_2257)",
            Some(("", _)) => "the user of a credential is empty (ERR_ADIT_359)",
            Some((user, _)) if user.len() > USER_MAX => {
                "the user of a credential is longer than 128 bytes (ERR_ADIT_2257)"
            }
            Some((user, _)) if user.contains(char::is_control) => {
                "the user of a credential holds a control character (ERR_ADIT_2257)"
            }
            Some((_, password)) if !PASSWORD.contains(&password.chars().count()) => {
                "the password of a credential has not 8 to 128 characters (ERR_ADIT_360)"
            }
            Some((_, password)) if password.contains(char::is_control) => {
                "the password of a credential holds a control character (ERR_ADIT_2258)"
            }
            Some(_) => return Ok(Self::of(text.as_bytes())),
        };
        Err(reason.to_owned())
    }
}

impl Hash {
    /// Of what a client sent.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text).as_ref());
        Self(hash)
    }

    /// Whether the two are the same; it takes the same time if they are not.
    pub(super) fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}
