//! How providers are asked over HTTP: one deadline, a longest answer, and no redirect to another host.

use std::pin::Pin;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use serde_json::{Map, Value};

use super::provider::{ANSWER_MAX, Failed, PATIENCE};
use super::token_answer::standard;
use crate::body::decode::decode;
use crate::env::{Env, Fetched, Purpose, ToFetch};
use crate::jose::identity_url::IdentityUrl;

/// So many redirects are followed, to the same scheme, host and port, and for `GET` only.
const REDIRECTS_MAX: u8 = 3;

/// Asks providers through the environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Web<'e>(pub(super) &'e Env);

/// A provider that could not be asked, or that fails itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(String);

/// What a provider says of a person whose access token it is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserInfo<'a> {
    pub(super) url: &'a IdentityUrl,
    pub(super) access: &'a str,
    /// Lines that this provider demands besides.
    pub(super) headers: &'a [(&'static str, &'a str)],
}

// === impl Web ===

impl<'e> Web<'e> {
    /// What `asked` answers, as JSON.
    pub(super) async fn user_info(self, asked: UserInfo<'_>) -> Result<Value, Failed> {
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", asked.access))
            .map_err(|_| Failed::Unbelievable("its access token is not a token".to_owned()))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        for (name, value) in asked.headers {
            let value = HeaderValue::from_str(value);
            let value = value.map_err(|_| Failed::Misconfigured(format!("{name} is no header")))?;
            headers.insert(*name, value);
        }
        let url = asked.url;
        let answer = self.get(url, headers).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|_| {
                Failed::Unbelievable(format!("{url} answers something else than JSON"))
            }),
            // Facebook answers 400 to a token that is over.
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Failed::Refused(format!("{url} answers {}", answer.status)))
            }
            status => Err(Failed::Misconfigured(format!("{url} answers {status}"))),
        }
    }

    async fn get(self, url: &IdentityUrl, headers: HeaderMap) -> Result<Fetched, Unanswered> {
        let deadline = self.0.clock().elapsed() + PATIENCE;
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = to_fetch(Method::GET, &at.to_string(), headers.clone());
            request.timeout = deadline.saturating_sub(self.0.clock().elapsed());
            let answer = self.fetch(request).await?;
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            let location = answer.headers.get(LOCATION).map(HeaderValue::to_str);
            let Some(Ok(location)) = location else {
                return Err(Unanswered(format!("{at} redirects nowhere")));
            };
            let next = at.redirected(location);
            at = next.map_err(|why| Unanswered(format!("{at}: {why}")))?;
        }
        Err(Unanswered(format!("{url} redirects too often")))
    }

    async fn post(self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let (head, body) = request.into_parts();
        let url = head.uri.to_string();
        let mut request = to_fetch(head.method, &url, head.headers);
        request.body = Bytes::from(body);
        let answer = self.fetch(request).await?;
        // It would carry the client's secret to wherever it leads.
        if answer.status.is_redirection() {
            return Err(Unanswered(format!(
                "{url} redirects, and that is not followed"
            )));
        }
        let mut response = HttpResponse::new(answer.body.to_vec());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }

    async fn fetch(self, request: ToFetch) -> Result<Fetched, Unanswered> {
        let url = request.url.clone();
        let answer = self.0.fetch().fetch(request).await;
        let mut answer = answer.map_err(|why| Unanswered(format!("{url}: {why}")))?;
        let body = decode(&answer.headers, answer.body, ANSWER_MAX);
        answer.body = body.map_err(|why| Unanswered(format!("{url}: {why}")))?;
        // GitHub answers 403 to those who ask too much.
        let later = answer.headers.contains_key(RETRY_AFTER)
            || answer
                .headers
                .get("x-ratelimit-remaining")
                .is_some_and(|left| left == "0");
        let busy = match answer.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => later,
            _ => false,
        };
        match busy || answer.status.is_server_error() {
            true => Err(Unanswered(format!("{url} answers {}", answer.status))),
            false => Ok(answer),
        }
    }
}

/// For the token endpoint: what the crates that know the protocol send and read.
impl<'c> AsyncHttpClient<'c> for Web<'_> {
    type Error = Unanswered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unanswered>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { Ok(standard(self.post(request).await?)) })
    }
}

impl From<Unanswered> for Failed {
    fn from(Unanswered(why): Unanswered) -> Self {
        Self::Unreachable(why)
    }
}

fn to_fetch(method: Method, url: &str, mut headers: HeaderMap) -> ToFetch {
    // GitHub refuses requests without a user agent.
    headers.insert(USER_AGENT, HeaderValue::from_static("adit"));
    let json = HeaderValue::from_static("application/json");
    headers.entry(ACCEPT).or_insert(json);
    ToFetch {
        purpose: Purpose::Identity,
        method,
        url: url.to_owned(),
        headers,
        body: Bytes::new(),
        timeout: PATIENCE,
        max: ANSWER_MAX,
        // Codes and client secrets.
        is_secret: true,
    }
}

/// A JSON object, or why it is none.
pub(super) fn object(value: Value, what: &str) -> Result<Map<String, Value>, Failed> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Failed::Unbelievable(format!("{what} is not a JSON object"))),
    }
}
