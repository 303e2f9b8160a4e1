//! A request: what came, and what is to go upstream in its place.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Version};

use super::Head;
use crate::body::{BodyFault, BodySource};
use crate::canonical::Target;
use crate::endpoint_url::Scheme;

/// A request.
pub struct Request<'a> {
    /// `http` or `https`, as the client sees it.
    pub scheme: Scheme,
    /// The request's method.
    pub method: &'a Method,
    /// The version that the client speaks.
    pub version: Version,
    /// The canonical authority that routing used: host, and port if explicit.
    pub authority: &'a str,
    /// Canonical path and query; `rewrite` puts another in its place.
    pub target: Target<'a>,
    /// The request's header.
    pub head: Head<'a>,
    /// When the head had come.
    pub received: SystemTime,
    /// Whether a body follows the head.
    pub has_body: bool,
    /// Lends the body, if the policy said that it reads bodies.
    pub body: Option<&'a mut dyn BodySource>,
    read_body: Option<Bytes>,
    body_changed: bool,
    rewritten: bool,
}

// === impl Request ===

impl<'a> Request<'a> {
    /// A copy to which the body is lent.
    pub(super) fn trial(&mut self) -> Self {
        Self {
            target: self.target.clone(),
            head: self.head.clone(),
            body: self.body.take(),
            read_body: self.read_body.clone(),
            ..*self
        }
    }

    /// Takes back the body that was lent to a copy, and keeps what was read of it.
    pub(super) fn take_back(&mut self, trial: Self) {
        self.body = trial.body;
        if !trial.body_changed && self.read_body.is_none() {
            self.read_body = trial.read_body;
        }
    }

    /// The whole URL in canonical form.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.target)
    }

    /// A request without a body.
    pub fn new(
        scheme: Scheme,
        method: &'a Method,
        authority: &'a str,
        target: Target<'a>,
        lines: &'a HeaderMap,
        received: SystemTime,
    ) -> Self {
        Self {
            scheme,
            method,
            version: Version::HTTP_11,
            authority,
            target,
            head: Head::of(lines),
            received,
            has_body: false,
            body: None,
            read_body: None,
            body_changed: false,
            rewritten: false,
        }
    }

    /// The whole body, read when it is first asked for.
    pub async fn body(&mut self, max: usize) -> Result<Bytes, BodyFault> {
        if let Some(body) = &self.read_body {
            return match body.len() > max {
                true => Err(BodyFault::TooLarge),
                false => Ok(body.clone()),
            };
        }
        let body = match &mut self.body {
            Some(source) => source.read(max).await?,
            None if self.has_body => return Err(BodyFault::Unreadable),
            None => Bytes::new(),
        };
        self.read_body = Some(body.clone());
        Ok(body)
    }

    /// Puts another body in the place of the one that came.
    pub fn replace_body(&mut self, body: Bytes) {
        self.read_body = Some(body);
        self.body_changed = true;
    }

    /// The body that goes upstream instead of the one that came.
    pub fn new_body(&self) -> Option<&Bytes> {
        self.read_body.as_ref().filter(|_| self.body_changed)
    }

    /// Puts another target in the place of the one that came; later rules see it.
    pub fn rewrite(&mut self, target: Target<'static>) {
        self.target = target;
        self.rewritten = true;
    }

    /// The target that goes upstream instead of the one that came.
    pub fn new_target(&self) -> Option<&Target<'a>> {
        Some(&self.target).filter(|_| self.rewritten)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
