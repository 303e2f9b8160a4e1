//! How what a provider publishes is fetched.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, StatusCode};

use super::identity_url::IdentityUrl;
use crate::body::decode::decode;
use crate::env::{Env, Purpose, ToFetch};

/// Everything must have come by then, redirects included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest document in bytes; a longer one is an error.
const DOCUMENT_MAX: usize = 1 << 20;
/// So many redirects are followed, all within one origin.
const REDIRECTS_MAX: usize = 3;

/// A document as it came.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) body: Bytes,
    /// For how long it is good, if its provider says so (`max-age`, RFC 9111 §5.2.2.1).
    pub(super) max_age: Option<Duration>,
}

/// Fetches a document. The error says why it did not come.
pub(super) async fn fetch(url: &IdentityUrl, env: &Env) -> Result<Document, String> {
    let deadline = env.clock().elapsed() + PATIENCE;
    let mut url = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let request = ToFetch {
            purpose: Purpose::Identity,
            method: Method::GET,
            url: url.to_string(),
            headers: headers(),
            body: Bytes::new(),
            timeout: deadline.saturating_sub(env.clock().elapsed()),
            max: DOCUMENT_MAX,
            is_secret: false,
        };
        let fetched = env.fetch().fetch(request).await;
        let fetched = fetched.map_err(|error| error.to_string())?;
        match fetched.status {
            StatusCode::OK => {
                let max_age = max_age(&fetched.headers);
                let body = decode(&fetched.headers, fetched.body, DOCUMENT_MAX);
                let body = body.map_err(|fault| fault.to_string())?;
                return Ok(Document { body, max_age });
            }
            status if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) => {
                let location = fetched.headers.get(LOCATION);
                let location = location.and_then(|location| location.to_str().ok());
                let location = location.ok_or("a redirect leads nowhere")?;
                url = url.redirected(location)?;
            }
            status => return Err(format!("it answers with status {}", status.as_u16())),
        }
    }
    Err(format!("it redirects more than {REDIRECTS_MAX} times"))
}

fn headers() -> HeaderMap {
    let lines = [
        (ACCEPT, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static("adit")),
    ];
    lines.into_iter().collect()
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let mut directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim()
            .eq_ignore_ascii_case("max-age")
            .then(|| value.parse().ok())?
    });
    seconds.map(Duration::from_secs)
}
