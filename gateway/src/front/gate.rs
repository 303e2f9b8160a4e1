//! The gate in front of the HTTP parser: a request head passes whole, checked and in time, or not at all.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::head::{self, HeadLimits, Refusal};

/// What an HTTP/2 client says first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One read while a head is incomplete.
const READ: usize = 4 * 1024;

/// How long, and for how many bytes, a refused client is still listened to: closing on unread bytes
/// would reset the connection before the client has read its answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Says when the next bytes are a request head: at the connection's start and after each exchange.
#[derive(Debug, Clone)]
pub(crate) struct HeadSwitch(Arc<AtomicU8>);

/// The next bytes are a head.
const HEAD: u8 = 0;
/// An exchange runs.
const EXCHANGE: u8 = 1;
/// HTTP/2: there are no HTTP/1 heads on this connection.
const HTTP2: u8 = 2;

impl HeadSwitch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(HEAD)))
    }

    /// The exchange has ended: on HTTP/1, what comes next is a head.
    pub(crate) fn exchange_ended(&self) {
        if self.0.load(Ordering::Relaxed) == EXCHANGE {
            self.0.store(HEAD, Ordering::Relaxed);
        }
    }

    /// The connection speaks HTTP/2.
    pub(crate) fn is_http2(&self) {
        self.0.store(HTTP2, Ordering::Relaxed);
    }

    fn exchange_begins(&self) {
        self.0.store(EXCHANGE, Ordering::Relaxed);
    }

    fn expects_head(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEAD
    }

    fn expects_frames(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HTTP2
    }
}

/// What the gate enforces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateRules {
    pub(crate) head: HeadLimits,
    /// From a head's first byte to its last.
    pub(crate) head_timeout: Duration,
    /// For the first byte of a connection.
    pub(crate) first_byte_timeout: Duration,
}

/// The gate's state for one connection.
#[derive(Debug)]
pub(crate) struct Gate {
    switch: HeadSwitch,
    rules: GateRules,
    /// Bytes read but not handed on: an incomplete head, or the rest of a checked one.
    held: Vec<u8>,
    /// How many of the held bytes have been handed on.
    passed: usize,
    /// How many of the held bytes were searched for the head's end.
    searched: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    first: bool,
    refusal: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    bytes: Vec<u8>,
    sent: usize,
    linger: Option<Pin<Box<Sleep>>>,
    thrown_away: usize,
}

impl Gate {
    pub(crate) fn new(switch: HeadSwitch, rules: GateRules) -> Self {
        Self {
            switch,
            rules,
            held: Vec::new(),
            passed: 0,
            searched: 0,
            deadline: None,
            first: true,
            refusal: None,
        }
    }

    /// Whether the connection speaks HTTP/2.
    pub(crate) fn expects_frames(&self) -> bool {
        self.switch.expects_frames()
    }

    /// Whether a request may begin and nothing of it has come.
    pub(super) fn is_idle(&self) -> bool {
        self.switch.expects_head() && self.held.is_empty() && self.refusal.is_none()
    }

    /// Whether the connection was refused: nothing more may be written by anyone else.
    pub(crate) fn is_shut(&self) -> bool {
        self.refusal.is_some()
    }

    /// Reads what may be read: anything while an exchange runs, a checked head otherwise.
    pub(crate) fn poll_read<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.refusal.is_some() {
                return self.poll_refuse(io, cx);
            }
            if self.first && self.switch.expects_frames() {
                ready!(self.poll_preface(io, cx))?;
            }
            if !self.switch.expects_head() {
                return self.poll_pass(io, cx, out);
            }
            if self.held.is_empty() && out.remaining() >= READ {
                ready!(self.poll_fast(io, cx, out))?;
            } else {
                let got = ready!(self.poll_fill(io, cx))?;
                match (got, &self.refusal) {
                    (_, Some(_)) => continue,
                    (0, None) => return Poll::Ready(Ok(())),
                    (_, None) => self.judge(),
                }
            }
            if !out.filled().is_empty() || self.held.is_empty() && self.refusal.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Waits for `preface`; stops at the first byte that differs. Nothing is consumed.
    pub(crate) fn poll_starts_with<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        preface: &[u8],
    ) -> Poll<io::Result<bool>> {
        loop {
            let seen = self.held.len().min(preface.len());
            if self.held.get(..seen) != preface.get(..seen) {
                self.judge();
                return Poll::Ready(Ok(false));
            }
            if seen == preface.len() {
                self.switch.is_http2();
                self.deadline = None;
                self.first = false;
                return Poll::Ready(Ok(true));
            }
            if ready!(self.poll_fill(io, cx))? == 0 || self.refusal.is_some() {
                return Poll::Ready(Ok(false));
            }
        }
    }

    /// HTTP/2 as agreed in the TLS handshake: the deadlines of a head hold for its first bytes too, and
    /// nothing is said to who breaks them, since no HTTP/2 client could read it.
    fn poll_preface<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(self.poll_starts_with(io, cx, PREFACE))? {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }

    /// The usual case: the whole head comes with one read and is checked where it lies.
    fn poll_fast<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if Pin::new(io).poll_read(cx, out)?.is_pending() {
            return self.poll_deadline(cx).map(Ok);
        }
        let fresh = out.filled().get(before..).unwrap_or_default();
        if let Some(end) = head::end(fresh, 0)
            && head::check(fresh.get(..end).unwrap_or_default(), &self.rules.head).is_ok()
        {
            self.let_through();
        } else {
            self.hold(before, out);
            self.judge();
        }
        Poll::Ready(Ok(()))
    }

    /// Adds to the held bytes; 0 at the connection's end. A deadline that passes is a refusal.
    fn poll_fill<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut space = [std::mem::MaybeUninit::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut space);
        if Pin::new(io).poll_read(cx, &mut read)?.is_pending() {
            return self.poll_deadline(cx).map(|()| Ok(self.held.len()));
        }
        let got = read.filled().len();
        self.hold(0, &mut read);
        Poll::Ready(Ok(got))
    }

    /// Takes what was read after `before` back from the reader.
    fn hold(&mut self, before: usize, read: &mut ReadBuf<'_>) {
        if self.held.is_empty() {
            // The deadline for the first byte is over, the one for the whole head begins.
            self.deadline = None;
        }
        self.held
            .extend_from_slice(read.filled().get(before..).unwrap_or_default());
        read.set_filled(before);
    }

    /// Looks for the head's end in what is held, and decides.
    fn judge(&mut self) {
        match head::end(&self.held, self.searched) {
            Some(end) => {
                match head::check(self.held.get(..end).unwrap_or_default(), &self.rules.head) {
                    Ok(()) => self.let_through(),
                    Err(refusal) => self.refuse(refusal),
                }
            }
            None if self.held.len() > self.rules.head.bytes => self.refuse(Refusal::TooLarge),
            None => self.searched = self.held.len(),
        }
    }

    fn let_through(&mut self) {
        self.switch.exchange_begins();
        self.searched = 0;
        self.deadline = None;
        self.first = false;
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.held = Vec::new();
        self.deadline = None;
        self.refusal = Some(Answer {
            bytes: refusal.response(),
            sent: 0,
            linger: None,
            thrown_away: 0,
        });
    }

    fn poll_pass<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(io).poll_read(cx, out);
        }
        let rest = self.held.get(self.passed..).unwrap_or_default();
        let n = rest.len().min(out.remaining());
        out.put_slice(rest.get(..n).unwrap_or_default());
        self.passed += n;
        if self.passed == self.held.len() {
            self.held = Vec::new();
            self.passed = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the head has taken too long; the refusal is then in place. An idle connection
    /// has no deadline here: its keep-alive time-out is the HTTP layer's.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.is_empty() && !self.first {
            return Poll::Pending;
        }
        let allowed = match self.held.is_empty() {
            true => self.rules.first_byte_timeout,
            false => self.rules.head_timeout,
        };
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep(allowed)));
        ready!(deadline.as_mut().poll(cx));
        self.refuse(Refusal::TooSlow);
        Poll::Ready(())
    }

    /// Writes the refusal, lets the client read it, then reports the connection's end.
    fn poll_refuse<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(answer) = &mut self.refusal else {
            return Poll::Ready(Ok(()));
        };
        while let Some(rest) = answer
            .bytes
            .get(answer.sent..)
            .filter(|rest| !rest.is_empty())
        {
            answer.sent += ready!(Pin::new(&mut *io).poll_write(cx, rest))?.max(1);
        }
        ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
        let linger = answer.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        while answer.thrown_away < LINGER_BYTES && linger.as_mut().poll(cx).is_pending() {
            let mut space = [std::mem::MaybeUninit::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            match read.filled().len() {
                0 => break,
                n => answer.thrown_away += n,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    struct Gated(DuplexStream, Gate);

    impl AsyncRead for Gated {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Self(io, gate) = &mut *self;
            gate.poll_read(io, cx, out)
        }
    }

    const RULES: GateRules = GateRules {
        head: HeadLimits {
            bytes: 5000,
            lines: 10,
            target: 100,
        },
        head_timeout: Duration::from_secs(30),
        first_byte_timeout: Duration::from_secs(10),
    };

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn gated() -> (DuplexStream, Gated, HeadSwitch) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let switch = HeadSwitch::new();
        (
            client,
            Gated(server, Gate::new(switch.clone(), RULES)),
            switch,
        )
    }

    async fn read(gated: &mut Gated, space: usize) -> Vec<u8> {
        let mut out = vec![0; space];
        let n = gated.read(&mut out).await.unwrap();
        out.truncate(n);
        out
    }

    #[tokio::test]
    async fn a_head_in_one_piece_passes_with_the_body_behind_it() {
        let (mut client, mut server, switch) = gated();
        client.write_all(&[GET, b"body"].concat()).await.unwrap();
        assert_eq!(read(&mut server, 8192).await, [GET, b"body"].concat());
        client.write_all(b"any \0 bytes").await.unwrap();
        assert_eq!(read(&mut server, 8192).await, b"any \0 bytes");
        switch.exchange_ended();
        client.write_all(GET).await.unwrap();
        assert_eq!(read(&mut server, 100).await, GET);
    }

    #[tokio::test]
    async fn a_head_in_many_pieces_is_held_until_it_is_whole() {
        let (mut client, mut server, _) = gated();
        let reading = tokio::spawn(async move { read(&mut server, 8192).await });
        for byte in GET {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(reading.await.unwrap(), GET);
    }

    #[tokio::test]
    async fn a_bad_head_is_answered_and_never_seen() {
        let (mut client, mut server, _) = gated();
        client
            .write_all(b"GET / HTTP/1.1\nHost: a\n\n")
            .await
            .unwrap();
        let reading = tokio::spawn(async move { read(&mut server, 8192).await });
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        drop(client);
        assert_eq!(reading.await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused_at_the_limit() {
        let (mut client, mut server, _) = gated();
        client
            .write_all(&[b"GET /".as_slice(), &[b'x'; 9000]].concat())
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read(&mut server, 8192).await, b"");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_refused_at_its_deadline() {
        let (mut client, mut server, _) = gated();
        client.write_all(b"GET / HT").await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(read(&mut server, 8192).await, b"");
        assert_eq!(begun.elapsed().as_secs(), 30 + LINGER.as_secs());
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }

    #[tokio::test]
    async fn the_http2_preface_opens_the_gate_and_is_not_consumed() {
        let (mut client, mut server, _) = gated();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        client.write_all(preface).await.unwrap();
        let Gated(io, gate) = &mut server;
        let found = std::future::poll_fn(|cx| gate.poll_starts_with(io, cx, preface)).await;
        assert!(found.unwrap());
        assert_eq!(read(&mut server, 100).await, preface);
    }

    #[tokio::test(start_paused = true)]
    async fn who_agreed_on_http2_and_says_nothing_is_not_waited_for() {
        for said in [b"".as_slice(), b"PRI * HT", b"GET / HTTP/1.1\r\n\r\n"] {
            let (mut client, mut server, switch) = gated();
            switch.is_http2();
            client.write_all(said).await.unwrap();
            assert!(server.read(&mut [0; 100]).await.is_err(), "{said:?}");
        }
        let (mut client, mut server, switch) = gated();
        switch.is_http2();
        client
            .write_all(&[PREFACE, b"frames"].concat())
            .await
            .unwrap();
        assert_eq!(read(&mut server, 100).await, [PREFACE, b"frames"].concat());
        client.write_all(b"more").await.unwrap();
        assert_eq!(read(&mut server, 100).await, b"more");
    }

    #[tokio::test]
    async fn a_short_first_write_does_not_wait_for_the_whole_preface() {
        let (mut client, mut server, _) = gated();
        client.write_all(b"G").await.unwrap();
        let Gated(io, gate) = &mut server;
        let found = std::future::poll_fn(|cx| gate.poll_starts_with(io, cx, b"PRI * HTTP")).await;
        assert!(!found.unwrap());
        client.write_all(GET.get(1..).unwrap()).await.unwrap();
        assert_eq!(read(&mut server, 100).await, GET);
    }
}
