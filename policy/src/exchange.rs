//! What a policy sees of one exchange, and the changes that it leaves behind.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

use crate::action::Fault;
use crate::body::{BodyFault, BodySource, Transform};
use crate::canonical::Target;
use crate::endpoint_url::{EndpointUrl, Scheme};
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
    pub message: Option<&'a mut crate::body::Message>,
    /// Variables, results of actions and the trace: what this policy remembers of this exchange.
    pub memory: Memory,
}

/// The client's connection.
#[derive(Clone, Debug)]
pub struct Conn<'a> {
    /// Who asks: the client's own address, after trusted proxies were taken into account.
    pub client: SocketAddr,
    /// The address that accepted the connection.
    pub server: SocketAddr,
    /// The name of this gateway's location.
    pub region: &'a str,
    /// When the connection was accepted.
    pub started: SystemTime,
    /// Bytes that came from the client so far.
    pub bytes_in: u64,
    /// Bytes that went to the client so far.
    pub bytes_out: u64,
    /// What the TLS handshake said; `None` without TLS.
    pub tls: Option<Tls<'a>>,
}

/// What the TLS handshake of a client's connection said.
#[derive(Clone, Debug, Default)]
pub struct Tls<'a> {
    /// The host name of the ClientHello.
    pub sni: &'a str,
    /// The JA4 fingerprint of the ClientHello.
    pub ja4: &'a str,
    /// `1.2` or `1.3`.
    pub version: &'a str,
    /// The negotiated suite by its IANA name.
    pub cipher_suite: &'a str,
    /// The negotiated application protocol.
    pub alpn: &'a str,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
}

/// The endpoint that traffic arrives at.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// A name that stays the same while the endpoint lives.
    pub id: &'a str,
    /// Its URL; the host may be a pattern.
    pub url: &'a EndpointUrl,
}

/// A request.
pub struct Request<'a> {
    /// `http` or `https`, as the client sees it.
    pub scheme: Scheme,
    /// The request's method.
    pub method: &'a Method,
    /// The version that the client speaks.
    pub version: Version,
    /// The canonical authority that routing used: host, and port if explicit.
    pub authority: &'a str,
    /// Canonical path and query; `rewrite` puts another in its place.
    pub target: Target<'a>,
    /// The request's header.
    pub head: Head<'a>,
    /// When the head had come.
    pub received: SystemTime,
    /// Whether a body follows the head.
    pub has_body: bool,
    /// Lends the body, if the policy said that it reads bodies.
    pub body: Option<&'a mut dyn BodySource>,
    read_body: Option<Bytes>,
    body_changed: bool,
    rewritten: bool,
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

/// The header of a request or a response: a view that is copied at the first change, and the list of the changes.
///
/// Later rules see the changed value; the gateway replays the list onto the header that it really sends.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    lines: Cow<'a, HeaderMap>,
    edits: Vec<HeaderEdit>,
}

/// One change of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// All lines of this name give way to this one.
    Set {
        /// Which header.
        name: HeaderName,
        /// Its only value from now on.
        value: HeaderValue,
    },
    /// One more line; what is there stays.
    Append {
        /// Which header.
        name: HeaderName,
        /// The value of the new line.
        value: HeaderValue,
    },
    /// All lines of this name go.
    Remove {
        /// Which header.
        name: HeaderName,
    },
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
}

impl<'a> Exchange<'a> {
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
            request.body = tried.body;
            if !tried.body_changed && request.read_body.is_none() {
                request.read_body = tried.read_body;
            }
        }
    }
}

// === impl Conn ===

impl Conn<'_> {
    /// A connection without TLS that has carried nothing yet.
    pub fn new(client: SocketAddr, server: SocketAddr, started: SystemTime) -> Self {
        Self {
            client,
            server,
            region: "default",
            started,
            bytes_in: 0,
            bytes_out: 0,
            tls: None,
        }
    }
}

// === impl Request ===

impl<'a> Request<'a> {
    fn trial(&mut self) -> Self {
        Self {
            target: self.target.clone(),
            head: self.head.clone(),
            body: self.body.take(),
            read_body: self.read_body.clone(),
            ..*self
        }
    }

    /// The whole URL in canonical form.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.target)
    }

    /// A request without a body.
    pub fn new(
        scheme: Scheme,
        method: &'a Method,
        authority: &'a str,
        target: Target<'a>,
        lines: &'a HeaderMap,
        received: SystemTime,
    ) -> Self {
        Self {
            scheme,
            method,
            version: Version::HTTP_11,
            authority,
            target,
            head: Head::of(lines),
            received,
            has_body: false,
            body: None,
            read_body: None,
            body_changed: false,
            rewritten: false,
        }
    }

    /// The whole body, read when it is first asked for.
    pub async fn body(&mut self, max: usize) -> Result<Bytes, BodyFault> {
        if let Some(body) = &self.read_body {
            return match body.len() > max {
                true => Err(BodyFault::TooLarge),
                false => Ok(body.clone()),
            };
        }
        let body = match &mut self.body {
            Some(source) => source.read(max).await?,
            None if self.has_body => return Err(BodyFault::Unreadable),
            None => Bytes::new(),
        };
        self.read_body = Some(body.clone());
        Ok(body)
    }

    /// Puts another body in the place of the one that came.
    pub fn replace_body(&mut self, body: Bytes) {
        self.read_body = Some(body);
        self.body_changed = true;
    }

    /// The body that goes upstream instead of the one that came.
    pub fn new_body(&self) -> Option<&Bytes> {
        self.read_body.as_ref().filter(|_| self.body_changed)
    }

    /// Puts another target in the place of the one that came; later rules see it.
    pub fn rewrite(&mut self, target: Target<'static>) {
        self.target = target;
        self.rewritten = true;
    }

    /// The target that goes upstream instead of the one that came.
    pub fn new_target(&self) -> Option<&Target<'a>> {
        Some(&self.target).filter(|_| self.rewritten)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .field("target", &self.target)
            .finish_non_exhaustive()
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
// === impl Head ===

impl<'a> Head<'a> {
    /// A view of these lines, with no edits yet.
    pub fn of(lines: &'a HeaderMap) -> Self {
        Self {
            lines: Cow::Borrowed(lines),
            edits: Vec::new(),
        }
    }

    /// The lines as they stand after the edits so far. A name may have several lines: a rule that refuses on one must
    /// look at all of them.
    pub fn lines(&self) -> &HeaderMap {
        &self.lines
    }

    /// The edits so far, in order.
    pub fn edits(&self) -> &[HeaderEdit] {
        &self.edits
    }

    /// Gives the edits to whoever replays them.
    pub fn into_edits(self) -> Vec<HeaderEdit> {
        self.edits
    }

    /// Replaces all lines of this name by one.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Fault> {
        self.change(HeaderEdit::Set { name, value })
    }

    /// Adds a line.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Fault> {
        self.change(HeaderEdit::Append { name, value })
    }

    /// Removes all lines of this name. A name that is not there leaves no edit.
    pub fn remove(&mut self, name: HeaderName) -> Result<(), Fault> {
        if !self.lines.contains_key(&name) {
            return Ok(());
        }
        self.change(HeaderEdit::Remove { name })
    }

    fn change(&mut self, edit: HeaderEdit) -> Result<(), Fault> {
        edit.apply(self.lines.to_mut())?;
        self.edits.push(edit);
        Ok(())
    }
}

// === impl HeaderEdit ===

impl HeaderEdit {
    /// Replays this edit onto another header.
    pub fn apply(&self, lines: &mut HeaderMap) -> Result<(), Fault> {
        match self {
            Self::Set { name, value } => {
                lines
                    .try_insert(name, value.clone())
                    .map_err(|_| Fault::TooManyHeaders)?;
            }
            Self::Append { name, value } => {
                lines
                    .try_append(name, value.clone())
                    .map_err(|_| Fault::TooManyHeaders)?;
            }
            Self::Remove { name } => {
                lines.remove(name);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-role");

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn texts<'a>(head: &'a Head<'_>) -> Vec<&'a str> {
        head.lines()
            .get_all(NAME)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    #[test]
    fn nothing_is_copied_until_something_changes() {
        let lines = HeaderMap::from_iter([(NAME, value("user"))]);
        let mut head = Head::of(&lines);
        head.remove(HeaderName::from_static("absent")).unwrap();
        assert!(matches!(head.lines, Cow::Borrowed(_)));
        assert!(head.edits().is_empty());
    }

    #[test]
    fn a_change_is_seen_at_once_and_leaves_an_edit() {
        let lines = HeaderMap::from_iter([(NAME, value("user"))]);
        let mut head = Head::of(&lines);
        head.append(NAME, value("admin")).unwrap();
        assert_eq!(texts(&head), ["user", "admin"]);
        head.set(NAME, value("nobody")).unwrap();
        assert_eq!(texts(&head), ["nobody"]);
        head.remove(NAME).unwrap();
        assert_eq!(texts(&head), [""; 0]);
        assert_eq!(head.into_edits().len(), 3);
        assert_eq!(lines.len(), 1, "the original stays as it was");
    }

    #[test]
    fn replaying_the_edits_gives_the_header_that_the_policy_saw() {
        let mut lines = HeaderMap::from_iter([(NAME, value("user"))]);
        let copy = lines.clone();
        let mut head = Head::of(&copy);
        head.append(NAME, value("admin")).unwrap();
        head.set(HeaderName::from_static("x-other"), value("1"))
            .unwrap();
        let seen = head.lines().clone();
        for edit in head.into_edits() {
            edit.apply(&mut lines).unwrap();
        }
        assert_eq!(lines, seen);
    }
}
