//! An exchange as a policy sees it, borrowed from Pingora's session.

use std::{borrow::Cow, net::SocketAddr, time::SystemTime};

use adit_policy::{
    canonical::Target,
    env::Env,
    exchange::{self, Conn, Request, Response, Tls},
    memory::Memory,
};
use http::{HeaderMap, StatusCode, Version, header};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::exchange::Routed;
use crate::{
    edge::Edge,
    front::io::{Connection, connection},
    pools::endpoints::Endpoint,
};

/// What an [`exchange::Exchange`] borrows from.
pub(super) struct View<'a> {
    env: &'a Env,
    conn: Conn<'a>,
    endpoint: exchange::Endpoint<'a>,
    routed: &'a Routed,
    header: &'a RequestHeader,
    authority: Cow<'a, str>,
    target: Target<'a>,
}

/// A connection as policies see it. `client`: who is believed to be at its other end.
pub(super) fn conn(facts: &Connection, client: SocketAddr) -> Conn<'_> {
    let (bytes_in, bytes_out) = facts.traffic.so_far();
    let tls = facts.agreed.map(|agreed| Tls {
        sni: facts.sni.as_ref().map_or("", |sni| sni.as_str()),
        ja4: &facts.ja4,
        version: agreed.version,
        cipher_suite: agreed.cipher_suite,
        alpn: agreed.alpn,
        resumed: agreed.resumed,
    });
    Conn {
        region: &facts.region,
        bytes_in,
        bytes_out,
        tls,
        ..Conn::new(client, facts.local, facts.accepted)
    }
}

/// An endpoint as policies see it.
pub(super) fn endpoint(endpoint: &Endpoint) -> exchange::Endpoint<'_> {
    exchange::Endpoint {
        id: &endpoint.id,
        url: &endpoint.url,
    }
}

impl<'a> View<'a> {
    /// `at`: the endpoint whose policy looks.
    pub(super) fn of(
        edge: &'a Edge,
        session: &'a Session,
        routed: &'a Routed,
        at: &'a Endpoint,
    ) -> Option<Self> {
        Self::apart(edge, connection(session)?, session.req_header(), routed, at)
    }

    /// A view that leaves the session free.
    pub(super) fn apart(
        edge: &'a Edge,
        facts: &'a Connection,
        header: &'a RequestHeader,
        routed: &'a Routed,
        at: &'a Endpoint,
    ) -> Option<Self> {
        Some(Self {
            env: edge.env(facts.hops),
            conn: conn(facts, routed.client),
            endpoint: endpoint(at),
            routed,
            header,
            authority: match routed.port {
                None => Cow::Borrowed(routed.host.as_str()),
                Some(port) => Cow::Owned(format!("{}:{port}", routed.host)),
            },
            target: routed.target(&header.uri)?,
        })
    }

    /// The exchange before the request goes to an agent.
    pub(super) fn request<'v>(&'v self, memory: Memory) -> exchange::Exchange<'v> {
        let mut request = Request::new(
            self.routed.scheme,
            &self.header.method,
            &self.authority,
            self.target.clone(),
            &self.header.headers,
            SystemTime::now(),
        );
        request.version = self.header.version;
        request.has_body = has_body(self.header);
        exchange::Exchange {
            request: Some(request),
            memory,
            ..exchange::Exchange::of(&self.conn, &self.endpoint, self.env)
        }
    }

    /// The exchange before the response goes to the client.
    pub(super) fn response<'v>(
        &'v self,
        status: StatusCode,
        lines: &'v HeaderMap,
        memory: Memory,
    ) -> exchange::Exchange<'v> {
        exchange::Exchange {
            response: Some(Response::new(status, lines)),
            ..self.request(memory)
        }
    }
}

/// Whether a body follows the head, as far as the head says. HTTP/2 may send one without a length.
fn has_body(header: &RequestHeader) -> bool {
    let length = header.headers.get(header::CONTENT_LENGTH);
    match length {
        Some(length) => length != "0",
        None if header.version == Version::HTTP_2 => {
            !matches!(header.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE")
        }
        None => header.headers.contains_key(header::TRANSFER_ENCODING),
    }
}
