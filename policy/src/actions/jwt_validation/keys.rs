//! The keys with which tokens are verified: at URLs that the policy names, or where the issuers say.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::action::Fault;
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Field, Interpolated, unusable};
use crate::jose::algorithm::Algorithm;
use crate::jose::claims;
use crate::jose::discovery::{Discovery, Issuer};
use crate::jose::identity_url::IdentityUrl;
use crate::jose::jwks::Jwks;
use crate::jose::key_set::KeySet;
use crate::jose::token::Token;

/// Where the keys of a policy are.
#[derive(Debug)]
pub(super) enum Keys {
    At(Vec<Known<Field<IdentityUrl>, Jwks>>),
    Of(Vec<Known<Interpolated, Discovery>>),
}

/// What a policy says, and what it means if that is the same for every exchange.
#[derive(Debug)]
pub(super) struct Known<F, S> {
    field: F,
    source: Option<S>,
}

/// Where the keys of one exchange are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    At(Jwks),
    Of(Discovery),
}

/// Keys, and whose tokens they verify if not everybody's.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) issuer: Option<Arc<Issuer>>,
    pub(super) keys: Arc<KeySet>,
}

// === impl Keys ===

impl Keys {
    pub(super) fn of(
        urls: Vec<Field<IdentityUrl>>,
        issuers: &[Interpolated],
        env: &Env,
    ) -> Result<Self, String> {
        if !urls.is_empty() {
            let urls = urls.into_iter().map(|field| Known {
                source: field.fixed().map(|url| Jwks::of(url, env)),
                field,
            });
            return Ok(Self::At(urls.collect()));
        }
        let issuers = issuers.iter().map(|field| {
            let source = field.fixed().map(|issuer| Discovery::of(issuer, env));
            Ok(Known {
                source: source.transpose()?,
                field: field.clone(),
            })
        });
        Ok(Self::Of(issuers.collect::<Result<_, String>>()?))
    }

    /// Where the keys of an exchange are.
    pub(super) fn sources(&self, exchange: &Exchange<'_>) -> Result<Vec<Source>, Fault> {
        match self {
            Self::At(urls) => urls.iter().map(|url| url.of(exchange)).collect(),
            Self::Of(issuers) => issuers.iter().map(|issuer| issuer.of(exchange)).collect(),
        }
    }

    /// All keys, if nobody need wait for any.
    pub(super) fn at_hand(&self, exchange: &Exchange<'_>) -> Result<Option<Vec<Found>>, Fault> {
        let sources = self.sources(exchange)?;
        Ok(sources
            .iter()
            .map(|source| source.at_hand(exchange.env))
            .collect())
    }
}

impl Known<Field<IdentityUrl>, Jwks> {
    fn of(&self, exchange: &Exchange<'_>) -> Result<Source, Fault> {
        if let Some(jwks) = &self.source {
            return Ok(Source::At(jwks.clone()));
        }
        let url = self.field.get("additional_jkus", exchange)?;
        Ok(Source::At(Jwks::of(&url, exchange.env)))
    }
}

impl Known<Interpolated, Discovery> {
    fn of(&self, exchange: &Exchange<'_>) -> Result<Source, Fault> {
        if let Some(discovery) = &self.source {
            return Ok(Source::Of(discovery.clone()));
        }
        let issuer = self.field.get("issuer.allow_list", exchange)?;
        let discovery = Discovery::of(&issuer, exchange.env);
        let discovery = discovery.map_err(|why| unusable("issuer.allow_list", &why))?;
        Ok(Source::Of(discovery))
    }
}

// === impl Found ===

impl Found {
    /// Whether these keys verify tokens with these claims: those of an issuer verify its own tokens only.
    pub(super) fn may_verify(&self, claims: &Map<String, Value>) -> bool {
        let mut issuer = self.issuer.iter();
        issuer.all(|issuer| claims::issuer(claims) == Some(&issuer.name))
    }
}

// === impl Source ===

impl Source {
    fn at_hand(&self, env: &Env) -> Option<Found> {
        match self {
            Self::At(jwks) => Some(Found {
                issuer: None,
                keys: jwks.at_hand(env)?,
            }),
            Self::Of(discovery) => {
                let issuer = discovery.at_hand(env)?;
                let keys = issuer.jwks(env).at_hand(env)?;
                let issuer = Some(issuer);
                Some(Found { issuer, keys })
            }
        }
    }

    fn prepare(&self, env: &Env) {
        match self {
            Self::At(jwks) => jwks.prepare(env),
            Self::Of(discovery) => match discovery.at_hand(env) {
                Some(issuer) => issuer.jwks(env).prepare(env),
                None => discovery.prepare(env),
            },
        }
    }

    async fn found(&self, is_wanted: impl Fn(&KeySet) -> bool, env: &Env) -> Option<Found> {
        match self {
            Self::At(jwks) => {
                let keys = jwks.wanted(env, is_wanted).await.ok()?;
                let issuer = None;
                Some(Found { issuer, keys })
            }
            Self::Of(discovery) => {
                let issuer = discovery.issuer(env).await.ok()?;
                let keys = issuer.jwks(env).wanted(env, is_wanted).await.ok()?;
                let issuer = Some(issuer);
                Some(Found { issuer, keys })
            }
        }
    }
}

/// The keys that are at hand; the others are fetched in the background, for the next exchange.
pub(super) fn prepared(sources: &[Source], env: &Env) -> Result<Vec<Found>, Failure> {
    sources.iter().for_each(|source| source.prepare(env));
    let found: Vec<_> = sources
        .iter()
        .filter_map(|source| source.at_hand(env))
        .collect();
    match found.len() == sources.len() {
        true => Ok(found),
        false => Err(Failure::Keys),
    }
}

/// The keys, fetched where they are not at hand or lack what a token names. Some may be missing as long as the tokens can
/// be verified with the others.
pub(super) async fn fetched(
    sources: &[Source],
    tokens: &[Token<'_>],
    algorithms: &[Algorithm],
    env: &Env,
) -> Result<Vec<Found>, Failure> {
    let knows =
        |keys: &KeySet, token: &Token<'_>| match (token.key_id(), token.algorithm(algorithms)) {
            (Some(id), _) => keys.has(id),
            (None, Some(algorithm)) => keys.knows(None, algorithm),
            (None, None) => true,
        };
    let at_hand: Vec<_> = sources
        .iter()
        .filter_map(|source| source.at_hand(env))
        .collect();
    let is_missing =
        |found: &[Found], token: &&Token<'_>| !found.iter().any(|found| knows(&found.keys, token));
    let missing: Vec<_> = tokens
        .iter()
        .filter(|token| is_missing(&at_hand, token))
        .collect();
    let is_wanted = |keys: &KeySet| missing.iter().all(|token| knows(keys, token));
    let found = join_all(sources.iter().map(|source| source.found(is_wanted, env))).await;
    let found: Vec<_> = found.into_iter().flatten().collect();
    let all_came = found.len() == sources.len();
    match all_came || !tokens.iter().any(|token| is_missing(&found, &token)) {
        true => Ok(found),
        false => Err(Failure::Keys),
    }
}
