//! WebSockets through gateway and agent, with tokio-tungstenite at both ends.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::harness::{Agent, Gateway, RawService, pattern, raw, soon, tls};

/// A service that sends every message back. To the text `close CODE` it closes with that code.
pub(crate) struct Echo {
    pub(crate) addr: std::net::SocketAddr,
    /// What each closed connection said last.
    ended: mpsc::UnboundedReceiver<Option<CloseFrame>>,
    pub(crate) handshakes: mpsc::UnboundedReceiver<Vec<(String, String)>>,
    _task: JoinSet<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (end, ended) = mpsc::unbounded_channel();
        let (shake, handshakes) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut sockets = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                sockets.spawn(echo(tcp, shake.clone(), end.clone()));
            }
        });
        Self {
            addr,
            ended,
            handshakes,
            _task: task,
        }
    }
}

async fn echo(
    tcp: TcpStream,
    handshakes: mpsc::UnboundedSender<Vec<(String, String)>>,
    ended: mpsc::UnboundedSender<Option<CloseFrame>>,
) {
    // The signature is tungstenite's.
    #[allow(clippy::result_large_err)]
    let remember = |request: &Request, mut response: Response| {
        let headers = request.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        handshakes.send(headers.collect()).unwrap();
        if request.headers().contains_key("sec-websocket-protocol") {
            response
                .headers_mut()
                .insert("sec-websocket-protocol", "chat".parse().unwrap());
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(tcp, remember).await else {
        return;
    };
    let mut last = None;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) if text.starts_with("close ") => {
                let code: u16 = text.trim_start_matches("close ").parse().unwrap();
                let frame = CloseFrame {
                    code: CloseCode::from(code),
                    reason: "as you wish".into(),
                };
                socket.close(Some(frame)).await.unwrap();
            }
            Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
            Message::Close(frame) => last = frame,
            // Pings are answered by tungstenite itself.
            _ => {}
        }
    }
    // Nobody listens in the tests that do not ask how it ended.
    drop(ended.send(last));
}

async fn ws(gateway: &Gateway) -> WebSocketStream<TcpStream> {
    let tcp = TcpStream::connect(gateway.http()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    shake_hands(tcp, &gateway.url("ws://app.localhost/chat?x=1")).await
}

async fn wss(gateway: &Gateway) -> WebSocketStream<impl AsyncRead + AsyncWrite + Unpin> {
    let io = tls::connect(gateway, "app.localhost", &["http/1.1"])
        .await
        .unwrap();
    shake_hands(io, &gateway.url("wss://app.localhost/chat?x=1")).await
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(io: S, url: &str) -> WebSocketStream<S> {
    let (socket, response) = soon("a WebSocket handshake", client_async(url, io))
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    socket
}

async fn in_front_of(echo: &Echo) -> (Gateway, Agent) {
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(echo.addr)
        .url("https://app.localhost");
    let agent = agent.start().await;
    (gateway, agent)
}

async fn says_back<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    message: Message,
) {
    let returned = soon("the echo", async {
        socket.send(message.clone()).await.unwrap();
        socket.next().await.unwrap()
    })
    .await;
    let returned = returned.unwrap_or_else(|error| panic!("{} bytes: {error}", message.len()));
    assert!(
        returned == message,
        "{} bytes came back changed",
        message.len()
    );
}

async fn is_a_good_websocket<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    echo: &mut Echo,
) {
    says_back(&mut socket, Message::text("grüß dich")).await;
    says_back(&mut socket, Message::text("")).await;
    says_back(
        &mut socket,
        Message::Binary(Bytes::from_static(&[0, 1, 255])),
    )
    .await;
    says_back(&mut socket, Message::Binary(pattern(1 << 20))).await;
    says_back(&mut socket, Message::text("x".repeat(1 << 20))).await;
    let ping = Message::Ping(Bytes::from_static(b"are you there"));
    soon("a pong", async {
        socket.send(ping).await.unwrap();
        let pong = socket.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"are you there")));
    })
    .await;
    // Closed by the client: the service hears the code.
    let frame = CloseFrame {
        code: CloseCode::from(4001),
        reason: "enough".into(),
    };
    soon("the end", async {
        socket.close(Some(frame.clone())).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    assert_eq!(
        soon("the service's end", echo.ended.recv()).await.unwrap(),
        Some(frame)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_carries_every_kind_of_message() {
    let mut echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    is_a_good_websocket(ws(&gateway).await, &mut echo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wss_carries_every_kind_of_message() {
    let mut echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    is_a_good_websocket(wss(&gateway).await, &mut echo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_close_code_reaches_the_client() {
    let echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    for code in [1000, 1001, 1008, 4999] {
        let mut socket = wss(&gateway).await;
        let closed = soon("the close frame", async {
            socket
                .send(Message::text(format!("close {code}")))
                .await
                .unwrap();
            socket.next().await.unwrap().unwrap()
        })
        .await;
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: "as you wish".into(),
        };
        assert_eq!(closed, Message::Close(Some(frame)));
        let rest = soon("the connection's end", socket.next()).await;
        assert!(!matches!(rest, Some(Ok(_))), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_round_trips() {
    let echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    let mut socket = wss(&gateway).await;
    soon("1000 round trips", async {
        for n in 0..1000 {
            says_back(&mut socket, Message::text(n.to_string())).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_sockets_at_once_get_their_own_messages() {
    let echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(ws(&gateway).await);
    }
    let talks = sockets
        .iter_mut()
        .enumerate()
        .map(|(who, socket)| async move {
            for n in 0..20 {
                says_back(socket, Message::text(format!("{who} {n}"))).await;
            }
        });
    soon("all of them", futures_util::future::join_all(talks)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_sees_the_handshake_as_the_client_made_it() {
    let mut echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nHost: app.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, more\r\n\
             Origin: https://elsewhere.example\r\nCookie: a=b\r\n\r\n",
        )
        .await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(
        raw::header(&head, "sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(raw::header(&head, "sec-websocket-protocol"), Some("chat"));
    let seen = soon("the handshake", echo.handshakes.recv()).await.unwrap();
    let header = |name: &str| {
        seen.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(header("host"), Some("app.localhost"));
    assert_eq!(header("origin"), Some("https://elsewhere.example"));
    assert_eq!(header("cookie"), Some("a=b"));
    assert_eq!(header("x-forwarded-proto"), Some("http"));
    assert_eq!(
        header("upgrade").map(str::to_ascii_lowercase).as_deref(),
        Some("websocket")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_decline_to_switch() {
    let service =
        RawService::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, "no"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_ends_the_socket_at_the_service() {
    let mut echo = Echo::start().await;
    let (gateway, _agent) = in_front_of(&echo).await;
    let mut socket = ws(&gateway).await;
    says_back(&mut socket, Message::text("hello")).await;
    drop(socket);
    assert_eq!(
        soon("the service's end", echo.ended.recv()).await.unwrap(),
        None
    );
}

/// Regression: Pingora 0.9.1 took the end of the handshake for the end of the socket when the 101 was there first,
/// which on a busy machine was one in three hundred. Here it always is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_switch_before_it_has_read_the_handshake() {
    let service = RawService::start(|mut conn| async move {
        conn.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n").await;
        conn.write("first words").await;
        conn.head().await.unwrap();
        assert_eq!(conn.exactly(6).await.unwrap(), b"answer");
        conn.write("last words").await;
        conn.closed().await;
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    for _ in 0..50 {
        let mut client = raw::Client::connect(gateway.http()).await;
        client
            .send(
                "GET /chat HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await;
        client.until("first words").await;
        client.send("answer").await;
        client.until("last words").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_a_websocket_is_not_used_again() {
    let service = RawService::start(|mut conn| async move {
        while let Some(head) = conn.head().await {
            if head.contains("/chat") {
                conn.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n").await;
                conn.write("first words").await;
            } else {
                conn.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let gateway = Gateway::start().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    client.until("first words").await;
    drop(client);
    let answer = raw::send(
        gateway.http(),
        "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    )
    .await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(service.connections(), 2);
}
