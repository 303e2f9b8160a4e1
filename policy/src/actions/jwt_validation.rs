//! `jwt-validation`: lets a request in only with tokens that an issuer has signed for it (RFC 7519, RFC 6750).

mod accepted;
mod allowed;
mod config;
mod failure;
mod keys;
mod presented;
mod results;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;

use self::accepted::{Accepted, Cache};
use self::allowed::Allowed;
use self::config::{Http, Jws, Said, TokenKind};
use self::failure::Failure;
use self::keys::{Found, Keys, Source};
use self::presented::Presented;
use super::enforce::Enforce;
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Interpolated;
use crate::identity::Identity;
use crate::jose::algorithm::Algorithm;
use crate::jose::claims;
use crate::jose::token::{Token, Unverified};

/// Longest body in bytes in which a token is looked for.
const BODY_MAX: usize = 1 << 20;

/// Config of `jwt-validation`; its fields stand at [`Said`].
#[derive(Debug, Deserialize)]
#[serde(try_from = "Said")]
pub(super) struct JwtValidation {
    issuers: Vec<Interpolated>,
    audiences: Vec<Interpolated>,
    http: Http,
    jws: Jws,
    allow_missing_exp: bool,
    enforce: Enforce,
}

/// A config, with the keys of its issuers.
#[derive(Debug)]
pub(super) struct Running {
    issuers: Vec<Interpolated>,
    audiences: Vec<Interpolated>,
    http: Http,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    allow_missing_exp: bool,
    enforce: Enforce,
    cache: Cache,
}

impl Config for JwtValidation {
    const TYPE: &'static str = "jwt-validation";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some(results::NAME);
    type Action = Running;

    fn reads_request_body(&self) -> bool {
        self.http.reads_body()
    }

    fn build(self, env: &Env) -> Result<Running, Unbuildable> {
        let keys = Keys::of(self.jws.urls, &self.issuers, env).map_err(Unbuildable)?;
        Ok(Running {
            issuers: self.issuers,
            audiences: self.audiences,
            http: self.http,
            algorithms: self.jws.algorithms,
            keys,
            allow_missing_exp: self.allow_missing_exp,
            enforce: self.enforce,
            cache: Cache::default(),
        })
    }
}

/// What one exchange has shown, judged: all of its tokens, or the first thing that is wrong.
type Judged = Result<Vec<Accepted>, Failure>;

#[async_trait]
impl Action for Running {
    /// Decides at once if the keys are at hand and hold those that the tokens name.
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        if let Some(given) = exchange.memory.stand_in() {
            let given = Identity {
                kind: "jwt",
                ..Identity::clone(given)
            };
            exchange.memory.set_identity(Arc::new(given));
            return Ok(Flow::Next);
        }
        if self.http.reads_body() {
            return Ok(Flow::Wait);
        }
        let texts = match self.http.tokens_of(exchange, None)? {
            Ok(texts) => texts,
            Err(failure) => return Ok(self.conclude(exchange, &[], Err(failure))),
        };
        let Some(found) = self.keys.at_hand(exchange)? else {
            return Ok(Flow::Wait);
        };
        match self.judge(exchange, &texts, &found)? {
            Err(Failure::Unverified(Unverified::UnknownKey)) => Ok(Flow::Wait),
            judged => {
                let texts: Vec<_> = match exchange.memory.wants_results() {
                    true => texts.iter().map(Presented::to_owned).collect(),
                    false => Vec::new(),
                };
                Ok(self.conclude(exchange, &texts, judged))
            }
        }
    }

    async fn wait(&self, _: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let body = match self.http.reads_body() {
            true => Some(self.body(exchange).await?),
            false => None,
        };
        let texts = match self.http.tokens_of(exchange, body.as_ref())? {
            Ok(texts) => texts.iter().map(Presented::to_owned).collect::<Vec<_>>(),
            Err(failure) => return Ok(self.conclude(exchange, &[], Err(failure))),
        };
        let sources = self.keys.sources(exchange)?;
        let (env, is_trial) = (exchange.env, exchange.memory.is_trial());
        let judged = match self.fetched(&sources, &texts, is_trial, env).await {
            Ok(found) => self.judge(exchange, &texts, &found)?,
            Err(failure) => Err(failure),
        };
        Ok(self.conclude(exchange, &texts, judged))
    }
}

// === impl Running ===

impl Running {
    /// The body, if the request is one that can hold a token.
    async fn body(&self, exchange: &mut Exchange<'_>) -> Result<Bytes, Fault> {
        let request = exchange.request_mut()?;
        match presented::can_hold_tokens(request) {
            Ok(()) => Ok(request.body(BODY_MAX).await?),
            // It is refused when it is looked for there.
            Err(_) => Ok(Bytes::new()),
        }
    }

    /// The keys, fetched if they must be. A token that no key can verify sends nobody to its provider.
    async fn fetched(
        &self,
        sources: &[Source],
        texts: &[Presented<'_>],
        is_trial: bool,
        env: &Env,
    ) -> Result<Vec<Found>, Failure> {
        let tokens = texts.iter().map(|text| self.parse(text));
        let tokens: Vec<_> = tokens.collect::<Result<_, _>>()?;
        match is_trial {
            // A rule that is only tried makes nobody wait.
            true => keys::prepared(sources, env),
            false => keys::fetched(sources, &tokens, &self.algorithms, env).await,
        }
    }

    fn parse<'t>(&self, presented: &'t Presented<'_>) -> Result<Token<'t>, Failure> {
        let token = Token::parse(&presented.text)?;
        match token.algorithm(&self.algorithms) {
            Some(_) => Ok(token),
            None => Err(Unverified::Algorithm.into()),
        }
    }

    fn judge(
        &self,
        exchange: &Exchange<'_>,
        texts: &[Presented<'_>],
        found: &[Found],
    ) -> Result<Judged, Fault> {
        let allowed = Allowed::of(&self.issuers, &self.audiences, exchange)?;
        let now = exchange.env.clock().now();
        let judged = texts.iter().map(|presented| {
            let digest = accepted::digest(&presented.text);
            if let Some(known) = self.cache.get(&digest, found) {
                self.check(presented, &known, &allowed, now)?;
                return Ok(known);
            }
            let token = self.parse(presented)?;
            let accepted = Accepted::of(token, found, &self.algorithms)?;
            self.check(presented, &accepted, &allowed, now)?;
            self.cache.put(digest, &accepted, presented.text.len());
            Ok(accepted)
        });
        Ok(judged.collect())
    }

    /// What a right signature does not tell: whether the token is of this kind, is meant for us, and its time is now.
    fn check(
        &self,
        presented: &Presented<'_>,
        accepted: &Accepted,
        allowed: &Allowed<'_>,
        now: SystemTime,
    ) -> Result<(), Failure> {
        let kind = self.http.kind(presented.index);
        if !kind.is_none_or(|kind: TokenKind| kind.fits(accepted.header())) {
            return Err(Failure::Type);
        }
        claims::in_time(accepted.claims(), now, self.allow_missing_exp)?;
        allowed.check(accepted.claims())
    }

    fn conclude(
        &self,
        exchange: &mut Exchange<'_>,
        texts: &[Presented<'_>],
        judged: Judged,
    ) -> Flow {
        if exchange.memory.wants_results() {
            let result = results::of(&self.http, texts, &judged);
            exchange.memory.set_result(results::NAME, result);
        }
        match judged {
            Ok(accepted) => {
                if let Some(first) = accepted.first() {
                    exchange.memory.set_identity(first.identity());
                }
                Flow::Next
            }
            Err(failure) => self.enforce.refuse(|| failure.refusal()),
        }
    }
}

#[cfg(test)]
mod tests;
