//! Whether a logout token can be believed (OpenID Connect Back-Channel Logout 1.0 §2.6), and whose sessions it ends.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::jose::claims::{SKEW, audience, in_time, issuer};
use crate::jose::token::Verified;
use crate::login::provider::LogoutToken;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A token is not accepted so long after it was issued, however far away its end is.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// What a token with a right signature says, if it is a logout token for this client. The error says what is wrong.
pub(super) fn read(
    token: &Verified,
    issued_by: &str,
    client_id: &str,
    now: SystemTime,
) -> Result<LogoutToken, String> {
    let claims = &token.claims;
    let kind = token.header.get("typ").and_then(Value::as_str);
    // Absent or plain in older providers, which §2.4 allows; anything else is a token for something else.
    let fits = |kind: &str| {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        matches!(kind, "logout+jwt" | "jwt")
    };
    if !kind.is_none_or(fits) {
        return Err("typ: it is not a logout token".to_owned());
    }
    if issuer(claims) != Some(issued_by) {
        return Err("iss: it is another issuer's".to_owned());
    }
    if !audience(claims).any(|one| one == client_id) {
        return Err("aud: it is for another client".to_owned());
    }
    in_time(claims, now, false).map_err(|why| why.to_string())?;
    let issued = moment(claims, "iat").ok_or("iat: it does not say when it was issued")?;
    let expires = moment(claims, "exp").ok_or("exp: it does not say when it ends")?;
    let latest = issued + AGE_MAX;
    if latest + SKEW < now {
        return Err("iat: it was issued too long ago".to_owned());
    }
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err("events: it does not say that somebody signed out".to_owned());
    }
    // Else an ID token would sign its owner out.
    if claims.contains_key("nonce") {
        return Err("nonce: a logout token has none".to_owned());
    }
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name}: it is no text")),
    };
    let (subject, session) = (text("sub")?, text("sid")?);
    if subject.is_none() && session.is_none() {
        return Err("sub, sid: it does not say whose sessions end".to_owned());
    }
    Ok(LogoutToken {
        subject,
        session,
        id: text("jti")?.ok_or("jti: it has no id")?,
        expires: expires.min(latest) + SKEW,
    })
}

fn moment(claims: &Map<String, Value>, name: &str) -> Option<SystemTime> {
    let seconds = claims.get(name).and_then(Value::as_f64)?;
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
