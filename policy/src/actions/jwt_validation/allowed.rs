//! Whose tokens one exchange accepts, and for whom.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::failure::Failure;
use crate::action::Fault;
use crate::exchange::Exchange;
use crate::expr::Interpolated;
use crate::jose::claims;

/// The issuers and audiences of a policy, filled in for one exchange.
pub(super) struct Allowed<'a> {
    issuers: Vec<Cow<'a, str>>,
    audiences: Vec<Cow<'a, str>>,
}

impl<'a> Allowed<'a> {
    pub(super) fn of(
        issuers: &'a [Interpolated],
        audiences: &'a [Interpolated],
        exchange: &Exchange<'_>,
    ) -> Result<Self, Fault> {
        let texts = |list: &'a [Interpolated], name| {
            let texts = list.iter().map(|field| {
                let text = field.get(name, exchange)?;
                Ok(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_str()),
                    Cow::Owned(text) => Cow::Owned(text),
                })
            });
            texts.collect::<Result<_, Fault>>()
        };
        Ok(Self {
            issuers: texts(issuers, "issuer.allow_list")?,
            audiences: texts(audiences, "audience.allow_list")?,
        })
    }

    /// Whether these claims name an issuer and an audience that are allowed. A text that `${…}` left empty allows nothing.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), Failure> {
        let among = |list: &[Cow<'_, str>], text: &str| {
            !text.is_empty() && list.iter().any(|one| one == text)
        };
        if !claims::issuer(claims).is_some_and(|issuer| among(&self.issuers, issuer)) {
            return Err(Failure::Issuer);
        }
        let mut audience = claims::audience(claims);
        match self.audiences.is_empty() || audience.any(|one| among(&self.audiences, one)) {
            true => Ok(()),
            false => Err(Failure::Audience),
        }
    }
}
