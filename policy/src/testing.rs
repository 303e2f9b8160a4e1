//! One small exchange for the tests of this crate, and short ways to run a policy on it.

use http::{HeaderMap, Method, StatusCode};

use crate::Policy;
use crate::canonical::Target;
use crate::endpoint_url::Scheme;
use crate::env::Env;
use crate::exchange::{Exchange, Head, Response};

pub(crate) fn policy(text: &str) -> Policy {
    Policy::load("policy.yaml", text, &Env::system()).unwrap()
}

/// The whole message of a policy that must not load.
pub(crate) fn refused(text: &str) -> String {
    Policy::load("policy.yaml", text, &Env::system())
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

pub(crate) fn request(lines: &HeaderMap) -> Exchange<'_> {
    Exchange {
        client: "192.0.2.1:50000".parse().unwrap(),
        scheme: Scheme::Https,
        method: &Method::GET,
        host: "app.example.com",
        target: Target::parse(b"/").unwrap(),
        request: Head::of(lines),
        response: None,
    }
}

pub(crate) fn response<'a>(request_lines: &'a HeaderMap, lines: &'a HeaderMap) -> Exchange<'a> {
    let head = Head::of(lines);
    let status = StatusCode::OK;
    Exchange {
        response: Some(Response { status, head }),
        ..request(request_lines)
    }
}
