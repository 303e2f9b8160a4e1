//! What the claims of a token say of its time and of whom it is meant for (RFC 7519 §4.1).

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

/// The clocks of issuers and gateways may differ by so much.
pub(crate) const SKEW: Duration = Duration::from_secs(60);
/// A token that was issued further ahead than this was not issued yet, whatever clocks say.
const AHEAD: Duration = Duration::from_secs(600);

/// Why it is not the time of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untimely {
    /// It has no `exp`.
    Endless,
    /// Its `exp` is over.
    Expired,
    /// Its `nbf` is still to come.
    TooEarly,
    /// Its `iat` is still to come.
    Ahead,
    /// One of them is no number of seconds.
    NoTime,
}

impl Untimely {
    /// The reason in one sentence, of which nothing comes from the token.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Endless => "the token has no `exp`",
            Self::Expired => "the token has expired",
            Self::TooEarly => "the token is not valid yet",
            Self::Ahead => "the token was issued in the future",
            Self::NoTime => "a time of the token is not a number of seconds",
        }
    }
}

impl fmt::Display for Untimely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Untimely {}

/// Whether a token's time is now: `exp`, `nbf` and `iat`.
pub(crate) fn in_time(
    claims: &Map<String, Value>,
    now: SystemTime,
    may_be_endless: bool,
) -> Result<(), Untimely> {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = now.as_secs_f64();
    match seconds(claims, "exp")? {
        None if !may_be_endless => return Err(Untimely::Endless),
        Some(end) if now >= end + SKEW.as_secs_f64() => return Err(Untimely::Expired),
        _ => {}
    }
    if seconds(claims, "nbf")?.is_some_and(|begin| now + SKEW.as_secs_f64() < begin) {
        return Err(Untimely::TooEarly);
    }
    if seconds(claims, "iat")?.is_some_and(|issued| now + AHEAD.as_secs_f64() < issued) {
        return Err(Untimely::Ahead);
    }
    Ok(())
}

/// Whom a token is meant for: one text, or a list of them. What is neither is nobody.
pub(crate) fn audience(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let audience = claims.get("aud");
    let one = audience.and_then(Value::as_str);
    let list = audience.and_then(Value::as_array);
    let list = list.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(list)
}

/// Who has issued a token.
pub(crate) fn issuer(claims: &Map<String, Value>) -> Option<&str> {
    claims.get("iss").and_then(Value::as_str)
}

fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Untimely> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Untimely::NoTime),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn checked(claims: &Value, may_be_endless: bool) -> Result<(), Untimely> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        in_time(claims.as_object().unwrap(), now, may_be_endless)
    }

    #[test]
    fn a_token_has_its_time_and_clocks_may_differ_by_a_minute() {
        for (claims, said) in [
            (json!({"exp": NOW + 1}), Ok(())),
            (json!({"exp": NOW - 59}), Ok(())),
            (json!({"exp": NOW as f64 - 59.5}), Ok(())),
            (json!({"exp": NOW - 60}), Err(Untimely::Expired)),
            (json!({"exp": 0}), Err(Untimely::Expired)),
            (json!({"exp": -5}), Err(Untimely::Expired)),
            (json!({"exp": 1e300}), Ok(())),
            (json!({"exp": "tomorrow"}), Err(Untimely::NoTime)),
            (json!({"exp": null}), Err(Untimely::NoTime)),
            (json!({}), Err(Untimely::Endless)),
            (json!({"exp": NOW + 9, "nbf": NOW + 60}), Ok(())),
            (
                json!({"exp": NOW + 9, "nbf": NOW + 61}),
                Err(Untimely::TooEarly),
            ),
            (json!({"exp": NOW + 9, "nbf": [NOW]}), Err(Untimely::NoTime)),
            (json!({"exp": NOW + 9, "iat": NOW + 600}), Ok(())),
            (
                json!({"exp": NOW + 9, "iat": NOW + 601}),
                Err(Untimely::Ahead),
            ),
        ] {
            assert_eq!(checked(&claims, false), said, "{claims}");
        }
        assert_eq!(checked(&json!({}), true), Ok(()));
        assert_eq!(checked(&json!({"exp": 5}), true), Err(Untimely::Expired));
    }

    #[test]
    fn an_audience_is_a_text_or_a_list_of_texts() {
        let of = |claims: Value| {
            let all: Vec<String> = audience(claims.as_object().unwrap())
                .map(str::to_owned)
                .collect();
            all
        };
        assert_eq!(of(json!({"aud": "a"})), ["a"]);
        assert_eq!(of(json!({"aud": ["a", 1, "b"]})), ["a", "b"]);
        assert!(of(json!({"aud": {"a": "a"}})).is_empty() && of(json!({})).is_empty());
    }
}
