//! Writing the responses that the gateway makes itself.

use std::time::Duration;

use adit_policy::{
    action::Reply,
    canonical::{Host, Target},
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
    page,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use pingora_core::{Error, ErrorSource, ErrorType, Result, protocols::http::ServerSession};
use pingora_http::ResponseHeader;
use pingora_proxy::{FailToProxy, Session};
use tokio::time::timeout;
use tracing::info;

use super::{
    ended,
    error_forms::grpc_status,
    errors::ErrorPage,
    exchange::{Exchange, Instead},
    retry, route,
};
use crate::{
    edge::Edge,
    front::{ending::Closing, io::connection},
};

/// How long the rest of an answered request's body is read, to keep the connection.
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(2);

/// And how much of it.
const DRAIN_BYTES: usize = 256 * 1024;

/// Sends what is to be sent instead of a service's response.
pub(super) async fn send(
    session: &mut Session,
    exchange: &Exchange,
    instead: Instead,
) -> Result<()> {
    let grpc = match &exchange.routed {
        Some(routed) => routed.grpc,
        // Whoever calls an address that is not there waits for trailers, too.
        None => route::is_grpc(&session.req_header().headers),
    };
    if matches!(&instead, Instead::Page(page) if page.refuses_the_connection()) {
        session.set_keepalive(None);
    }
    let (header, body) = match instead {
        Instead::Page(page) => render(session, &page, grpc)?,
        Instead::Reply(reply) if grpc => grpc_reply(&reply)?,
        Instead::Reply(reply) => from_policy(*reply)?,
        Instead::Close(closing) => {
            close(session, closing).await;
            return Ok(());
        }
    };
    write(session, header, body).await
}

/// The answer to an exchange that failed on its way.
pub(super) async fn fail(
    session: &mut Session,
    exchange: &mut Exchange,
    error: &Error,
) -> FailToProxy {
    let outcome = |error_code| FailToProxy {
        error_code,
        can_reuse_downstream: false,
    };
    if let Some(why) = exchange.ended() {
        return ended::tell(session, exchange, why).await;
    }
    if session.response_written().is_some() {
        // Part of a response is out: the client must see that it is cut short, and what there is of it.
        ended::say_goodbye(session, exchange).await;
        session.shutdown().await;
        return outcome(0);
    }
    let client_is_gone = *error.esource() == ErrorSource::Downstream
        && matches!(
            error.etype(),
            ErrorType::WriteError
                | ErrorType::ReadError
                | ErrorType::ConnectionClosed
                | ErrorType::WriteTimedout
        );
    if client_is_gone {
        return outcome(0);
    }
    let instead = exchange
        .instead
        .take()
        .or_else(|| exchange.tries.page.take().map(Instead::Page))
        .unwrap_or_else(|| Instead::Page(retry::page(exchange, error)));
    if let (Instead::Page(page), Some(routed)) = (&instead, &exchange.routed) {
        info!(endpoint = %routed.endpoint.url, status = page.status.as_u16(), cause = %error, "{}", page.title);
    }
    let status = match &instead {
        Instead::Page(page) => page.status,
        Instead::Reply(reply) => reply.status(),
        Instead::Close(closing) => {
            close(session, *closing).await;
            return outcome(0);
        }
    };
    session.set_keepalive(None);
    // The client may have gone meanwhile; there is nobody else to tell.
    drop(send(session, exchange, instead).await);
    outcome(status.as_u16())
}

/// Ends the whole connection. HTTP/2 is told so; what else runs on it ends with it.
async fn close(session: &mut Session, closing: Closing) {
    session.set_keepalive(None);
    if let Some(facts) = connection(session) {
        facts.ending.close(closing);
    }
    session.shutdown().await;
}

/// What a client is told of an error.
pub(super) fn page(exchange: &Exchange, error: &Error) -> ErrorPage {
    let dial = exchange.dial.as_ref();
    if dial.is_some_and(|dial| dial.is_late()) {
        return ErrorPage::timeout();
    }
    let forwards_to = dial.map_or("", |dial| dial.forwards_to());
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => ErrorPage::body_too_slow(),
        (ErrorSource::Downstream, _) => ErrorPage::bad_request("the request's body is malformed"),
        (_, ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
            ErrorPage::timeout()
        }
        (
            _,
            ErrorType::InvalidHTTPHeader
            | ErrorType::H1Error
            | ErrorType::H2Error
            | ErrorType::InvalidH2
            | ErrorType::H2Downgrade,
        ) => ErrorPage::not_http(forwards_to),
        (ErrorSource::Upstream, _) => ErrorPage::broken(forwards_to),
        _ => ErrorPage::internal(),
    }
}

/// A redirect for plain requests to an endpoint that only exists on https.
pub(super) fn to_https(edge: &Edge, host: &str, target: &Target<'_>) -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let url = Host::parse(host).ok().map(|host| {
        edge.public_url(&EndpointUrl {
            scheme: Scheme::Https,
            host: HostPattern::Exact(host),
            port: None,
        })
    });
    let location = url.map(|url| format!("{url}{target}"));
    match location.and_then(|location| HeaderValue::try_from(location).ok()) {
        Some(location) => drop(reply.headers_mut().insert(header::LOCATION, location)),
        None => *reply.status_mut() = StatusCode::BAD_REQUEST,
    }
    reply
}

fn render(session: &Session, page: &ErrorPage, grpc: bool) -> Result<(ResponseHeader, Bytes)> {
    if grpc {
        let mut header = trailers_only(page.grpc_status(), &page.title)?;
        header.insert_header("adit-error-code", format!("ERR_ADIT_{}", page.code))?;
        return Ok((header, Bytes::new()));
    }
    let form = preferred(session);
    let (kind, body) = match form {
        Form::Html => ("text/html; charset=utf-8", page.html()),
        Form::Json => ("application/json", page.json()),
        Form::Text => ("text/plain; charset=utf-8", page.text()),
    };
    let mut header = ResponseHeader::build(page.status, Some(8))?;
    header.insert_header("adit-error-code", format!("ERR_ADIT_{}", page.code))?;
    header.insert_header(header::CONTENT_TYPE, kind)?;
    header.insert_header(header::CONTENT_LENGTH, body.len())?;
    header.insert_header(header::CACHE_CONTROL, "no-store")?;
    header.insert_header("x-content-type-options", "nosniff")?;
    header.insert_header(header::VARY, "accept")?;
    if form == Form::Html {
        header.insert_header(
            header::CONTENT_SECURITY_POLICY,
            page::CONTENT_SECURITY_POLICY,
        )?;
    }
    if page.status == StatusCode::METHOD_NOT_ALLOWED {
        header.insert_header(
            header::ALLOW,
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        )?;
    }
    for (name, value) in &page.headers {
        header.append_header(name.clone(), value.clone())?;
    }
    if page.status == StatusCode::SERVICE_UNAVAILABLE
        && !header.headers.contains_key(header::RETRY_AFTER)
    {
        header.insert_header(header::RETRY_AFTER, "5")?;
    }
    Ok((header, Bytes::from(body)))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Html,
    Json,
    Text,
}

fn preferred(session: &Session) -> Form {
    let text = |name| {
        session
            .get_header(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    form(text(header::ACCEPT), text(header::CONTENT_TYPE))
}

/// Browsers name html first; whoever names json, or sends it, can read it; people at a terminal
/// accept anything.
fn form(accept: &str, content_type: &str) -> Form {
    let at = |kind: &str| accept.to_ascii_lowercase().find(kind);
    match (at("text/html"), at("application/json")) {
        (Some(html), Some(json)) if json < html => Form::Json,
        (Some(_), _) => Form::Html,
        (None, Some(_)) => Form::Json,
        (None, None) if content_type.starts_with("application/json") => Form::Json,
        (None, None) => Form::Text,
    }
}

fn from_policy(reply: Reply) -> Result<(ResponseHeader, Bytes)> {
    let (parts, body) = reply.into_parts();
    let mut header = ResponseHeader::build(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        header.append_header(name.clone(), value.clone())?;
    }
    let bodyless = matches!(
        parts.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if !bodyless && !header.headers.contains_key(header::CONTENT_LENGTH) {
        header.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    Ok((header, if bodyless { Bytes::new() } else { body }))
}

/// A client of gRPC hangs on a plain 403: it waits for trailers.
fn grpc_reply(reply: &Reply) -> Result<(ResponseHeader, Bytes)> {
    let message = format!(
        "refused by policy with HTTP status {}",
        reply.status().as_u16()
    );
    Ok((
        trailers_only(grpc_status(reply.status()), &message)?,
        Bytes::new(),
    ))
}

/// gRPC over HTTP/2: a response whose trailers are its header.
fn trailers_only(status: u16, message: &str) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(StatusCode::OK, Some(4))?;
    header.insert_header(header::CONTENT_TYPE, "application/grpc")?;
    header.insert_header("grpc-status", status)?;
    header.insert_header("grpc-message", message.replace('%', "%25"))?;
    Ok(header)
}

async fn write(session: &mut Session, header: ResponseHeader, body: Bytes) -> Result<()> {
    let bodyless = body.is_empty() || session.req_header().method == Method::HEAD;
    let more = !session.as_mut().is_body_done();
    let expects_continue = session.req_header().headers.contains_key(header::EXPECT);
    if more && expects_continue {
        // The client has not sent its body, and whether it will, nobody knows.
        session.set_keepalive(None);
    }
    if bodyless {
        write_head_only(session, header).await?;
    } else {
        session
            .write_response_header(Box::new(header), false)
            .await?;
        session.write_response_body(Some(body), true).await?;
    }
    if more && !expects_continue {
        drain(session).await;
    }
    Ok(())
}

/// The head is the whole response, and the client is told so now: on HTTP/2 in the head itself, or a
/// client of gRPC would wait for trailers, and the stream of an exchange that failed would end as cancelled.
async fn write_head_only(session: &mut Session, header: ResponseHeader) -> Result<()> {
    match session.as_mut() {
        ServerSession::H2(http2) => http2.write_response_header(Box::new(header), true),
        ServerSession::Custom(http2) => http2.write_response_header(Box::new(header), true).await,
        http1 => {
            http1.write_response_header(Box::new(header)).await?;
            http1.finish_body().await
        }
    }
}

/// Reads the rest of the request's body, up to a limit: a connection that is closed on unread bytes is
/// reset, and the client may never see its answer. What is left unread never becomes a request.
async fn drain(session: &mut Session) {
    let mut left = DRAIN_BYTES;
    let drained = timeout(DRAIN_TIME, async {
        while let Ok(Some(piece)) = session.as_mut().read_request_body().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return false;
            }
        }
        true
    });
    if !drained.await.unwrap_or(false) || !session.as_mut().is_body_done() {
        session.set_keepalive(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_the_client() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(form(browser, ""), Form::Html);
        assert_eq!(form("application/json, text/html;q=0.5", ""), Form::Json);
        assert_eq!(form("*/*", "application/json"), Form::Json);
        assert_eq!(form("*/*", ""), Form::Text);
        assert_eq!(form("", ""), Form::Text);
    }
}
