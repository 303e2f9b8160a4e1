//! What people and programs are told when a login does not let them in, and when they have signed out.

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::provider::Failed;
use crate::action::{Refusal, Reply};
use crate::page::{self, Page};

/// Why somebody does not get in. The numbers are of the reference §11.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A request of a program without a session.
    SignedOut,
    /// The same with one that is over.
    Expired,
    /// The provider does not let the person in any more.
    RefusedAtRefresh,
    /// A script of another site.
    ForeignOrigin,
    /// Cookies are not safe without TLS.
    Cleartext,
    /// What came back says nothing of who was sent.
    NoState,
    /// It was not made here.
    MalformedState,
    /// Nobody was sent by this browser, or it was too long ago.
    NoAttempt,
    /// It was sent by this browser, and under another key or for another address.
    UnreadableAttempt,
    /// It took too long.
    Late,
    /// It came back twice.
    Used,
    /// The provider has sent no code, or several.
    NoCode,
    /// The person did not agree, or the provider did not let them.
    Denied,
    /// The provider has sent them back with an error.
    ProviderError,
    /// The same, and it may go away.
    ProviderBusy,
    /// The provider does not answer.
    Unreachable,
    /// The provider does not know this gateway.
    Misconfigured,
    /// The provider refuses the code.
    CodeRefused,
    /// What the provider says cannot be believed.
    Unbelievable,
}

const AGAIN: &str = "Sign in again";
const RETRY: &str = "Try again";

impl Trouble {
    /// Of a provider that was asked for a person who has come back from it.
    pub(super) const fn at_sign_in(failed: &Failed) -> Self {
        match failed {
            Failed::Unreachable(_) => Self::Unreachable,
            Failed::Refused(_) => Self::CodeRefused,
            Failed::Unbelievable(_) => Self::Unbelievable,
            Failed::Misconfigured(_) => Self::Misconfigured,
        }
    }

    /// Of an `error` that the provider has sent along (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6).
    pub(super) fn of_error(error: &str) -> Self {
        match error {
            "access_denied"
            | "login_required"
            | "consent_required"
            | "interaction_required"
            | "account_selection_required" => Self::Denied,
            "temporarily_unavailable" | "server_error" => Self::ProviderBusy,
            "unauthorized_client"
            | "invalid_scope"
            | "invalid_client"
            | "unsupported_response_type" => Self::Misconfigured,
            _ => Self::ProviderError,
        }
    }

    const fn said(self) -> (u16, u16, &'static str, &'static str) {
        match self {
            Self::SignedOut => (
                401,
                3108,
                "sign in first",
                "Open the login URL in a browser, or follow it with the page that sends this request.",
            ),
            Self::Expired => (
                401,
                3100,
                "the session is over: sign in again",
                "Open the login URL in a browser, or follow it with the page that sends this request.",
            ),
            Self::RefusedAtRefresh => (
                401,
                3151,
                "the provider has ended the session",
                "Sign in again. If that does not help, ask whoever looks after your account.",
            ),
            Self::ForeignOrigin => (
                403,
                3213,
                "a page of another site may not open a connection here",
                "Open the app itself. If this is your own page, let it connect to its own host.",
            ),
            Self::Cleartext => (
                400,
                50013,
                "login needs https",
                "Open the same address with https:// in front.",
            ),
            Self::NoState => (
                400,
                3120,
                "this address is for those who come back from the provider",
                "Open the app itself to sign in.",
            ),
            Self::MalformedState => (
                400,
                3300,
                "what came back from the provider was not sent from here",
                "Open the app itself to sign in.",
            ),
            Self::NoAttempt => (
                400,
                3121,
                "this browser has not begun to sign in, or has forgotten it",
                "Sign in again. If it happens each time, let the browser keep cookies of this site.",
            ),
            Self::UnreadableAttempt => (
                400,
                3107,
                "this sign-in cannot be continued",
                "Something has changed since it began. Sign in again.",
            ),
            Self::Late => (
                400,
                3119,
                "signing in took too long",
                "There are fifteen minutes for it. Sign in again.",
            ),
            Self::Used => (
                400,
                3123,
                "this sign-in was completed before",
                "Open the app itself, or sign in again.",
            ),
            Self::NoCode => (400, 3122, "the provider has sent no code", "Sign in again."),
            Self::Denied => (
                403,
                3114,
                "the provider did not let you in",
                "Sign in again and agree to what it asks, or ask whoever looks after your account.",
            ),
            Self::ProviderError => (
                502,
                3112,
                "the provider could not sign you in",
                "Try again. If it happens each time, the gateway's log says what the provider told.",
            ),
            Self::ProviderBusy => (
                502,
                3113,
                "the provider cannot sign anybody in at the moment",
                "Try again in a moment.",
            ),
            Self::Unreachable => (
                503,
                3160,
                "the provider cannot be reached",
                "Nobody can sign in until it is back; who has signed in already is not concerned. Try again in a moment.",
            ),
            Self::Misconfigured => (
                502,
                3125,
                "the provider does not accept this gateway",
                "Whoever has set up the login has to look at its client, secret and callback URL; the gateway's log says more.",
            ),
            Self::CodeRefused => (
                400,
                3124,
                "the provider does not know this sign-in any more",
                "Sign in again.",
            ),
            Self::Unbelievable => (
                400,
                3126,
                "what the provider says about you cannot be trusted",
                "Sign in again. If it happens each time, the gateway's log says why.",
            ),
        }
    }

    /// The refusal; its button leads to `link`.
    pub(super) fn refusal(self, link: Option<String>) -> Refusal {
        let (status, code, message, remedy) = self.said();
        let words = match self {
            Self::ProviderBusy | Self::Unreachable | Self::Misconfigured | Self::ProviderError => {
                RETRY
            }
            _ => AGAIN,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        let refusal =
            Refusal::new(status, code, message).helped(remedy, link.map(|link| (link, words)));
        refusal.with(REFERRER_POLICY, NO_REFERRER)
    }
}

const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A redirect that nobody keeps and that tells the next site nothing. `None`: the target is none.
pub(super) fn redirect(to: &str) -> Option<Reply> {
    let mut reply = Reply::new(Bytes::new());
    *reply.status_mut() = StatusCode::FOUND;
    reply
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_str(to).ok()?);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply.headers_mut().insert(REFERRER_POLICY, NO_REFERRER);
    Some(reply)
}

/// The page of those who have signed out. `sign_in`: a path on this host.
pub(super) fn signed_out(lines: &HeaderMap, sign_in: &str) -> Reply {
    let accepts = lines.get(ACCEPT).and_then(|value| value.to_str().ok());
    let reads_html = accepts
        .unwrap_or_default()
        .to_ascii_lowercase()
        .contains("text/html");
    let page = Page {
        heading: "You are signed out",
        sentence: "You can close this page, or come back with another account.",
        button: Some((sign_in, "Sign in again")),
        note: "",
    };
    let (kind, body) = match reads_html {
        true => ("text/html; charset=utf-8", page.html()),
        false => (
            "text/plain; charset=utf-8",
            format!("you are signed out\nsign in again: {sign_in}\n"),
        ),
    };
    let mut reply = Reply::new(Bytes::from(body));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    const POLICY: HeaderValue = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    reply
}

/// An answer to a program, of which the status is all that matters.
pub(super) fn short(status: StatusCode, more: Option<(HeaderName, HeaderValue)>) -> Reply {
    let mut reply = Reply::new(Bytes::new());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply.headers_mut().extend(more);
    reply
}
