//! What became of one simulated exchange.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use crate::action::{Fault, Phase, Refusal, Reply};
use crate::env::ToFetch;
use crate::expr::Value;
use crate::memory::SecretParts;
use crate::trace::{ShadowRecord, Trace};
use crate::verdict::{Place, Verdict};

/// Everything that somebody may want to know of an exchange that has ended.
#[derive(Debug, Default)]
pub struct Run {
    /// The phases that ran, in order.
    pub phases: Vec<PhaseRun>,
    /// What the service would get; `None` if it is not asked.
    pub upstream: Option<Sent>,
    /// What the client would get; `None` if its connection is closed, or goes on as bytes.
    pub client: Option<Got>,
    /// What the policy did, rule by rule.
    pub trace: Trace,
    /// What rules in shadow mode would have done.
    pub shadow: Vec<ShadowRecord>,
    /// The variables at the end of the last phase that set them.
    pub vars: Vec<(String, Value<'static>)>,
    /// Where secrets went.
    pub secret_parts: SecretParts,
    /// What the actions left under `actions.ngrok.`.
    pub results: Vec<(&'static str, Value<'static>)>,
    /// The requests that the policy made itself.
    pub fetched: Vec<ToFetch>,
    /// The metadata that it logged, as JSON.
    pub logged: Vec<String>,
    /// What the operator is warned of.
    pub warned: Vec<String>,
}

/// How one phase ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseRun {
    /// Which.
    pub phase: Phase,
    /// [`Verdict::name`].
    pub verdict: &'static str,
    /// Who said it; nobody says `continue`.
    pub by: Option<Place>,
    /// The number of a refusal or a fault.
    pub code: Option<u16>,
    /// Why, for a refusal or a fault.
    pub reason: Option<String>,
    /// Where to, for a forward.
    pub forward_to: Option<String>,
}

/// A request as the service gets it, apart from what the gateway adds to every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Path and query.
    pub path: String,
    /// The header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A response as the client gets it, apart from what the gateway adds to every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body. Of a page of the gateway's, the short form that clients get who do not ask for HTML or JSON.
    pub body: Bytes,
}

// === impl Run ===

impl Run {
    /// How the exchange ended: what the last phase said that said anything but `continue`.
    pub fn end(&self) -> Option<&PhaseRun> {
        let said = |phase: &&PhaseRun| phase.verdict != Verdict::Continue.name();
        self.phases.iter().rev().find(said)
    }

    /// Messages were looked at while the body passed; if one of them ended the stream, that is noted already.
    pub(super) fn note_messages(&mut self, trace: &Trace) {
        let phase = Phase::OnEventStreamMessage;
        let is_noted = self.phases.iter().any(|ran| ran.phase == phase);
        if !trace.rules.is_empty() && !is_noted {
            self.phases.push(PhaseRun::of(phase, &Verdict::Continue));
        }
    }

    /// The verdict of the exchange as one word.
    pub fn verdict(&self) -> &'static str {
        self.end().map_or("continue", |end| end.verdict)
    }
}

// === impl PhaseRun ===

impl PhaseRun {
    pub(super) fn of(phase: Phase, verdict: &Verdict) -> Self {
        let (code, reason) = match verdict {
            Verdict::Refuse { refusal, .. } => {
                (Some(refusal.code), Some(refusal.message.to_owned()))
            }
            Verdict::Fault { fault, .. } => (Some(fault.code()), Some(fault.to_string())),
            _ => (None, None),
        };
        Self {
            phase,
            verdict: verdict.name(),
            by: verdict.by().cloned(),
            code,
            reason,
            forward_to: match verdict {
                Verdict::Forward { forward, .. } => Some(forward.url.to_string()),
                _ => None,
            },
        }
    }

    /// A phase whose work on the body failed after its rules had run.
    pub(super) fn broken(phase: Phase, fault: &Fault) -> Self {
        Self {
            phase,
            verdict: "fault",
            by: None,
            code: Some(fault.code()),
            reason: Some(fault.to_string()),
            forward_to: None,
        }
    }
}

// === impl Got ===

impl Got {
    pub(super) fn reply(reply: Reply) -> Self {
        let (head, body) = reply.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    pub(super) fn refusal(refusal: &Refusal) -> Self {
        let mut page = Self::page(refusal.status, refusal.code, refusal.message);
        for (name, value) in &refusal.headers {
            page.headers.append(name, value.clone());
        }
        page
    }

    pub(super) fn fault(phase: Phase, fault: &Fault) -> Self {
        const SAID: &str = "the traffic policy could not decide about this request";
        Self::page(fault.status(phase), fault.code(), SAID)
    }

    /// The gateway's page.
    pub(super) fn page(status: StatusCode, code: u16, said: &str) -> Self {
        const ERROR_CODE: HeaderName = HeaderName::from_static("adit-error-code");
        const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
        let number = format!("ERR_ADIT_{code}");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, TEXT);
        if let Ok(number) = HeaderValue::from_str(&number) {
            headers.insert(ERROR_CODE, number);
        }
        Self {
            status,
            headers,
            body: format!("{said} ({number})\n").into(),
        }
    }
}
