//! `circuit-breaker`: when too many answers of the service were failures, refuses requests for a while.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::count::Count;
use super::enforce::Enforce;
use super::results::whole_seconds;
use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Unbuildable};
use crate::breaker::{Admission, Breaker, Thresholds, Ticket};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Value;
use crate::go_duration::GoDuration;
use crate::memory::{Outcome, Watch};

/// Config of `circuit-breaker`.
///
/// A failure is an answer of the service with a status from 500 to 599, before any rule of `on_http_response` changed
/// it, or no answer at all. What a policy or the gateway answers counts as neither. Each endpoint has counters of its
/// own for each such action, which stay when agents come and go and begin anew when these settings change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CircuitBreaker {
    /// The share of failures, 0.0 to 1.0, that opens the circuit. Default: 0.5. At 0.0 one failure does.
    #[serde(default = "half", alias = "error_threshold_percentage")]
    error_threshold: Share,
    /// How many requests there must be in the window before the circuit can open, 1 to 2,000,000,000. Default: 10.
    #[serde(default = "ten")]
    volume_threshold: Count,
    /// How long a request counts after it has ended, 1s to 2m. Default: 10s.
    #[serde(default = "ten_seconds", alias = "rolling_window")]
    window_duration: Stretch,
    /// How long requests are refused before one may try, 1s to 2m. Default: 10s.
    #[serde(default = "ten_seconds")]
    tripped_duration: Stretch,
    /// Into how many parts the window is cut: 10, and nothing else.
    #[serde(default, rename = "num_buckets")]
    _num_buckets: Buckets,
    /// Whether requests are refused. Default: true. If false, requests are counted and none is refused;
    /// `actions.ngrok.circuit_breaker.state` tells what would be.
    #[serde(default)]
    enforce: Enforce,
}

/// A breaker of this gateway.
#[derive(Debug)]
pub(super) struct Running {
    breaker: Arc<Breaker>,
    env: Arc<Env>,
    enforce: Enforce,
}

impl Config for CircuitBreaker {
    const TYPE: &'static str = "circuit-breaker";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("circuit_breaker");
    type Action = Running;

    fn build(self, env: &Env) -> Result<Running, Unbuildable> {
        let thresholds = Thresholds {
            failures: self.error_threshold.0,
            volume: self.volume_threshold.0.get(),
            window: self.window_duration.0,
            tripped: self.tripped_duration.0,
        };
        let key = format!("circuit-breaker {thresholds:?}");
        Ok(Running {
            breaker: env.own_state(&key, || Breaker::new(thresholds)),
            env: Arc::new(env.clone()),
            enforce: self.enforce,
        })
    }
}

impl Action for Running {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let (state, refused) = match self.breaker.admit(self.env.clock().elapsed()) {
            Admission::Passed(ticket) => {
                let state = ticket.state();
                let env = Arc::clone(&self.env);
                exchange.memory.watch(Box::new(Passed { ticket, env }));
                (state, None)
            }
            Admission::Refused { state, retry_after } => (state, Some(retry_after)),
        };
        if exchange.memory.wants_results() {
            let result = Value::map([("state", Value::text(state.name()))]);
            exchange.memory.set_result("circuit_breaker", result);
        }
        Ok(match refused {
            Some(retry_after) => self.enforce.refuse(|| open(retry_after)),
            None => Flow::Next,
        })
    }
}

/// A request that passed, until it has ended. If nobody learns how, it counts for nothing.
#[derive(Debug)]
struct Passed {
    ticket: Ticket,
    env: Arc<Env>,
}

impl Watch for Passed {
    fn ended(self: Box<Self>, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Answered(status) => status.is_server_error(),
            Outcome::Unanswered => true,
            Outcome::NotAsked => return,
        };
        self.ticket.done(failed, self.env.clock().elapsed());
    }
}

fn open(retry_after: Duration) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        3202,
        "the service fails too often at the moment; try again later",
    )
    .with(
        RETRY_AFTER,
        HeaderValue::from(whole_seconds(retry_after).max(1)),
    )
}

// === the values of the config ===

fn half() -> Share {
    Share(0.5)
}

fn ten() -> Count {
    Count(const { NonZeroU32::new(10).unwrap() })
}

fn ten_seconds() -> Stretch {
    Stretch(Duration::from_secs(10))
}

#[derive(Debug)]
struct Share(f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if !(0.0..=1.0).contains(&share) {
            return Err(D::Error::custom(format_args!(
                "{share} is not a share from 0.0 to 1.0 (ERR_ADIT_2215)"
            )));
        }
        Ok(Self(share))
    }
}

#[derive(Debug)]
struct Stretch(Duration);

impl<'de> Deserialize<'de> for Stretch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let GoDuration(stretch) = GoDuration::deserialize(deserializer)?;
        if stretch < Duration::from_secs(1) {
            return Err(D::Error::custom("shorter than 1s (ERR_ADIT_2204)"));
        }
        if stretch > Duration::from_secs(120) {
            return Err(D::Error::custom("longer than 2m (ERR_ADIT_2225)"));
        }
        Ok(Self(stretch))
    }
}

#[derive(Debug, Default)]
struct Buckets;

impl<'de> Deserialize<'de> for Buckets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            10 => Ok(Self),
            other => Err(D::Error::custom(format_args!(
                "`num_buckets` is 10, not {other} (ERR_ADIT_2222)"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::Policy;
    use crate::testing::{Turned, one, refused, request};
    use crate::verdict::Verdict;

    const CONFIG: &str = "{volume_threshold: 4, window_duration: 10s, tripped_duration: 3s}";

    fn load(config: &str, env: &Env) -> Policy {
        let text = one("on_http_request", "circuit-breaker", config);
        Policy::load("policy.yaml", &text, env).unwrap()
    }

    /// One request that ends so, and the refusal if it did not pass.
    async fn run(policy: &Policy, outcome: Outcome) -> Option<Refusal> {
        let lines = HeaderMap::new();
        let mut exchange = request(&lines);
        match policy.on_http_request(&mut exchange).await {
            Verdict::Continue => {
                exchange.memory.ended(outcome);
                None
            }
            Verdict::Refuse { refusal, .. } => Some(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(StatusCode::from_u16(status).unwrap())
    }

    #[tokio::test]
    async fn refuses_when_half_of_the_answers_were_failures() {
        let (clock, env) = Turned::env();
        let policy = load(CONFIG, &env);
        for outcome in [
            answered(200),
            answered(404),
            answered(500),
            Outcome::Unanswered,
        ] {
            assert_eq!(run(&policy, outcome).await, None);
        }
        clock.turn(Duration::from_millis(500));
        let refusal = run(&policy, answered(200)).await.unwrap();
        assert_eq!((refusal.status.as_u16(), refusal.code), (503, 3202));
        assert_eq!(
            refusal.headers,
            [(RETRY_AFTER, HeaderValue::from_static("3"))]
        );

        clock.turn(Duration::from_millis(2_500));
        assert_eq!(run(&policy, answered(503)).await, None);
        assert!(run(&policy, answered(200)).await.is_some());
        clock.turn(Duration::from_secs(3));
        assert_eq!(run(&policy, answered(200)).await, None);
        for _ in 0..3 {
            assert_eq!(
                run(&policy, answered(500)).await,
                None,
                "the window began anew"
            );
        }
    }

    #[tokio::test]
    async fn what_the_service_did_not_answer_itself_does_not_count() {
        let (_, env) = Turned::env();
        let policy = load(CONFIG, &env);
        for _ in 0..20 {
            assert_eq!(run(&policy, Outcome::NotAsked).await, None);
        }
        for _ in 0..3 {
            assert_eq!(run(&policy, answered(500)).await, None);
        }
        assert_eq!(run(&policy, Outcome::NotAsked).await, None);
        assert_eq!(run(&policy, answered(500)).await, None);
        assert!(run(&policy, answered(500)).await.is_some());
    }

    #[tokio::test]
    async fn one_probe_is_under_way_at_a_time_and_may_be_given_up() {
        let (clock, env) = Turned::env();
        let policy = load(CONFIG, &env);
        for _ in 0..4 {
            run(&policy, answered(500)).await;
        }
        clock.turn(Duration::from_secs(3));
        let lines = HeaderMap::new();
        let mut probe = request(&lines);
        assert!(matches!(
            policy.on_http_request(&mut probe).await,
            Verdict::Continue
        ));
        let refusal = run(&policy, answered(200)).await.unwrap();
        assert_eq!(
            refusal.headers,
            [(RETRY_AFTER, HeaderValue::from_static("1"))]
        );
        drop(probe);
        assert_eq!(run(&policy, answered(200)).await, None);
        assert_eq!(run(&policy, answered(200)).await, None);
    }

    #[tokio::test]
    async fn without_enforcement_only_the_state_is_told() {
        let (clock, env) = Turned::env();
        let text = one(
            "on_http_request",
            "circuit-breaker",
            "{volume_threshold: 1, enforce: false}",
        ) + "  - actions:\n      - type: custom-response\n        config: {body: \"${actions.ngrok.circuit_breaker.state}\"}\n";
        let policy = Policy::load("policy.yaml", &text, &env).unwrap();
        let mut states = Vec::new();
        for _ in 0..3 {
            let lines = HeaderMap::new();
            let mut exchange = request(&lines);
            let verdict = policy.on_http_request(&mut exchange).await;
            let Verdict::Answer { reply, .. } = verdict else {
                panic!("{verdict:?}");
            };
            exchange.memory.ended(Outcome::Unanswered);
            states.push(String::from_utf8(reply.body().to_vec()).unwrap());
            clock.turn(Duration::from_secs(6));
        }
        assert_eq!(states, ["closed", "open", "half-open"]);
    }

    #[tokio::test]
    async fn counters_stay_with_the_settings_and_the_endpoint() {
        let (_, env) = Turned::env();
        let env = env.for_endpoint("https://a.example");
        let old = load(CONFIG, &env);
        for _ in 0..4 {
            run(&old, answered(500)).await;
        }
        let same = load(CONFIG, &env);
        assert!(run(&same, answered(200)).await.is_some());
        let other = load(
            "{volume_threshold: 5, window_duration: 10s, tripped_duration: 3s}",
            &env,
        );
        assert_eq!(run(&other, answered(200)).await, None);
        let elsewhere = load(CONFIG, &env.for_endpoint("https://b.example"));
        assert_eq!(run(&elsewhere, answered(200)).await, None);
        let shadow = one("on_http_request", "circuit-breaker", CONFIG)
            .replace("- actions", "- mode: shadow\n    actions");
        let shadow = Policy::load("policy.yaml", &shadow, &env).unwrap();
        for _ in 0..6 {
            assert_eq!(run(&shadow, answered(500)).await, None);
        }
        let lines = HeaderMap::new();
        let mut exchange = request(&lines);
        assert!(matches!(
            shadow.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        let (_, _, decision) = exchange.memory.shadow()[0].decision.clone().unwrap();
        assert_eq!(
            decision,
            crate::trace::Outcome::Refused(StatusCode::SERVICE_UNAVAILABLE, 3202),
            "a trial counts for itself"
        );
    }

    #[test]
    fn older_names_are_read_and_wrong_values_refused() {
        let (_, env) = Turned::env();
        load(
            "{error_threshold_percentage: 1, rolling_window: 2m, num_buckets: 10}",
            &env,
        );
        for (config, reason) in [
            (
                "{error_threshold: 1.5}",
                "1.5 is not a share from 0.0 to 1.0 (ERR_ADIT_2215)",
            ),
            (
                "{volume_threshold: 0}",
                "0 is not from 1 to 2000000000 (ERR_ADIT_2215)",
            ),
            (
                "{window_duration: 999ms}",
                "shorter than 1s (ERR_ADIT_2204)",
            ),
            ("{tripped_duration: 121s}", "longer than 2m (ERR_ADIT_2225)"),
            (
                "{num_buckets: 5}",
                "`num_buckets` is 10, not 5 (ERR_ADIT_2222)",
            ),
            ("{error_treshold: 0.1}", "did you mean `error_threshold`?"),
        ] {
            let message = refused(&one("on_http_request", "circuit-breaker", config));
            assert!(message.contains(reason), "{config}: {message}");
        }
    }
}
