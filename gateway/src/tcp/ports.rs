//! The ports of public tcp endpoints. A port is opened for the first who serves it and closed with the last, so that
//! nobody waits where nobody answers.

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use adit_policy::endpoint_url::{EndpointUrl, Scheme};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::PortRange,
    core::Arriving,
    sockets::opened::{Address, Socket},
};

/// The ports of a gateway.
pub(crate) struct Ports {
    /// Where all of them are.
    address: IpAddr,
    range: Option<PortRange>,
    cores: Vec<mpsc::UnboundedSender<Arriving>>,
    doors: Mutex<HashMap<u16, Door>>,
    /// What was passed to this process and nobody has served yet.
    passed: Mutex<HashMap<u16, Address>>,
}

/// One who serves a port, or several endpoints in a row. Dropping the last one closes the port.
#[derive(Debug)]
pub(crate) struct Lease {
    ports: Arc<Ports>,
    port: u16,
}

/// A listener for one core.
pub(crate) struct Listening {
    pub(super) socket: Socket,
    pub(super) url: Arc<EndpointUrl>,
    pub(super) open: Arc<Open>,
}

/// Held by the listeners of a port while they live.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Cancelled when nobody serves the port any longer.
    pub(super) closed: CancellationToken,
}

#[derive(Debug)]
struct Door {
    holders: usize,
    /// The configuration names it, so that it is open whoever serves it.
    declared: bool,
    open: Weak<Open>,
}

// === impl Ports ===

impl Ports {
    pub(crate) fn new(
        address: IpAddr,
        range: Option<PortRange>,
        cores: Vec<mpsc::UnboundedSender<Arriving>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            range,
            cores,
            doors: Mutex::default(),
            passed: Mutex::default(),
        })
    }

    /// Sockets that were open before this process, for the ports that will be served.
    pub(crate) fn adopt(&self, passed: HashMap<u16, Address>) {
        *self.passed() = passed;
    }

    /// Closes those that nobody has served by now.
    pub(crate) fn expect_no_more(&self) {
        self.passed().clear();
    }

    /// The ports that agents may take.
    pub(crate) fn range(&self) -> Option<PortRange> {
        self.range
    }

    /// Opens the port of an endpoint, or shares it with those who have opened it. `None`: the endpoint needs none.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub(crate) fn lease(self: &Arc<Self>, url: &EndpointUrl) -> io::Result<Option<Lease>> {
        let Some(port) = own_port(url) else {
            return Ok(None);
        };
        let mut doors = self.lock();
        self.door(&mut doors, port, url)?.holders += 1;
        drop(doors);
        let ports = Arc::clone(self);
        Ok(Some(Lease { ports, port }))
    }

    /// Opens the ports of the endpoints that the configuration names, for as long as it does. Those that it has named
    /// before and names no longer are closed, unless an agent serves them. All of them, or nothing is changed.
    ///
    /// # Errors
    /// The first one that cannot be listened on.
    pub(crate) fn declare<'a>(
        &self,
        urls: impl IntoIterator<Item = &'a EndpointUrl>,
    ) -> Result<(), (SocketAddr, io::Error)> {
        let mut doors = self.lock();
        let named = urls.into_iter();
        let named: Vec<_> = named
            .filter_map(|url| Some((own_port(url)?, url)))
            .collect();
        let failed = named.iter().find_map(|(port, url)| {
            let opened = self.door(&mut doors, *port, url);
            opened.err().map(|error| (self.at(*port), error))
        });
        if failed.is_none() {
            for (port, door) in doors.iter_mut() {
                door.declared = named.iter().any(|(named, _)| named == port);
            }
        }
        doors.retain(|_, door| door.is_held() || door.close());
        failed.map_or(Ok(()), Err)
    }

    /// The door of a port, which is open then.
    fn door<'a>(
        &self,
        doors: &'a mut HashMap<u16, Door>,
        port: u16,
        url: &EndpointUrl,
    ) -> io::Result<&'a mut Door> {
        let known = doors.get(&port);
        if !known.is_some_and(Door::is_held) {
            // Our own listeners, which are about to go, are nobody who has taken the port.
            let lingers = known.is_some_and(|door| door.open.strong_count() > 0);
            let door = Door {
                holders: 0,
                declared: false,
                open: self.open(url, port, lingers)?,
            };
            doors.insert(port, door);
        }
        doors
            .get_mut(&port)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Where a port is.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    fn open(&self, url: &EndpointUrl, port: u16, shared: bool) -> io::Result<Weak<Open>> {
        let (address, cores) = (self.at(port), self.cores.len());
        let passed = self.passed().remove(&port);
        let opened = match (passed, shared) {
            (Some(passed), _) => passed,
            (None, true) => Address::shared_with_us(address, cores)?,
            (None, false) => Address::shared(address, cores)?,
        };
        let (url, open) = (Arc::new(url.clone()), Arc::new(Open::default()));
        for (core, sockets) in self.cores.iter().zip(opened.spread(cores)) {
            for socket in sockets {
                let listening = Listening {
                    socket,
                    url: Arc::clone(&url),
                    open: Arc::clone(&open),
                };
                // A core that has stopped listens to nothing.
                drop(core.send(Arriving::Port(Box::new(listening))));
            }
        }
        Ok(Arc::downgrade(&open))
    }

    fn passed(&self) -> MutexGuard<'_, HashMap<u16, Address>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<u16, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The port on which an endpoint alone is listened for.
fn own_port(url: &EndpointUrl) -> Option<u16> {
    let public = url.scheme == Scheme::Tcp && !url.is_internal();
    url.port.filter(|_| public)
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut doors = self.ports.lock();
        let Some(door) = doors.get_mut(&self.port) else {
            return;
        };
        door.holders = door.holders.saturating_sub(1);
        if !door.is_held() && !door.close() {
            doors.remove(&self.port);
        }
    }
}

// === impl Door ===

impl Door {
    fn is_held(&self) -> bool {
        self.declared || self.holders > 0
    }

    /// Tells the listeners to go. Whether there are any left that have yet to.
    fn close(&self) -> bool {
        let open = self.open.upgrade();
        open.inspect(|open| open.closed.cancel()).is_some()
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports")
            .field("address", &self.address)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;
    use crate::front::accept;

    fn ports() -> (Arc<Ports>, mpsc::UnboundedReceiver<Arriving>) {
        let (core, arriving) = mpsc::unbounded_channel();
        let ports = Ports::new(Ipv4Addr::LOCALHOST.into(), None, vec![core]);
        (ports, arriving)
    }

    fn free() -> (u16, EndpointUrl) {
        let any = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = any.local_addr().unwrap().port();
        let url = EndpointUrl::parse(&format!("tcp://localhost:{port}"));
        (port, url.unwrap())
    }

    #[test]
    fn a_port_is_open_while_somebody_holds_it() {
        let (ports, mut arriving) = ports();
        let (port, url) = free();
        let first = ports.lease(&url).unwrap();
        let second = ports.lease(&url).unwrap();
        let Ok(Arriving::Port(listening)) = arriving.try_recv() else {
            panic!("no listener");
        };
        assert!(arriving.try_recv().is_err(), "one core has one listener");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(first);
        assert!(!listening.open.closed.is_cancelled());
        drop(second);
        assert!(listening.open.closed.is_cancelled());
        // Whoever comes now need not wait until the old listener is gone.
        assert!(ports.lease(&url).unwrap().is_some());
    }

    #[test]
    fn a_declared_port_is_open_until_it_is_declared_no_more() {
        let (ports, mut arriving) = ports();
        let ((_, one), (_, other)) = (free(), free());
        ports.declare([&one]).unwrap();
        let Ok(Arriving::Port(listening)) = arriving.try_recv() else {
            panic!("no listener");
        };
        drop(ports.lease(&one).unwrap());
        assert!(!listening.open.closed.is_cancelled());
        // A port that is not to be had leaves everything as it was.
        let taken = accept::bind(ports.at(other.port.unwrap())).unwrap();
        assert!(ports.declare([&other]).is_err());
        assert!(!listening.open.closed.is_cancelled());
        drop(taken);
        ports.declare([&other]).unwrap();
        assert!(listening.open.closed.is_cancelled());
    }

    #[test]
    fn another_programs_port_is_not_shared() {
        let (ports, mut arriving) = ports();
        let (port, url) = free();
        let taken = accept::bind(([127, 0, 0, 1], port).into()).unwrap();
        let refused = ports.lease(&url).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert!(arriving.try_recv().is_err());
        drop(taken);
        assert!(ports.lease(&url).unwrap().is_some());
    }

    #[test]
    fn an_internal_endpoint_has_no_port_that_anybody_could_reach() {
        let (ports, mut arriving) = ports();
        let url = EndpointUrl::parse("tcp://db.internal:5432").unwrap();
        assert!(ports.lease(&url).unwrap().is_none());
        assert!(arriving.try_recv().is_err());
    }
}
