//! Clients and services without HTTP, and the ports that tests may take for tcp endpoints.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::soon;

/// Ports of one process of tests. Another one at the same time has others, most likely.
const PORTS: u16 = 100;

/// As many again, which gateways draw from.
const DRAWN: u16 = 100;

/// First and last port that a gateway of these tests has for tcp endpoints.
pub(crate) fn port_range() -> (u16, u16) {
    let processes = (32_000 - 10_000) / (PORTS + DRAWN);
    let process = u16::try_from(std::process::id() % u32::from(processes)).unwrap();
    let first = 10_000 + process * (PORTS + DRAWN);
    (first, first + PORTS + DRAWN - 1)
}

/// The part of them from which a gateway may draw, as an access list says it.
pub(crate) fn drawn() -> String {
    let (first, last) = port_range();
    format!("bind:tcp://:{}-{last}", first + PORTS)
}

/// A port that no other test has.
pub(crate) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(next < PORTS, "all ports of the tests are taken");
        let port = port_range().0 + next;
        if std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A port of this machine.
pub(crate) fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The port of a `tcp://` URL.
pub(crate) fn port_of(url: &str) -> u16 {
    assert!(url.starts_with("tcp://"), "{url}");
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// One end of a connection, a client's or a service's.
pub(crate) struct Bytes {
    pub(crate) io: TcpStream,
}

/// How a connection has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With these bytes before.
    Properly(Vec<u8>),
    /// By a reset.
    Broken,
}

// === impl Bytes ===

impl Bytes {
    pub(crate) async fn connect(port: u16) -> Self {
        let io = TcpStream::connect(at(port)).await.unwrap();
        io.set_nodelay(true).unwrap();
        Self { io }
    }

    /// From another address of this machine.
    pub(crate) async fn connect_from(from: [u8; 4], port: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let io = socket.connect(at(port)).await?;
        Ok(Self { io })
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let saying = self.io.write_all(bytes.as_ref());
        soon("bytes to be taken", saying).await.unwrap();
    }

    /// These bytes come back.
    pub(crate) async fn echo(&mut self, text: &str) {
        self.say(text).await;
        assert_eq!(self.hear(text.len()).await, text.as_bytes());
    }

    /// The service says its name, and these bytes come back.
    pub(crate) async fn echo_after(&mut self, name: &str, text: &str) {
        assert_eq!(self.hear(name.len()).await, name.as_bytes());
        self.echo(text).await;
    }

    /// So many bytes.
    pub(crate) async fn hear(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        soon("bytes", self.io.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Ends its own half.
    pub(crate) async fn finish(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// Everything up to the end of the other half, and what that end is.
    pub(crate) async fn end(&mut self) -> Ended {
        let mut bytes = Vec::new();
        match soon("the end", self.io.read_to_end(&mut bytes)).await {
            Ok(_) => Ended::Properly(bytes),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ended::Broken,
            Err(error) => panic!("{error}"),
        }
    }

    /// Breaks it.
    pub(crate) fn reset(self) {
        self.io.set_zero_linger().unwrap();
    }
}

/// A service whose connections each run a script.
pub(crate) struct ByteService {
    pub(crate) addr: SocketAddr,
    connections: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

impl ByteService {
    pub(crate) async fn start<F>(script: impl Fn(Bytes) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (count, connections) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((io, _)) = listener.accept().await {
                io.set_nodelay(true).unwrap();
                running.spawn(script(Bytes { io }));
                count.send_modify(|count| *count += 1);
            }
        });
        Self {
            addr,
            connections,
            _task: task,
        }
    }

    /// Says its name, then everything again that it hears; ends when its client does.
    pub(crate) async fn echo(name: &'static str) -> Self {
        Self::start(move |mut conn| async move {
            conn.say(name).await;
            let (mut read, mut write) = conn.io.split();
            // A client that breaks off ends it.
            if tokio::io::copy(&mut read, &mut write).await.is_ok() {
                drop(write.shutdown().await);
            }
        })
        .await
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits for so many.
    pub(crate) async fn connected(&mut self, wanted: usize) {
        let arrived = self.connections.wait_for(|count| *count >= wanted);
        soon("a connection to the service", arrived).await.unwrap();
    }
}

/// How a connection ends that is not served: perhaps before its client knows that it has begun.
pub(crate) async fn turned_away(port: u16) -> Ended {
    match TcpStream::connect(at(port)).await {
        Ok(io) => Bytes { io }.end().await,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ended::Broken,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until nobody listens on a port.
pub(crate) async fn closed(port: u16) {
    soon("the port to be closed", async {
        while TcpStream::connect(at(port)).await.is_ok() {}
    })
    .await;
}
