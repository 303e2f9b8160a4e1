//! A running gateway: started from a configuration, stopped with a deadline.

use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Beginning, StartError,
    admin::{Admin, Site, View},
    config::Config,
    core::{self, Start},
    edge::{Addresses, Edge},
    front::local_ca::LocalCa,
    lent::Lent,
    reload::{self, Loaded, ReloadError, Reloaded, Reloader},
    sockets::{
        Role,
        opened::{Address, Opened, by_core},
        passed::Sockets,
    },
    take_over::{
        predecessor::Predecessor,
        successor::{Door, Successor},
    },
};

/// Cores that serve. More would mean more lanes for each agent, and smaller batches on each.
const MAX_CORES: usize = 8;

/// A running gateway. Dropping it ends it at once.
pub struct Gateway {
    edge: Arc<Edge>,
    begin: CancellationToken,
    stop: CancellationToken,
    abort: CancellationToken,
    idle: Vec<CancellationToken>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    local_ca: Option<(PathBuf, CertificateDer<'static>)>,
    reloader: Option<Reloader>,
    admin: Option<SocketAddr>,
    api: Option<SocketAddr>,
    /// Cancelled when another gateway has taken over.
    taken_over: CancellationToken,
    /// It waits for the end of this process.
    successor: Arc<Mutex<Option<Successor>>>,
}

// === impl Gateway ===

impl Gateway {
    /// Starts a gateway by itself, one thread for each core.
    ///
    /// # Errors
    /// When an address, a certificate, a policy or the data directory cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::begin(config, Beginning::default()).await
    }

    /// Starts a gateway, perhaps on the sockets of another one, which serves as ever until this one has started, and
    /// then lets go. After such a start requests wait a while for agents that are on their way; see `limits.arrival`.
    ///
    /// # Errors
    /// As [`Self::start`], and when sockets that were passed, or the place of the other gateway, cannot be used.
    pub async fn begin(config: Config, beginning: Beginning) -> Result<Self, StartError> {
        let cores = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_CORES);
        let Beginning {
            mut sockets,
            take_over,
            hands_over,
        } = beginning;
        let mut predecessor = None;
        if let Some((found, handed)) = Predecessor::find(&config.data_dir, take_over).await? {
            predecessor = Some(found);
            sockets.add(handed);
        }
        let continues = !sockets.is_empty();
        let (gateway, adopted, operators) = Self::start_on(config, cores, sockets)?;
        let replaces = predecessor.is_some();
        if let Some(mut predecessor) = predecessor {
            gateway.edge.logins.follow();
            predecessor.step_down(adopted).await;
            let edge = Arc::clone(&gateway.edge);
            tokio::spawn(async move {
                predecessor.ended().await;
                edge.logins.follow_no_more();
            });
        }
        if continues {
            gateway.await_agents();
        }
        gateway.begin.cancel();
        for admin in operators {
            gateway.start_admin(admin)?;
        }
        if hands_over {
            gateway.open_door(replaces)?;
        }
        Ok(gateway)
    }

    /// Agents are on their way, and with them whoever serves the ports of tcp endpoints.
    fn await_agents(&self) {
        let lasts = self.edge.limits().arrival.0;
        self.edge.awaited.begin(lasts);
        let ports = Arc::downgrade(&self.edge.ports);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            if let Some(ports) = ports.upgrade() {
                ports.expect_no_more();
            }
        });
    }

    /// Everything that can fail. Nothing is accepted yet.
    fn start_on(
        mut config: Config,
        cores: usize,
        sockets: Sockets,
    ) -> Result<(Self, Vec<usize>, Vec<Admin>), StartError> {
        let local_ca = match config.tls.local_ca {
            true => Some(LocalCa::open(&config.data_dir, config.domain.clone())?),
            false => None,
        };
        let shown_ca = local_ca
            .as_ref()
            .map(|ca| (ca.file().to_owned(), ca.certificate()));
        let lent = Lent::open(&config)?;
        let loaded = Loaded::of(&mut config, lent.env.clone(), &mut reload::log)?;
        let opened = Opened::open(&config.listen, sockets, cores)?;
        let adopted = opened.adopted();
        let at = |address: &Option<Address>| address.as_ref().map(|address| address.address);
        let addresses = Addresses {
            https: at(&opened.https),
            http: at(&opened.http),
        };
        let admin = opened
            .admin
            .and_then(|address| Admin::new(address, Role::Admin));
        let api = opened
            .api
            .and_then(|address| Admin::new(address, Role::Api));
        let (arrivals, arriving): (Vec<_>, Vec<_>) =
            (0..cores).map(|_| mpsc::unbounded_channel()).unzip();
        let edge = Edge::new(config, &loaded, addresses, local_ca, arrivals, &lent)?;
        let edge = Arc::new(edge);
        edge.ports.adopt(opened.tcp);
        let declared = loaded.declared();
        let ports = edge.ports.declare(declared.iter().map(|one| &one.url));
        ports.map_err(|(address, source)| StartError::Listen { address, source })?;
        lent.fetcher.serve(&edge);
        let running = Arc::downgrade(&edge);
        lent.logins.on_end(Box::new(move |_| {
            if let Some(edge) = running.upgrade() {
                edge.review();
            }
        }));
        let gateway = Self {
            begin: CancellationToken::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            idle: (0..cores).map(|_| CancellationToken::new()).collect(),
            threads: Mutex::default(),
            local_ca: shown_ca,
            reloader: Reloader::start(loaded, &edge)?,
            admin: admin.as_ref().map(Admin::address),
            api: api.as_ref().map(Admin::address),
            taken_over: CancellationToken::new(),
            successor: Arc::default(),
            edge,
        };
        let listeners = by_core(opened.https, opened.http, cores);
        for (index, ((listeners, arrivals), idle)) in listeners
            .into_iter()
            .zip(arriving)
            .zip(&gateway.idle)
            .enumerate()
        {
            gateway.start_core(Start {
                index,
                edge: Arc::clone(&gateway.edge),
                listeners,
                arrivals,
                begin: gateway.begin.clone(),
                stop: gateway.stop.clone(),
                abort: gateway.abort.clone(),
                idle: idle.clone(),
            })?;
        }
        let operators = admin.into_iter().chain(api).collect();
        Ok((gateway, adopted, operators))
    }

    fn start_core(&self, start: Start) -> Result<(), StartError> {
        let idle = start.idle.clone();
        self.start_thread(format!("adit-core-{}", start.index), move || {
            if let Err(error) = core::run(start) {
                warn!(%error, "a core could not be started");
            }
            idle.cancel();
        })
    }

    fn start_admin(&self, admin: Admin) -> Result<(), StartError> {
        let view = View {
            edge: Arc::clone(&self.edge),
            stop: self.stop.clone(),
        };
        let role = admin.role();
        let site = Site::of(role, view).map_err(|source| StartError::DataDir {
            path: self.edge.config.data_dir.clone(),
            source,
        })?;
        let end = self.abort.clone();
        self.start_thread(format!("adit-{}", role.name()), move || {
            if let Err(error) = admin.run(site, &end) {
                warn!(%error, "the admin listener could not be started");
            }
        })
    }

    /// Lets another gateway take over from this one. Without it this one can still be stopped and started.
    fn open_door(&self, replaces: bool) -> Result<(), StartError> {
        let door = match Door::open(&self.edge.config.data_dir, replaces) {
            Ok(door) => door,
            Err(error) => {
                warn!(%error, "no other gateway can take over from this one");
                return Ok(());
            }
        };
        let edge = Arc::clone(&self.edge);
        let (stop, taken_over) = (self.stop.clone(), self.taken_over.clone());
        let place = Arc::clone(&self.successor);
        self.start_thread("adit-take-over".into(), move || {
            match door.wait_here(&edge.listening, &stop) {
                Ok(None) => {}
                Ok(Some(successor)) => {
                    edge.logins.follow();
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(successor);
                    taken_over.cancel();
                }
                Err(error) => warn!(%error, "no other gateway can take over from this one"),
            }
        })
    }

    /// Waits until another gateway has taken over: this one accepts nothing more, and is to be shut down.
    pub async fn taken_over(&self) {
        self.taken_over.cancelled().await;
    }

    fn start_thread(
        &self,
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(run)
            .map_err(StartError::Thread)?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    /// Where https and agents are listened for.
    #[must_use]
    pub fn https(&self) -> Option<SocketAddr> {
        self.edge.https
    }

    /// Where plain http is listened for.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.edge.http
    }

    /// Where the operator may ask for health and metrics, if anywhere.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where the admin API is, if anywhere.
    #[must_use]
    pub fn api(&self) -> Option<SocketAddr> {
        self.api
    }

    /// The local certificate authority's file and certificate, if there is one.
    #[must_use]
    pub fn local_ca(&self) -> Option<(&std::path::Path, CertificateDer<'static>)> {
        self.local_ca
            .as_ref()
            .map(|(file, certificate)| (file.as_path(), certificate.clone()))
    }

    /// The deadline that the configuration gives to [`Self::shutdown`].
    #[must_use]
    pub fn shutdown_deadline(&self) -> Duration {
        self.edge.limits().shutdown_deadline.0
    }

    /// Reads `gateway.yaml` and the files it names again, as it also happens when they change. What differs is
    /// swapped all at once, or nothing is; running exchanges keep the policies that they began with.
    ///
    /// # Errors
    /// When a file has a mistake. It was logged, and everything stays as it was.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reopen_logs();
        match &self.reloader {
            Some(reloader) => reloader.reload().await,
            None => Err(ReloadError::NoFile),
        }
    }

    /// Opens the access log anew, for whoever has moved its file away. [`Self::reload`] does so, too.
    pub fn reopen_logs(&self) {
        if let Some(access) = &self.edge.access {
            access.reopen();
        }
    }

    /// Stops in order: no new connections, agents are told to drain, running exchanges may end until
    /// the deadline, then everything is closed.
    pub async fn shutdown(&self, deadline: Duration) {
        info!(?deadline, "shutting down");
        self.stop.cancel();
        // Agents that are told to go come back at once, and must not come here.
        self.edge.listening.nobody_accepts().await;
        self.edge
            .sessions
            .drain(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX))
            .await;
        let finished = async {
            for idle in &self.idle {
                idle.cancelled().await;
            }
        };
        if timeout(deadline, finished).await.is_err() {
            warn!("the deadline has come before all exchanges ended");
        }
        self.edge.sessions.close_all();
        self.abort.cancel();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let edge = Arc::clone(&self.edge);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A core that panicked has nothing left to wait for.
                drop(thread.join());
            }
            edge.logins.flush();
            if let Some(access) = &edge.access {
                access.flush();
            }
        });
        drop(joined.await);
        info!("stopped");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abort.cancel();
        self.edge.sessions.close_all();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("https", &self.https())
            .field("http", &self.http())
            .finish()
    }
}
