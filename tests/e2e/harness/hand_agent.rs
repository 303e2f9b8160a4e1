//! An agent written by hand on the wire crate: it says what a real one never would, and counts what it is sent.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use adit_wire::{
    Incoming, Lane, Pulse, Side, Stream, control, frame, lane,
    limits::{GREETING_FRAME, OLDEST_VERSION, OPEN_FRAME, VERSION},
    message::{
        AgentMessage, Answer, EndpointSpec, GatewayMessage, Greeting, Hello, OpenRequest,
        OpenResult, Refused, Token, Welcome,
    },
};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Gateway, soon, tls};

/// A connection to the gateway on which nothing was said yet.
pub(crate) type Line = TlsStream<TcpStream>;

/// TLS with the protocols an agent offers, from an address of this machine.
pub(crate) async fn dial_from(gateway: &Gateway, from: IpAddr) -> std::io::Result<Line> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let tcp = socket.connect(gateway.https()).await?;
    tcp.set_nodelay(true)?;
    let config = tls::config(gateway, &["adit/1", "adit-lane/0"]);
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// The same from the usual address.
pub(crate) async fn dial(gateway: &Gateway) -> Line {
    dial_from(gateway, Ipv4Addr::LOCALHOST.into())
        .await
        .unwrap()
}

/// A greeting that is right in every field.
pub(crate) fn hello(token: &str, agent_id: &str, epoch: u64) -> Hello {
    Hello {
        versions: (OLDEST_VERSION, VERSION),
        token: Token::new(token),
        agent_id: agent_id.into(),
        epoch,
        client: "by hand".into(),
        metadata: String::new(),
    }
}

/// Says a greeting and hears the answer.
pub(crate) async fn greet(line: &mut Line, greeting: &Greeting) -> Answer {
    frame::write(line, greeting, GREETING_FRAME).await.unwrap();
    soon("an answer", frame::read(line, GREETING_FRAME))
        .await
        .unwrap()
}

/// What an agent asks for, with nothing but a name and a URL.
pub(crate) fn spec(url: &str) -> EndpointSpec {
    EndpointSpec {
        name: "web".into(),
        url: url.into(),
        weight: 100,
        ..EndpointSpec::default()
    }
}

/// A session of one lane. Dropping it breaks the connection.
pub(crate) struct HandAgent {
    pub(crate) lane: Lane,
    pub(crate) welcome: Welcome,
    incoming: Option<Incoming>,
    driving: JoinHandle<()>,
    said: mpsc::Sender<AgentMessage>,
    answers: Answers,
    request: u64,
}

type BindAnswer = Result<(u64, String), Refused>;

/// Binds that wait for their answer.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<HashMap<u64, oneshot::Sender<BindAnswer>>>>);

impl HandAgent {
    /// A session of the gateway's usual agent.
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        Self::begin(gateway, hello(&gateway.token(), "by-hand", 1))
            .await
            .unwrap()
    }

    /// A session as the greeting wants it.
    pub(crate) async fn begin(gateway: &Gateway, hello: Hello) -> Result<Self, Refused> {
        let mut line = dial(gateway).await;
        match greet(&mut line, &Greeting::Hello(hello)).await {
            Answer::Welcome(welcome) => Ok(Self::stand(line, welcome).await),
            Answer::Refused(refused) => Err(refused),
            Answer::Joined => panic!("nothing was to be joined"),
        }
    }

    async fn stand(line: Line, welcome: Welcome) -> Self {
        let (lane, incoming, driver) = lane(line, Side::Agent);
        let driving = tokio::spawn(async { drop(driver.await) });
        let stream = lane.open().await.unwrap();
        let (said, outgoing) = mpsc::channel(8);
        let (heard, hearing) = mpsc::channel(8);
        let heartbeat = welcome.heartbeat;
        let answers = Answers::default();
        let answering = answers.clone();
        tokio::spawn(async move {
            let pulse = Pulse::new();
            tokio::select! {
                _ = control::<GatewayMessage, AgentMessage>(stream, heartbeat, &pulse, outgoing, heard) => {}
                () = answering.give(hearing) => {}
            }
        });
        Self {
            lane,
            welcome,
            incoming: Some(incoming),
            driving,
            said,
            answers,
            request: 0,
        }
    }

    /// Asks for a URL.
    pub(crate) async fn bind(&mut self, url: &str) -> BindAnswer {
        self.bind_spec(spec(url)).await
    }

    /// Asks for an endpoint.
    pub(crate) async fn bind_spec(&mut self, endpoint: EndpointSpec) -> BindAnswer {
        self.request += 1;
        let (answer, answered) = oneshot::channel();
        self.answers.0.lock().unwrap().insert(self.request, answer);
        self.say(AgentMessage::Bind {
            request: self.request,
            endpoint: Box::new(endpoint),
        })
        .await;
        soon("the answer to a bind", answered).await.unwrap()
    }

    /// Asks for another policy of an endpoint.
    pub(crate) async fn update(&mut self, endpoint: u64, policy: &str) -> Result<(), Refused> {
        self.request += 1;
        let (answer, answered) = oneshot::channel();
        self.answers.0.lock().unwrap().insert(self.request, answer);
        self.say(AgentMessage::Update {
            request: self.request,
            endpoint,
            traffic_policy: Some(policy.into()),
        })
        .await;
        let answer = soon("the answer to an update", answered).await.unwrap();
        answer.map(drop)
    }

    /// Says anything.
    pub(crate) async fn say(&self, message: AgentMessage) {
        self.said.send(message).await.unwrap();
    }

    /// The next stream of the gateway's, told that its service is being dialled.
    pub(crate) async fn accept(&mut self) -> (OpenRequest, Stream) {
        let incoming = self.incoming.as_mut().unwrap();
        let mut stream = soon("a stream", incoming.accept()).await.unwrap();
        let request = dialing(&mut stream).await;
        (request, stream)
    }

    /// The same, told that its service is connected: what follows is the service's.
    pub(crate) async fn accept_open(&mut self) -> Stream {
        let (_, mut stream) = self.accept().await;
        open(&mut stream).await;
        stream
    }

    /// Answers every request of every stream with `name`, a space and its path.
    pub(crate) fn serve(&mut self, name: &'static str) {
        let mut incoming = self.incoming.take().unwrap();
        tokio::spawn(async move {
            while let Some(stream) = incoming.accept().await {
                tokio::spawn(answer_all(stream, name));
            }
        });
    }

    /// Ends the connection as a pulled plug does.
    pub(crate) fn cut(&self) {
        self.driving.abort();
    }
}

impl Drop for HandAgent {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Reads what a stream is for and says that it was seen.
pub(crate) async fn dialing(stream: &mut Stream) -> OpenRequest {
    let request = frame::read(stream, OPEN_FRAME).await.unwrap();
    frame::write(stream, &OpenResult::Dialing, OPEN_FRAME)
        .await
        .unwrap();
    request
}

/// Says that the service is connected.
pub(crate) async fn open(stream: &mut Stream) {
    frame::write(stream, &OpenResult::Open, OPEN_FRAME)
        .await
        .unwrap();
}

async fn answer_all(mut stream: Stream, name: &'static str) {
    dialing(&mut stream).await;
    open(&mut stream).await;
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| async move {
        let text = format!("{name} {}", request.uri().path());
        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(text))))
    });
    // It ends with the stream, however that ends.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer)
            .await,
    );
}

impl Answers {
    async fn give(&self, mut hearing: mpsc::Receiver<GatewayMessage>) {
        while let Some(message) = hearing.recv().await {
            let (request, answer) = match message {
                GatewayMessage::Bound {
                    request,
                    endpoint,
                    url,
                } => (request, Ok((endpoint, url))),
                GatewayMessage::BindRefused { request, refused } => (request, Err(refused)),
                GatewayMessage::Updated { request } => (request, Ok((0, String::new()))),
                GatewayMessage::UpdateRefused { request, refused } => (request, Err(refused)),
                _ => continue,
            };
            if let Some(waiting) = self.0.lock().unwrap().remove(&request) {
                // The test may have stopped waiting.
                drop(waiting.send(answer));
            }
        }
    }
}
