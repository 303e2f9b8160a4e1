//! An exchange that owns what it saw, for what goes on when its phases are over: the messages of an event stream.

use std::net::SocketAddr;
use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode, Version};

use super::{Conn, Endpoint, Exchange, Request, Response, Tls};
use crate::body::Message;
use crate::canonical::TargetBuf;
use crate::endpoint_url::{EndpointUrl, Scheme};
use crate::env::Env;
use crate::memory::Memory;

/// What an exchange was when its last phase ended.
#[derive(Debug)]
pub(crate) struct Kept {
    conn: KeptConn,
    id: Box<str>,
    url: EndpointUrl,
    env: Env,
    request: Option<KeptRequest>,
    response: Option<(StatusCode, HeaderMap)>,
    memory: Memory,
}

#[derive(Debug)]
struct KeptConn {
    client: SocketAddr,
    server: SocketAddr,
    region: Box<str>,
    started: SystemTime,
    bytes_in: u64,
    bytes_out: u64,
    tls: Option<KeptTls>,
}

#[derive(Debug)]
struct KeptTls {
    sni: Box<str>,
    ja4: Box<str>,
    version: Box<str>,
    cipher_suite: Box<str>,
    alpn: Box<str>,
    resumed: bool,
}

#[derive(Debug)]
struct KeptRequest {
    scheme: Scheme,
    method: Method,
    version: Version,
    authority: Box<str>,
    target: TargetBuf,
    lines: HeaderMap,
    received: SystemTime,
    has_body: bool,
}

// === impl Kept ===

impl Kept {
    pub(crate) fn of(exchange: &Exchange<'_>) -> Self {
        let response = exchange.response.as_ref();
        Self {
            conn: KeptConn::of(exchange.conn),
            id: exchange.endpoint.id.into(),
            url: exchange.endpoint.url.clone(),
            env: exchange.env.clone(),
            request: exchange.request.as_ref().map(KeptRequest::of),
            response: response.map(|response| (response.status, response.head.lines().clone())),
            memory: exchange.memory.for_messages(),
        }
    }

    /// The exchange again, with a message. What becomes of it is forgotten, but for the message.
    pub(crate) fn with<T>(
        &self,
        message: &mut Message,
        run: impl FnOnce(&mut Exchange<'_>) -> T,
    ) -> T {
        let conn = self.conn.lent();
        let endpoint = Endpoint {
            id: &self.id,
            url: &self.url,
        };
        let response = self.response.as_ref();
        let mut exchange = Exchange {
            request: self.request.as_ref().map(KeptRequest::lent),
            response: response.map(|(status, lines)| Response::new(*status, lines)),
            message: Some(message),
            memory: self.memory.for_messages(),
            ..Exchange::of(&conn, &endpoint, &self.env)
        };
        let outcome = run(&mut exchange);
        self.memory.add_message(exchange.memory);
        outcome
    }
}

// === impl KeptConn ===

impl KeptConn {
    // Every field is named here, so that none that is new is forgotten.
    fn of(conn: &Conn<'_>) -> Self {
        let Conn {
            client,
            server,
            region,
            started,
            bytes_in,
            bytes_out,
            tls,
        } = conn;
        Self {
            client: *client,
            server: *server,
            region: (*region).into(),
            started: *started,
            bytes_in: *bytes_in,
            bytes_out: *bytes_out,
            tls: tls.as_ref().map(KeptTls::of),
        }
    }

    fn lent(&self) -> Conn<'_> {
        Conn {
            client: self.client,
            server: self.server,
            region: &self.region,
            started: self.started,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            tls: self.tls.as_ref().map(KeptTls::lent),
        }
    }
}

// === impl KeptTls ===

impl KeptTls {
    fn of(tls: &Tls<'_>) -> Self {
        let Tls {
            sni,
            ja4,
            version,
            cipher_suite,
            alpn,
            resumed,
        } = *tls;
        Self {
            sni: sni.into(),
            ja4: ja4.into(),
            version: version.into(),
            cipher_suite: cipher_suite.into(),
            alpn: alpn.into(),
            resumed,
        }
    }

    fn lent(&self) -> Tls<'_> {
        Tls {
            sni: &self.sni,
            ja4: &self.ja4,
            version: &self.version,
            cipher_suite: &self.cipher_suite,
            alpn: &self.alpn,
            resumed: self.resumed,
        }
    }
}

// === impl KeptRequest ===

impl KeptRequest {
    fn of(request: &Request<'_>) -> Self {
        Self {
            scheme: request.scheme,
            method: request.method.clone(),
            version: request.version,
            authority: request.authority.into(),
            target: request.target.clone().into_owned(),
            lines: request.head.lines().clone(),
            received: request.received,
            has_body: request.has_body,
        }
    }

    fn lent(&self) -> Request<'_> {
        let mut request = Request::new(
            self.scheme,
            &self.method,
            &self.authority,
            self.target.clone(),
            &self.lines,
            self.received,
        );
        request.version = self.version;
        request.has_body = self.has_body;
        request
    }
}
