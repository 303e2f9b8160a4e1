//! The contract of an action: a YAML half that is read and built, and a running half that sees exchanges.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::body::BodyFault;
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::EvalError;

/// The YAML half of an action: what one `config:` block may say.
pub trait Config: DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// The word after `type:`.
    const TYPE: &'static str;
    /// Where the action may stand; a wrong phase is refused at the word after `type:`.
    const PHASES: &'static [Phase];
    /// The first name under `actions.ngrok.` that holds what the last run of the action left; `None` if it leaves nothing.
    const RESULTS: Option<&'static str> = None;
    /// At which of its own paths it reads the request's body, if it reads it nowhere else.
    const READS_BODY_AT: &'static [&'static str] = &[];
    /// Whether the action reads the response's body, so that the upstream is asked for it whole and plain.
    const READS_RESPONSE_BODY: bool = false;
    /// Whether everybody may ask at the action's own paths: it answers there before any rule, those in front of it included.
    const OWN_PATHS_ARE_OPEN: bool = false;
    /// The running half; often the config itself.
    type Action: Action + 'static;

    /// Whether the action reads the request's body, so that the caller lends it.
    fn reads_request_body(&self) -> bool {
        false
    }

    /// Whether no action after this one in the same rule is ever reached.
    fn ends_the_phase(&self) -> bool {
        false
    }

    /// Whether the action may say something of the response while the request phase runs.
    fn marks_responses(&self) -> bool {
        false
    }

    /// Headers that the action adds to every exchange, for `policy check`.
    fn adds_headers(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Whether the action takes this header out of every exchange, for `policy check`.
    fn removes_header(&self, _: &HeaderName) -> bool {
        false
    }

    /// Paths at which the action answers whatever the expressions of its rule say: where a provider sends browsers back
    /// to, where it sends news. Rules before it run as for any request.
    fn own_paths(&self) -> Vec<String> {
        Vec::new()
    }

    /// Headers with which the action tells the service who the caller is. What a client says there is taken out of its
    /// request before any rule runs, whether the action will run or not.
    fn vouches_in(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// The name by which a login action tells its cookies and paths from those of others, and all its settings as one
    /// text: two of the same name and different settings would take each other's.
    fn login(&self) -> Option<(String, String)> {
        None
    }

    /// Gets what the action needs from outside: counters, a secret, a key.
    fn build(self, env: &Env) -> Result<Self::Action, Unbuildable>;
}

/// The running half: sees an exchange, may change it, may end it.
///
/// A phase that an action does not implement is a fault, never a silent pass. What must wait for something answers
/// [`Flow::Wait`], and its [`Action::wait`] is called; all others cost no future.
#[async_trait]
pub trait Action: fmt::Debug + Send + Sync {
    /// Runs once per connection and endpoint, before any request.
    fn on_tcp_connect(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }

    /// Runs before the request goes to an agent.
    fn on_http_request(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }

    /// Runs before the response goes to the client; `exchange.response` is there.
    fn on_http_response(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }

    /// Runs on each message of an event stream; `exchange.message` is there.
    fn on_event_stream_message(&self, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }

    /// Goes on after [`Flow::Wait`].
    async fn wait(&self, _: Phase, _: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Err(Fault::Phase)
    }

    /// What a rule in shadow mode does with the action.
    fn in_shadow(&self) -> Shadow {
        Shadow::Try
    }
}

/// How an action takes part in a rule that is evaluated and never applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shadow {
    /// It runs on a copy of the exchange that is thrown away.
    Try,
    /// It reaches outside, so that it would run is all that is recorded; the rest of the rule is unknown.
    WouldRun,
}

/// When rules run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Once per client connection and endpoint, before any request.
    OnTcpConnect,
    /// Each request, before the upstream.
    OnHttpRequest,
    /// Each response, before the client.
    OnHttpResponse,
    /// Each message of a `text/event-stream` response.
    OnEventStreamMessage,
}

/// What happens after an action.
#[derive(Debug)]
pub enum Flow {
    /// The next action runs.
    Next,
    /// The action is to be awaited: [`Action::wait`] says how it goes on.
    Wait,
    /// This is the answer, and an intended one: the response phase runs for it.
    Answer(Reply),
    /// This is the answer, and it ends everything: the response phase does not run for it.
    Deny(Reply),
    /// The action refuses; the caller makes a page of it that fits what the client accepts.
    Refuse(Refusal),
    /// The connection is closed without a word.
    Close,
    /// Another endpoint of this gateway answers.
    Forward(Forward),
}

/// An answer that a policy made.
pub type Reply = http::Response<Bytes>;

/// A refusal with a number that people can look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the client gets.
    pub status: StatusCode,
    /// The number in `adit-error-code: ERR_ADIT_nnnn`.
    pub code: u16,
    /// One sentence for the client; nothing in it comes from a secret.
    pub message: &'static str,
    /// Lines of the answer besides those of every error page: `www-authenticate`, `retry-after`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the client can do about it, if there is more to say than for every refusal.
    pub help: Option<Box<Help>>,
}

/// What a client can do about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// One or two sentences; nothing in them comes from a request or a secret.
    pub remedy: &'static str,
    /// Where it can be done: a path on the same host, and what a button that leads there says.
    pub link: Option<(String, &'static str)>,
}

/// Where an exchange goes instead of to its own pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// `scheme://host[:port]` of the endpoint.
    pub url: crate::endpoint_url::EndpointUrl,
    /// Whether the following actions run if it cannot be reached.
    pub continue_on_error: bool,
}

/// Why no other endpoint answered, for the actions that run then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// The endpoint that was forwarded to.
    pub url: crate::endpoint_url::EndpointUrl,
    /// The number of the reason: 3200, 3210, 3501, 8012.
    pub code: u16,
    /// The reason in one sentence.
    pub message: String,
}

/// This exchange cannot be decided. The client gets a 500; the reason goes to the log and the trace only.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Fault {
    /// The action was called in a phase that it does not implement.
    #[error("the action does not run in this phase")]
    Phase,
    /// The header has no room for one more line.
    #[error("the header holds too many lines to add one")]
    TooManyHeaders,
    /// An expression of a rule failed.
    #[error("expression {}: {error}", index + 1)]
    Expression {
        /// Which of the rule's expressions, from 0.
        index: usize,
        /// Why.
        error: EvalError,
    },
    /// A `${…}` failed, or what came out of it cannot be used.
    #[error("{field}: {reason}")]
    Interpolation {
        /// The field of the config.
        field: &'static str,
        /// Why.
        reason: String,
        /// The number of the reason.
        code: u16,
    },
    /// A body could not be read or changed.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// Anything else, with the number of the reason.
    #[error("{reason}")]
    Other {
        /// Why.
        reason: String,
        /// The number of the reason.
        code: u16,
    },
}

/// Why an action cannot be built from its config: something outside the text is missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unbuildable(pub String);

// === impl Refusal ===

impl Refusal {
    /// A refusal without lines of its own.
    pub fn new(status: StatusCode, code: u16, message: &'static str) -> Self {
        let headers = Vec::new();
        Self {
            status,
            code,
            message,
            headers,
            help: None,
        }
    }

    /// The same with what the client can do about it.
    pub fn helped(self, remedy: &'static str, link: Option<(String, &'static str)>) -> Self {
        let help = Some(Box::new(Help { remedy, link }));
        Self { help, ..self }
    }

    /// The same with one more line.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

// === impl Fault ===

impl Fault {
    /// The number in `adit-error-code: ERR_ADIT_nnnn` of what the client gets.
    pub fn code(&self) -> u16 {
        match self {
            Self::Phase | Self::TooManyHeaders => 2300,
            Self::Expression { error, .. } => error.code(2254),
            Self::Interpolation { code, .. } | Self::Other { code, .. } => *code,
            Self::Body(fault) => fault.code(),
        }
    }

    /// What the client gets.
    pub fn status(&self, phase: Phase) -> StatusCode {
        match self {
            Self::Body(fault) => fault.status(phase),
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

// === impl Phase ===

impl Phase {
    /// Every phase, in the order in which they run.
    pub const ALL: &'static [Self] = &[
        Self::OnTcpConnect,
        Self::OnHttpRequest,
        Self::OnHttpResponse,
        Self::OnEventStreamMessage,
    ];

    /// The phase's key in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnTcpConnect => "on_tcp_connect",
            Self::OnHttpRequest => "on_http_request",
            Self::OnHttpResponse => "on_http_response",
            Self::OnEventStreamMessage => "on_event_stream_message",
        }
    }

    /// The phase's place among all of them, from 0.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
