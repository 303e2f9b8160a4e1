//! Listening sockets that were open before this process, and which address of `listen:` each is for.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;

use super::Role;

/// Listening sockets that somebody else has opened: systemd, or whoever else started the process.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Passed>);

/// Why sockets that were passed cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// One of them is no TCP listener.
    #[error(
        "socket {number} of those that were passed ({name}) is no TCP listener: {source}; in the .socket unit, give \
         ListenStream= an address or a port"
    )]
    Kind {
        /// Its place among them, from 0.
        number: usize,
        /// What it is called.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The configuration has no use for it, so connections would wait there for ever.
    #[error(
        "the socket {address} that was passed ({name}) is none of gateway.yaml's: write the same address under `listen`, \
         or set FileDescriptorName= of its .socket unit to one of https, http, admin that `listen` has, or to tcp"
    )]
    Unwanted {
        /// Where it listens.
        address: SocketAddr,
        /// What it is called.
        name: String,
    },
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) name: String,
    pub(crate) from: From,
}

/// Who has opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Whoever started the process; they keep it open when we close it.
    Parent,
    /// The gateway before this one.
    Predecessor {
        /// Its place in the list of what was handed over.
        index: usize,
        /// Whether somebody keeps it open when both of us have closed it.
        kept: bool,
    },
}

// === impl Sockets ===

impl Sockets {
    /// Those that the environment tells of, the way systemd passes them: `LISTEN_FDS`, `LISTEN_PID`, and names in
    /// `LISTEN_FDNAMES`. The variables are removed, so this is for the start of a process, before it has threads.
    ///
    /// # Errors
    /// When one of them is no TCP listener.
    pub fn from_environment() -> Result<Self, SocketError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..passed.len() {
            let name = names.next().filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| "unknown".into());
            let taken = passed.take_tcp_listener(number).and_then(|socket| {
                let socket = socket.ok_or(io::ErrorKind::NotFound)?;
                Passed::new(socket, name.clone(), From::Parent)
            });
            sockets.push(taken.map_err(|source| SocketError::Kind {
                number,
                name,
                source,
            })?);
        }
        Ok(Self(sockets))
    }

    /// Adds those that the gateway before this one has handed over.
    pub(crate) fn add(&mut self, handed: Vec<Passed>) {
        self.0.extend(handed);
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes those for an address of `listen:`. Where a gateway before this one has handed some over, only these: what
    /// the parent passed for the same address are copies of them.
    pub(crate) fn take(&mut self, role: Role, wanted: SocketAddr) -> Vec<Passed> {
        let all = std::mem::take(&mut self.0).into_iter();
        let (fitting, rest) = all.partition::<Vec<_>, _>(|passed| passed.fits(role, wanted));
        self.0 = rest;
        let (parents, handed) = fitting
            .into_iter()
            .partition::<Vec<_>, _>(|passed| passed.from == From::Parent);
        if handed.is_empty() { parents } else { handed }
    }

    /// Takes those for tcp endpoints, whose ports show when somebody serves them.
    pub(crate) fn take_tcp(&mut self) -> Vec<Passed> {
        let all = std::mem::take(&mut self.0).into_iter();
        let (tcp, rest) = all.partition(|passed| Role::named(&passed.name) == Some(Role::Tcp));
        self.0 = rest;
        tcp
    }

    /// Ends the taking. What nobody wants of the gateway before this one stays with it.
    ///
    /// # Errors
    /// When the parent has passed something that nobody wants.
    pub(crate) fn end(self) -> Result<(), SocketError> {
        let mut parents = self
            .0
            .into_iter()
            .filter(|passed| passed.from == From::Parent);
        match parents.next() {
            Some(Passed { address, name, .. }) => Err(SocketError::Unwanted { address, name }),
            None => Ok(()),
        }
    }
}

// === impl Passed ===

impl Passed {
    pub(crate) fn new(socket: TcpListener, name: String, from: From) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            name,
            from,
        })
    }

    fn fits(&self, role: Role, wanted: SocketAddr) -> bool {
        let named = Role::named(&self.name);
        match self.from {
            // Who gives a socket a role says where it listens, too.
            From::Parent => named.map_or(self.address == wanted, |named| named == role),
            // Port 0 is any port, the one in use too.
            From::Predecessor { .. } => match wanted.port() {
                0 => named == Some(role) && self.address.ip() == wanted.ip(),
                _ => self.address == wanted,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDED: From = From::Predecessor {
        index: 0,
        kept: false,
    };

    fn passed(name: &str, from: From) -> Passed {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        Passed::new(socket, name.into(), from).unwrap()
    }

    fn taken(passed: Passed, role: Role, wanted: SocketAddr) -> bool {
        let mut sockets = Sockets(vec![passed]);
        !sockets.take(role, wanted).is_empty()
    }

    #[test]
    fn a_name_decides_and_without_one_the_address_does() {
        let elsewhere = "127.0.0.1:1".parse().unwrap();
        assert!(taken(passed("https", From::Parent), Role::Https, elsewhere));
        assert!(!taken(passed("https", From::Parent), Role::Http, elsewhere));
        assert!(!taken(
            passed("adit.socket", From::Parent),
            Role::Https,
            elsewhere
        ));
        for (name, from, fits) in [
            ("adit.socket", From::Parent, true),
            ("http", From::Parent, false),
            ("http", HANDED, true),
        ] {
            let socket = passed(name, from);
            let address = socket.address;
            assert_eq!(taken(socket, Role::Https, address), fits, "{name}");
        }
    }

    #[test]
    fn any_port_is_the_one_that_the_gateway_before_has_for_it() {
        let any = "127.0.0.1:0".parse().unwrap();
        assert!(taken(passed("http", HANDED), Role::Http, any));
        assert!(!taken(passed("http", HANDED), Role::Https, any));
        assert!(!taken(
            passed("http", HANDED),
            Role::Http,
            "127.0.0.2:0".parse().unwrap()
        ));
    }

    #[test]
    fn what_was_handed_over_goes_before_what_the_parent_passes_again() {
        let mut sockets = Sockets(vec![passed("https", From::Parent)]);
        let handed = passed("https", HANDED);
        let address = handed.address;
        sockets.add(vec![handed]);
        let taken = sockets.take(Role::Https, address);
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].from, HANDED);
        assert!(sockets.end().is_ok());
    }

    #[test]
    fn a_socket_that_nobody_wants_is_refused_with_the_remedy() {
        let why = Sockets(vec![passed("adit.socket", From::Parent)]).end();
        let why = why.unwrap_err().to_string();
        assert!(
            why.contains("(adit.socket)") && why.contains("FileDescriptorName="),
            "{why}"
        );
        // The gateway before goes on with what this one does not take.
        assert!(Sockets(vec![passed("https", HANDED)]).end().is_ok());
    }
}
