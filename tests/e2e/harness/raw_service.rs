//! A service that follows a script, byte for byte, and keeps every byte it was sent.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::soon;

/// The answer that makes a WebSocket of a request with the key of RFC 6455's own example.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A listener whose connections each run the script.
pub(crate) struct RawService {
    addr: SocketAddr,
    received: Received,
    connections: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

type Received = Arc<Mutex<Vec<Vec<u8>>>>;

/// One connection in a script's hands. It closes when the script drops it.
pub(crate) struct RawConn {
    /// Which connection this is, from 0.
    pub(crate) index: usize,
    io: TcpStream,
    received: Received,
    unread: Vec<u8>,
}

// === impl RawService ===

impl RawService {
    /// One that agrees to every upgrade and sends back what it gets, four bytes at a time.
    pub(crate) async fn web_socket_echo() -> Self {
        Self::start(|mut conn| async move {
            conn.head().await;
            conn.write(SWITCHING).await;
            while let Some(message) = conn.exactly(4).await {
                conn.write(message).await;
            }
        })
        .await
    }

    /// Starts one; `script` runs for each connection.
    pub(crate) async fn start<F>(script: impl Fn(RawConn) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let received = Received::default();
        let (count, connections) = watch::channel(0);
        let mut task = JoinSet::new();
        let kept = Arc::clone(&received);
        task.spawn(async move {
            let mut running = JoinSet::new();
            for index in 0.. {
                let Ok((io, _)) = listener.accept().await else {
                    return;
                };
                io.set_nodelay(true).unwrap();
                kept.lock().unwrap().push(Vec::new());
                let received = Arc::clone(&kept);
                running.spawn(script(RawConn {
                    index,
                    io,
                    received,
                    unread: Vec::new(),
                }));
                count.send_replace(index + 1);
            }
        });
        Self {
            addr,
            received,
            connections,
            _task: task,
        }
    }

    /// Answers each request on each connection with the same bytes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut conn| {
            let answer = Arc::clone(&answer);
            async move {
                while conn.request().await.is_some() {
                    conn.write(&*answer).await;
                }
            }
        })
        .await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What each connection has sent so far, in the order in which they came.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    /// The same as text.
    pub(crate) fn received_text(&self) -> Vec<String> {
        self.received()
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

// === impl RawConn ===

impl RawConn {
    /// The next request's head with its empty line; `None` at the connection's end.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self
                .unread
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                let head: Vec<u8> = self.unread.drain(..at + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next request with its body, framed by content-length or chunks; `None` at the connection's end.
    pub(crate) async fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head().await?;
        let body = match super::raw::header(&head, "content-length").map(|n| n.parse().unwrap()) {
            Some(length) => self.exactly(length).await?,
            None if super::raw::header(&head, "transfer-encoding").is_some() => {
                self.chunked().await?
            }
            None => Vec::new(),
        };
        Some((head, body))
    }

    /// So many bytes; `None` if the connection ends before.
    pub(crate) async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    /// A chunked body up to its last chunk, put together.
    pub(crate) async fn chunked(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line().await?.split(';').next()?, 16).unwrap();
            body.extend(self.exactly(size).await?);
            assert_eq!(self.exactly(2).await?, b"\r\n", "after a chunk");
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Sends bytes. A peer that is gone takes them silently.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.io.write_all(bytes.as_ref()).await);
    }

    /// Waits for the other end to close; what it sends until then is kept in `received()`.
    pub(crate) async fn closed(&mut self) {
        soon("the connection to the service to end", async {
            while self.fill().await {}
        })
        .await;
    }

    async fn fill(&mut self) -> bool {
        let before = self.unread.len();
        let more = matches!(self.io.read_buf(&mut self.unread).await, Ok(1..));
        self.received.lock().unwrap()[self.index].extend(&self.unread[before..]);
        more
    }
}
