//! A listener for each core and address of `listen:`.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
};

use tracing::warn;

use super::{
    Role,
    passed::{From, Passed, Sockets},
};
use crate::{
    StartError,
    config::Listen,
    front::accept::{self, Kind},
};

/// What `listen:` asks for, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) https: Option<Address>,
    pub(crate) http: Option<Address>,
    pub(crate) admin: Option<Address>,
    pub(crate) api: Option<Address>,
    /// What was passed for tcp endpoints, by port.
    pub(crate) tcp: HashMap<u16, Address>,
}

/// One address with its listeners.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<Socket>,
    /// Of those that the gateway before this one has handed over, which these are.
    adopted: Vec<usize>,
}

/// One listener.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: TcpListener,
    /// Somebody else keeps it open when we close it, so whoever waits in its queue is not lost.
    pub(crate) kept: bool,
    /// It is the same as another one, for another core.
    pub(crate) copy: bool,
}

// === impl Opened ===

impl Opened {
    /// Takes what was passed, and opens the rest for so many cores.
    pub(crate) fn open(
        listen: &Listen,
        mut passed: Sockets,
        cores: usize,
    ) -> Result<Self, StartError> {
        let some_passed = !passed.is_empty();
        let mut open = |role: Role, wanted: Option<SocketAddr>| {
            let Some(wanted) = wanted else {
                return Ok(None);
            };
            let taken = passed.take(role, wanted);
            if !taken.is_empty() {
                return Ok(Some(Address::adopt(taken)));
            }
            if some_passed {
                warn!(
                    address = %wanted,
                    "listen.{} is none of the sockets that were passed: it is opened anew, and a restart closes it",
                    role.name()
                );
            }
            let address = match role {
                Role::Admin | Role::Api => Address::alone(wanted),
                Role::Https | Role::Http | Role::Tcp => Address::shared(wanted, cores),
            };
            address.map(Some).map_err(|source| StartError::Listen {
                address: wanted,
                source,
            })
        };
        let https = open(Role::Https, listen.https)?;
        let http = open(Role::Http, listen.http)?;
        let admin = open(Role::Admin, listen.admin)?;
        let api = open(Role::Api, listen.api)?;
        let mut tcp = HashMap::<u16, Vec<Passed>>::new();
        for port in passed.take_tcp() {
            tcp.entry(port.address.port()).or_default().push(port);
        }
        let tcp = tcp.into_iter();
        let opened = Self {
            https,
            http,
            admin,
            api,
            tcp: tcp
                .map(|(port, taken)| (port, Address::adopt(taken)))
                .collect(),
        };
        if opened.https.is_none() && opened.http.is_none() {
            return Err(StartError::NoListener);
        }
        passed.end()?;
        Ok(opened)
    }

    /// Of what the gateway before this one has handed over, what is used.
    pub(crate) fn adopted(&self) -> Vec<usize> {
        [&self.https, &self.http, &self.admin, &self.api]
            .into_iter()
            .flatten()
            .chain(self.tcp.values())
            .flat_map(|address| address.adopted.iter().copied())
            .collect()
    }
}

/// What each core accepts on.
pub(crate) fn by_core(
    https: Option<Address>,
    http: Option<Address>,
    cores: usize,
) -> Vec<Vec<(Socket, Kind)>> {
    let mut listeners: Vec<_> = (0..cores).map(|_| Vec::new()).collect();
    for (address, kind) in [(https, Kind::Https), (http, Kind::Http)] {
        let spread = address.map(|address| address.spread(cores));
        for (core, sockets) in listeners.iter_mut().zip(spread.unwrap_or_default()) {
            core.extend(sockets.into_iter().map(|socket| (socket, kind)));
        }
    }
    listeners
}

// === impl Address ===

impl Address {
    fn adopt(taken: Vec<Passed>) -> Self {
        let adopted = taken.iter().filter_map(|passed| match passed.from {
            From::Predecessor { index, .. } => Some(index),
            From::Parent => None,
        });
        Self {
            adopted: adopted.collect(),
            address: taken
                .first()
                .map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |one| one.address),
            sockets: taken.into_iter().map(Socket::adopt).collect(),
        }
    }

    /// For us alone.
    fn alone(wanted: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(wanted)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            sockets: vec![Socket::own(listener)],
            adopted: Vec::new(),
        })
    }

    /// A listener for each core. Port 0 is chosen once and then the same for all.
    pub(crate) fn shared(wanted: SocketAddr, cores: usize) -> io::Result<Self> {
        if wanted.port() != 0 {
            // Our own listeners share their port with each other, and would with another gateway too,
            // which would then get half of our connections.
            drop(TcpListener::bind(wanted)?);
        }
        Self::shared_with_us(wanted, cores)
    }

    /// The same where those who have it already are our own.
    pub(crate) fn shared_with_us(wanted: SocketAddr, cores: usize) -> io::Result<Self> {
        let mut address = wanted;
        let mut sockets = Vec::new();
        for _ in 0..cores {
            let listener = accept::bind(address)?;
            address = listener.local_addr()?;
            sockets.push(Socket::own(listener));
        }
        Ok(Self {
            address,
            sockets,
            adopted: Vec::new(),
        })
    }

    /// The listeners of each core. Where fewer were passed than there are cores, each of the others gets one of its own
    /// at the same address, or a copy where the socket is not to be shared that way. Nothing may fail after this: what
    /// the kernel leads to a new listener is lost with it.
    pub(crate) fn spread(self, cores: usize) -> Vec<Vec<Socket>> {
        let mut spread: Vec<Vec<Socket>> = (0..cores).map(|_| Vec::new()).collect();
        let more: Vec<_> = (self.sockets.len()..cores)
            .filter_map(|core| self.one_more(core))
            .collect();
        for (index, socket) in self.sockets.into_iter().chain(more).enumerate() {
            if let Some(core) = spread.get_mut(index % cores.max(1)) {
                core.push(socket);
            }
        }
        spread
    }

    fn one_more(&self, core: usize) -> Option<Socket> {
        let one = self.sockets.get(core % self.sockets.len().max(1))?;
        let own = match one.kept {
            true => None,
            false => accept::bind(self.address).ok().map(Socket::own),
        };
        own.or_else(|| {
            one.copied()
                .inspect_err(|error| warn!(%error, core, "a core has no listener of its own"))
                .ok()
        })
    }
}

// === impl Socket ===

impl Socket {
    fn own(listener: TcpListener) -> Self {
        Self {
            listener,
            kept: false,
            copy: false,
        }
    }

    fn adopt(passed: Passed) -> Self {
        let kept = match passed.from {
            From::Parent => true,
            From::Predecessor { kept, .. } => kept,
        };
        Self {
            listener: passed.socket,
            kept,
            copy: false,
        }
    }

    fn copied(&self) -> io::Result<Self> {
        Ok(Self {
            listener: self.listener.try_clone()?,
            kept: self.kept,
            copy: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(address: &str, from: From) -> Passed {
        let socket = accept::bind(address.parse().unwrap()).unwrap();
        Passed::new(socket, "https".into(), from).unwrap()
    }

    #[test]
    fn every_core_gets_a_listener_and_nothing_that_was_passed_is_left_out() {
        const HANDED: From = From::Predecessor {
            index: 0,
            kept: false,
        };
        for (from, given, cores, copies) in [
            (HANDED, 1, 3, 0),
            (HANDED, 3, 2, 0),
            (From::Parent, 1, 3, 2),
        ] {
            let first = passed("127.0.0.1:0", from);
            let address = first.address.to_string();
            let more = (1..given).map(|_| passed(&address, from));
            let taken: Vec<_> = [first].into_iter().chain(more).collect();
            let spread = Address::adopt(taken).spread(cores);
            assert_eq!(spread.len(), cores);
            assert!(spread.iter().all(|core| !core.is_empty()));
            let all: Vec<_> = spread.iter().flatten().collect();
            assert_eq!(all.len(), cores.max(given));
            assert_eq!(all.iter().filter(|socket| socket.copy).count(), copies);
        }
    }
}
