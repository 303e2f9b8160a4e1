//! What the claims of a token say of its time and of whom it is meant for (RFC 7519 §4.1).

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use thiserror::Error;

/// The clocks of issuers and gateways may differ by so much.
pub(crate) const SKEW: Duration = Duration::from_secs(60);
/// A token that was issued further ahead than this was not issued yet, whatever clocks say.
const AHEAD: Duration = Duration::from_secs(600);

/// Why it is not the time of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Untimely {
    #[error("the token has no `exp`")]
    Endless,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    TooEarly,
    #[error("the token was issued in the future")]
    Ahead,
    #[error("a time of the token is not a number of seconds")]
    NoTime,
}

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
