//! Exchanges that have no end of their own: a WebSocket, event streams, a call of gRPC.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use super::{Gateway, Service, h2, raw, soon, tls};

/// A client's end of every kind of exchange that has no end of its own.
pub(crate) struct Streams {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    events: raw::Client,
    /// Each on an HTTP/2 connection that others use, too.
    events_h2: Response<Incoming>,
    grpc: Response<Incoming>,
    http2: SendRequest<h2::Body>,
}

impl Streams {
    /// Opens them at `HOST.localhost` and `ws.HOST.localhost`.
    pub(crate) async fn open(gateway: &Gateway, host: &str) -> Self {
        let socket = web_socket(gateway, &format!("ws.{host}.localhost"), &[]).await;
        Self::beside(socket.unwrap(), gateway, host, "").await
    }

    /// Opens all but the socket.
    pub(crate) async fn beside(
        socket: WebSocketStream<TlsStream<TcpStream>>,
        gateway: &Gateway,
        host: &str,
        cookie: &str,
    ) -> Self {
        let (host, port) = (format!("{host}.localhost"), gateway.https().port());
        let mut events = raw::Client::connect_tls(gateway, &host, &["http/1.1"]).await;
        events
            .send(format!(
                "GET /events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
            ))
            .await;
        let head = events.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut http2 = h2::connect_tls(gateway, &host).await;
        let url = gateway.url(&format!("https://{host}/events"));
        let request = Request::get(&url).header("cookie", cookie);
        let request = request.body(Empty::new().boxed()).unwrap();
        let events_h2 = soon("a head", http2.send_request(request)).await.unwrap();
        let grpc = call(&mut http2, &url, cookie).await;
        Self {
            socket,
            events,
            events_h2,
            grpc,
            http2,
        }
    }

    /// They carry what is sent.
    pub(crate) async fn go_on(&mut self, service: &Service) {
        service.send_event("still here");
        self.events.until("data: still here\n\n").await;
        for response in [&mut self.events_h2, &mut self.grpc] {
            let frame = soon("an event", response.frame()).await.unwrap().unwrap();
            assert_eq!(&*frame.into_data().unwrap(), b"data: still here\n\n");
        }
        let message = Message::text("ping");
        self.socket.send(message.clone()).await.unwrap();
        let back = soon("the echo", self.socket.next()).await.unwrap().unwrap();
        assert_eq!(back, message);
    }

    /// All of them end. An agent that goes takes its streams along, so that there may be nobody left to say why.
    pub(crate) async fn break_off(self) {
        let Self {
            mut socket,
            mut events,
            mut events_h2,
            grpc,
            mut http2,
        } = self;
        soon("the socket's end", async {
            while let Some(Ok(message)) = socket.next().await {
                assert!(message.is_close(), "{message:?}");
            }
        })
        .await;
        assert_eq!(events.rest().await, b"");
        let frame = soon("the stream's end", events_h2.frame()).await.unwrap();
        assert!(frame.is_err(), "{frame:?}");
        if let Ok(whole) = soon("the call's end", grpc.into_body().collect()).await {
            assert_eq!(whole.trailers().unwrap()["grpc-status"], "14");
        }
        soon("the connection", http2.ready()).await.unwrap();
    }

    /// All of them end, in their own way, with this reason; and their HTTP/2 connection goes on.
    pub(crate) async fn are_ended(self, reason: &str, grpc_status: &str) {
        let Self {
            mut socket,
            mut events,
            mut events_h2,
            grpc,
            mut http2,
        } = self;
        let last = soon("a close frame", socket.next()).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = last else {
            panic!("{last:?}");
        };
        assert_eq!((frame.code, &*frame.reason), (CloseCode::Policy, reason));
        // Without the last chunk.
        assert_eq!(events.rest().await, b"");
        let frame = soon("the stream's end", events_h2.frame()).await.unwrap();
        assert!(frame.is_err(), "{frame:?}");
        let trailers = trailers(grpc).await;
        assert_eq!(trailers["grpc-status"], grpc_status, "{trailers:?}");
        soon("the connection", http2.ready()).await.unwrap();
    }
}

/// A WebSocket at `/chat` of a host, or the status that its handshake is refused with.
pub(crate) async fn web_socket(
    gateway: &Gateway,
    host: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TlsStream<TcpStream>>, StatusCode> {
    let io = tls::connect(gateway, host, &["http/1.1"]).await.unwrap();
    let mut request = gateway
        .url(&format!("wss://{host}/chat"))
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match soon("a WebSocket handshake", client_async(request, io)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => Err(answer.status()),
        Err(error) => panic!("{error}"),
    }
}

/// A call of gRPC whose client goes on speaking.
pub(crate) async fn call(
    http2: &mut SendRequest<h2::Body>,
    url: &str,
    cookie: &str,
) -> Response<Incoming> {
    let (speak, said) = mpsc::unbounded_channel::<Bytes>();
    speak.send(Bytes::from_static(&[0; 5])).unwrap();
    // It holds its own sender, so that it does not end.
    let said = futures_util::stream::unfold((said, speak), |(mut said, speak)| async {
        let bytes = said.recv().await?;
        Some((Ok(Frame::data(bytes)), (said, speak)))
    });
    let request = grpc_request(url).header("cookie", cookie);
    let request = request.body(BodyExt::boxed(StreamBody::new(said))).unwrap();
    soon("a head", http2.send_request(request)).await.unwrap()
}

pub(crate) fn grpc_request(url: &str) -> hyper::http::request::Builder {
    Request::post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

pub(crate) async fn trailers(response: Response<Incoming>) -> HeaderMap {
    let whole = soon("the call's end", response.into_body().collect()).await;
    whole.unwrap().trailers().unwrap().clone()
}
