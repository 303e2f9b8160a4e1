//! Exchanges that the gateway ends before their time: which of them are listed for it, and what their clients are told.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::{FailToProxy, Session};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    answer,
    errors::ErrorPage,
    exchange::{Exchange, Instead, Layer},
    interruptible,
    websocket::{self, Frames},
};
use crate::{
    edge::Edge,
    front::{ending::Closing, io::connection},
    live::{Client, Endable, Listed, Live, Passed, Why},
};

/// Kinds of responses that have no end of their own.
const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];

/// The request is about to leave. It is listed if somebody with a session sends it, or it is a call of gRPC.
pub(super) fn list(edge: &Edge, live: &Arc<Live>, session: &Session, exchange: &mut Exchange) {
    let grpc = exchange.routed.as_ref().is_some_and(|routed| routed.grpc);
    let mut callers = Vec::new();
    for layer in &exchange.layers {
        match layer.memory.identity() {
            Some(caller)
                if caller.session.is_some()
                    && !callers.iter().any(|known| Arc::ptr_eq(known, caller)) =>
            {
                callers.push(Arc::clone(caller));
            }
            _ => {}
        }
    }
    if !grpc && callers.is_empty() {
        return;
    }
    let Some(client) = client(session) else {
        return;
    };
    let endable = Endable::new(client, callers, grpc);
    if grpc {
        endable.is_stream(passed(exchange));
    }
    exchange.listed = Some(live.list(endable, edge));
}

/// The response's head is there, and shows whether it is a stream.
pub(super) fn answered(
    edge: &Edge,
    live: &Arc<Live>,
    session: &mut Session,
    response: &ResponseHeader,
    exchange: &mut Exchange,
) {
    if let Some(listed) = &exchange.listed {
        listed.answered();
    }
    let switched = response.status == StatusCode::SWITCHING_PROTOCOLS;
    if switched {
        exchange.frames = Some(Frames::default());
    }
    if !switched && !is_stream(&response.headers) {
        return;
    }
    if let Some(listed) = &exchange.listed {
        listed.is_stream(passed(exchange));
        return listed.look(edge);
    }
    let Some(client) = client(session) else {
        return;
    };
    let endable = Endable::new(client, Vec::new(), false);
    endable.is_stream(passed(exchange));
    let listed = live.list(endable, edge);
    make_interruptible(session, Some(&listed));
    exchange.listed = Some(listed);
}

/// Lets a listed exchange be interrupted.
pub(super) fn make_interruptible(session: &mut Session, listed: Option<&Listed>) {
    if let Some(interruption) = listed.and_then(|listed| listed.interruption()) {
        interruptible::make(session, interruption);
    }
}

/// Whether the exchange may go on.
pub(super) fn may_go_on(exchange: &Exchange) -> Result<()> {
    match exchange.ended() {
        None => Ok(()),
        Some(_) => Err(interruptible::ended()),
    }
}

/// Tells the client of an exchange that was ended, as far as it can still be told.
pub(super) async fn tell(session: &mut Session, exchange: &mut Exchange, why: Why) -> FailToProxy {
    debug!(%why, "an exchange was ended");
    session.set_keepalive(None);
    let grpc = exchange.routed.as_ref().is_some_and(|routed| routed.grpc);
    let error_code = match session.response_written().map(|written| written.status) {
        None => {
            let page = page(why);
            let status = page.status.as_u16();
            // The client may have gone meanwhile; there is nobody else to tell.
            drop(answer::send(session, exchange, Instead::Page(page)).await);
            status
        }
        Some(_) if grpc => {
            drop(
                session
                    .as_mut()
                    .write_response_trailers(trailers(why))
                    .await,
            );
            0
        }
        Some(StatusCode::SWITCHING_PROTOCOLS) => {
            close(
                session,
                exchange,
                websocket::POLICY_VIOLATION,
                &why.to_string(),
            )
            .await;
            session.shutdown().await;
            0
        }
        Some(_) => {
            break_off(session).await;
            0
        }
    };
    FailToProxy {
        error_code,
        can_reuse_downstream: false,
    }
}

/// The service is lost. The client of a WebSocket is told, so that it need not wait for a time-out of its own.
pub(super) async fn say_goodbye(session: &mut Session, exchange: &Exchange) {
    let written = session.response_written().map(|written| written.status);
    if written == Some(StatusCode::SWITCHING_PROTOCOLS) {
        let reason = "the service is gone";
        close(session, exchange, websocket::GOING_AWAY, reason).await;
    }
}

/// Sends a close frame if one may stand here.
async fn close(session: &mut Session, exchange: &Exchange, code: [u8; 2], reason: &str) {
    if exchange.frames.as_ref().is_some_and(Frames::is_between) {
        let frame = Bytes::from(websocket::close_frame(code, reason));
        drop(session.as_mut().write_response_body(frame, true).await);
    }
}

/// The client must see that this is not the response's end. HTTP/1.0 knows no other end than the connection's.
async fn break_off(session: &mut Session) {
    if session.req_header().version == Version::HTTP_10
        && let Some(facts) = connection(session)
    {
        facts.ending.close(Closing::Reset);
    }
    session.shutdown().await;
}

fn page(why: Why) -> ErrorPage {
    match why {
        Why::SignedOut | Why::SessionOver => ErrorPage::session_ended(),
        Why::PolicyChanged => ErrorPage::policy_changed(),
        Why::TokenRevoked | Why::UrlWithdrawn => ErrorPage::no_agent(),
    }
}

fn trailers(why: Why) -> HeaderMap {
    let page = page(why);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", page.grpc_status().into());
    if let Ok(message) = HeaderValue::try_from(page.title) {
        trailers.insert("grpc-message", message);
    }
    trailers
}

fn client(session: &Session) -> Option<Client> {
    let ending = connection(session)?.ending.clone();
    Some(match session.req_header().version {
        Version::HTTP_2 => Client::Http2(CancellationToken::new(), ending),
        _ => Client::Http1(ending),
    })
}

/// Everywhere the request was let in.
fn passed(exchange: &Exchange) -> Vec<Passed> {
    let mut passed = Vec::with_capacity(exchange.layers.len() + 2);
    for layer in &exchange.layers {
        passed.push(match &layer.member {
            Some(member) => Passed::Member(Arc::clone(member), Some(Arc::clone(&layer.policy))),
            None => Passed::Endpoint(Arc::clone(&layer.endpoint)),
        });
    }
    let Some(routed) = &exchange.routed else {
        return passed;
    };
    // Where there is no policy there is no layer.
    if routed.serving.policy.is_none() {
        passed.push(Passed::Endpoint(Arc::clone(&routed.serving)));
    }
    // Of a member that was chosen after a failure, too: its policy has the same text.
    if let Some(member) = &routed.member {
        let known = |layer: &Layer| {
            layer
                .member
                .as_ref()
                .is_some_and(|one| Arc::ptr_eq(one, member))
        };
        if !exchange.layers.iter().any(known) {
            let policy = member.policy().map(|own| Arc::clone(&own.policy));
            passed.push(Passed::Member(Arc::clone(member), policy));
        }
    }
    passed
}

/// Whether a response has no end of its own.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let kind = kind.as_bytes();
    let ends = |rest: &u8| matches!(rest, b';' | b' ');
    STREAMS.iter().any(|stream| {
        kind.get(..stream.len())
            .is_some_and(|named| named.eq_ignore_ascii_case(stream))
            && kind.get(stream.len()).is_none_or(ends)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_a_stream() {
        for (kind, is) in [
            ("text/event-stream", true),
            ("Text/Event-Stream;charset=utf-8", true),
            ("multipart/x-mixed-replace; boundary=x", true),
            ("text/event-streams", false),
            ("text/html", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_stream(&headers), is, "{kind}");
        }
        assert!(!is_stream(&HeaderMap::new()));
    }
}
