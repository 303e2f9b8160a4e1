//! Refusals of the admin API, with the numbers that clients of ngrok's know.

use std::fmt::Display;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::super::{open::respond, resources};

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    code: u16,
    message: String,
}

// === impl Problem ===

impl Problem {
    fn new(status: StatusCode, code: u16, message: impl Display) -> Self {
        Self {
            status,
            code,
            message: message.to_string(),
        }
    }

    pub(super) fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            200,
            "there is no token: send `Authorization: Bearer …` with the one in data_dir/api.token, or the one of \
             api.token_hash in gateway.yaml",
        )
    }

    pub(super) fn malformed_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            202,
            "the authorization header is not one line of the form `Bearer TOKEN`",
        )
    }

    pub(super) fn wrong_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            203,
            "this is no token of the admin API; the local one changes with each start of the gateway",
        )
    }

    /// Tokens of agents open other doors.
    pub(super) fn authtoken() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            206,
            "this is an agent's authtoken, which the admin API does not take; `adit gateway token --api` makes one \
             that it takes",
        )
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, 50032, message)
    }

    pub(super) fn not_found(what: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, 50030, what)
    }

    pub(super) fn method(allowed: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            50031,
            format_args!("this path takes {allowed}"),
        )
    }

    pub(super) fn path() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            213,
            "a path is made of plain names and single slashes",
        )
    }

    pub(super) fn content_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            210,
            "the body is to be JSON, and its content-type application/json",
        )
    }

    pub(super) fn body(why: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 211, why)
    }

    /// A field that is not known, or not what it should be.
    pub(super) fn field(why: impl Display) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            214,
            format_args!("the body is not right: {why}"),
        )
    }

    pub(super) fn parameter(name: &str, why: impl Display) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            216,
            format_args!("the parameter `{name}`: {why}"),
        )
    }

    pub(super) fn version() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            218,
            "this gateway speaks version 1: send `adit-version: 1`, or leave it out",
        )
    }

    pub(super) fn limit() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            233,
            "the parameter `limit` is a number from 1 to 100",
        )
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let told = resources::Problem {
            error_code: format!("ERR_ADIT_{}", self.code),
            status_code: self.status.as_u16(),
            msg: self.message,
            details: serde_json::Map::new(),
        };
        // Texts are JSON.
        let body = serde_json::to_string(&told).unwrap_or_default() + "\n";
        respond(self.status, "application/json", body.into())
    }
}
