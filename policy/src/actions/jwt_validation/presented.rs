//! The tokens that a request shows.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};

use super::config::{Http, Place, TokenAt};
use super::failure::Failure;
use crate::action::Fault;
use crate::canonical::query_pairs;
use crate::exchange::{Exchange, Request};
use crate::expr::media_type;
use crate::jose::strict_json;

/// A token that a request shows, of which nothing was checked.
#[derive(Clone, Debug)]
pub(super) struct Presented<'a> {
    /// Its place in the list of tokens.
    pub(super) index: usize,
    pub(super) text: Cow<'a, str>,
}

/// A body in which tokens are looked for.
enum Body<'b> {
    Json(Map<String, Value>),
    Form(&'b str),
}

impl Http {
    /// All tokens of a request, in the order of the list; or why one is not there.
    pub(super) fn tokens_of<'a>(
        &self,
        exchange: &'a Exchange<'_>,
        body: Option<&Bytes>,
    ) -> Result<Result<Vec<Presented<'a>>, Failure>, Fault> {
        let request = exchange.request()?;
        let body = match body.map(|body| read(request, body)).transpose() {
            Ok(body) => body,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut all = Vec::with_capacity(self.tokens.len());
        for (index, at) in self.tokens.iter().enumerate() {
            match at.text(exchange, request, body.as_ref())? {
                Ok(text) => all.push(Presented { index, text }),
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok(all))
    }
}

/// Whether a request's body can hold tokens.
pub(super) fn can_hold_tokens(request: &Request<'_>) -> Result<(), Failure> {
    if !matches!(*request.method, Method::POST | Method::PUT | Method::PATCH) {
        return Err(Failure::Method);
    }
    match is_json(request) || is_form(request) {
        true => Ok(()),
        false => Err(Failure::ContentType),
    }
}

// === impl TokenAt ===

impl TokenAt {
    fn text<'a>(
        &self,
        exchange: &Exchange<'_>,
        request: &'a Request<'_>,
        body: Option<&Body<'_>>,
    ) -> Result<Result<Cow<'a, str>, Failure>, Fault> {
        let found = match &self.place {
            Place::Header(name) => {
                let name = name.get("http.tokens", exchange)?;
                header(request, &name.0)
            }
            Place::Body(name) => {
                let name = name.get("http.tokens", exchange)?;
                match body {
                    Some(body) => body.field(&name).map(Cow::Owned),
                    None => Err(Failure::NoToken),
                }
            }
        };
        let found = match (found, &self.prefix) {
            (Ok(text), Some(prefix)) => without(text, &prefix.get("http.tokens", exchange)?),
            (found, _) => found,
        };
        Ok(found.map(trimmed).and_then(|text| match text.is_empty() {
            true => Err(Failure::NoToken),
            false => Ok(text),
        }))
    }
}

// === impl Presented ===

impl Presented<'_> {
    /// The same, which borrows nothing.
    pub(super) fn to_owned(&self) -> Presented<'static> {
        Presented {
            index: self.index,
            text: Cow::Owned(self.text.clone().into_owned()),
        }
    }
}

/// A header has one line: of two, the service might believe the other.
fn header<'a>(request: &'a Request<'_>, name: &http::HeaderName) -> Result<Cow<'a, str>, Failure> {
    let mut lines = request.head.lines().get_all(name).iter();
    let line = lines.next().ok_or(Failure::NoHeader)?;
    if lines.next().is_some() {
        return Err(Failure::TwoLines);
    }
    let text = line.to_str().map_err(|_| Failure::NoText)?;
    Ok(Cow::Borrowed(text))
}

fn without<'a>(text: Cow<'a, str>, prefix: &str) -> Result<Cow<'a, str>, Failure> {
    let begins = |text: &str| {
        let begin = text.get(..prefix.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    };
    // `Bearer` without anything behind it lost its blank on the way.
    if text.trim_end().eq_ignore_ascii_case(prefix.trim_end()) {
        return Err(Failure::NoToken);
    }
    if !begins(&text) {
        return Err(Failure::NoPrefix);
    }
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(prefix.len()..).unwrap_or_default()),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(prefix.len())),
    })
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

// === impl Body ===

fn read<'b>(request: &Request<'_>, body: &'b Bytes) -> Result<Body<'b>, Failure> {
    can_hold_tokens(request)?;
    if is_json(request) {
        let object = strict_json::object(body);
        return object.map(Body::Json).map_err(|_| Failure::Json);
    }
    let text = std::str::from_utf8(body);
    text.map(Body::Form).map_err(|_| Failure::Form)
}

impl Body<'_> {
    fn field(&self, name: &str) -> Result<String, Failure> {
        match self {
            Self::Json(object) => {
                let named = object
                    .iter()
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name));
                let value = only(named, Failure::Json)?.1;
                value.as_str().map(str::to_owned).ok_or(Failure::Json)
            }
            Self::Form(text) => {
                let named = query_pairs(text).filter(|(key, _)| key.eq_ignore_ascii_case(name));
                let (_, value) = only(named, Failure::Form)?;
                Ok(value.into_owned())
            }
        }
    }
}

/// The one item. None is a token that is missing; of two, the service might believe the other.
fn only<T>(mut items: impl Iterator<Item = T>, several: Failure) -> Result<T, Failure> {
    let first = items.next().ok_or(Failure::NoToken)?;
    match items.next() {
        None => Ok(first),
        Some(_) => Err(several),
    }
}

fn is_json(request: &Request<'_>) -> bool {
    let essence = media_type::essence(request.head.lines());
    let essence = essence.as_str().unwrap_or_default();
    essence == "application/json" || essence.ends_with("+json")
}

fn is_form(request: &Request<'_>) -> bool {
    let essence = media_type::essence(request.head.lines());
    essence.as_str() == Some("application/x-www-form-urlencoded")
}
