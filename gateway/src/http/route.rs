//! Which endpoint a request is for, decided once.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use adit_policy::{
    canonical::{Authority, Host},
    endpoint_url::{HostPattern, Scheme},
};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{
    answer, cookies,
    errors::ErrorPage,
    exchange::{Exchange, Instead, Routed},
    forwarded,
    spelling::{self, Respelling},
    traceparent::Parent,
};
use crate::{
    awaited::Waited,
    edge::Edge,
    front::io::{Connection, connection},
    pools::{endpoints::Endpoint, routes::Routes},
};

/// The longest that a request waits for an `http` endpoint of which only the `https` one has come: an agent binds one right
/// after the other.
const BETWEEN_TWO: Duration = Duration::from_secs(1);

/// Why there is no route.
enum Unrouted {
    Instead(Box<Instead>),
    /// The host is nobody's here. An agent may bring it, which is to be waited for so long.
    Nobodys(Box<Instead>, Duration),
}

/// Fills `exchange.routed`, or says what is answered instead.
pub(super) async fn route(
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
    let parent = Parent::of(&request.headers, edge.config.traces.begin);
    exchange.trace_id = parent.id();
    let found = match find(edge, facts, request, client) {
        Err(Unrouted::Nobodys(_, at_most)) if edge.awaited.is_on() => {
            wait_for(edge, facts, request, client, at_most).await
        }
        found => found,
    };
    let (routed, respelling) = found.map_err(Unrouted::into_instead)?;
    exchange.captured = edge.traces.capture.takes(&routed.endpoint.id);
    let trusted = forwarded::is_trusted(edge, facts);
    let stamp = forwarded::Stamp {
        peer: facts.peer_value.clone(),
        scheme: if facts.tls { "https" } else { "http" },
        trusted,
    };
    let is_copy = facts.mirrored_to.is_some();
    let header = session.req_header_mut();
    respelling
        .apply(header)
        .and_then(|()| cookies::join(header))
        .and_then(|()| forwarded::stamp(header, stamp))
        .and_then(|()| parent.apply(header))
        .and_then(|()| match is_copy {
            true => header.insert_header(forwarded::MIRRORED, "1"),
            false => Ok(()),
        })
        .map_err(|_| Instead::Page(ErrorPage::internal()))?;
    exchange.routed = Some(routed);
    Ok(())
}

/// After a restart, the agents of a host that is nobody's may be on their way.
async fn wait_for(
    edge: &Edge,
    facts: &Connection,
    request: &RequestHeader,
    client: SocketAddr,
    at_most: Duration,
) -> Result<(Routed, Respelling), Unrouted> {
    let places = edge.limits().held_requests;
    let find = || match find(edge, facts, request, client) {
        Err(Unrouted::Nobodys(..)) => None,
        found => Some(found),
    };
    let coming = edge.awaited.look(find);
    match edge.awaited.hold(places, at_most, coming).await {
        Waited::Found(found) => found,
        Waited::InVain => self::find(edge, facts, request, client),
        Waited::Full => Err(Instead::Page(ErrorPage::no_agent()).into()),
    }
}

/// The route, and what of the request was spelled in another way.
fn find(
    edge: &Edge,
    facts: &Connection,
    request: &RequestHeader,
    client: SocketAddr,
) -> Result<(Routed, Respelling), Unrouted> {
    check_shape(edge, request).map_err(Instead::Page)?;
    let text = authority(request).map_err(Instead::Page)?;
    let authority = Authority::parse_borrowed(text)
        .map_err(|error| Instead::Page(ErrorPage::bad_request(&error.to_string())))?;
    let host: &str = &authority.host;
    let scheme = if facts.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let origin = spelling::origin(request, &authority, scheme).map_err(Instead::Page)?;
    let routes = edge.endpoints.snapshot();
    let found = match (&facts.mirrored_to, facts.hops) {
        (Some(endpoint), _) => Some(endpoint),
        (None, 0) => routes.find(scheme, host),
        (None, _) => routes.find_any(scheme, host),
    };
    let Some(endpoint) = found else {
        return Err(elsewhere(edge, &routes, scheme, host, origin));
    };
    if let Some(sni) = &facts.sni
        && sni.as_str() != host
        && !routes
            .find(scheme, sni.as_str())
            .is_some_and(|named| Arc::ptr_eq(named, endpoint))
    {
        return Err(Instead::Page(ErrorPage::misdirected()).into());
    }
    // How a path is read is the endpoint's to say, so it is read when that is known and not before.
    let target = spelling::target(endpoint, origin).map_err(Instead::Page)?;
    let absolute = origin.len() != request.raw_path().len();
    let changed = !target.is_as_received();
    let routed = Routed {
        scheme,
        host: match facts.mirrored_to {
            // The client's, as behind `forward-internal`.
            Some(_) => parsed(host)?,
            None => canonical(endpoint, host)?,
        },
        port: authority.port,
        raw_target: changed.then(|| target.raw().into()),
        client,
        grpc: is_grpc(&request.headers),
        endpoint: Arc::clone(endpoint),
        serving: Arc::clone(endpoint),
        member: None,
        agent_policy: None,
    };
    let respelling = Respelling {
        authority: authority.respelled(text),
        target: (changed || absolute).then(|| target.to_string()),
    };
    Ok((routed, respelling))
}

/// What is said of a host that is nobody's here.
fn elsewhere(edge: &Edge, routes: &Routes, scheme: Scheme, host: &str, origin: &[u8]) -> Unrouted {
    let secure = match scheme {
        Scheme::Http => routes.find(Scheme::Https, host),
        _ => None,
    };
    let Some(endpoint) = secure else {
        return Unrouted::Nobodys(
            Instead::Page(ErrorPage::no_endpoint(host)).into(),
            Duration::MAX,
        );
    };
    let instead = match spelling::target(endpoint, origin) {
        Ok(target) => Instead::Reply(Box::new(answer::to_https(edge, host, &target))),
        Err(page) => Instead::Page(page),
    };
    Unrouted::Nobodys(instead.into(), BETWEEN_TWO)
}

// === impl Unrouted ===

impl Unrouted {
    fn into_instead(self) -> Instead {
        match self {
            Self::Instead(instead) | Self::Nobodys(instead, _) => *instead,
        }
    }
}

impl From<Instead> for Unrouted {
    fn from(instead: Instead) -> Self {
        Self::Instead(instead.into())
    }
}

/// What HTTP/1's gate has checked before, and HTTP/2 has no gate for.
fn check_shape(edge: &Edge, request: &RequestHeader) -> Result<(), ErrorPage> {
    let limits = edge.limits();
    if request.method == Method::CONNECT {
        return Err(ErrorPage::connect_refused());
    }
    if request.headers.len() > limits.header_count + 1 {
        return Err(ErrorPage::headers_too_large());
    }
    if request.raw_path().len() > limits.target_size.bytes() {
        return Err(ErrorPage::target_too_long());
    }
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
        _ => parsed(host),
    }
}

fn parsed(host: &str) -> Result<Host, Instead> {
    Host::parse(host).map_err(|error| Instead::Page(ErrorPage::bad_request(&error.to_string())))
}

/// Whether the client speaks gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    })
}
