//! What a client is told when the gateway itself has to answer: what happened, and what can be done.

use adit_policy::{
    action::{Phase, Refusal},
    body::BodyFault,
    canonical::BadTarget,
    endpoint_url::EndpointUrl,
};
use adit_wire::message::DialErrorKind;
use http::{HeaderName, HeaderValue, StatusCode};

use super::dial::Dial;
use crate::pools::session::OpenFailure;

/// An error page before it is written in the form that the client accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorPage {
    pub(super) status: StatusCode,
    /// The number in `ERR_ADIT_…`.
    pub(super) code: u16,
    /// What happened, in one line.
    pub(super) title: String,
    /// What the reader can do about it.
    pub(super) remedy: String,
    /// Lines besides those of every page.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the reader can do it: a path on the same host, and the words of the button.
    pub(super) link: Option<(String, &'static str)>,
}

impl ErrorPage {
    fn new(
        status: StatusCode,
        code: u16,
        title: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            title: title.into(),
            remedy: remedy.into(),
            headers: Vec::new(),
            link: None,
        }
    }

    pub(super) fn no_endpoint(host: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            3200,
            format!("there is no endpoint {host} here"),
            "Check the address. If it is yours, start its agent, for example with `adit http 3000 --url …`.",
        )
    }

    pub(super) fn no_agent() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            3210,
            "no agent is connected for this address",
            "Its agent is stopped, restarting or cut off. Try again in a moment; if it is yours, look at the agent.",
        )
    }

    /// Why a member could not be reached.
    pub(super) fn of_dial(dial: &Dial) -> Self {
        match dial.failure() {
            Some(OpenFailure::Dial(error)) => {
                Self::of_service(error.kind, &error.upstream, &error.detail)
            }
            Some(OpenFailure::Timeout) => Self::timeout(),
            Some(OpenFailure::Busy) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                714,
                "the agent for this address carries as many requests as it may",
                "Try again in a moment, or run more agents for this address.",
            ),
            Some(OpenFailure::Lost | OpenFailure::Protocol) | None => Self::no_agent(),
        }
    }

    fn of_service(kind: DialErrorKind, upstream: &str, detail: &str) -> Self {
        let upstream = address(upstream);
        let bad_gateway = |title, remedy| Self::new(StatusCode::BAD_GATEWAY, 8012, title, remedy);
        match kind {
            DialErrorKind::Refused => bad_gateway(
                format!("nothing listens on {upstream}"),
                "The agent is connected, but its service is not. Start the service, or give the agent its right address.",
            ),
            DialErrorKind::Timeout => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                3005,
                format!("{upstream} did not answer the agent in time"),
                "The service is overloaded, or something between it and the agent drops packets.",
            ),
            DialErrorKind::Unreachable => bad_gateway(
                format!("the agent cannot find {upstream}"),
                "Check the name or address of the service in the agent's configuration.",
            ),
            DialErrorKind::Tls => bad_gateway(
                format!("the TLS handshake with {upstream} failed: {detail}"),
                "Check that the service speaks TLS there, and its certificate if the agent verifies it.",
            ),
            DialErrorKind::UnknownEndpoint | DialErrorKind::Draining => Self::no_agent(),
            DialErrorKind::Other => bad_gateway(
                format!("the agent cannot reach {upstream}: {detail}"),
                "Look at the agent's log.",
            ),
        }
    }

    /// An endpoint to which a policy forwards is not there, or has no member.
    pub(super) fn offline(url: &EndpointUrl) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            3200,
            format!("the endpoint {url} is offline"),
            "The traffic policy of this address forwards to it. Try again in a moment; if it is yours, look at its agent.",
        )
    }

    pub(super) fn too_many_hops() -> Self {
        Self::new(
            StatusCode::LOOP_DETECTED,
            3501,
            "the request was forwarded too often",
            "The traffic policies of this address forward it in a circle.",
        )
    }

    /// The same for a request that was forwarded: what failed lies behind the address that the client asked for.
    pub(super) fn of_forward(self) -> Self {
        let status = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => StatusCode::BAD_GATEWAY,
            status => status,
        };
        Self { status, ..self }
    }

    pub(super) fn timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            3005,
            "the service did not answer in time",
            "Try again. If it is yours: it took the request and has not sent a response head yet.",
        )
    }

    /// The same after several members were tried.
    pub(super) fn nobody_in_time(tries: usize) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            3008,
            format!("none of {tries} tries was answered in time"),
            "The service is overloaded or cut off. Try again in a moment.",
        )
    }

    /// There are agents, and none of them can serve.
    pub(super) fn unfit() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            3210,
            "no agent of this address can serve at the moment",
            "Their services are down, or failed too often just now. Try again in a moment; if they are yours, look at their logs.",
        )
    }

    /// The service, or the agent before it, broke off before it answered.
    pub(super) fn broken(forwards_to: &str) -> Self {
        let service = service(forwards_to);
        Self::new(
            StatusCode::BAD_GATEWAY,
            3210,
            format!("the connection to {service} was lost before it answered"),
            "The service or its agent stopped while it worked on the request. Try again if repeating it does no harm.",
        )
    }

    pub(super) fn not_http(forwards_to: &str) -> Self {
        let service = service(forwards_to);
        Self::new(
            StatusCode::BAD_GATEWAY,
            3004,
            format!("{service} answered with something that is not valid HTTP"),
            "Check that the agent's address leads to an HTTP service of the right kind (http, https, HTTP/2).",
        )
    }

    pub(super) fn misdirected() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            50001,
            "the request's host is not the one the TLS connection was made for",
            "Open a new connection for this host.",
        )
    }

    pub(super) fn bad_request(what: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            50012,
            what,
            "The request is ambiguous or malformed. Correct the client.",
        )
    }

    /// A target without a canonical form.
    pub(super) fn bad_target(why: BadTarget) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            50003,
            why.to_string(),
            match why.can_be_normalized() {
                true => {
                    "Services read such an address in different ways. Correct the client; or let the gateway's \
                     operator set `normalize_paths: true` for this endpoint."
                }
                false => "No two services read such an address alike. Correct the client.",
            },
        )
    }

    pub(super) fn connect_refused() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            50012,
            "this gateway is not a proxy for CONNECT",
            "Ask for the address itself.",
        )
    }

    pub(super) fn body_too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            50012,
            "the request's body took too long",
            "Send the request again, without pauses in its body.",
        )
    }

    /// A body that policies could not read or change.
    pub(super) fn of_body(fault: BodyFault, phase: Phase) -> Self {
        let (title, remedy) = match (fault, phase) {
            (BodyFault::TooLarge, Phase::OnHttpRequest) => (
                "the request's body is too large",
                "The traffic policy of this address looks at whole bodies, which may have 10 MiB. Send less.",
            ),
            (BodyFault::TooLarge, _) => (
                "the service's answer is too large for the traffic policy to change",
                "The policy needs the whole body, or the whole message, at once. If this address is yours, send less or let the rule pass it by.",
            ),
            (BodyFault::Encoding, _) => (
                "a body is encoded in a way that the traffic policy cannot undo",
                "Use gzip, deflate, br, or no content-encoding at all.",
            ),
            (BodyFault::Unreadable, _) => ("a body could not be read to its end", "Try again."),
            (BodyFault::Undecided(_), _) => (
                "the traffic policy could not decide about the service's answer",
                "If this address is yours, the gateway's log names the rule.",
            ),
        };
        Self::new(fault.status(phase), fault.code(), title, remedy)
    }

    pub(super) fn headers_too_large() -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            50012,
            "the request has too many or too large headers",
            "Delete this site's cookies, or send fewer headers.",
        )
    }

    pub(super) fn target_too_long() -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            50012,
            "the request target is too long",
            "Send the data in the body of a POST request.",
        )
    }

    pub(super) fn too_many_at_once() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            50012,
            "this connection has too many requests at once",
            "Give up fewer requests, or wait for their answers.",
        )
    }

    /// What an action of a policy refused.
    pub(super) fn refusal(refusal: Refusal) -> Self {
        let Refusal {
            status,
            code,
            message,
            headers,
            help,
        } = refusal;
        let usual = "The traffic policy of this address decides who may pass.";
        let remedy = help.as_ref().map_or(usual, |help| help.remedy);
        Self {
            headers,
            link: help.and_then(|help| help.link),
            ..Self::new(status, code, message, remedy)
        }
    }

    pub(super) fn policy_fault(status: StatusCode, code: u16) -> Self {
        Self::new(
            status,
            code,
            "the traffic policy could not decide about this request",
            "If this address is yours, the gateway's log names the rule.",
        )
    }

    /// The caller was let in, and is not any longer.
    pub(super) fn session_ended() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            3401,
            "the session has ended",
            "Load the page again to sign in.",
        )
    }

    /// The caller was let in by a policy that is not in use any longer.
    pub(super) fn policy_changed() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            3007,
            "the traffic policy of this address has changed",
            "Send the request again.",
        )
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            2300,
            "the gateway could not handle this request",
            "Its log says why.",
        )
    }

    /// Whether the client is not listened to any longer: it sent what cannot be read in one way only.
    pub(super) fn refuses_the_connection(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED
        )
    }
}

/// A service as its agent names it.
fn service(forwards_to: &str) -> &str {
    match address(forwards_to) {
        "" => "the service",
        named => named,
    }
}

/// A service's address without its scheme: people look for the port.
fn address(upstream: &str) -> &str {
    upstream
        .split_once("://")
        .map_or(upstream, |(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_dial_says_what_is_not_there() {
        let page = ErrorPage::of_service(
            DialErrorKind::Refused,
            "http://localhost:3000",
            "connection refused",
        );
        assert_eq!(page.status, StatusCode::BAD_GATEWAY);
        assert_eq!(page.title, "nothing listens on localhost:3000");
    }

    #[test]
    fn markup_in_a_name_stays_text() {
        let page = ErrorPage::no_endpoint("<script>alert(1)</script>");
        assert!(!page.html().contains("<script>"));
        assert!(page.html().contains("&lt;script&gt;"));
    }

    #[test]
    fn programs_get_json() {
        let page: serde_json::Value = serde_json::from_str(&ErrorPage::no_agent().json()).unwrap();
        assert_eq!(page["error_code"], "ERR_ADIT_3210");
        assert_eq!(page["status_code"], 503);
    }
}
