//! `http-request`: asks another service while the exchange waits, and leaves its answer for the following actions.

mod asked;
mod results;
mod send;

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use self::asked::{Body, Parameter, no_host};
use self::send::{Asked, Attempt, Failure};

use super::headers::Headers;
use super::on_error::OnError;
use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Shadow, Unbuildable};
use crate::document::scope;
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Expression, Field, Value};
use crate::fetch_url::FetchUrl;
use crate::go_duration::GoDuration;

/// How long to wait before each retry; there are no more than these.
const WAITS: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// Config of `http-request`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpRequest {
    /// An absolute http or https URL; may hold `${…}`. Endpoints of this gateway can always be asked, other hosts only if
    /// the operator allows them.
    url: Field<FetchUrl>,
    /// `GET` (the default), `PUT`, `POST`, `PATCH`, `DELETE` or `OPTIONS`.
    #[serde(default, deserialize_with = "method")]
    method: Method,
    /// Pairs of `key` and `value` behind those of the URL, at most 32; values may hold `${…}`.
    #[serde(default, deserialize_with = "asked::parameters")]
    query_params: Vec<Parameter>,
    /// Names and values; values may hold `${…}`. The host is the URL's, and credentials stay behind when a redirect leads
    /// elsewhere.
    #[serde(default, deserialize_with = "no_host")]
    headers: Headers,
    /// The text of the body, at most 256 KiB; may hold `${…}`. Default: none.
    #[serde(default = "asked::no_body")]
    body: Field<Body>,
    /// How many redirects are followed, 0 to 100; one more is an error. Default: 10.
    #[serde(default = "ten", deserialize_with = "redirects")]
    max_redirects: u8,
    /// How long everything may take, with retries and redirects: 1s to 30s. Default: 3s.
    #[serde(default = "three_seconds", deserialize_with = "timeout")]
    timeout: Duration,
    /// CEL that is evaluated after each attempt; true asks again, three times at most, after 100, 200 and 400 ms.
    /// `attempts` is how many attempts were made, `last_attempt` the last one: its `req`, `res` and `error`. Default:
    /// `false`.
    #[serde(default, deserialize_with = "condition")]
    retry_condition: Option<Expression>,
    /// Whether the following actions run without an answer: `continue` (the default) or `halt`.
    #[serde(default = "goes_on")]
    on_error: OnError,
}

impl Config for HttpRequest {
    const TYPE: &'static str = "http-request";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest, Phase::OnHttpResponse];
    const RESULTS: Option<&'static str> = Some(results::NAME);
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

#[async_trait]
impl Action for HttpRequest {
    fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(Flow::Wait)
    }

    fn on_http_response(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(Flow::Wait)
    }

    async fn wait(&self, _: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let asked = match self.asked(exchange) {
            Ok(asked) => asked,
            Err(fault) => return self.unasked(fault, exchange),
        };
        let attempts = self.run(&asked, exchange).await;
        exchange.memory.end_attempts();
        let attempts = attempts?;
        if exchange.memory.wants_results() {
            results::leave(&asked, &attempts, &mut exchange.memory);
        }
        match attempts.last().map(|last| &last.outcome) {
            Some(Err(failure)) if self.on_error == OnError::Halt => {
                Ok(Flow::Refuse(failure.refusal()))
            }
            _ => Ok(Flow::Next),
        }
    }

    fn in_shadow(&self) -> Shadow {
        Shadow::WouldRun
    }
}

impl HttpRequest {
    /// All attempts, at least one.
    async fn run(&self, asked: &Asked, exchange: &mut Exchange<'_>) -> Result<Vec<Attempt>, Fault> {
        let env = exchange.env;
        let deadline = env.clock().elapsed() + self.timeout;
        let mut attempts = vec![send::attempt(asked, self.max_redirects, deadline, env).await];
        for wait in WAITS {
            let left = deadline.saturating_sub(env.clock().elapsed());
            // What cannot be answered in time any more is not asked: the last answer stands.
            if wait >= left || !self.asks_again(asked, &attempts, exchange)? {
                break;
            }
            env.fetch().pause(wait).await;
            attempts.push(send::attempt(asked, self.max_redirects, deadline, env).await);
        }
        Ok(attempts)
    }

    fn asks_again(
        &self,
        asked: &Asked,
        attempts: &[Attempt],
        exchange: &mut Exchange<'_>,
    ) -> Result<bool, Fault> {
        let (Some(condition), Some(last)) = (&self.retry_condition, attempts.last()) else {
            return Ok(false);
        };
        let count = i64::try_from(attempts.len()).unwrap_or(i64::MAX);
        let last = Value::map(results::of(asked, Some(last)));
        let taint = results::taint(asked, &exchange.memory);
        exchange.memory.set_attempt(count, last, taint);
        condition
            .holds(exchange)
            .map_err(|error| Fault::Interpolation {
                field: "retry_condition",
                reason: error.to_string(),
                code: error.code(2254),
            })
    }

    /// A URL that only the exchange made wrong is a failure like others; all else that cannot be filled in is a fault.
    fn unasked(&self, fault: Fault, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        match fault {
            Fault::Interpolation {
                reason, code: 2247, ..
            } if self.on_error == OnError::Continue => {
                let failure = Failure::Url(reason);
                results::leave_unasked(&self.method, failure, &mut exchange.memory);
                Ok(Flow::Next)
            }
            fault => Err(fault),
        }
    }
}

// === impl Failure ===

impl Failure {
    fn refusal(&self) -> Refusal {
        Refusal::new(self.status(), self.code(), self.sentence())
    }
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    const METHODS: [Method; 6] = [
        Method::GET,
        Method::PUT,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let text = String::deserialize(deserializer)?;
    let found = METHODS.into_iter().find(|method| *method == text.as_str());
    found.ok_or_else(|| {
        D::Error::custom(format_args!(
            "`method` is GET, PUT, POST, PATCH, DELETE or OPTIONS, not `{text}` (ERR_ADIT_2222)"
        ))
    })
}

fn redirects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let count = u64::deserialize(deserializer)?;
    let within = u8::try_from(count).ok().filter(|count| *count <= 100);
    within.ok_or_else(|| {
        D::Error::custom(format_args!(
            "`max_redirects` is from 0 to 100, not {count} (ERR_ADIT_2215)"
        ))
    })
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let GoDuration(time) = GoDuration::deserialize(deserializer)?;
    match time {
        short if short < Duration::from_secs(1) => {
            Err(D::Error::custom("`timeout` is at least 1s (ERR_ADIT_2215)"))
        }
        long if long > Duration::from_secs(30) => {
            Err(D::Error::custom("`timeout` is at most 30s (ERR_ADIT_2225)"))
        }
        time => Ok(time),
    }
}

/// `None`: it is never true.
fn condition<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Expression>, D::Error> {
    let condition = scope::with_attempts(|| Expression::deserialize(deserializer))?;
    let never = matches!(condition.constant(), Some(Value::Bool(false)));
    Ok((!never).then_some(condition))
}

fn ten() -> u8 {
    10
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

fn goes_on() -> OnError {
    OnError::Continue
}

#[cfg(test)]
mod tests;
