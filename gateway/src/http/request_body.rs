//! A request's body, read whole before anything of the request goes on.
//!
//! Pingora hands a body on while it reads it. Of one that was read before, it hands on only what lies in its retry
//! buffer, which holds 64 KiB at most and is never shown to it again; but what it hands on passes
//! `request_body_filter`. So [`RequestBody`] leaves some piece of the body in that buffer, and [`Kept`] puts the whole
//! body in its place, for each member that is tried. How a piece gets into the buffer:
//!
//! - Recording begins when the rest fits, if the length is known.
//! - HTTP/2: recording begins with the first piece, and the others are read past the buffer.
//! - HTTP/1.1 in chunks, and longer than the buffer: Pingora is given another body to read, of one byte, and the
//!   connection is closed afterwards.

use std::{future::poll_fn, time::Duration};

use adit_policy::{
    action::Phase,
    body::{BodyFault, BodySource},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use pingora_core::{
    ErrorType, OrErr, Result,
    protocols::http::{ServerSession, v1::server::HttpSession as Http1},
};
use pingora_http::RequestHeader;
use tokio::time::timeout;

use super::errors::ErrorPage;

/// What Pingora's retry buffer holds.
const RETRY_BUFFER: usize = 64 * 1024;

/// A request whose only purpose is its body. It never leaves the process.
const STAND_IN: &[u8] = b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\n.";

/// A body that was read, for the service.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    body: Bytes,
    handed_on: bool,
}

/// Lends a request's body to the policies, and keeps it for the service.
pub(super) struct RequestBody<'a> {
    http: &'a mut ServerSession,
    kept: &'a mut Option<Kept>,
    /// The longest wait for a piece.
    patience: Duration,
    refusal: Option<ErrorPage>,
}

enum Unread {
    TooLarge,
    TooSlow,
    Broken(Box<pingora_core::Error>),
}

// === impl Kept ===

impl Kept {
    /// Another member is tried.
    pub(super) fn begin_again(&mut self) {
        self.handed_on = false;
    }

    /// What goes to the service instead of a piece that Pingora hands on. The first one is the whole body: that a body
    /// has ended Pingora does not always say along with its last piece.
    pub(super) fn hand_on(&mut self, piece: &mut Option<Bytes>, end: bool) {
        let ended = end || piece.is_none();
        // Empty is nothing yet; `None` is the end.
        let nothing = (!ended).then(Bytes::new);
        let first = !std::mem::replace(&mut self.handed_on, true);
        *piece = match first && !self.body.is_empty() {
            true => Some(self.body.clone()),
            false => nothing,
        };
    }
}

// === impl RequestBody ===

impl<'a> RequestBody<'a> {
    pub(super) fn new(
        http: &'a mut ServerSession,
        kept: &'a mut Option<Kept>,
        patience: Duration,
    ) -> Self {
        Self {
            http,
            kept,
            patience,
            refusal: None,
        }
    }

    /// What the client is told if its body could not be read.
    pub(super) fn into_refusal(self) -> Option<ErrorPage> {
        self.refusal
    }

    fn refuse(&mut self, unread: Unread) -> BodyFault {
        let (fault, page) = match unread {
            Unread::TooLarge => {
                let fault = BodyFault::TooLarge;
                (fault, ErrorPage::of_body(fault, Phase::OnHttpRequest))
            }
            Unread::TooSlow => (BodyFault::Unreadable, ErrorPage::body_too_slow()),
            Unread::Broken(error) if *error.etype() == ErrorType::ReadTimedout => {
                (BodyFault::Unreadable, ErrorPage::body_too_slow())
            }
            Unread::Broken(_) => (
                BodyFault::Unreadable,
                ErrorPage::bad_request("the request's body is malformed"),
            ),
        };
        if fault == BodyFault::Unreadable {
            // Where the next request would begin, nobody knows.
            self.http.set_keepalive(None);
        }
        self.refusal = Some(page);
        fault
    }
}

#[async_trait]
impl BodySource for RequestBody<'_> {
    async fn read(&mut self, max: usize) -> Result<Bytes, BodyFault> {
        let body = match &self.kept {
            Some(kept) => kept.body.clone(),
            None => match read(self.http, max, self.patience).await {
                Ok(body) => body,
                Err(unread) => return Err(self.refuse(unread)),
            },
        };
        if body.len() > max {
            return Err(self.refuse(Unread::TooLarge));
        }
        // Pingora knows by itself what to do about a request without a body.
        if self.kept.is_none() && !self.http.is_body_empty() {
            keep(self.http.req_header_mut(), self.kept, body.clone())
                .map_err(|error| self.refuse(Unread::Broken(error)))?;
        }
        Ok(body)
    }
}

/// The service gets this body instead, if there is one. One that never was cannot be replaced.
pub(super) fn replace(
    request: &mut RequestHeader,
    kept: &mut Option<Kept>,
    body: Option<Bytes>,
) -> Result<()> {
    match (body, &kept) {
        (Some(body), Some(_)) => keep(request, kept, body),
        _ => Ok(()),
    }
}

fn keep(request: &mut RequestHeader, kept: &mut Option<Kept>, body: Bytes) -> Result<()> {
    request.remove_header(&header::TRANSFER_ENCODING);
    // It was answered here.
    request.remove_header(&header::EXPECT);
    request.insert_header(header::CONTENT_LENGTH, body.len())?;
    *kept = Some(Kept {
        body,
        handed_on: false,
    });
    Ok(())
}

async fn read(
    http: &mut ServerSession,
    max: usize,
    patience: Duration,
) -> std::result::Result<Bytes, Unread> {
    if http.is_body_empty() {
        return Ok(Bytes::new());
    }
    let length = length(http.req_header());
    if length.is_some_and(|length| length > max) {
        return Err(Unread::TooLarge);
    }
    if http.req_header().headers.contains_key(header::EXPECT) {
        http.write_continue_response().await?;
    }
    let mut body = BytesMut::with_capacity(length.unwrap_or_default());
    let mut recorded = false;
    while !http.is_body_done() {
        let recording =
            length.is_none_or(|length| length.saturating_sub(body.len()) <= RETRY_BUFFER);
        if recording {
            http.enable_retry_buffering();
        }
        let piece = timeout(patience, piece(http, recorded))
            .await
            .map_err(|_| Unread::TooSlow)?;
        let Some(piece) = piece? else {
            break;
        };
        if piece.len() > max - body.len() {
            return Err(Unread::TooLarge);
        }
        recorded |= recording && !piece.is_empty();
        body.extend_from_slice(&piece);
    }
    if let ServerSession::H1(http1) = http
        && !body.is_empty()
        && http1.get_retry_buffer().is_none()
    {
        stand_in(http1).await?;
    }
    Ok(body.freeze())
}

fn length(request: &RequestHeader) -> Option<usize> {
    let length = request.headers.get(header::CONTENT_LENGTH)?;
    // A length beyond usize is one beyond every limit.
    Some(
        HeaderValue::to_str(length)
            .ok()?
            .parse()
            .unwrap_or(usize::MAX),
    )
}

/// The next piece. `recorded`: the retry buffer holds one already, and another could be too much for it.
async fn piece(http: &mut ServerSession, recorded: bool) -> Result<Option<Bytes>> {
    match http {
        ServerSession::H2(http2) if recorded => {
            let piece = poll_fn(|cx| http2.poll_read_body_bytes(cx)).await;
            piece
                .transpose()
                .or_err(ErrorType::ReadError, "while reading a request's body")
        }
        other => other.read_request_body().await,
    }
}

/// Lets Pingora read another body, so that its retry buffer is cleared and holds a piece.
async fn stand_in(http1: &mut Http1) -> Result<()> {
    let request = http1.req_header().clone();
    http1.set_pipelined_prefix(BytesMut::from(STAND_IN));
    http1.read_request().await?;
    http1.read_body_bytes().await?;
    *http1.req_header_mut() = request;
    http1.set_server_keepalive(None);
    Ok(())
}

impl From<Box<pingora_core::Error>> for Unread {
    fn from(error: Box<pingora_core::Error>) -> Self {
        Self::Broken(error)
    }
}
