//! Bodies through Pingora, with nothing between the two ends but what this room adds to it.

mod request;
mod response;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use adit_policy::body::{BodySource, Transform};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Frame, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pingora_core::{
    Error, ErrorType, Result, apps::ServerApp, protocols::l4::stream::Stream as L4Stream,
    server::configuration::ServerConf, upstreams::peer::HttpPeer,
};
use pingora_http::ResponseHeader;
use pingora_proxy::{HttpProxy, ProxyHttp, Session};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{
    exchange::Exchange,
    request_body::{self, RequestBody},
    response_body,
};

const MIB: usize = 1024 * 1024;
const MOST: usize = 10 * MIB;

/// Reads each request's body whole before it asks its members, in turn.
struct Reading {
    members: Vec<SocketAddr>,
    http2: bool,
    new_body: Option<Bytes>,
    transforms: fn() -> Vec<Box<dyn Transform>>,
}

#[async_trait]
impl ProxyHttp for Reading {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::begin(0)
    }

    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let mut body = RequestBody::new(session.as_mut(), &mut exchange.body, LONGEST);
        if body.read(MOST).await.is_err() {
            let page = body.into_refusal().unwrap();
            session.respond_error(page.status.as_u16()).await?;
            return Ok(true);
        }
        let request = session.req_header_mut();
        request_body::replace(request, &mut exchange.body, self.new_body.clone())?;
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        exchange: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
        if let Some(kept) = &mut exchange.body {
            kept.begin_again();
        }
        let member = self.members[exchange.tried.len()];
        let mut peer = HttpPeer::new(member, false, String::new());
        if self.http2 {
            peer.options.set_http_version(2, 2);
        }
        Ok(Box::new(peer))
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        exchange.tried.push(0);
        error.set_retry(true);
        error
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if let Some(kept) = &mut exchange.body {
            kept.hand_on(body, end);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let length = response_body::length(response);
        let begun = response_body::begin((self.transforms)(), length, session, response);
        exchange.rewriting = begun.map_err(|fault| {
            Error::because(
                ErrorType::HTTPStatus(502),
                "a response that cannot be changed",
                fault,
            )
        })?;
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        response_body::pass(exchange, body, end)?;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        _: &mut HeaderMap,
        exchange: &mut Exchange,
    ) -> Result<Option<Bytes>> {
        Ok(response_body::end(exchange, session).await)
    }
}

const LONGEST: Duration = Duration::from_secs(20);

/// A gateway of this kind, on some port.
async fn gateway(reading: Reading) -> SocketAddr {
    let conf = Arc::new(ServerConf::default());
    let mut proxy: HttpProxy<Reading> = pingora_proxy::http_proxy(&conf, reading);
    let mut options = pingora_core::apps::HttpServerOptions::default();
    options.h2c = true;
    proxy.server_options = Some(options);
    let proxy = Arc::new(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            io.set_nodelay(true).unwrap();
            let proxy = Arc::clone(&proxy);
            tokio::spawn(async move {
                let (_finish, finishing) = tokio::sync::watch::channel(false);
                let stream: pingora_core::protocols::Stream = Box::new(L4Stream::from(io));
                drop(proxy.process_new(stream, &finishing).await);
            });
        }
    });
    addr
}

fn reading(members: Vec<SocketAddr>) -> Reading {
    Reading {
        members,
        http2: false,
        new_body: None,
        transforms: Vec::new,
    }
}

/// A request as it came to a service.
struct Seen {
    headers: HeaderMap,
    body: Bytes,
}

type Requests = mpsc::UnboundedReceiver<Seen>;
type Body = BoxBody<Bytes, Infallible>;

/// Services of both kinds that take one request after the other.
async fn service(http2: bool, answer: fn() -> Response<Body>) -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            io.set_nodelay(true).unwrap();
            let seen = seen.clone();
            let handler = service_fn(move |request: Request<hyper::body::Incoming>| {
                let seen = seen.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let headers = parts.headers;
                    // Not every test looks.
                    drop(seen.send(Seen { headers, body }));
                    Ok::<_, hyper::Error>(answer())
                }
            });
            let io = TokioIo::new(io);
            tokio::spawn(async move {
                match http2 {
                    true => {
                        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        drop(server.serve_connection(io, handler).await);
                    }
                    false => {
                        let server = hyper::server::conn::http1::Builder::new();
                        drop(server.serve_connection(io, handler).await);
                    }
                }
            });
        }
    });
    (addr, requests)
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn frames(frames: Vec<Frame<Bytes>>) -> Body {
    BodyExt::boxed(StreamBody::new(stream::iter(frames.into_iter().map(Ok))))
}

fn ok() -> Response<Body> {
    Response::new(Full::from("ok").boxed())
}

/// Bytes that are not the same anywhere.
fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 255).unwrap())
        .collect()
}

async fn connect(addr: SocketAddr) -> TcpStream {
    let io = TcpStream::connect(addr).await.unwrap();
    io.set_nodelay(true).unwrap();
    io
}

async fn http2_client(addr: SocketAddr) -> hyper::client::conn::http2::SendRequest<Body> {
    let io = TokioIo::new(connect(addr).await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (client, connection) = handshake.await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

async fn head(io: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(LONGEST, event)
        .await
        .unwrap_or_else(|_| panic!("waited {LONGEST:?} for {what}"))
}
