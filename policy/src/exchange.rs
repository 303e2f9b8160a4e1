//! What a policy sees of one exchange, and the changes that it leaves behind.

mod conn;
mod head;
mod kept;
mod location;
mod request;

use http::StatusCode;
use http::header::HeaderMap;

pub use conn::{Conn, Endpoint, Tls};
pub use head::{Head, HeaderEdit};
pub(crate) use kept::Kept;
pub use request::Request;

use crate::action::Fault;
use crate::body::{Message, Transform};
use crate::env::Env;
use crate::memory::Memory;

/// One request and, in the response phase, its response. Everything is borrowed; only what a policy changes is copied.
///
/// In `on_tcp_connect` there is a connection and an endpoint, and no request yet.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The client's connection.
    pub conn: &'a Conn<'a>,
    /// The endpoint that the connection or the request is for.
    pub endpoint: &'a Endpoint<'a>,
    /// What is outside and lent: time and chance.
    pub env: &'a Env,
    /// The request; `None` while `on_tcp_connect` runs.
    pub request: Option<Request<'a>>,
    /// The answer; `None` before `on_http_response` runs.
    pub response: Option<Response<'a>>,
    /// The message of an event stream that is looked at, in its phase.
    pub message: Option<&'a mut Message>,
    /// Variables, results of actions and the trace: what this policy remembers of this exchange.
    pub memory: Memory,
}

/// The answer, as `on_http_response` sees it.
#[derive(Debug)]
pub struct Response<'a> {
    /// The status that the client would get.
    pub status: StatusCode,
    /// The response's header.
    pub head: Head<'a>,
    /// What changes the body as it passes, in this order.
    pub transforms: Vec<Box<dyn Transform>>,
}

// === impl Exchange ===

impl<'a> Exchange<'a> {
    /// A connection that has not asked for anything yet.
    pub fn of(conn: &'a Conn<'a>, endpoint: &'a Endpoint<'a>, env: &'a Env) -> Self {
        Self {
            conn,
            endpoint,
            env,
            request: None,
            response: None,
            message: None,
            memory: Memory::default(),
        }
    }

    /// The request, which must be there.
    pub fn request(&self) -> Result<&Request<'a>, Fault> {
        self.request.as_ref().ok_or(Fault::Phase)
    }

    /// The request, to change it.
    pub fn request_mut(&mut self) -> Result<&mut Request<'a>, Fault> {
        self.request.as_mut().ok_or(Fault::Phase)
    }

    /// The response, which must be there.
    pub fn response(&self) -> Result<&Response<'a>, Fault> {
        self.response.as_ref().ok_or(Fault::Phase)
    }

    /// The response, to change it.
    pub fn response_mut(&mut self) -> Result<&mut Response<'a>, Fault> {
        self.response.as_mut().ok_or(Fault::Phase)
    }

    /// The header that the running phase may change: the response's if there is one, else the request's.
    pub fn head_mut(&mut self) -> Result<&mut Head<'a>, Fault> {
        match (&mut self.response, &mut self.request) {
            (Some(response), _) => Ok(&mut response.head),
            (None, Some(request)) => Ok(&mut request.head),
            (None, None) => Err(Fault::Phase),
        }
    }

    /// A copy for a rule that is only tried. The body is lent to it; [`Exchange::take_back`] ends that.
    pub(crate) fn trial(&mut self) -> Self {
        Exchange {
            conn: self.conn,
            endpoint: self.endpoint,
            env: self.env,
            request: self.request.as_mut().map(Request::trial),
            response: self.response.as_ref().map(|response| Response {
                status: response.status,
                head: response.head.clone(),
                transforms: Vec::new(),
            }),
            message: None,
            memory: self.memory.copy(),
        }
    }

    /// Takes back what was lent to a trial.
    pub(crate) fn take_back(&mut self, trial: Self) {
        self.memory.take_back(trial.memory);
        if let (Some(request), Some(tried)) = (&mut self.request, trial.request) {
            request.take_back(tried);
        }
    }
}

// === impl Response ===

impl<'a> Response<'a> {
    /// An answer as it came.
    pub fn new(status: StatusCode, lines: &'a HeaderMap) -> Self {
        Self {
            status,
            head: Head::of(lines),
            transforms: Vec::new(),
        }
    }
}
