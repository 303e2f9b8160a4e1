//! A plain Pingora proxy with the gateway's build and runtime shape: what `make bench` compares with.
//!
//! `plain_proxy --listen 127.0.0.1:8000 --upstream 127.0.0.1:9000`

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::AsRawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora_core::{
    Result,
    apps::ServerApp,
    protocols::{
        GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
        TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
    },
    server::configuration::ServerConf,
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{HttpProxy, ProxyHttp, Session};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf},
    net::{TcpListener, TcpStream},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let listen = argument("--listen")?;
    let upstream = argument("--upstream")?;
    let cores = std::thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..cores)
        .map(|_| std::thread::spawn(move || run(listen, upstream)))
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a core panicked")??;
    }
    Ok(())
}

fn argument(name: &str) -> std::result::Result<SocketAddr, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args();
    arguments
        .find(|argument| argument == name)
        .ok_or_else(|| format!("{name} ADDRESS is missing"))?;
    Ok(arguments
        .next()
        .ok_or_else(|| format!("{name} needs an address"))?
        .parse()?)
}

fn run(listen: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(listen, upstream))
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(4096)?;
    let listener = TcpListener::from_std(socket.into())?;
    let conf = Arc::new(ServerConf {
        threads: 1,
        ..ServerConf::default()
    });
    let proxy: Arc<HttpProxy<Plain>> = Arc::new(pingora_proxy::http_proxy(&conf, Plain(upstream)));
    let (_finish, finishing) = tokio::sync::watch::channel(false);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (proxy, finishing) = (Arc::clone(&proxy), finishing.clone());
        tokio::spawn(async move {
            let io = Box::new(Buffered {
                id: stream.as_raw_fd(),
                io: BufWriter::with_capacity(1460, stream),
            });
            drop(proxy.process_new(io, &finishing).await);
        });
    }
}

struct Plain(SocketAddr);

#[async_trait]
impl ProxyHttp for Plain {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

/// A connection whose response head and small body leave in one packet.
struct Buffered {
    io: BufWriter<TcpStream>,
    id: UniqueIDType,
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Buffered {
    async fn shutdown(&mut self) {
        drop(AsyncWriteExt::shutdown(&mut self.io).await);
    }
}

impl UniqueID for Buffered {
    fn id(&self) -> UniqueIDType {
        self.id
    }
}

impl Ssl for Buffered {}
impl Peek for Buffered {}

impl GetTimingDigest for Buffered {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Buffered {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Buffered {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl fmt::Debug for Buffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
