//! `mirror`: another endpoint gets a copy of some requests, and its answers are compared with those of the service.

mod config;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use serde::Deserialize;

use self::config::{Compare, Id, Percentage};
use super::forward_internal::{Destination, for_the_phase, speaks_http};
use crate::action::{Action, Config, Fault, Flow, Phase, Shadow, Unbuildable};
use crate::env::Env;
use crate::exchange::{Exchange, Request};
use crate::expr::{Field, Value};
use crate::memory::Memory;
use crate::mirror::{COPIES_MAX, Copied, Mirror as Planned, Settings, Skipped};
use crate::size::Size;

const RESULTS: &str = "mirror";

/// Headers in which clients send what opens doors.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
];

/// Headers of one hop or of the framing, which a copy has anew.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Config of `mirror`.
///
/// The rule goes on at once, and nothing about the exchange changes. When the service has been sent the whole request,
/// the other endpoint is sent a copy: the request as this action leaves it (rules behind it do not change the copy),
/// with the same `host`, and `adit-mirrored: 1`. Its own policy runs, and sees the client's address. When both have
/// answered, the answers are compared: that of the other endpoint, and that of the service before any
/// `on_http_response`. What came of it is in the gateway's metrics (`adit_mirror_total`), its log and its reports. A
/// copy is not mirrored again.
///
/// The client never waits for any of this. A copy that cannot be sent is left out and counted as skipped: one too many
/// of a request (there may be 3) or of the whole gateway (256 at the same time), WebSockets, gRPC and event streams,
/// requests that a later rule answers or refuses. Each copy holds at most three times `max_body`.
///
/// A copy is a request like any other: whoever gets it may act upon it. Name methods other than GET, HEAD and OPTIONS
/// only if that does no harm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mirror {
    /// The endpoint that gets the copies: `scheme://host[:port]`, http or https, a name below `.internal` or any other
    /// that this gateway serves; may hold `${…}`.
    #[serde(deserialize_with = "for_the_phase")]
    url: Field<Destination>,
    /// What the mirror is called in metrics and reports: up to 64 letters, digits and `-_.:/`. Default: `url`, or
    /// `computed` for one that holds `${…}`.
    #[serde(default)]
    id: Option<Id>,
    /// How many of 100 requests are copied, from 0 to 100; `0.5` is one in 200. Default: 100.
    #[serde(default)]
    percentage: Percentage,
    /// Requests with these methods are copied. Default: GET, HEAD and OPTIONS, which change nothing.
    #[serde(default = "config::safe", deserialize_with = "config::methods")]
    methods: Vec<Method>,
    /// Whether a copy carries what opens doors: `authorization`, `cookie`, `proxy-authorization`, `x-api-key`,
    /// `x-auth-token`, `x-csrf-token`, what an action of this policy has put there to tell who the caller is, and all
    /// that came from a secret. Default: false.
    #[serde(default)]
    credentials: bool,
    /// More headers that a copy does not carry, whatever `credentials` says.
    #[serde(default, deserialize_with = "config::names")]
    remove_headers: Vec<HeaderName>,
    /// The most bytes of a body that are held, up to 1MiB. A request with a longer body is not copied; of longer answers,
    /// status and headers are compared. Default: 64KiB.
    #[serde(default = "usual_body", deserialize_with = "config::body")]
    max_body: Size,
    /// The answer to a copy must be complete by then, up to 60s. Default: 5s.
    #[serde(default = "usual_timeout", deserialize_with = "config::timeout")]
    timeout: Duration,
    /// What is compared.
    #[serde(default)]
    compare: Compare,
}

impl Config for Mirror {
    const TYPE: &'static str = "mirror";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some(RESULTS);
    type Action = Mirroring;

    fn build(self, _: &Env) -> Result<Mirroring, Unbuildable> {
        let id = match (self.id, self.url.fixed()) {
            (Some(Id(id)), _) => id,
            (None, Some(Destination(url))) => url.to_string(),
            (None, None) => "computed".to_owned(),
        };
        Ok(Mirroring {
            url: self.url,
            percentage: self.percentage,
            methods: self.methods,
            remove_headers: self.remove_headers,
            settings: Arc::new(Settings {
                id,
                max_body: self.max_body.bytes(),
                timeout: self.timeout,
                credentials: self.credentials,
                compare: self.compare.into(),
            }),
        })
    }
}

/// `mirror`, built.
#[derive(Debug)]
pub(super) struct Mirroring {
    url: Field<Destination>,
    percentage: Percentage,
    methods: Vec<Method>,
    remove_headers: Vec<HeaderName>,
    settings: Arc<Settings>,
}

impl Action for Mirroring {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let chosen = match self.methods.contains(exchange.request()?.method) {
            false => Err("method"),
            true if !self.percentage.is_drawn(exchange.env.random()) => Err("percentage"),
            true => Ok(()),
        };
        if let Err(reason) = chosen {
            self.leave_results(&mut exchange.memory, "", reason);
            return Ok(Flow::Next);
        }
        let copy = self.copy(exchange);
        match &copy {
            Ok(copied) => {
                let url = copied.url.to_string();
                self.leave_results(&mut exchange.memory, &url, "");
            }
            Err(skipped) => self.leave_results(&mut exchange.memory, "", skipped.name()),
        }
        exchange.memory.add_mirror(Planned {
            settings: Arc::clone(&self.settings),
            copy,
        });
        Ok(Flow::Next)
    }

    fn in_shadow(&self) -> Shadow {
        Shadow::WouldRun
    }
}

// === impl Mirroring ===

impl Mirroring {
    /// The request as it is now. A copy that cannot be made is none of the client's business: it is no fault.
    fn copy(&self, exchange: &Exchange<'_>) -> Result<Box<Copied>, Skipped> {
        let request = exchange.request().map_err(|_| Skipped::Unasked)?;
        let memory = &exchange.memory;
        if memory.copies() >= COPIES_MAX {
            return Err(Skipped::TooMany);
        }
        if is_stream(request.head.lines()) {
            return Err(Skipped::Stream);
        }
        if !self.settings.credentials && memory.secret_target().is_some() {
            return Err(Skipped::Secret);
        }
        let url = self.url.marked("url", exchange);
        let (Destination(url), taint) = match url {
            Ok((url, taint)) => (url.into_owned(), taint),
            Err(_) => return Err(Skipped::Url),
        };
        if taint.is_secret() || !speaks_http(url.scheme) {
            return Err(Skipped::Url);
        }
        Ok(Box::new(Copied {
            url,
            method: request.method.clone(),
            target: request.target.to_string(),
            lines: self.lines(request, memory),
        }))
    }

    fn lines(&self, request: &Request<'_>, memory: &Memory) -> HeaderMap {
        let secret = |name: &HeaderName, value: &HeaderValue| {
            CREDENTIALS.contains(&name.as_str())
                || memory.vouching().contains(name)
                || value.is_sensitive()
        };
        let stays = |name: &HeaderName, value: &HeaderValue| {
            !HOP_BY_HOP.contains(&name.as_str())
                && !self.remove_headers.contains(name)
                && (self.settings.credentials || !secret(name, value))
        };
        let lines = request.head.lines().iter();
        let lines = lines.filter(|(name, value)| stays(name, value));
        let mut lines: HeaderMap = lines
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // HTTP/2 names it elsewhere.
        if !lines.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(request.authority)
        {
            lines.insert(HOST, host);
        }
        lines
    }

    fn leave_results(&self, memory: &mut Memory, url: &str, reason: &'static str) {
        if !memory.wants_results() {
            return;
        }
        let result = [
            ("id", Value::text(self.settings.id.clone())),
            ("sent", Value::Bool(!url.is_empty())),
            ("skipped", Value::text(reason)),
            ("url", Value::text(url.to_owned())),
        ];
        memory.set_result(RESULTS, Value::map(result));
    }
}

/// Whether the request wants what has no end, or no answer of its own.
fn is_stream(lines: &HeaderMap) -> bool {
    let says = |name: HeaderName, what: &str| {
        let mut said = lines.get_all(name).iter();
        said.any(|value| value.to_str().is_ok_and(|value| value.contains(what)))
    };
    lines.contains_key(UPGRADE)
        || says(CONTENT_TYPE, "application/grpc")
        || says(ACCEPT, "text/event-stream")
}

fn usual_body() -> Size {
    Size(64 << 10)
}

fn usual_timeout() -> Duration {
    Duration::from_secs(5)
}
