//! `basic-auth`: lets in who sends a user name and a password of the list (RFC 7617).

mod attempts;
mod check;
mod credential;
mod presented;
mod realm;
mod recent;
#[cfg(test)]
mod tests;
mod verified;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde::de::Deserializer;
use smallvec::SmallVec;
use subtle::ConditionallySelectable;

use self::attempts::{Attempt, Attempts, Failures};
use self::check::Check;
use self::credential::{Credential, Digest, Known};
use self::presented::{Presented, Sent};
use self::realm::Realm;
use self::verified::Verified;
use super::enforce::Enforce;
use super::list::Bounds;
use super::results::whole_seconds;
use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Value;
use crate::identity::Identity;
use crate::taint::Taints;

/// Most credentials; one more is refused.
const CREDENTIALS_MAX: usize = 100;

/// Config of `basic-auth`.
///
/// Who sends none, a wrong one, or more than one line of it, gets 401. Who is let in is `identity.*` from then on, with
/// the kind `basic-auth`. The `authorization` header goes on to the service.
///
/// A hashed password is hashed on a thread of its own, and that it was right is remembered for five minutes, as a keyed
/// hash. So many may wait to be hashed; the next one gets 503. An unknown user is hashed like a known one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    /// Who gets in: `user:password`, 1 to 100 times; may hold `${…}`. The first colon separates; a user has 1 to 128 bytes,
    /// a password 8 to 128 characters. If `${…}` is not the whole text, the colon stands outside of it.
    ///
    /// Adit only: in the password's place may stand its hash, by Argon2 (`$argon2id$…`, `$argon2i$…`), bcrypt (`$2a$…`,
    /// `$2b$…`, `$2y$…`) or what else htpasswd and `openssl passwd` write (`$5$…`, `$6$…`, and with a warning `$apr1$…`
    /// and `{SHA}…`); `adit config hash-password` makes one. Hashes of other kinds are refused, and so are those that
    /// take too long to compare: Argon2 with more than 256 MiB or more than 1 GiB in all its passes, bcrypt with a cost
    /// above 15, sha-crypt with more than 1,000,000 rounds.
    #[serde(deserialize_with = "credentials")]
    credentials: Vec<Credential>,
    /// What the client's user is told to sign in to: up to 128 ASCII characters without `"` and `\`. Default: `adit`.
    #[serde(default)]
    realm: Realm,
    /// Whether others are kept out. Default: true. If false, only `actions.ngrok.basic_auth` is set.
    #[serde(default)]
    enforce: Enforce,
    /// Adit only: how often signing in may fail before it has to wait: `off`, or `{ max: 10, per: 1m }`, which is the
    /// default; with `enforce: false` the default is `off`. Failures are counted for each client (an IPv4 address or an
    /// IPv6 /64) and for each user. Beyond, whatever the password, the answer is 429 with `retry-after`, and
    /// `actions.ngrok.basic_auth.credentials.limited` is true. A request without credentials does not count. A user who
    /// has signed in from the same address within the last half day is not locked out by what others try elsewhere.
    attempts: Option<Attempts>,
}

/// A list of users of this gateway.
#[derive(Debug)]
pub(super) struct Running {
    credentials: Vec<Credential>,
    realm: Realm,
    enforce: Enforce,
    failures: Option<Arc<Failures>>,
    verified: Arc<Verified>,
    /// Whether no password has to be hashed.
    is_plain: bool,
}

/// What comes of a user and a password.
#[derive(Debug)]
enum Decision {
    Right(Arc<Identity>),
    Wrong,
    /// Nobody looked at the password, and nobody will for so long.
    Limited(Duration),
}

impl Config for BasicAuth {
    const TYPE: &'static str = "basic-auth";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("basic_auth");
    type Action = Running;

    fn build(self, env: &Env) -> Result<Running, Unbuildable> {
        let attempts = match (self.attempts, self.enforce.is_on()) {
            (Some(attempts), _) => attempts,
            (None, true) => Attempts::default(),
            (None, false) => Attempts::Off,
        };
        Ok(Running {
            is_plain: !self.credentials.iter().any(Credential::may_be_hashed),
            credentials: self.credentials,
            realm: self.realm,
            enforce: self.enforce,
            failures: attempts.failures(env),
            verified: Verified::of(env),
        })
    }
}

#[async_trait]
impl Action for Running {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        match Sent::of(exchange.request()?.head.lines()) {
            Sent::Pair(presented) => match self.begin(&presented, exchange)? {
                Ok(decision) => Ok(self.end(Some(&presented), Some(decision), exchange)),
                Err(_) => Ok(Flow::Wait),
            },
            Sent::Unreadable => Ok(self.end(None, Some(Decision::Wrong), exchange)),
            Sent::Nothing => Ok(self.end(None, None, exchange)),
        }
    }

    async fn wait(&self, _: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let Sent::Pair(presented) = Sent::of(exchange.request()?.head.lines()) else {
            return Err(Fault::Phase);
        };
        let decision = match self.begin(&presented, exchange)? {
            Ok(decision) => Ok(decision),
            Err(check) => check.run(exchange.env.work()).await,
        };
        match decision {
            Ok(decision) => Ok(self.end(Some(&presented), Some(decision), exchange)),
            Err(_) => Ok(self.enforce.refuse(busy)),
        }
    }
}

// === impl Running ===

impl Running {
    /// Decides as far as that goes without hashing. The inner error is what is left to do.
    fn begin(
        &self,
        presented: &Presented,
        exchange: &Exchange<'_>,
    ) -> Result<Result<Decision, Box<Check>>, Fault> {
        let attempt = self.failures.as_ref().map(|failures| Attempt {
            failures,
            client: exchange.conn.client.ip(),
            user: presented.user(),
        });
        let now = exchange.env.clock().elapsed();
        if let Some(wait) = attempt.and_then(|attempt| attempt.wait(now)) {
            return Ok(Ok(Decision::Limited(wait)));
        }
        let known = self.known(exchange)?;
        let plain = find(&known, presented);
        if plain.is_some() || self.is_plain {
            return Ok(Ok(decision(plain, attempt, now)));
        }
        let mut hashed = known;
        hashed.retain(|known| known.hash().is_some());
        Ok(match Check::of(&hashed, presented, self, exchange) {
            Some(check) => check.remembered().ok_or_else(|| Box::new(check)),
            None => Ok(decision(None, attempt, now)),
        })
    }

    /// The credentials of an exchange.
    fn known(&self, exchange: &Exchange<'_>) -> Result<SmallVec<[Cow<'_, Known>; 8]>, Fault> {
        let mut known = SmallVec::with_capacity(self.credentials.len());
        for (index, credential) in self.credentials.iter().enumerate() {
            match credential.get(exchange)? {
                Ok(credential) => known.push(credential),
                Err(reason) => warn(exchange, index, &reason),
            }
        }
        Ok(known)
    }

    /// Leaves what was found out, and lets in or not. `decision` is `None` if nobody tried to sign in.
    fn end(
        &self,
        presented: Option<&Presented>,
        decision: Option<Decision>,
        exchange: &mut Exchange<'_>,
    ) -> Flow {
        if exchange.memory.wants_results() {
            let user = presented.map(Presented::user).unwrap_or_default();
            let user = String::from_utf8_lossy(user).into_owned();
            let is_right = matches!(decision, Some(Decision::Right(_)));
            let is_limited = matches!(decision, Some(Decision::Limited(_)));
            let credentials = Value::map([
                ("presented", Value::Bool(decision.is_some())),
                ("username", Value::text(user)),
                ("authorized", Value::Bool(is_right)),
                ("limited", Value::Bool(is_limited)),
            ]);
            let left = Value::map([("credentials", credentials)]);
            // What the client sent, and whether it was right: nothing that a secret says.
            let memory = &mut exchange.memory;
            memory.set_marked_result("basic_auth", left, Taints::default());
        }
        match decision {
            Some(Decision::Right(identity)) => {
                exchange.memory.set_identity(identity);
                Flow::Next
            }
            Some(Decision::Limited(wait)) => self.enforce.refuse(|| limited(wait)),
            Some(Decision::Wrong) | None => self.enforce.refuse(|| self.challenge()),
        }
    }

    fn challenge(&self) -> Refusal {
        let message = "a user name and a password are needed here";
        Refusal::new(StatusCode::UNAUTHORIZED, 50011, message)
            .with(WWW_AUTHENTICATE, self.realm.challenge.clone())
    }
}

/// The credential that was presented, if its password stands there plainly. All are compared, so that the time tells
/// nothing.
fn find<'a>(known: &'a [Cow<'_, Known>], presented: &Presented) -> Option<&'a Known> {
    let presented = Digest::of_presented(presented);
    let mut found = u32::MAX;
    for (at, known) in (0..).zip(known) {
        found.conditional_assign(&at, known.is_plainly(&presented));
    }
    known.get(usize::try_from(found).ok()?).map(Cow::as_ref)
}

/// What comes of a password that was compared, and what is remembered of it.
fn decision(known: Option<&Known>, attempt: Option<Attempt<'_>>, now: Duration) -> Decision {
    match (known, attempt) {
        (Some(_), Some(attempt)) => attempt.succeeded(now),
        (None, Some(attempt)) => attempt.failed(now),
        (_, None) => {}
    }
    known.map_or(Decision::Wrong, |known| {
        Decision::Right(Arc::clone(known.identity()))
    })
}

fn limited(wait: Duration) -> Refusal {
    let message = "too many wrong passwords; try again later";
    let seconds = whole_seconds(wait).max(1);
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, 50010, message)
        .with(RETRY_AFTER, HeaderValue::from(seconds))
}

fn busy() -> Refusal {
    let message = "too many others are signing in; try again in a moment";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, 50016, message)
        .with(RETRY_AFTER, HeaderValue::from_static("5"))
}

/// Says that a credential takes part no more, which is nobody's fault but the policy's.
fn warn(exchange: &Exchange<'_>, index: usize, reason: &str) {
    if !exchange.memory.is_trial() {
        let what = format!("basic-auth ignores credentials[{index}]: {reason}");
        let endpoint = exchange.endpoint.url.to_string();
        exchange.env.log().warn(&endpoint, &what);
    }
}

fn credentials<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Credential>, D::Error> {
    let bounds = Bounds {
        field: "credentials",
        max: CREDENTIALS_MAX,
        code: 2218,
    };
    bounds.read(deserializer)
}
