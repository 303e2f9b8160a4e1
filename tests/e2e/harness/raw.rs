//! A client that sends exactly the bytes it is given, over TCP or TLS, and reads answers without kindness.

use std::{fmt, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{Public, soon, tls};

/// An answer as it stood on the wire.
pub(crate) struct RawAnswer {
    /// 0 if no answer came.
    pub(crate) status: u16,
    /// From the status line to the last header, without the empty line.
    pub(crate) head: String,
    /// Without its chunk sizes.
    pub(crate) body: Vec<u8>,
    /// The connection ended with or inside this answer.
    pub(crate) closed: bool,
}

/// One connection.
pub(crate) struct Client {
    io: Box<dyn Io>,
    /// Read but not yet part of an answer.
    pub(crate) unread: Vec<u8>,
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Sends bytes on a connection of their own and reads one answer.
pub(crate) async fn send(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> RawAnswer {
    let mut client = Client::connect(addr).await;
    client.send(bytes).await;
    client.answer().await
}

/// The same over TLS with this server name, HTTP/1.1.
pub(crate) async fn send_tls(
    gateway: &impl Public,
    sni: &str,
    bytes: impl AsRef<[u8]>,
) -> RawAnswer {
    let mut client = Client::connect_tls(gateway, sni, &["http/1.1"]).await;
    client.send(bytes).await;
    client.answer().await
}

/// The first header of a name, in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

// === impl RawAnswer ===

impl fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        let Self { head, closed, .. } = self;
        write!(
            f,
            "{head}\n\n{body}\n[{} bytes, closed: {closed}]",
            self.body.len()
        )
    }
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self::over(tcp)
    }

    /// TLS to the gateway's public port.
    pub(crate) async fn connect_tls(gateway: &impl Public, sni: &str, alpn: &[&str]) -> Self {
        Self::over(
            soon("a TLS handshake", tls::connect(gateway, sni, alpn))
                .await
                .unwrap(),
        )
    }

    /// Any stream to a gateway.
    pub(crate) fn over(io: impl Io + 'static) -> Self {
        Self {
            io: Box::new(io),
            unread: Vec::new(),
        }
    }

    /// Sends bytes. A connection that the other end has closed meanwhile takes them silently.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.try_send(bytes).await);
    }

    /// Sends bytes, and says if that is not possible any more.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        soon("bytes to be taken", async {
            self.io.write_all(bytes.as_ref()).await?;
            self.io.flush().await
        })
        .await
    }

    /// Sends bytes; `false` if they are not all taken within a second, which is what a full pipe looks like.
    pub(crate) async fn try_send_now(&mut self, bytes: &[u8]) -> bool {
        let sent = tokio::time::timeout(Duration::from_secs(1), self.io.write_all(bytes)).await;
        matches!(sent, Ok(Ok(())))
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        drop(self.io.shutdown().await);
    }

    /// The next answer, interim ones included.
    pub(crate) async fn answer(&mut self) -> RawAnswer {
        self.answer_to("GET").await
    }

    /// The next answer to a request of this method; that to HEAD has no body.
    pub(crate) async fn answer_to(&mut self, method: &str) -> RawAnswer {
        soon("an answer", self.read_answer(method)).await
    }

    /// The next head, without its body.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let end = soon(
            "a head",
            self.fill_until(|unread| find(unread, b"\r\n\r\n")),
        )
        .await?;
        let head: Vec<u8> = self.unread.drain(..end + 4).take(end).collect();
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// The next piece of whatever comes; empty at the end.
    pub(crate) async fn piece(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            soon("more bytes", self.fill()).await;
        }
        std::mem::take(&mut self.unread)
    }

    /// Everything up to and including `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        let found = soon(
            mark,
            self.fill_until(|unread| find(unread, mark.as_bytes())),
        )
        .await;
        let end = found.unwrap_or_else(|| {
            panic!(
                "ended before {mark:?}: {:?}",
                String::from_utf8_lossy(&self.unread)
            )
        });
        let bytes: Vec<u8> = self.unread.drain(..end + mark.len()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// So many bytes, read and thrown away; their digest. `None` if the connection ends before.
    pub(crate) async fn digest(&mut self, length: usize) -> Option<String> {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let mut left = length;
        loop {
            let n = left.min(self.unread.len());
            digest.update(&self.unread[..n]);
            self.unread.drain(..n);
            left -= n;
            if left == 0 {
                return Some(super::hex(digest.finish().as_ref()));
            }
            self.unread.reserve(64 * 1024);
            if !soon("more bytes", self.fill()).await {
                return None;
            }
        }
    }

    /// Everything until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        soon("the connection's end", async { while self.fill().await {} }).await;
        std::mem::take(&mut self.unread)
    }

    async fn read_answer(&mut self, method: &str) -> RawAnswer {
        let Some(head) = self.head().await else {
            let body = std::mem::take(&mut self.unread);
            return RawAnswer {
                status: 0,
                head: String::new(),
                body,
                closed: true,
            };
        };
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        let (body, closed) = if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            (Vec::new(), false)
        } else if header(&head, "transfer-encoding").is_some() {
            self.chunked().await
        } else if let Some(length) = header(&head, "content-length").and_then(|n| n.parse().ok()) {
            let whole = self
                .fill_until(|unread| (unread.len() >= length).then_some(length))
                .await;
            let have = whole.unwrap_or(self.unread.len());
            (self.unread.drain(..have).collect(), whole.is_none())
        } else {
            while self.fill().await {}
            (std::mem::take(&mut self.unread), true)
        };
        RawAnswer {
            status,
            head,
            body,
            closed,
        }
    }

    async fn chunked(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(end) = self.fill_until(|unread| find(unread, b"\r\n")).await else {
                return (body, true);
            };
            let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .unwrap_or_else(|_| panic!("not a chunk size: {line:?}"));
            let Some(end) = self
                .fill_until(|unread| (unread.len() >= size + 2).then_some(size))
                .await
            else {
                body.append(&mut self.unread);
                return (body, true);
            };
            body.extend(self.unread.drain(..end));
            self.unread.drain(..2);
            if size == 0 {
                return (body, false);
            }
        }
    }

    async fn fill_until(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        loop {
            if let Some(at) = found(&self.unread) {
                return Some(at);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads more; `false` at the end, which a reset is, too.
    async fn fill(&mut self) -> bool {
        matches!(self.io.read_buf(&mut self.unread).await, Ok(1..))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
