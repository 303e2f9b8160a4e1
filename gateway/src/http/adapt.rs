//! Between Pingora's headers and the policy engine's.

use adit_policy::exchange::HeaderEdit;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

/// A header that edits can be replayed onto.
pub(super) trait Editable {
    fn lines(&self) -> &HeaderMap;
    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()>;
    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()>;
    fn remove(&mut self, name: &HeaderName);
}

/// Replays what policies changed, in their order. The one place where they take effect.
pub(super) fn replay(edits: Vec<HeaderEdit>, onto: &mut impl Editable) -> Result<()> {
    for edit in edits {
        match edit {
            HeaderEdit::Set { name, value } => onto.set(name, value)?,
            HeaderEdit::Append { name, value } => onto.append(name, value)?,
            HeaderEdit::Remove { name } => onto.remove(&name),
        }
    }
    Ok(())
}

/// Puts another canonical target, if there is one, in the place of the request's.
pub(super) fn rewrite(request: &mut RequestHeader, target: Option<&str>) -> Result<()> {
    let Some(target) = target else {
        return Ok(());
    };
    let mut parts = request.uri.clone().into_parts();
    let parsed = target.parse();
    parts.path_and_query =
        Some(parsed.or_err(ErrorType::InternalError, "a canonical target is none")?);
    let uri = http::Uri::from_parts(parts);
    request.set_uri(uri.or_err(ErrorType::InternalError, "a canonical target is none")?);
    Ok(())
}

// Parsed once: every response is looked through for them.
const ERROR_CODE: HeaderName = HeaderName::from_static("adit-error-code");
const NGROK_ERROR_CODE: HeaderName = HeaderName::from_static("ngrok-error-code");

/// Only the gateway may send these to a client.
pub(super) fn remove_own_headers(response: &mut ResponseHeader) {
    for name in [ERROR_CODE, NGROK_ERROR_CODE] {
        if response.headers.contains_key(&name) {
            response.remove_header(&name);
        }
    }
}

impl Editable for RequestHeader {
    fn lines(&self) -> &HeaderMap {
        &self.headers
    }

    /// Of two names for the host, as an HTTP/2 request may have, Pingora sends the one in the URI.
    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        if name == header::HOST && self.uri.authority().is_some() {
            let mut parts = self.uri.clone().into_parts();
            let authority = value.as_bytes().try_into();
            parts.authority = Some(authority.or_err(ErrorType::InternalError, "no host")?);
            let uri = http::Uri::from_parts(parts);
            self.set_uri(uri.or_err(ErrorType::InternalError, "no host")?);
        }
        self.insert_header(name, value)
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.append_header(name, value).map(drop)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

impl Editable for ResponseHeader {
    fn lines(&self) -> &HeaderMap {
        &self.headers
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.insert_header(name, value)
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.append_header(name, value).map(drop)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

impl Editable for HeaderMap {
    fn lines(&self) -> &HeaderMap {
        self
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.try_insert(name, value)
            .or_err(ErrorType::InternalError, "too many headers")
            .map(drop)
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.try_append(name, value)
            .or_err(ErrorType::InternalError, "too many headers")
            .map(drop)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove(name);
    }
}
