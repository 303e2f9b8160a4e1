//! `user:password`, as a policy says it and as it is compared.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde::de::{Deserialize, Deserializer, Error};
use subtle::{Choice, ConstantTimeEq};

use super::presented::Presented;
use crate::action::Fault;
use crate::document::scope;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText, Part, interpolation};
use crate::identity::Identity;
use crate::password::{LENGTH, PasswordHash, USER_MAX};

/// One of the list.
pub(super) struct Credential(Field<Known>);

/// A user, and how to know them.
#[derive(Clone)]
pub(super) struct Known {
    identity: Arc<Identity>,
    proof: Proof,
}

#[derive(Clone)]
enum Proof {
    Plain(Digest),
    Hashed(Arc<PasswordHash>),
}

/// SHA-256 of `user:password`, so that neither what is compared nor its length shows in the time that it takes.
#[derive(Clone, Copy)]
pub(super) struct Digest([u8; 32]);

// === impl Credential ===

impl Credential {
    /// Whether comparing may take milliseconds.
    pub(super) fn may_be_hashed(&self) -> bool {
        self.0.fixed().is_none_or(|known| known.hash().is_some())
    }

    /// The credential for an exchange; the inner error is why it is none.
    pub(super) fn get(
        &self,
        exchange: &Exchange<'_>,
    ) -> Result<Result<Cow<'_, Known>, String>, Fault> {
        let template = match &self.0 {
            Field::Fixed(known) => return Ok(Ok(Cow::Borrowed(known))),
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
        Ok(Known::from_text(&text).map(Cow::Owned))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let field: Field<Known> = Field::deserialize(deserializer)?;
        let parts = match &field {
            Field::Fixed(known) => {
                if let Some(weakness) = known.hash().and_then(|hash| hash.weakness()) {
                    scope::warn(format!(
                        "{weakness}; `adit config hash-password` makes a better hash"
                    ));
                }
                return Ok(Self(field));
            }
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

// === impl Known ===

impl FromText for Known {
    fn from_text(text: &str) -> Result<Self, String> {
        let (user, password) = text
            .split_once(':')
            .ok_or("a credential has no colon: write `user:password` (ERR_ADIT_2257)")?;
        let reason = match user {
            "" => "the user of a credential is empty (ERR_ADIT_359)",
            user if user.len() > USER_MAX => {
                "the user of a credential is longer than 128 bytes (ERR_ADIT_2257)"
            }
            user if user.contains(char::is_control) => {
                "the user of a credential holds a control character (ERR_ADIT_2257)"
            }
            _ => {
                return Ok(Self {
                    identity: Arc::new(Identity {
                        kind: "basic-auth",
                        id: user.to_owned(),
                        name: user.to_owned(),
                        ..Identity::default()
                    }),
                    proof: Proof::from_text(text, password)?,
                });
            }
        };
        Err(reason.to_owned())
    }
}

impl Known {
    pub(super) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    pub(super) fn user(&self) -> &[u8] {
        self.identity.id.as_bytes()
    }

    pub(super) fn is_user(&self, name: &[u8]) -> bool {
        self.user().ct_eq(name).into()
    }

    /// The password's hash, if it does not stand there plainly.
    pub(super) fn hash(&self) -> Option<&Arc<PasswordHash>> {
        match &self.proof {
            Proof::Hashed(hash) => Some(hash),
            Proof::Plain(_) => None,
        }
    }

    /// Whether this is the user and that the password, as far as that is known without hashing it.
    pub(super) fn is_plainly(&self, presented: &Digest) -> Choice {
        match &self.proof {
            Proof::Plain(digest) => digest.0.ct_eq(&presented.0),
            Proof::Hashed(_) => Choice::from(0),
        }
    }
}

// === impl Proof ===

impl Proof {
    fn from_text(text: &str, password: &str) -> Result<Self, String> {
        let reason = match PasswordHash::read(password) {
            Some(Ok(hash)) => return Ok(Self::Hashed(Arc::new(hash))),
            Some(Err(bad)) => return Err(format!("the password of a credential {bad}")),
            None if !LENGTH.contains(&password.chars().count()) => {
                "the password of a credential has not 8 to 128 characters (ERR_ADIT_360)"
            }
            None if password.contains(char::is_control) => {
                "the password of a credential holds a control character (ERR_ADIT_2258)"
            }
            None => return Ok(Self::Plain(Digest::of(text.as_bytes()))),
        };
        Err(reason.to_owned())
    }
}

// === impl Digest ===

impl Digest {
    /// Of what a client sent.
    pub(super) fn of_presented(presented: &Presented) -> Self {
        Self::of(presented.text())
    }

    fn of(text: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text).as_ref());
        Self(hash)
    }
}
