//! Why a request has not shown what it must.

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::action::Refusal;
use crate::jose::claims::Untimely;
use crate::jose::token::{Malformed, Unverified};

/// Why a request has not shown what it must. Each has a number, and says which check failed (RFC 6750 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The header is not there.
    NoHeader,
    /// The header or the field holds no token.
    NoToken,
    /// What stands in front of the token is missing.
    NoPrefix,
    /// The header has several lines.
    TwoLines,
    /// The header is no text.
    NoText,
    /// A request with this method has no token in its body.
    Method,
    /// The body is neither JSON nor a form.
    ContentType,
    /// The body is no JSON object, or a name stands twice in it.
    Json,
    /// The body is no form, or the field stands twice in it.
    Form,
    /// The token's signature cannot be believed.
    Unverified(Unverified),
    /// The token's `typ` is another.
    Type,
    /// It is not the token's time.
    Untimely(Untimely),
    /// The token's issuer is not allowed.
    Issuer,
    /// The token is for somebody else.
    Audience,
    /// No key is known, and none can be fetched.
    Keys,
}

impl Failure {
    /// The number of the reason.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::NoHeader => 3408,
            Self::NoToken => 3406,
            Self::NoPrefix => 3413,
            Self::TwoLines | Self::NoText | Self::Unverified(Unverified::Malformed(_)) => 3416,
            Self::Method => 3415,
            Self::ContentType => 3414,
            Self::Json => 3411,
            Self::Form => 3412,
            Self::Unverified(_) | Self::Type | Self::Untimely(_) => 3401,
            Self::Issuer | Self::Audience => 3403,
            Self::Keys => 3422,
        }
    }

    /// The reason in one sentence, of which nothing comes from the token.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::NoHeader => "the header that holds the token is missing",
            Self::NoToken => "the token is missing",
            Self::NoPrefix => "what stands in front of the token is missing",
            Self::TwoLines => "the header that holds the token has several lines",
            Self::NoText => "the header that holds the token is no text",
            Self::Method => "a request with this method has no token in its body",
            Self::ContentType => "the body that holds the token must be JSON or a form",
            Self::Json => "the body that holds the token is no JSON object",
            Self::Form => "the body that holds the token is no form",
            Self::Unverified(why) => why.sentence(),
            Self::Type => "the token's `typ` is not the one that is wanted",
            Self::Untimely(why) => why.sentence(),
            Self::Issuer => "the token's issuer is not allowed",
            Self::Audience => "the token is meant for somebody else",
            Self::Keys => "the keys that verify tokens are not available",
        }
    }

    /// What the client gets.
    pub(super) fn refusal(self) -> Refusal {
        let status = match self.code() {
            3403 => StatusCode::FORBIDDEN,
            3411 | 3412 | 3414 | 3415 => StatusCode::BAD_REQUEST,
            3422 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        };
        let refusal = Refusal::new(status, self.code(), self.sentence());
        match self {
            Self::Keys => refusal.with(RETRY_AFTER, HeaderValue::from_static("5")),
            _ => refusal.with(WWW_AUTHENTICATE, self.challenge(status)),
        }
    }

    fn challenge(self, status: StatusCode) -> HeaderValue {
        let bare = HeaderValue::from_static("Bearer");
        let error = match (self, status) {
            // RFC 6750 §3.1: whoever has shown nothing is told nothing but how to begin.
            (Self::NoHeader | Self::NoToken, _) => return bare,
            (_, StatusCode::FORBIDDEN) => "insufficient_scope",
            (_, StatusCode::BAD_REQUEST) => "invalid_request",
            _ => "invalid_token",
        };
        let sentence = self.sentence();
        let text = format!("Bearer error=\"{error}\", error_description=\"{sentence}\"");
        HeaderValue::try_from(text).unwrap_or(bare)
    }
}

impl From<Unverified> for Failure {
    fn from(why: Unverified) -> Self {
        Self::Unverified(why)
    }
}

impl From<Malformed> for Failure {
    fn from(why: Malformed) -> Self {
        Self::Unverified(why.into())
    }
}

impl From<Untimely> for Failure {
    fn from(why: Untimely) -> Self {
        Self::Untimely(why)
    }
}
