//! What all cores share.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use adit_policy::{
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
    env::Env,
};
use adit_wire::{limits::MAX_LANES, message::Heartbeat};
use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;
use tokio::sync::mpsc;

use crate::{
    StartError,
    agents::{Credentials, names::Names, registry::Registry},
    awaited::Awaited,
    config::{Config, Limits},
    core::Arriving,
    fetch::{self, Fetcher},
    front::{
        accept::Doorkeeper, gate::GateRules, head::HeadLimits, hello::Arrival, local_ca::LocalCa,
        tls::Certificates,
    },
    ids::Ids,
    keys::Keyring,
    lent::Lent,
    log::AccessLog,
    logins::Logins,
    mirrors::Mirrors,
    pools::endpoints::{Endpoint, Endpoints},
    reload::{Loaded, Status},
    secrets::Vaults,
    sockets::listening::Listening,
    tcp::{self, Ports},
    traces::Traces,
};

/// What all cores share.
pub(crate) struct Edge {
    /// As it was at the start. What of it may change while the gateway runs has a place of its own below.
    pub(crate) config: Config,
    limits: ArcSwap<Limits>,
    /// Whose `X-Forwarded-*` headers are believed.
    trusted_proxies: ArcSwap<Vec<IpNet>>,
    region: ArcSwap<Arc<str>>,
    pub(crate) started: Instant,
    pub(crate) cores: usize,
    pub(crate) doorkeeper: Arc<Doorkeeper>,
    /// The same for connections whose TLS handshake is not finished.
    pub(crate) handshakes: Arc<Doorkeeper>,
    pub(crate) certificates: Certificates,
    pub(crate) endpoints: Endpoints,
    /// Which agents may connect.
    pub(crate) credentials: Credentials,
    pub(crate) sessions: Registry,
    pub(crate) names: Names,
    pub(crate) keyring: Arc<Keyring>,
    /// What policies may read that nobody may see.
    pub(crate) vaults: Arc<Vaults>,
    /// People who have signed in.
    pub(crate) logins: Arc<Logins>,
    /// Copies of requests that are under way, and what came of others.
    pub(crate) mirrors: Arc<Mirrors>,
    /// Sends the requests of policies.
    pub(crate) fetcher: Fetcher,
    /// The one that all policies of this gateway are built in: what they count is kept there.
    pub(crate) policy_env: Env,
    /// The same for exchanges, by how deep they lie.
    envs: [Env; fetch::HOPS as usize + 1],
    /// How the operator's policies stand.
    pub(crate) policies: ArcSwap<Status>,
    /// Names of sessions, members and traces.
    pub(crate) ids: Ids,
    pub(crate) access: Option<AccessLog>,
    /// The last exchanges.
    pub(crate) traces: Traces,
    /// The sockets that are accepted on.
    pub(crate) listening: Listening,
    /// After a restart, requests wait for agents that are on their way.
    pub(crate) awaited: Awaited,
    /// Where the listeners really are.
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    /// Those of tcp endpoints.
    pub(crate) ports: Arc<Ports>,
    arrivals: Vec<mpsc::UnboundedSender<Arriving>>,
    member: AtomicU64,
    /// Counts what may go to any core.
    turn: AtomicUsize,
}

/// The listeners' real addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
}

impl Addresses {
    /// Where tcp endpoints are, too.
    fn ip(&self) -> IpAddr {
        let address = self.https.or(self.http);
        address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| address.ip())
    }
}

// === impl Edge ===

impl Edge {
    pub(crate) fn new(
        config: Config,
        loaded: &Loaded,
        addresses: Addresses,
        local_ca: Option<LocalCa>,
        arrivals: Vec<mpsc::UnboundedSender<Arriving>>,
        lent: &Lent,
    ) -> Result<Self, StartError> {
        let limits = &config.limits;
        let data_dir = |source: io::Error| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        };
        Ok(Self {
            limits: ArcSwap::from_pointee(limits.clone()),
            trusted_proxies: ArcSwap::from_pointee(config.trusted_proxies.clone()),
            region: ArcSwap::from_pointee(config.region.as_str().into()),
            started: Instant::now(),
            cores: arrivals.len(),
            doorkeeper: Doorkeeper::new(limits.connections, limits.connections_per_ip),
            handshakes: Doorkeeper::new(limits.handshakes, limits.handshakes_per_ip),
            certificates: Certificates::load(&config.tls.certificates, local_ca)?,
            endpoints: Endpoints::declare(loaded.declared(), arrivals.len()),
            credentials: Credentials::new(config.agents.clone()),
            sessions: Registry::new(limits.sessions),
            names: Names::open(&config.data_dir, config.domain.clone()).map_err(data_dir)?,
            keyring: Arc::clone(&lent.keyring),
            logins: Arc::clone(&lent.logins),
            mirrors: Arc::default(),
            vaults: Arc::clone(&lent.vaults),
            fetcher: lent.fetcher.clone(),
            policy_env: loaded.env.clone(),
            envs: lent.fetcher.envs(&loaded.env),
            policies: ArcSwap::from_pointee(loaded.status()),
            ids: Ids::new(),
            access: AccessLog::open(&config.log.access).map_err(|source| {
                StartError::AccessLog {
                    to: config.log.access.to.to_string(),
                    source,
                }
            })?,
            traces: Traces::new(arrivals.len(), &config.traces),
            listening: Listening::default(),
            awaited: Awaited::default(),
            https: addresses.https,
            http: addresses.http,
            ports: Ports::new(addresses.ip(), config.listen.tcp_ports, arrivals.clone()),
            arrivals,
            member: AtomicU64::new(1),
            turn: AtomicUsize::new(0),
            config,
        })
    }

    /// The limits of this moment. Whoever counts or waits asks anew for each thing that begins.
    pub(crate) fn limits(&self) -> Guard<Arc<Limits>> {
        self.limits.load()
    }

    /// Other limits, for all that begins from now on. What is inside already stays, even if it is too much now.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.doorkeeper
            .set(limits.connections, limits.connections_per_ip);
        self.handshakes
            .set(limits.handshakes, limits.handshakes_per_ip);
        let (sessions, dial_timeout) = (limits.sessions, limits.dial_timeout.0);
        self.limits.store(Arc::new(limits));
        self.sessions.set_limit(sessions);
        // After the limits are there for those who come: none is left out.
        self.sessions.set_dial_timeout(dial_timeout);
    }

    /// Whether an address is a proxy of the operator's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let proxies = self.trusted_proxies.load();
        proxies.iter().any(|network| network.contains(&address))
    }

    /// Other proxies, for the next request on every connection.
    pub(crate) fn set_trusted_proxies(&self, proxies: Vec<IpNet>) {
        self.trusted_proxies.store(Arc::new(proxies));
    }

    /// The name of this gateway's location.
    pub(crate) fn region(&self) -> Arc<str> {
        Arc::clone(&self.region.load())
    }

    /// Another name, for connections that are accepted from now on.
    pub(crate) fn set_region(&self, region: &str) {
        self.region.store(Arc::new(region.into()));
    }

    /// A lane for each core, as far as the protocol has lanes.
    pub(crate) fn lane_count(&self) -> u16 {
        u16::try_from(self.cores)
            .unwrap_or(MAX_LANES)
            .clamp(1, MAX_LANES)
    }

    pub(crate) fn heartbeat(&self) -> Heartbeat {
        let millis =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Heartbeat {
            interval_ms: millis(self.limits().heartbeat_interval.0),
            dead_after_ms: millis(self.limits().heartbeat_dead_after.0),
        }
    }

    pub(crate) fn gate_rules(&self) -> GateRules {
        let limits = self.limits();
        GateRules {
            head: HeadLimits {
                bytes: limits.header_size.bytes(),
                lines: limits.header_count,
                target: limits.target_size.bytes(),
            },
            head_timeout: limits.header_timeout.0,
            first_byte_timeout: limits.idle_timeout.0,
        }
    }

    /// An id for a pair (session, endpoint); never the same twice.
    pub(crate) fn next_member(&self) -> u64 {
        self.member.fetch_add(1, Ordering::Relaxed)
    }

    /// Moves an agent's connection to the core for its lane.
    pub(crate) fn hand_over(&self, lane: usize, arrival: Arrival) {
        if let Some(core) = self.arrivals.get(lane % self.cores.max(1)) {
            // A core that has stopped takes no more agents.
            drop(core.send(Arriving::Agent(Box::new(arrival))));
        }
    }

    /// Gives a connection to one core after the other.
    pub(crate) fn hand_to_any(&self, arriving: Arriving) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let Some(core) = self.arrivals.get(turn % self.cores.max(1)) {
            // Without it, whoever waits at the other end sees the connection's end.
            drop(core.send(arriving));
        }
    }

    /// Something has changed that lets exchanges in: those that run and can be ended are looked at again, on every core.
    pub(crate) fn review(&self) {
        for core in &self.arrivals {
            // On a core that has stopped nothing runs.
            drop(core.send(Arriving::Review));
        }
    }

    /// What policies are lent for an exchange that lies so deep.
    pub(crate) fn env(&self, hops: u8) -> &Env {
        self.envs.get(usize::from(hops)).unwrap_or(&self.policy_env)
    }

    /// The URL as people open it: with the listener's port where that is not the scheme's own.
    pub(crate) fn public_url(&self, url: &EndpointUrl) -> EndpointUrl {
        if url.scheme == Scheme::Tcp || url.is_internal() {
            return url.clone();
        }
        let port = self
            .port(url.scheme)
            .filter(|port| Some(*port) != url.scheme.default_port());
        EndpointUrl {
            port,
            ..url.clone()
        }
    }

    /// The form of a URL that tells endpoints apart. Those of http and https are told apart by scheme and host; a port may
    /// be named if it is the listener's.
    pub(crate) fn place(&self, url: EndpointUrl) -> Result<EndpointUrl, String> {
        match url.scheme {
            Scheme::Http | Scheme::Https => {}
            Scheme::Tcp => return tcp::place(url, &self.config.domain),
            Scheme::Tls => {
                return Err(
                    "tls endpoints are not available in this version; use https, or tcp (ERR_ADIT_332)"
                        .into(),
                );
            }
        }
        if url.is_internal() {
            // No listener leads to it.
            return match url.port {
                Some(_) => Err("an internal endpoint has no port, leave it out".into()),
                None => Ok(url),
            };
        }
        let Some(own) = self.port(url.scheme) else {
            return Err(format!(
                "this gateway does not serve {} endpoints",
                scheme_name(url.scheme)
            ));
        };
        match url.port {
            Some(port) if port != own => Err(format!(
                "this gateway serves {} on port {own}, not on {port}; leave the port out",
                scheme_name(url.scheme)
            )),
            _ => Ok(EndpointUrl { port: None, ..url }),
        }
    }

    /// The endpoint of a URL, for this gateway itself: internal ones, too.
    pub(crate) fn serving(&self, url: &EndpointUrl) -> Option<Arc<Endpoint>> {
        let HostPattern::Exact(host) = &url.host else {
            return None;
        };
        let own = self.place(url.clone()).ok()?;
        let routes = self.endpoints.snapshot();
        let found = match own.scheme {
            Scheme::Tcp => routes.at(&own),
            scheme => routes.find_any(scheme, host.as_str()),
        };
        found.map(Arc::clone)
    }

    pub(crate) fn port(&self, scheme: Scheme) -> Option<u16> {
        match scheme {
            Scheme::Https => self.https.map(|address| address.port()),
            Scheme::Http => self.http.map(|address| address.port()),
            Scheme::Tcp | Scheme::Tls => None,
        }
    }
}

fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::Tcp => "tcp",
        Scheme::Tls => "tls",
    }
}
