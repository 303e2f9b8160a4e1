//! `rate-limit`: lets so many requests pass in so much time, for each value of a key.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::bucket_key::BucketKey;
use super::count::Count;
use super::enforce::Enforce;
use super::results::{error_value, whole_seconds};
use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Value;
use crate::go_duration::GoDuration;
use crate::limit::{Algorithm, Limiter, Limiters, Outcome, Settings};
use crate::taint::Taints;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Config of `rate-limit`.
///
/// Each gateway process counts for itself, for each endpoint. Counting goes on when agents come and go, and when the
/// policy changes but this name, algorithm, capacity and rate stay. Requests that are refused do not count. A process
/// keeps a million buckets; beyond, the one that was not used for the longest time is forgotten.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    /// What the limit is called, 1 to 1023 characters. Actions of one endpoint that have the same name, algorithm,
    /// capacity and rate share their buckets.
    name: Name,
    /// `sliding_window`: in any time of the length of `rate` at most `capacity` requests pass, give or take what is
    /// not known within a tenth of it: never more than `capacity` and a tenth. `token_bucket` (Adit only): the whole
    /// capacity may pass at once, and one request more each time that `rate` divided by `capacity` has passed; just
    /// after a burst that is up to twice the capacity within `rate`.
    algorithm: AlgorithmName,
    /// How many requests may pass in the time of `rate`, 1 to 2,000,000,000.
    capacity: Count,
    /// The time that the capacity is for: whole seconds, 1s to 24h.
    rate: Rate,
    /// What requests are told apart by: 1 to 10 CEL expressions of any type, without `${}`, such as `conn.client_ip`.
    /// Requests for which all of them are the same share a bucket.
    bucket_key: BucketKey,
    /// Whether requests are refused. Default: true. If false, they are counted as if they were, and
    /// `actions.ngrok.rate_limit.limited` tells what would be.
    #[serde(default)]
    enforce: Enforce,
    /// Adit only: which answers carry `ratelimit-limit`, `ratelimit-remaining` and `ratelimit-reset` (seconds until
    /// the whole capacity is free): `refused`, `always` or `never`. Default: `refused`.
    #[serde(default)]
    headers: Headers,
}

/// A limiter of this gateway.
#[derive(Debug)]
pub(super) struct Running {
    limiter: Arc<Limiter>,
    bucket_key: BucketKey,
    enforce: Enforce,
    headers: Headers,
    limit: HeaderValue,
}

impl Config for RateLimit {
    const TYPE: &'static str = "rate-limit";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("rate_limit");
    type Action = Running;

    fn marks_responses(&self) -> bool {
        self.headers == Headers::Always
    }

    fn build(self, env: &Env) -> Result<Running, Unbuildable> {
        let settings = Settings {
            algorithm: self.algorithm.0,
            capacity: self.capacity.0,
            seconds: self.rate.0,
        };
        let key = format!("rate-limit {settings:?} {}", self.name.0);
        let limiter = env.shared_state(&key, || Limiters::of(env).limiter(settings));
        Ok(Running {
            limiter,
            bucket_key: self.bucket_key,
            enforce: self.enforce,
            headers: self.headers,
            limit: HeaderValue::from(settings.capacity.get()),
        })
    }
}

impl Action for Running {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let mut key = self.limiter.key();
        let mut readable = exchange.memory.wants_results().then(String::new);
        self.bucket_key
            .feed(exchange, &mut key, readable.as_mut())?;
        let outcome = self.limiter.check(key, exchange.env.clock().elapsed());
        if let Some(readable) = readable {
            let limited = matches!(outcome, Outcome::Limited { .. });
            let result = Value::map([
                ("bucket_key", Value::text(readable)),
                ("limited", Value::Bool(limited)),
                ("error", error_value(None)),
            ]);
            let mut taints = Taints::default();
            taints.add(&["bucket_key"], exchange.memory.action_taint());
            let memory = &mut exchange.memory;
            memory.set_marked_result("rate_limit", result, taints);
        }
        let flow = match outcome {
            Outcome::Passed { .. } => Flow::Next,
            Outcome::Limited { retry_after, .. } => {
                self.enforce.refuse(|| self.refusal(retry_after, &outcome))
            }
        };
        if self.headers == Headers::Always && matches!(flow, Flow::Next) {
            for (name, value) in self.lines(&outcome) {
                exchange.memory.mark_response(name, value);
            }
        }
        Ok(flow)
    }
}

// === impl Running ===

impl Running {
    fn refusal(&self, retry_after: Duration, outcome: &Outcome) -> Refusal {
        let seconds = whole_seconds(retry_after).max(1);
        let mut refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            50010,
            "too many requests; try again later",
        )
        .with(RETRY_AFTER, HeaderValue::from(seconds));
        if self.headers != Headers::Never {
            refusal.headers.extend(self.lines(outcome));
        }
        refusal
    }

    fn lines(&self, outcome: &Outcome) -> [(HeaderName, HeaderValue); 3] {
        let (remaining, reset) = match outcome {
            Outcome::Passed { remaining, reset } => (*remaining, *reset),
            Outcome::Limited { reset, .. } => (0, *reset),
        };
        [
            (LIMIT, self.limit.clone()),
            (REMAINING, HeaderValue::from(remaining)),
            (RESET, HeaderValue::from(whole_seconds(reset))),
        ]
    }
}

// === the values of the config ===

/// Longest name in characters; a longer one is refused.
const NAME_MAX: usize = 1023;

/// Which answers carry the state of the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Headers {
    #[default]
    Refused,
    Always,
    Never,
}

#[derive(Debug)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.chars().count() {
            0 => Err(D::Error::custom("`name` must not be empty (ERR_ADIT_2223)")),
            1..=NAME_MAX => Ok(Self(name)),
            _ => Err(D::Error::custom(format_args!(
                "`name` is longer than {NAME_MAX} characters (ERR_ADIT_2221)"
            ))),
        }
    }
}

#[derive(Debug)]
struct AlgorithmName(Algorithm);

impl<'de> Deserialize<'de> for AlgorithmName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "sliding_window" => Ok(Self(Algorithm::SlidingWindow)),
            "token_bucket" => Ok(Self(Algorithm::TokenBucket)),
            other => Err(D::Error::custom(format_args!(
                "unknown algorithm `{other}`, expected `sliding_window` or `token_bucket` (ERR_ADIT_2222)"
            ))),
        }
    }
}

/// Whole seconds, 1s to 24h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) NonZeroU32);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let GoDuration(rate) = GoDuration::deserialize(deserializer)?;
        if rate > Duration::from_secs(86_400) {
            return Err(D::Error::custom("longer than 24h (ERR_ADIT_2225)"));
        }
        let seconds = u32::try_from(rate.as_secs()).ok().and_then(NonZeroU32::new);
        seconds
            .filter(|_| rate.subsec_nanos() == 0)
            .map(Self)
            .ok_or_else(|| D::Error::custom("not whole seconds from 1s to 24h (ERR_ADIT_2204)"))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::Policy;
    use crate::testing::{Turned, get, lines, refused, request, response};
    use crate::verdict::Verdict;

    /// A policy of this config, with `name`, `rate` 10s and `bucket_key` of the header `x-key` unless it says otherwise.
    fn text(config: &str) -> String {
        let mut text = String::from(
            "on_http_request:\n  - actions:\n      - type: rate-limit\n        config:\n",
        );
        let usual = [
            ("name", "n"),
            ("algorithm", "sliding_window"),
            ("rate", "10s"),
            ("bucket_key", "[\"getReqHeader('x-key')\"]"),
        ];
        for (field, value) in usual {
            if !config.contains(&format!("{field}:")) {
                text += &format!("          {field}: {value}\n");
            }
        }
        for field in config.split(';') {
            text += &format!("          {}\n", field.trim());
        }
        text
    }

    fn load(config: &str, env: &Env) -> Policy {
        Policy::load("policy.yaml", &text(config), env).unwrap()
    }

    async fn run(policy: &Policy, env: &Env, key: &'static str) -> Option<Refusal> {
        let lines = lines(&[("x-key", key)]);
        let mut exchange = request(&lines);
        exchange.env = env;
        match policy.on_http_request(&mut exchange).await {
            Verdict::Continue => None,
            Verdict::Refuse { refusal, .. } => Some(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn header(refusal: &Refusal, name: &str) -> Option<String> {
        let (_, value) = refusal.headers.iter().find(|(known, _)| known == name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn limits_each_key_and_says_when_to_come_again() {
        let (clock, env) = Turned::env();
        clock.turn(Duration::from_millis(1_500));
        let policy = load("capacity: 2", &env);
        for _ in 0..2 {
            assert_eq!(run(&policy, &env, "a").await, None);
        }
        let refusal = run(&policy, &env, "a").await.unwrap();
        assert_eq!((refusal.status.as_u16(), refusal.code), (429, 50010));
        assert_eq!(header(&refusal, "retry-after").unwrap(), "10");
        assert_eq!(header(&refusal, "ratelimit-limit").unwrap(), "2");
        assert_eq!(header(&refusal, "ratelimit-remaining").unwrap(), "0");
        assert_eq!(header(&refusal, "ratelimit-reset").unwrap(), "11");
        assert_eq!(run(&policy, &env, "b").await, None);
        clock.turn(Duration::from_secs(10));
        assert_eq!(run(&policy, &env, "a").await, None);
    }

    #[tokio::test]
    async fn a_token_bucket_gives_one_request_more_for_each_interval() {
        let (clock, env) = Turned::env();
        let policy = load("algorithm: token_bucket; capacity: 2", &env);
        for _ in 0..2 {
            assert_eq!(run(&policy, &env, "a").await, None);
        }
        let refusal = run(&policy, &env, "a").await.unwrap();
        assert_eq!(header(&refusal, "retry-after").unwrap(), "5");
        clock.turn(Duration::from_secs(5));
        assert_eq!(run(&policy, &env, "a").await, None);
        assert!(run(&policy, &env, "a").await.is_some());
    }

    #[tokio::test]
    async fn the_state_of_the_limit_is_told_as_the_policy_says() {
        let (_, env) = Turned::env();
        let silent = load("capacity: 1; headers: never", &env);
        assert_eq!(run(&silent, &env, "a").await, None);
        let refusal = run(&silent, &env, "a").await.unwrap();
        let names: Vec<_> = refusal
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["retry-after"]);
        assert!(!silent.has_phase(Phase::OnHttpResponse));

        let policy = load("capacity: 5; headers: always", &env);
        assert!(policy.has_phase(Phase::OnHttpResponse));
        let (asked, answered) = (
            lines(&[("x-key", "a")]),
            lines(&[("ratelimit-limit", "the service's")]),
        );
        let mut exchange = request(&asked);
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        exchange.response = response(&asked, &answered).response;
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        let head = exchange.response.unwrap().head;
        assert_eq!(head.lines().len(), 3);
        assert_eq!(head.lines()["ratelimit-limit"], "5");
        assert_eq!(head.lines()["ratelimit-remaining"], "4");
        assert_eq!(head.lines()["ratelimit-reset"], "11");
        assert_eq!(head.edits().len(), 3);
    }

    #[tokio::test]
    async fn without_enforcement_rules_learn_of_the_limit_and_nobody_is_refused() {
        let (_, env) = Turned::env();
        let key = "bucket_key: [\"getReqHeader('x-key')\", \"[1, 2]\"]";
        let limit = text(&format!("capacity: 1; enforce: false; {key}"));
        let told = "  - expressions: [actions.ngrok.rate_limit.limited]
    actions:
      - type: custom-response
        config: {body: '${actions.ngrok.rate_limit.bucket_key} ${actions.ngrok.rate_limit.error.code}|'}
";
        let policy = limit + told;
        let policy = Policy::load("policy.yaml", &policy, &env).unwrap();
        let lines = lines(&[("x-key", "a")]);
        let mut exchange = request(&lines);
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        let verdict = policy.on_http_request(&mut exchange).await;
        let Verdict::Answer { reply, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(reply.body(), "a,[1,2] |");
    }

    #[tokio::test]
    async fn counting_goes_on_under_a_new_policy_with_the_same_settings() {
        let (_, env) = Turned::env();
        let env = env.for_endpoint("https://a.example");
        let old = load("capacity: 1", &env);
        assert_eq!(run(&old, &env, "a").await, None);
        let new = load("capacity: 1; enforce: true", &env);
        drop(old);
        assert!(run(&new, &env, "a").await.is_some());
        for other in [
            "capacity: 2",
            "capacity: 1; rate: 20s",
            "capacity: 1; name: m",
            "capacity: 1; algorithm: token_bucket",
        ] {
            assert_eq!(run(&load(other, &env), &env, "a").await, None, "{other}");
        }
        let elsewhere = env.for_endpoint("https://b.example");
        assert_eq!(run(&load("capacity: 1", &elsewhere), &env, "a").await, None);
    }

    #[tokio::test]
    async fn a_rule_in_shadow_mode_counts_apart() {
        let (_, env) = Turned::env();
        let enforced = load("capacity: 1", &env);
        let shadow = text("capacity: 1").replace("- actions", "- mode: shadow\n    actions");
        let shadow = Policy::load("policy.yaml", &shadow, &env).unwrap();
        for _ in 0..3 {
            assert_eq!(run(&shadow, &env, "a").await, None);
        }
        assert_eq!(run(&enforced, &env, "a").await, None);
        let lines = lines(&[("x-key", "a")]);
        let mut exchange = request(&lines);
        exchange.env = &env;
        assert!(matches!(
            shadow.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        let decision = exchange.memory.shadow()[0].decision.clone().unwrap();
        let refused = crate::trace::Outcome::Refused(StatusCode::TOO_MANY_REQUESTS, 50010);
        assert_eq!(decision, (0, "rate-limit", refused));
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_known_stops_the_exchange() {
        let (_, env) = Turned::env();
        let policy = load(
            "capacity: 1; bucket_key: [\"req.headers['x-none'][0]\"]",
            &env,
        );
        let verdict = policy
            .on_http_request(&mut request(&HeaderMap::new()))
            .await;
        let Verdict::Fault { fault, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(fault.code(), 2254);
        assert_eq!(fault.to_string(), "bucket_key: no such key: `x-none`");
    }

    #[tokio::test]
    async fn different_values_have_different_buckets() {
        let (_, env) = Turned::env();
        let key = "bucket_key: [\"req.url.path == '/i' ? 1 : req.url.path == '/d' ? 1.0 : req.url.path == '/s' ? '1' \
                   : req.url.path == '/l' ? [1] : req.url.path == '/t' ? true : null\"]";
        let policy = load(&format!("capacity: 1; {key}"), &env);
        let lines = HeaderMap::new();
        for (path, passes) in [
            ("/i", true),
            ("/d", false),
            ("/s", true),
            ("/l", true),
            ("/t", true),
            ("/", true),
            ("/s", false),
        ] {
            let verdict = policy.on_http_request(&mut get(path, &lines)).await;
            assert_eq!(
                matches!(verdict, Verdict::Continue),
                passes,
                "{path}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_wrong_config_is_refused_with_its_number() {
        for (config, reason) in [
            (
                "capacity: 0",
                "0 is not from 1 to 2000000000 (ERR_ADIT_2215)",
            ),
            (
                "capacity: 1; rate: 500ms",
                "not whole seconds from 1s to 24h (ERR_ADIT_2204)",
            ),
            (
                "capacity: 1; rate: 1.5s",
                "not whole seconds from 1s to 24h (ERR_ADIT_2204)",
            ),
            (
                "capacity: 1; rate: 24h1s",
                "longer than 24h (ERR_ADIT_2225)",
            ),
            (
                "capacity: 1; algorithm: fixed_window",
                "unknown algorithm `fixed_window`, expected `sliding_window` or `token_bucket` (ERR_ADIT_2222)",
            ),
            (
                "capacity: 1; bucket_key: []",
                "`bucket_key` needs at least one item (ERR_ADIT_2223)",
            ),
            (
                "capacity: 1; bucket_key: ['1', '1', '1', '1', '1', '1', '1', '1', '1', '1', '1']",
                "more than 10 items in `bucket_key` (ERR_ADIT_2218)",
            ),
            (
                "capacity: 1; bucket_key: ['conn.client_up']",
                "ERR_ADIT_2200",
            ),
            (
                "capacity: 1; name: ''",
                "`name` must not be empty (ERR_ADIT_2223)",
            ),
            ("capacity: 1; headers: sometimes", "sometimes"),
            ("enforce: true", "missing field `capacity`"),
        ] {
            let message = refused(&text(config));
            assert!(message.contains(reason), "{config}: {message}");
            assert_eq!(message.matches("policy.yaml").count(), 1, "{message}");
        }
        let long = refused(&text(&format!("capacity: 1; name: {}", "x".repeat(1_024))));
        assert!(
            long.contains("`name` is longer than 1023 characters (ERR_ADIT_2221)"),
            "{long}"
        );
    }
}
