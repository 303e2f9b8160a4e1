//! A gateway in miniature, over real TLS, that does what a test tells it to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use adit_wire::{
    Incoming, Lane, Pulse, Side, control, frame, lane,
    limits::{ALPN, GREETING_FRAME, OPEN_FRAME, VERSION},
    message::{
        AgentMessage, Answer, EndpointSpec, GatewayMessage, Greeting, Heartbeat, Hello,
        OpenRequest, OpenResult, Protocol, RefusalCode, Refused, Token, Welcome,
    },
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Agent, AgentBuilder, ConnectCas, Event};

/// A certificate for `localhost` that is its own authority, and a server's settings with it.
pub(crate) fn certificate(alpn: &[&[u8]]) -> (Certificate, ServerConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (
        Certificate {
            der: certificate,
            pem: made.cert.pem(),
        },
        config,
    )
}

pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
}

pub(crate) struct MiniGateway {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
}

/// An agent that has said its greeting and waits for the answer.
pub(crate) struct Greeted {
    pub(crate) io: TlsStream<TcpStream>,
    pub(crate) greeting: Greeting,
}

/// One lane, from the gateway's end.
pub(crate) struct Peer {
    pub(crate) lane: Lane,
    _incoming: Incoming,
    pub(crate) driving: JoinHandle<()>,
    say: mpsc::Sender<GatewayMessage>,
    heard: mpsc::Receiver<AgentMessage>,
}

impl MiniGateway {
    pub(crate) async fn start() -> Self {
        let (certificate, config) = certificate(&[ALPN]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: certificate.der,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// An agent that knows this gateway and does not wait long between tries.
    pub(crate) fn agent(&self) -> AgentBuilder {
        Agent::builder()
            .connect_url(format!("localhost:{}", self.address().port()))
            .connect_cas(ConnectCas::Certificates(vec![self.certificate.clone()]))
            .authtoken("adit_hidden")
            .wait_for_first(false)
            .backoff(Duration::from_millis(1), Duration::from_millis(2))
    }

    pub(crate) async fn accept_tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(tcp).await
    }

    pub(crate) async fn greeted(&self) -> Greeted {
        let mut io = self.accept_tls().await.unwrap();
        let greeting = frame::read(&mut io, GREETING_FRAME).await.unwrap();
        Greeted { io, greeting }
    }

    /// The next session, on the usual terms.
    pub(crate) async fn session(&self) -> (Hello, Peer) {
        let greeted = self.greeted().await;
        let hello = greeted.hello();
        (hello, greeted.welcome(terms()).await)
    }
}

/// The usual terms: one lane.
pub(crate) fn terms() -> Welcome {
    Welcome {
        version: VERSION,
        session: 42,
        lanes: 1,
        join_key: Token::new("join"),
        heartbeat: Heartbeat {
            interval_ms: 50,
            dead_after_ms: 10_000,
        },
        server: "mini/1".into(),
    }
}

pub(crate) fn refusal(code: RefusalCode, retryable: bool) -> Refused {
    Refused {
        code,
        reason: format!("{code:?}"),
        retryable,
    }
}

impl Greeted {
    pub(crate) fn hello(&self) -> Hello {
        match &self.greeting {
            Greeting::Hello(hello) => hello.clone(),
            Greeting::Join(join) => panic!("hello expected, not {join:?}"),
        }
    }

    pub(crate) async fn answer(&mut self, answer: Answer) {
        frame::write(&mut self.io, &answer, GREETING_FRAME)
            .await
            .unwrap();
    }

    pub(crate) async fn welcome(mut self, terms: Welcome) -> Peer {
        let heartbeat = terms.heartbeat;
        self.answer(Answer::Welcome(terms)).await;
        self.stand(heartbeat).await
    }

    pub(crate) async fn joined(mut self) -> Peer {
        self.answer(Answer::Joined).await;
        self.stand(terms().heartbeat).await
    }

    async fn stand(self, heartbeat: Heartbeat) -> Peer {
        let (lane, mut incoming, driver) = lane(self.io, Side::Gateway);
        let driving = tokio::spawn(async { drop(driver.await) });
        let stream = incoming.accept().await.unwrap();
        let (say, said) = mpsc::channel(8);
        let (hear, heard) = mpsc::channel(8);
        tokio::spawn(async move {
            control::<AgentMessage, GatewayMessage>(stream, heartbeat, &Pulse::new(), said, hear)
                .await
        });
        Peer {
            lane,
            _incoming: incoming,
            driving,
            say,
            heard,
        }
    }
}

impl Peer {
    pub(crate) async fn hear(&mut self) -> Option<AgentMessage> {
        self.heard.recv().await
    }

    pub(crate) async fn say(&self, message: GatewayMessage) {
        self.say.send(message).await.unwrap();
    }

    /// The endpoint that the agent asks for next.
    pub(crate) async fn asked(&mut self) -> (u64, EndpointSpec) {
        match self.hear().await {
            Some(AgentMessage::Bind { request, endpoint }) => (request, *endpoint),
            other => panic!("bind expected, not {other:?}"),
        }
    }

    pub(crate) async fn grant(&mut self, endpoint: u64, url: &str) -> EndpointSpec {
        let (request, spec) = self.asked().await;
        self.say(GatewayMessage::Bound {
            request,
            endpoint,
            url: url.into(),
        })
        .await;
        spec
    }

    /// A stream that was seen.
    pub(crate) async fn open(&self, endpoint: u64) -> adit_wire::Stream {
        self.open_as(endpoint, Protocol::Http1).await
    }

    pub(crate) async fn open_as(&self, endpoint: u64, protocol: Protocol) -> adit_wire::Stream {
        let mut stream = self.lane.open().await.unwrap();
        frame::write(&mut stream, &OpenRequest { endpoint, protocol }, OPEN_FRAME)
            .await
            .unwrap();
        assert_eq!(result(&mut stream).await, OpenResult::Dialing);
        stream
    }

    /// Ends the connection as a pulled plug does.
    pub(crate) fn cut(&self) {
        self.driving.abort();
    }
}

pub(crate) async fn result(stream: &mut adit_wire::Stream) -> OpenResult {
    frame::read(stream, OPEN_FRAME).await.unwrap()
}

/// The next event that `pick` wants.
pub(crate) async fn event<T>(
    events: &mut tokio::sync::broadcast::Receiver<Event>,
    pick: impl Fn(&Event) -> Option<T>,
) -> T {
    loop {
        if let Some(picked) = pick(&events.recv().await.unwrap()) {
            return picked;
        }
    }
}

/// An address where nothing listens, kept from others for as long as the socket is held.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A service that answers each connection with all it was sent, once that has ended.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                tcp.read_to_end(&mut all).await.unwrap();
                tcp.write_all(&all).await.unwrap();
            });
        }
    });
    address
}
