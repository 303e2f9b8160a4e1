//! One request that a policy makes itself.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;

/// Sends requests for policies. It decides which targets are allowed; it follows no redirect.
#[async_trait]
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Sends one request and reads the whole answer.
    async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError>;

    /// Waits, between two tries.
    async fn pause(&self, time: Duration);
}

/// What a request is sent for; it decides who may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What a policy wants to know: endpoints of this gateway, and servers that the operator names.
    Policy,
    /// What an identity provider says of itself and of people: any public https server, and what the operator names.
    Identity,
}

/// A request to be sent. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct ToFetch {
    /// What it is sent for.
    pub purpose: Purpose,
    /// The method.
    pub method: Method,
    /// An absolute http or https URL.
    pub url: String,
    /// Its header, without `host` and framing.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The answer must be complete by then.
    pub timeout: Duration,
    /// A longer answer is an error.
    pub max: usize,
    /// Whether the URL or the body came from a secret, so that neither may be shown. Header lines are marked themselves
    /// (`HeaderValue::is_sensitive`).
    pub is_secret: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
    /// The address that answered.
    pub resolved: Option<IpAddr>,
    /// How long it took.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The operator does not allow the target.
    #[error("{0}")]
    Refused(String),
    /// It did not come in time.
    #[error("no answer in time")]
    Timeout,
    /// It is longer than allowed.
    #[error("the answer is too long")]
    TooLarge,
    /// The request came back to where it began.
    #[error("the request goes round in a circle")]
    Loop,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

// === impl ToFetch ===

impl fmt::Debug for ToFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Some(self.url.as_str()).filter(|_| !self.is_secret);
        f.debug_struct("ToFetch")
            .field("purpose", &self.purpose)
            .field("method", &self.method)
            .field("url", &url.unwrap_or("[secret]"))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Fetches nothing: where there is no network, as in `adit policy test` without answers.
#[derive(Clone, Copy, Debug)]
pub struct NoFetch;

#[async_trait]
impl Fetch for NoFetch {
    async fn fetch(&self, _: ToFetch) -> Result<Fetched, FetchError> {
        Err(FetchError::Refused("there is no network here".to_owned()))
    }

    async fn pause(&self, _: Duration) {}
}
