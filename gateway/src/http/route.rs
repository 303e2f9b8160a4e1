//! Which endpoint a request is for, decided once.

use std::sync::Arc;

use adit_policy::{
    canonical::{Authority, Host, Target},
    endpoint_url::{HostPattern, Scheme},
};
use http::{HeaderMap, HeaderValue, Uri, Version, header};
use pingora_core::{ErrorType, OrErr};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{
    answer,
    errors::ErrorPage,
    exchange::{Exchange, Instead, Routed},
    forwarded,
};
use crate::{
    edge::Edge,
    front::io::{Connection, connection},
    pools::endpoints::Endpoint,
};

/// Fills `exchange.routed`, or says what is answered instead.
pub(super) fn route(
    edge: &Edge,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Result<(), Instead> {
    let request = session.req_header();
    let facts = connection(session).ok_or_else(|| Instead::Page(ErrorPage::internal()))?;
    // As many again as there may be streams: those that were reset and whose work has not ended yet.
    let most = edge.limits().http2_streams.saturating_mul(2);
    let place = facts.running.enter(most);
    exchange.place = Some(place.ok_or_else(|| Instead::Page(ErrorPage::too_many_at_once()))?);
    let client = forwarded::client(edge, facts, request).map_err(Instead::Page)?;
    let (routed, respelled) = find(edge, facts, request, client)?;
    let trusted = forwarded::is_trusted(edge, facts);
    let stamp = forwarded::Stamp {
        peer: facts.peer_value.clone(),
        scheme: if facts.tls { "https" } else { "http" },
        trusted,
    };
    let header = session.req_header_mut();
    respelled
        .map_or(Ok(()), |authority| respell(header, &authority))
        .and_then(|()| forwarded::stamp(header, stamp))
        .map_err(|_| Instead::Page(ErrorPage::internal()))?;
    exchange.routed = Some(routed);
    Ok(())
}

/// The route, and the authority's canonical text if the request spells it in another way.
fn find(
    edge: &Edge,
    facts: &Connection,
    request: &RequestHeader,
    client: std::net::SocketAddr,
) -> Result<(Routed, Option<String>), Instead> {
    check_shape(edge, request).map_err(Instead::Page)?;
    let text = authority(request).map_err(Instead::Page)?;
    let authority = Authority::parse_borrowed(text)
        .map_err(|error| Instead::Page(ErrorPage::bad_request(&error.to_string())))?;
    let routes = edge.endpoints.snapshot();
    let host: &str = &authority.host;
    let scheme = if facts.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let Some(endpoint) = routes.find(scheme, host) else {
        if scheme == Scheme::Http && routes.find(Scheme::Https, host).is_some() {
            return Err(Instead::Reply(Box::new(answer::to_https(
                edge,
                host,
                request.raw_path(),
            ))));
        }
        return Err(Instead::Page(ErrorPage::no_endpoint(host)));
    };
    if let Some(sni) = &facts.sni
        && sni.as_str() != host
        && !routes
            .find(scheme, sni.as_str())
            .is_some_and(|named| Arc::ptr_eq(named, endpoint))
    {
        return Err(Instead::Page(ErrorPage::misdirected()));
    }
    let routed = Routed {
        scheme,
        host: canonical(endpoint, host)?,
        client,
        grpc: is_grpc(&request.headers),
        endpoint: Arc::clone(endpoint),
        member: None,
    };
    Ok((routed, authority.respelled(text)))
}

/// The service may choose by the host as well: it gets the spelling that was routed on.
fn respell(request: &mut RequestHeader, authority: &str) -> Result<(), Box<pingora_core::Error>> {
    if request.uri.authority().is_some() {
        let mut parts = request.uri.clone().into_parts();
        parts.authority = authority.parse().ok();
        let uri = Uri::from_parts(parts);
        request.set_uri(uri.or_err(ErrorType::InternalError, "a canonical authority is none")?);
    }
    request.insert_header("Host", authority)
}

/// What HTTP/1's gate has checked before, and HTTP/2 has no gate for.
fn check_shape(edge: &Edge, request: &RequestHeader) -> Result<(), ErrorPage> {
    let limits = edge.limits();
    if request.headers.len() > limits.header_count + 1 {
        return Err(ErrorPage::headers_too_large());
    }
    let target = request.raw_path();
    if target.len() > limits.target_size.bytes() {
        return Err(ErrorPage::target_too_long());
    }
    Target::parse(target).map_err(|error| ErrorPage::bad_request(&error.to_string()))?;
    if request.version == Version::HTTP_2 && !has_one_plain_length(&request.headers) {
        return Err(ErrorPage::bad_request("content-length is not one number"));
    }
    Ok(())
}

/// HTTP/2 needs no length, but the service gets it, and must not be left to guess what it means.
fn has_one_plain_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = lengths
        .next()
        .map_or(b"0".as_slice(), HeaderValue::as_bytes);
    let digits = (1..=18).contains(&first.len()) && first.iter().all(u8::is_ascii_digit);
    digits && lengths.next().is_none()
}

/// The one authority of a request: `:authority` or Host, and if both are there they agree.
fn authority(request: &RequestHeader) -> Result<&[u8], ErrorPage> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(ErrorPage::bad_request("there are several host headers"));
    }
    let pseudo = (request.version == Version::HTTP_2)
        .then(|| request.uri.authority())
        .flatten();
    match (pseudo, host) {
        (Some(pseudo), Some(host))
            if !pseudo
                .as_str()
                .as_bytes()
                .eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Err(ErrorPage::bad_request(
                ":authority and the host header differ",
            ))
        }
        (Some(pseudo), _) => Ok(pseudo.as_str().as_bytes()),
        (None, Some(host)) => Ok(host.as_bytes()),
        (None, None) => Err(ErrorPage::bad_request("there is no host header")),
    }
}

fn canonical(endpoint: &Endpoint, host: &str) -> Result<Host, Instead> {
    match &endpoint.url.host {
        HostPattern::Exact(host) => Ok(host.clone()),
        _ => Host::parse(host)
            .map_err(|error| Instead::Page(ErrorPage::bad_request(&error.to_string()))),
    }
}

/// Whether the client speaks gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    })
}

/// The URI's path and query, as policies see them.
pub(super) fn target(uri: &Uri) -> Option<Target<'_>> {
    let target = uri.path_and_query()?;
    Target::parse(target.as_str().as_bytes()).ok()
}
