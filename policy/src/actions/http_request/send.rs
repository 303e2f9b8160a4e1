//! One attempt: the request, and where its redirects lead.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE,
    HeaderMap, LOCATION,
};
use http::{Method, StatusCode};

use crate::body::BodyFault;
use crate::body::decode::decode;
use crate::env::{Env, FetchError, Fetched, Purpose, ToFetch};
use crate::fetch_url::FetchUrl;
use crate::taint::Taint;

/// Longest answer in bytes, also when it is decoded.
const ANSWER_MAX: usize = 256 << 10;

/// A request that is ready to be sent. Its `Debug` shows no secret.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) url: FetchUrl,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether the URL came from a secret.
    pub(super) url_taint: Taint,
    /// Whether the body did.
    pub(super) body_taint: Taint,
}

/// What came of sending it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: Result<Answer, Failure>,
}

/// An answer, decoded.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) resolved: Option<IpAddr>,
    pub(super) took: Duration,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The URL, or one that a redirect leads to, is none.
    Url(String),
    /// The request was not sent, or not answered.
    Fetch(FetchError),
    /// There are more redirects than allowed.
    Redirects,
    /// The answer cannot be decoded.
    Body(BodyFault),
}

/// Sends it, and follows redirects. Each is a request of its own, so that whoever sends it checks where it goes.
pub(super) async fn attempt(
    asked: &Asked,
    max_redirects: u8,
    deadline: Duration,
    env: &Env,
) -> Attempt {
    let mut took = Duration::ZERO;
    let mut at = asked.clone();
    let mut followed = 0;
    let outcome = loop {
        let fetched = match fetch(&at, deadline, env).await {
            Ok(fetched) => fetched,
            Err(error) => break Err(Failure::Fetch(error)),
        };
        took += fetched.took;
        let next = match redirect(&fetched) {
            None => break answer(fetched, took),
            Some(_) if followed == max_redirects => break Err(Failure::Redirects),
            Some(location) => at.redirected(fetched.status, location),
        };
        followed += 1;
        at = match next {
            Ok(next) => next,
            Err(why) => break Err(Failure::Url(format!("a redirect leads nowhere: {why}"))),
        };
    };
    Attempt { outcome }
}

async fn fetch(at: &Asked, deadline: Duration, env: &Env) -> Result<Fetched, FetchError> {
    let timeout = deadline.saturating_sub(env.clock().elapsed());
    if timeout.is_zero() {
        return Err(FetchError::Timeout);
    }
    let request = ToFetch {
        purpose: Purpose::Policy,
        method: at.method.clone(),
        url: at.url.to_string(),
        headers: at.headers.clone(),
        body: at.body.clone(),
        timeout,
        max: ANSWER_MAX,
        is_secret: at.url_taint.is_secret() || at.body_taint.is_secret(),
    };
    env.fetch().fetch(request).await
}

/// Where an answer sends its reader; `None` if it is the answer itself.
fn redirect(fetched: &Fetched) -> Option<&[u8]> {
    let follows = matches!(fetched.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = fetched.headers.get(LOCATION).filter(|_| follows)?;
    Some(location.as_bytes())
}

fn answer(fetched: Fetched, took: Duration) -> Result<Answer, Failure> {
    let body = decode(&fetched.headers, fetched.body, ANSWER_MAX).map_err(Failure::Body)?;
    Ok(Answer {
        status: fetched.status,
        headers: fetched.headers,
        body,
        resolved: fetched.resolved,
        took,
    })
}

// === impl Asked ===

impl Asked {
    fn redirected(&self, status: StatusCode, location: &[u8]) -> Result<Self, String> {
        let location = std::str::from_utf8(location).map_err(|error| error.to_string())?;
        let mut next = Self {
            url: self.url.resolve(location.trim())?,
            ..self.clone()
        };
        if !matches!(status.as_u16(), 307 | 308) {
            next.method = Method::GET;
            next.body = Bytes::new();
            for name in [
                CONTENT_TYPE,
                CONTENT_ENCODING,
                CONTENT_LANGUAGE,
                CONTENT_LOCATION,
            ] {
                next.headers.remove(name);
            }
        }
        if !next.url.same_origin(&self.url) {
            if self.body_taint.is_secret() && !next.body.is_empty() {
                return Err("another host may not get what came from a secret".to_owned());
            }
            next.headers.remove(AUTHORIZATION);
            next.headers.remove(COOKIE);
            next.headers = without_secrets(next.headers);
        }
        Ok(next)
    }
}

/// Another host than the policy has named gets none.
fn without_secrets(headers: HeaderMap) -> HeaderMap {
    let lines = headers.iter().filter(|(_, value)| !value.is_sensitive());
    let lines = lines.map(|(name, value)| (name.clone(), value.clone()));
    lines.collect()
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.method,
            self.url_taint.hide(self.url.to_string())
        )
    }
}

// === impl Failure ===

impl Failure {
    /// The number of the reason.
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Url(_) => 2247,
            Self::Redirects => 3214,
            Self::Fetch(FetchError::TooLarge) | Self::Body(BodyFault::TooLarge) => 3601,
            Self::Fetch(FetchError::Timeout) => 3602,
            Self::Fetch(FetchError::Loop) => 3603,
            Self::Fetch(FetchError::Refused(_) | FetchError::Failed(_)) => 3007,
            Self::Body(fault) => fault.code(),
        }
    }

    /// What a client gets if the exchange cannot go on without an answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Fetch(FetchError::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            Self::Fetch(FetchError::Loop) => StatusCode::LOOP_DETECTED,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The same in one sentence, which tells nothing of who was asked.
    pub(super) fn sentence(&self) -> &'static str {
        match self {
            Self::Fetch(FetchError::Timeout) => {
                "a service that the traffic policy asks did not answer in time"
            }
            Self::Fetch(FetchError::Loop) => "the traffic policy asks itself in a circle",
            _ => "a service that the traffic policy asks gave no answer",
        }
    }

    /// Why, for the policy.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Url(why) => why.clone(),
            Self::Fetch(error) => error.to_string(),
            Self::Redirects => "more redirects than `max_redirects` allows".to_owned(),
            Self::Body(BodyFault::TooLarge) => FetchError::TooLarge.to_string(),
            Self::Body(fault) => fault.to_string(),
        }
    }
}
