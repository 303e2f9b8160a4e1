//! The contract of an action: a YAML half that is read and built, and a running half that sees exchanges.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::env::Env;
use crate::exchange::Exchange;

/// The YAML half of an action: what one `config:` block may say.
pub trait Config: DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// The word after `type:`.
    const TYPE: &'static str;
    /// Where the action may stand; a wrong phase is refused at the word after `type:`.
    const PHASES: &'static [Phase];
    /// The running half; often the config itself.
    type Action: Action + 'static;

    /// Gets what the action needs from outside: a secret, a key.
    fn build(self, env: &Env) -> Result<Self::Action, Unbuildable>;
}

/// The running half: sees an exchange, may change it, may end it.
///
/// A phase that an action does not implement is a fault, never a silent pass.
#[async_trait]
pub trait Action: fmt::Debug + Send + Sync {
    /// Runs before the request goes to an agent.
    async fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }

    /// Runs before the response goes to the client; `exchange.response` is there.
    async fn on_http_response(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }
}

/// When rules run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Each request, before the upstream.
    OnHttpRequest,
    /// Each response, before the client.
    OnHttpResponse,
}

/// What happens after an action.
#[derive(Debug)]
pub enum Flow {
    /// The next action runs.
    Next,
    /// This is the answer, and an intended one: the response phase runs for it.
    Stop(Reply),
    /// This is the answer, and a refusal: the response phase does not run for it.
    Refuse(Reply),
}

/// An answer that a policy made.
pub type Reply = http::Response<Bytes>;

/// This exchange cannot be decided. The client gets a 500; the reason goes to the log only.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The action was called in a phase that it does not implement.
    #[error("the action does not run in this phase")]
    Phase,
    /// The header has no room for one more line.
    #[error("the header holds too many lines to add one")]
    TooManyHeaders,
}

/// Why an action cannot be built from its config: something outside the text is missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unbuildable(pub String);

// === impl Fault ===

impl Fault {
    /// The number in `adit-error-code: ERR_ADIT_nnnn` of the 500 that the client gets.
    pub const fn code(&self) -> u16 {
        2300
    }
}

// === impl Phase ===

impl Phase {
    /// Every phase of this version.
    pub const ALL: &'static [Self] = &[Self::OnHttpRequest, Self::OnHttpResponse];

    /// The phase's key in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnHttpRequest => "on_http_request",
            Self::OnHttpResponse => "on_http_response",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
