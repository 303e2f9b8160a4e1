//! One small exchange for the tests of this crate, and short ways to run a policy on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode};

use crate::Policy;
use crate::canonical::Target;
use crate::endpoint_url::{EndpointUrl, Scheme};
use crate::env::{Clock, Env, Random};
use crate::exchange::{Conn, Endpoint, Exchange, Request, Response};
use crate::expr::{Expression, Value};

pub(crate) fn policy(text: &str) -> Policy {
    Policy::load("policy.yaml", text, &ENV).unwrap()
}

/// The whole message of a policy that must not load.
pub(crate) fn refused(text: &str) -> String {
    Policy::load("policy.yaml", text, &ENV)
        .unwrap_err()
        .to_string()
}

/// A policy of one rule with one action.
pub(crate) fn one(phase: &str, kind: &str, config: &str) -> String {
    format!("{phase}:\n  - actions:\n      - type: {kind}\n        config: {config}\n")
}

pub(crate) fn lines(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = pairs.iter().map(|(name, value)| {
        (
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )
    });
    lines.collect()
}

/// 2023-11-14T22:13:20Z, for ever.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        now()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(1_000)
    }
}

impl Random for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A clock that stands still until a test turns it.
#[derive(Debug, Default)]
pub(crate) struct Turned(AtomicU64);

impl Turned {
    /// A clock, and an environment with counters of its own that reads it.
    pub(crate) fn env() -> (Arc<Self>, Env) {
        let clock = Arc::<Self>::default();
        let env = Env::new(Arc::<Self>::clone(&clock), Arc::new(Still));
        (clock, env)
    }

    pub(crate) fn turn(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap();
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for Turned {
    fn now(&self) -> SystemTime {
        now() + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// An environment in which time stands still and nothing is random.
pub(crate) static ENV: LazyLock<Env> = LazyLock::new(|| Env::new(Arc::new(Still), Arc::new(Still)));
static URL: LazyLock<EndpointUrl> =
    LazyLock::new(|| EndpointUrl::parse("https://app.example.com").unwrap());
static CONN: LazyLock<Conn<'static>> = LazyLock::new(|| {
    let server = "198.51.100.1:443".parse().unwrap();
    Conn::new("192.0.2.1:50000".parse().unwrap(), server, now())
});
static ENDPOINT: LazyLock<Endpoint<'static>> = LazyLock::new(|| Endpoint {
    id: "ep_1",
    url: &URL,
});

/// A connection from 192.0.2.1 that has not asked for anything yet.
pub(crate) fn connection<'a>() -> Exchange<'a> {
    Exchange::of(&CONN, &ENDPOINT, &ENV)
}

/// `GET https://app.example.com/` with these lines.
pub(crate) fn request(lines: &HeaderMap) -> Exchange<'_> {
    get("/", lines)
}

/// `GET` of a target with these lines.
pub(crate) fn get<'a>(target: &'a str, lines: &'a HeaderMap) -> Exchange<'a> {
    let target = Target::parse(target.as_bytes()).unwrap();
    let request = Request::new(
        Scheme::Https,
        &Method::GET,
        "app.example.com",
        target,
        lines,
        now(),
    );
    Exchange {
        request: Some(request),
        ..connection()
    }
}

/// The same with a 200 that has these lines.
pub(crate) fn response<'a>(request_lines: &'a HeaderMap, lines: &'a HeaderMap) -> Exchange<'a> {
    Exchange {
        response: Some(Response::new(StatusCode::OK, lines)),
        ..request(request_lines)
    }
}

/// The value of an expression that asks for `/`, or why it has none.
pub(crate) fn eval(text: &str) -> Result<Value<'static>, String> {
    eval_in(text, &request(&HeaderMap::new()))
}

/// The value of an expression for an exchange, or why it does not compile or has no value.
pub(crate) fn eval_in(text: &str, exchange: &Exchange<'_>) -> Result<Value<'static>, String> {
    let expression = Expression::compile(text).map_err(|wrong| wrong.message)?;
    let value = expression.value(exchange).map(Value::into_owned);
    value.map_err(|error| error.to_string())
}

/// Each expression has the value, and the type, of the one beside it.
pub(crate) fn gives(table: &[(&str, &str)]) {
    gives_in(&request(&HeaderMap::new()), table);
}

/// The same for an exchange.
pub(crate) fn gives_in(exchange: &Exchange<'_>, table: &[(&str, &str)]) {
    for (text, expected) in table {
        let found = eval_in(text, exchange);
        let found = found.unwrap_or_else(|reason| panic!("{text}: {reason}"));
        let expected = eval_in(expected, exchange).unwrap();
        assert_eq!(found, expected, "{text}");
        assert_eq!(found.type_name(), expected.type_name(), "{text}");
    }
}

/// Each expression has no value, and the reason says the words beside it.
pub(crate) fn fails(table: &[(&str, &str)]) {
    for (text, words) in table {
        let reason = match eval(text) {
            Err(reason) => reason,
            Ok(value) => panic!("{text} is {:.200}", value.to_text()),
        };
        assert!(reason.contains(words), "{text}: {reason}");
    }
}
