//! A response's body, changed as policies wish while it passes.

use adit_policy::{
    action::{Phase, Reply},
    body::{self, BodyFault, Transform},
};
use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{
    errors::ErrorPage,
    exchange::{Exchange, Instead},
};

/// What policies left to be done to the body of a response.
#[derive(Debug)]
pub(super) struct Rewriting {
    transforms: Vec<Box<dyn Transform>>,
    ended: bool,
}

/// Readies a response whose body is to be changed; one without a body stays as it is.
///
/// `length`: what the response said before policies ran, which take it out.
pub(super) fn begin(
    transforms: Vec<Box<dyn Transform>>,
    length: Option<usize>,
    session: &mut Session,
    response: &mut ResponseHeader,
) -> Result<Option<Rewriting>, BodyFault> {
    if transforms.is_empty() || has_no_body(&session.req_header().method, response) {
        return Ok(None);
    }
    let most = transforms.iter().filter_map(|transform| transform.holds());
    if most.min().is_some_and(|most| length > Some(most)) {
        return Err(BodyFault::TooLarge);
    }
    reframe(length, session, response).map_err(|_| BodyFault::Unreadable)?;
    Ok(Some(Rewriting {
        transforms,
        ended: false,
    }))
}

/// Sends a piece through. A fault breaks the response off: what was to be taken out of it never leaves.
pub(super) fn pass(exchange: &mut Exchange, piece: &mut Option<Bytes>, end: bool) -> Result<()> {
    let Some(rewriting) = &mut exchange.rewriting else {
        return Ok(());
    };
    match rewriting.pass(piece.take().unwrap_or_default(), end) {
        Ok(changed) => {
            *piece = Some(changed);
            Ok(())
        }
        Err(fault) => {
            let page = ErrorPage::of_body(fault, Phase::OnHttpResponse);
            // It is sent if the response's header has not left yet.
            exchange.instead = Some(Instead::Page(page));
            Err(Error::because(
                ErrorType::Custom("policy"),
                "a policy could not change the response's body",
                fault,
            ))
        }
    }
}

/// Trailers end a body as well. What is left of the body goes out in their place, for Pingora sends one or the other.
pub(super) async fn end(exchange: &mut Exchange, session: &mut Session) -> Option<Bytes> {
    let mut rest = None;
    if exchange.rewriting.as_ref()?.ended {
        return None;
    }
    if pass(exchange, &mut rest, true).is_err() {
        // From here Pingora would go on, and end the response as if it were whole.
        session.as_mut().shutdown().await;
    }
    rest.filter(|rest| !rest.is_empty())
}

/// The same for a response that is there already.
pub(super) fn rewrite(
    mut transforms: Vec<Box<dyn Transform>>,
    request: &Method,
    reply: &mut Reply,
) -> Result<(), BodyFault> {
    if reply.body().is_empty() || *request == Method::HEAD {
        return Ok(());
    }
    let body = std::mem::take(reply.body_mut());
    *reply.body_mut() = body::pass(&mut transforms, body, true)?;
    reply.headers_mut().remove(header::CONTENT_LENGTH);
    Ok(())
}

/// RFC 9112 §6.3, cases 1 and 6: the header is the whole response.
pub(super) fn has_no_body(request: &Method, response: &ResponseHeader) -> bool {
    match response.status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => true,
        status if status.is_informational() => false,
        _ => *request == Method::HEAD || length(response) == Some(0),
    }
}

pub(super) fn length(response: &ResponseHeader) -> Option<usize> {
    let length = response.headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// The body's length is not known any more, unless there is none: chunks, frames, or the connection's end tell where it
/// ends.
fn reframe(
    length: Option<usize>,
    session: &mut Session,
    response: &mut ResponseHeader,
) -> Result<()> {
    if length == Some(0) {
        return response.insert_header(header::CONTENT_LENGTH, 0);
    }
    response.remove_header(&header::CONTENT_LENGTH);
    if session.req_header().version == Version::HTTP_10 {
        session.set_keepalive(None);
        return Ok(());
    }
    // Pingora takes it out again for HTTP/2, as it does with its own.
    response.set_version(Version::HTTP_11);
    response.insert_header(header::TRANSFER_ENCODING, "chunked")
}

// === impl Rewriting ===

impl Rewriting {
    fn pass(&mut self, piece: Bytes, end: bool) -> Result<Bytes, BodyFault> {
        if self.ended {
            return match piece.is_empty() {
                true => Ok(piece),
                false => Err(BodyFault::Unreadable),
            };
        }
        self.ended = end;
        body::pass(&mut self.transforms, piece, end)
    }
}
