//! A client of the plain port that keeps its connection: HTTP/1.1, or HTTP/2 with many requests at once.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::soon;

/// One HTTP/1.1 connection.
pub(crate) struct Visitor(http1::SendRequest<Empty<Bytes>>);

/// One HTTP/2 connection; clones share it.
#[derive(Clone)]
pub(crate) struct Visitor2(http2::SendRequest<Empty<Bytes>>);

impl Visitor {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).await.unwrap()
    }

    /// The same where perhaps nobody listens.
    pub(crate) async fn try_connect(to: SocketAddr) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(to).await?;
        tcp.set_nodelay(true)?;
        let (send, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        Ok(Self(send))
    }

    /// The response's head; its body is still to be read.
    pub(crate) async fn get(
        &mut self,
        host: &str,
        path: &str,
    ) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        let request = Request::get(path)
            .header("host", host)
            .body(Empty::new())
            .unwrap();
        self.0.send_request(request).await
    }

    /// Status and body of a whole response.
    pub(crate) async fn text(&mut self, host: &str, path: &str) -> (u16, String) {
        whole(self.get(host, path).await.unwrap()).await.unwrap()
    }
}

impl Visitor2 {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let tcp = TcpStream::connect(to).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let made = http2::Builder::new(TokioExecutor::new())
            .initial_max_send_streams(100)
            .handshake(TokioIo::new(tcp))
            .await;
        let (send, connection) = made.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    /// Status and body of a whole response.
    pub(crate) async fn text(&self, host: &str, path: &str) -> hyper::Result<(u16, String)> {
        let mut send = self.0.clone();
        send.ready().await?;
        let request = Request::get(format!("http://{host}{path}"))
            .body(Empty::new())
            .unwrap();
        whole(send.send_request(request).await?).await
    }
}

/// Status and body; an error if the body is not whole.
pub(crate) async fn whole(response: Response<Incoming>) -> hyper::Result<(u16, String)> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// One request on a connection of its own.
pub(crate) async fn visit(to: SocketAddr, host: &str, path: &str) -> (u16, String) {
    Visitor::connect(to).await.text(host, path).await
}

/// Asks again, some fifty times a second, until the answer is `wanted`.
pub(crate) async fn until(to: SocketAddr, host: &str, wanted: u16) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if visit(to, host, "/").await.0 == wanted {
                return;
            }
        }
    };
    soon(&format!("{host} answers {wanted}"), asking).await;
}
