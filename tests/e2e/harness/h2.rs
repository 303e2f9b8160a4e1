//! An HTTP/2 client that is not curl: many streams, trailers, bodies frame by frame.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Public, soon, tls};

/// A request's body.
pub(crate) type Body = BoxBody<Bytes, std::convert::Infallible>;

/// HTTP/2 over TLS, agreed by ALPN.
pub(crate) async fn connect_tls(gateway: &impl Public, sni: &str) -> SendRequest<Body> {
    let io = soon("a TLS handshake", tls::connect(gateway, sni, &["h2"]))
        .await
        .unwrap();
    assert_eq!(io.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    over(TokioIo::new(io)).await
}

/// HTTP/2 on the plain port, by prior knowledge.
pub(crate) async fn connect_plain(gateway: &impl Public) -> SendRequest<Body> {
    let tcp = TcpStream::connect(gateway.http()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    over(TokioIo::new(tcp)).await
}

async fn over(
    io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
) -> SendRequest<Body> {
    let (client, connection) = soon("an HTTP/2 handshake", handshake(TokioExecutor::new(), io))
        .await
        .unwrap();
    // Its end is seen by whoever uses the client.
    tokio::spawn(async move { drop(connection.await) });
    client
}
