//! Copies of requests for other endpoints: what a policy plans, and whether two answers to one request differ.
//!
//! An action leaves a [`Mirror`] in the memory of an exchange ([`crate::memory::Memory::take_mirrors`]), and that is all
//! that happens to the exchange. Whoever runs the policy sends the copy and lets [`Comparison`] look at both answers.
//!
//! | module | what it does |
//! |---|---|
//! | [`comparison`] | two answers: status, chosen headers, body |
//! | [`json`] | two JSON values, apart from what is ignored; the paths that say what is |

pub mod comparison;
pub mod json;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::endpoint_url::EndpointUrl;
pub use comparison::{Answer, Comparison, Difference};

/// So many copies of one request are sent at most, whatever the policies say: one more is [`Skipped::TooMany`].
pub const COPIES_MAX: usize = 3;

/// A copy that an action wants to be sent.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What the action's config says.
    pub settings: Arc<Settings>,
    /// The copy, or why there is none.
    pub copy: Result<Box<Copied>, Skipped>,
}

/// What the config of a `mirror` says of all its copies.
#[derive(Debug)]
pub struct Settings {
    /// How the mirror is called in metrics and reports.
    pub id: String,
    /// The most bytes of a body, of the request's and of each answer's.
    pub max_body: usize,
    /// The answer to a copy must be complete by then.
    pub timeout: Duration,
    /// Whether a body that came from a secret may be copied.
    pub credentials: bool,
    /// What of two answers is compared.
    pub compare: Comparison,
}

/// A request as the action left it, apart from its body.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The endpoint that gets it.
    pub url: EndpointUrl,
    /// Its method.
    pub method: Method,
    /// Path and query in canonical form.
    pub target: String,
    /// Its header: with `host`, without framing, and without credentials unless they are wanted.
    pub lines: HeaderMap,
}

/// Why a request that was to be mirrored was not, or its answer not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It wants to switch protocols, is a call of gRPC or asks for an event stream, or the answer is one.
    Stream,
    /// Its target or its body came from a secret.
    Secret,
    /// It has [`COPIES_MAX`] copies already.
    TooMany,
    /// What came out of the `${…}` in `url` is no endpoint.
    Url,
    /// Its body is too long, or had not come when the service answered.
    Body,
    /// Too many copies are under way.
    Busy,
    /// It is a copy itself, or lies too deep in requests that policies make.
    Loop,
    /// A policy answered it, or refused it: the service never got it.
    Unasked,
    /// The service gave no whole answer, as when the client leaves early.
    Unfinished,
}

impl Skipped {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Stream,
        Self::Secret,
        Self::TooMany,
        Self::Url,
        Self::Body,
        Self::Busy,
        Self::Loop,
        Self::Unasked,
        Self::Unfinished,
    ];

    /// The reason as one word, for metrics and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Secret => "secret",
            Self::TooMany => "too-many",
            Self::Url => "url",
            Self::Body => "body",
            Self::Busy => "busy",
            Self::Loop => "loop",
            Self::Unasked => "unasked",
            Self::Unfinished => "unfinished",
        }
    }
}
