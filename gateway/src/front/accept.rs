//! Listeners, one per core and address, and the count of who holds how many connections.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::{
    hello,
    io::{Connection, PublicIo},
};
use crate::{
    core::Core,
    sockets::{Role, listening::Listener},
};

/// Connections the kernel keeps for us while we are busy.
const BACKLOG: i32 = 4096;

/// How long to leave a listener alone that cannot accept, usually for want of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What arrives on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Https,
    Http,
}

impl Kind {
    /// Where it stands under `listen:`.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::Https => Role::Https,
            Self::Http => Role::Http,
        }
    }
}

/// Binds an address so that every core can have a listener of its own on it.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts from when the core may until it is told to stop.
pub(crate) async fn accept(core: Arc<Core>, listener: Arc<Listener>, kind: Kind) {
    if !core.may_accept().await {
        return;
    }
    loop {
        let accepted = tokio::select! {
            biased;
            () = core.stopping() => break,
            accepted = listener.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => welcome(&core, stream, peer, kind),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while let Some((stream, peer)) = listener.next_left_behind() {
        welcome(&core, stream, peer, kind);
    }
}

fn welcome(core: &Arc<Core>, stream: TcpStream, peer: SocketAddr, kind: Kind) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let Some(admission) = core.edge.doorkeeper.admit(peer.ip()) else {
        return debug!(%peer, "too many connections, closed");
    };
    // Without it small responses would wait for acknowledgements; it fails on dead sockets only.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let served = Arc::clone(core);
    match kind {
        Kind::Http => core.serve(serve_plain(served, stream, peer, admission)),
        Kind::Https => core.serve(hello::serve(served, stream, peer, admission)),
    }
}

async fn serve_plain(core: Arc<Core>, stream: TcpStream, peer: SocketAddr, admission: Admission) {
    let id = stream.as_raw_fd();
    let local = stream.local_addr().unwrap_or(peer);
    let connection = Connection::new(peer, local, core.edge.region());
    let rules = core.edge.gate_rules();
    core.http(PublicIo::new(
        stream, id, connection, false, rules, admission,
    ))
    .await;
}

/// An address as a header value.
pub(crate) fn address_value(address: IpAddr) -> HeaderValue {
    // An address holds digits, letters, dots and colons only.
    HeaderValue::try_from(address.to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// Counts connections, in all and by client.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    most: u32,
    most_per_client: u32,
    count: u32,
    clients: HashMap<IpAddr, u32>,
}

/// One counted connection; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Admission {
    doorkeeper: Arc<Doorkeeper>,
    client: IpAddr,
}

impl Doorkeeper {
    pub(crate) fn new(in_all: u32, per_client: u32) -> Arc<Self> {
        let own = Self {
            inside: Mutex::default(),
        };
        own.set(in_all, per_client);
        Arc::new(own)
    }

    /// Other limits for those who come from now on.
    pub(crate) fn set(&self, in_all: u32, per_client: u32) {
        let mut inside = self.lock();
        inside.most = in_all;
        inside.most_per_client = per_client;
    }

    /// How many are inside.
    pub(crate) fn count(&self) -> u32 {
        self.lock().count
    }

    /// Lets a connection in, unless that would be one too many.
    pub(crate) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Admission> {
        let client = owner(client);
        let mut inside = self.lock();
        let known = inside.clients.get(&client).copied().unwrap_or(0);
        if inside.count >= inside.most || known >= inside.most_per_client {
            return None;
        }
        inside.count += 1;
        inside.clients.insert(client, known + 1);
        Some(Admission {
            doorkeeper: Arc::clone(self),
            client,
        })
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut inside = self.doorkeeper.lock();
        inside.count = inside.count.saturating_sub(1);
        match inside.clients.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(inside.clients.remove(&self.client)),
        }
    }
}

/// Whoever has one IPv6 address has the whole /64.
fn owner(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_all_places() {
        let doorkeeper = Doorkeeper::new(3, 2);
        let greedy: IpAddr = "192.0.2.1".parse().unwrap();
        let first = doorkeeper.admit(greedy);
        let second = doorkeeper.admit(greedy);
        assert!(first.is_some() && second.is_some());
        assert!(doorkeeper.admit(greedy).is_none());
        let other = doorkeeper.admit("192.0.2.2".parse().unwrap());
        assert!(other.is_some());
        assert!(doorkeeper.admit("192.0.2.3".parse().unwrap()).is_none());
        drop(first);
        assert!(doorkeeper.admit(greedy).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let doorkeeper = Doorkeeper::new(10, 1);
        let held = doorkeeper.admit("2001:db8::1".parse().unwrap());
        assert!(held.is_some());
        assert!(doorkeeper.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(
            doorkeeper
                .admit("2001:db8:0:1::1".parse().unwrap())
                .is_some()
        );
    }

    #[test]
    fn other_limits_are_for_those_who_come() {
        let doorkeeper = Doorkeeper::new(10, 10);
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let inside = [doorkeeper.admit(client), doorkeeper.admit(client)];
        assert!(inside.iter().all(Option::is_some));
        for (in_all, per_client) in [(2, 10), (10, 2), (0, 0)] {
            doorkeeper.set(in_all, per_client);
            assert!(doorkeeper.admit(client).is_none(), "{in_all} {per_client}");
            assert_eq!(doorkeeper.count(), 2);
        }
        doorkeeper.set(3, 3);
        assert!(doorkeeper.admit(client).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_clients_that_left() {
        let doorkeeper = Doorkeeper::new(10, 2);
        drop(doorkeeper.admit("192.0.2.1".parse().unwrap()));
        assert!(doorkeeper.inside.lock().unwrap().clients.is_empty());
    }
}
