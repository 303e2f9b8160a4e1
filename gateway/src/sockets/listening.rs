//! The sockets that are being accepted on.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{Role, opened::Socket};

/// All of them, for as long as somebody accepts on them.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    open: Mutex<Vec<Weak<Listener>>>,
    accepting: TaskTracker,
    /// Another gateway has them now.
    handed_over: CancellationToken,
}

/// One of them. It is closed when whoever accepts on it drops it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) role: Role,
    /// It is the same as another one, for another core.
    pub(crate) copy: bool,
    kept: AtomicBool,
    _accepting: Option<TaskTrackerToken>,
}

// === impl Listening ===

impl Listening {
    /// Begins to listen. Needs a running runtime, the one that will accept.
    pub(crate) fn begin(&self, socket: Socket, role: Role) -> io::Result<Arc<Listener>> {
        let listener = Arc::new(Listener {
            socket: TcpListener::from_std(socket.listener)?,
            role,
            copy: socket.copy,
            kept: AtomicBool::new(socket.kept),
            _accepting: (!role.is_operators()).then(|| self.accepting.token()),
        });
        let mut open = self.lock();
        open.retain(|listener| listener.strong_count() > 0);
        open.push(Arc::downgrade(&listener));
        Ok(listener)
    }

    /// Those that somebody accepts on at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Listener>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits until nobody accepts clients or agents any more.
    pub(crate) async fn nobody_accepts(&self) {
        self.accepting.close();
        self.accepting.wait().await;
    }

    /// Another gateway has them: whoever accepts for the operator ends, too.
    pub(crate) fn hand_over(&self) {
        self.handed_over.cancel();
    }

    /// Waits for that.
    pub(crate) async fn handed_over(&self) {
        self.handed_over.cancelled().await;
    }

    #[cfg(test)]
    pub(crate) fn handed_over_token(&self) -> CancellationToken {
        self.handed_over.clone()
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Listener ===

impl Listener {
    /// Somebody else keeps it open from now on.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    /// Whether somebody else keeps it open when we close it.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// After the last one that was accepted: a connection that waits in the queue and would be reset with the socket,
    /// which nobody else has.
    pub(crate) fn next_left_behind(&self) -> Option<(TcpStream, SocketAddr)> {
        if self.is_kept() {
            return None;
        }
        let (stream, peer) = SockRef::from(&self.socket).accept().ok()?;
        let stream = std::net::TcpStream::from(stream);
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer.as_socket()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_in_the_queue_is_found_before_it_is_closed() {
        let listening = Listening::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Socket {
            listener,
            kept: false,
            copy: false,
        };
        let listener = listening.begin(socket, Role::Http).unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (_, peer) = listener.next_left_behind().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(listener.next_left_behind().is_none());
        assert_eq!(listening.all().len(), 1);
        drop(listener);
        listening.nobody_accepts().await;
        assert!(listening.all().is_empty());
    }
}
