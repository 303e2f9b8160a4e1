//! A line between two ends that a test can stop: bytes stay where they are, and nobody is told.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A TCP relay on this machine.
pub(crate) struct Relay {
    address: SocketAddr,
    stopped: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Relays every connection to `to`.
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = watch::Sender::new(false);
        let state = stopped.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.unwrap();
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(carry(near_in, far_out, state.subscribe()));
                tokio::spawn(carry(far_in, near_out, state.subscribe()));
            }
        });
        Self {
            address,
            stopped,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every byte, of new connections too, is dropped from the world without a word.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// New bytes pass again.
    pub(crate) fn resume(&self) {
        self.stopped.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut stopped: watch::Receiver<bool>,
) {
    let mut space = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut space).await;
        // Bytes and ends alike wait for the line.
        if stopped.wait_for(|stopped| !stopped).await.is_err() {
            return;
        }
        match read {
            Ok(n) if n > 0 => {
                if to.write_all(&space[..n]).await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(_) => {
                drop(to.shutdown().await);
                return;
            }
        }
    }
}
