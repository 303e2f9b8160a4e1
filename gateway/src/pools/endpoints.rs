//! The endpoints there are, and the one place that changes them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use adit_policy::{Policy, endpoint_url::EndpointUrl};
use arc_swap::{ArcSwap, Guard};
use ring::digest::{SHA256, digest};
use tokio::time::Instant;

use super::{
    member::Member,
    pool::{Pool, Taken},
    routes::Routes,
    session::Session,
};
use crate::{config, counts::Counts};

/// How long the URL of a lost agent answers 503 ("come back") before it answers 404 ("no such thing").
const REMEMBERED: Duration = Duration::from_secs(600);

/// A URL that traffic arrives at.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// A name that stays the same for the same URL.
    pub(crate) id: Arc<str>,
    pub(crate) url: EndpointUrl,
    /// The operator's policy; it runs before a member's own.
    pub(crate) policy: Option<Arc<Policy>>,
    /// Whether doubtful paths are normalized instead of refused.
    pub(crate) normalize_paths: bool,
    /// Whether the configuration names it; then it stays without members too.
    pub(crate) declared: bool,
    /// Its own if it is declared, else those of all that are not.
    pub(crate) counts: Arc<Counts>,
    /// Who serves it; the same one for as long as the endpoint is known.
    pub(crate) pool: Arc<Pool>,
}

/// The current [`Routes`], and the one place that changes them.
#[derive(Debug)]
pub(crate) struct Endpoints {
    current: ArcSwap<Routes>,
    cores: usize,
    /// What happens at the endpoints that only agents know.
    pub(crate) agents: Arc<Counts>,
    /// What happens to requests that are for no endpoint.
    pub(crate) nowhere: Counts,
    changing: Mutex<Lost>,
}

/// URLs that lost their last agent, the first of them first. Some may be back.
type Lost = VecDeque<(Instant, EndpointUrl)>;

/// A URL that the configuration names.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) url: EndpointUrl,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) normalize_paths: bool,
    pub(crate) pool: config::Pool,
}

/// Why a URL cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindError {
    #[error(
        "the agent `{by}` serves this URL; if both should, both need pooling_enabled (ERR_ADIT_334)"
    )]
    Taken { by: String },
    #[error("the gateway serves this URL itself (`pool: none` in gateway.yaml) (ERR_ADIT_334)")]
    Alone,
    #[error("only http, https and tcp endpoints with a host can be bound (ERR_ADIT_332)")]
    Kind,
}

// === impl Endpoint ===

impl Endpoint {
    /// One that only agents know.
    pub(super) fn of_agents(url: EndpointUrl, counts: Arc<Counts>, cores: usize) -> Self {
        Self {
            id: id(&url),
            url,
            policy: None,
            normalize_paths: false,
            declared: false,
            counts,
            pool: Arc::new(Pool::new(config::Pool::default(), cores)),
        }
    }

    /// As the configuration wants it; its members stay.
    fn declared(&self, entry: Declared) -> Self {
        if entry.pool != **self.pool.settings() {
            self.pool.set_settings(entry.pool);
        }
        Self {
            id: Arc::clone(&self.id),
            url: entry.url,
            policy: entry.policy,
            normalize_paths: entry.normalize_paths,
            declared: true,
            counts: match self.declared {
                true => Arc::clone(&self.counts),
                false => Arc::default(),
            },
            pool: Arc::clone(&self.pool),
        }
    }
}

fn id(url: &EndpointUrl) -> Arc<str> {
    let digest = digest(&SHA256, url.to_string().as_bytes());
    let digits = digest.as_ref().iter().take(12);
    let digits = digits.map(|byte| format!("{byte:02x}"));
    format!("ep_{}", digits.collect::<String>()).into()
}

// === impl Endpoints ===

impl Endpoints {
    /// Starts with what the configuration declares.
    pub(crate) fn declare(declared: Vec<Declared>, cores: usize) -> Self {
        let own = Self {
            current: ArcSwap::default(),
            cores,
            agents: Arc::default(),
            nowhere: Counts::default(),
            changing: Mutex::default(),
        };
        own.redeclare(declared, &[]);
        own
    }

    /// The routes of this moment.
    pub(crate) fn snapshot(&self) -> Guard<Arc<Routes>> {
        self.current.load()
    }

    /// Takes endpoints up into the configuration, or changes what it says of them, and takes others out of it, all in
    /// one step. Exchanges that run keep what they have.
    ///
    /// What is taken out stays the agents' own, as if they had bound it without the configuration: if they share it, or
    /// there is only one of them. Members that may not be there any more are taken out of their pool and returned.
    pub(crate) fn redeclare(
        &self,
        declared: Vec<Declared>,
        removed: &[EndpointUrl],
    ) -> Vec<Arc<Member>> {
        let mut lost = self.turn();
        let mut routes = Routes::clone(&self.current.load());
        let mut expelled = Vec::new();
        for entry in declared {
            let endpoint = match routes.at(&entry.url) {
                Some(known) => {
                    if entry.pool.none {
                        expelled.extend(known.pool.dissolve());
                    }
                    known.declared(entry)
                }
                None => Endpoint::of_agents(entry.url.clone(), Arc::default(), self.cores)
                    .declared(entry),
            };
            routes.put(Arc::new(endpoint));
        }
        for url in removed {
            let Some(known) = routes.at(url).filter(|known| known.declared) else {
                continue;
            };
            expelled.extend(known.pool.leave_to_agents());
            if known.pool.is_empty() {
                routes.take_out(url);
                continue;
            }
            let endpoint = Endpoint {
                pool: Arc::clone(&known.pool),
                ..Endpoint::of_agents(url.clone(), Arc::clone(&self.agents), self.cores)
            };
            routes.put(Arc::new(endpoint));
        }
        forget(&mut lost, &mut routes);
        self.current.store(Arc::new(routes));
        expelled
    }

    /// Lets a member serve a URL. Sessions it displaces are returned, to be closed.
    pub(crate) fn bind(
        &self,
        url: &EndpointUrl,
        member: &Arc<Member>,
        stale_after: Duration,
    ) -> Result<Vec<Arc<Session>>, BindError> {
        let mut lost = self.turn();
        if let Some(known) = self.current.load().at(url) {
            if known.pool.settings().none {
                return Err(BindError::Alone);
            }
            let joined = known.pool.join(member, known.declared, stale_after);
            return joined.map_err(|Taken { by }| BindError::Taken { by });
        }
        let endpoint = Endpoint::of_agents(url.clone(), Arc::clone(&self.agents), self.cores);
        endpoint
            .pool
            .join(member, false, stale_after)
            .map_err(|Taken { by }| BindError::Taken { by })?;
        let mut routes = Routes::clone(&self.current.load());
        if !routes.put(Arc::new(endpoint)) {
            return Err(BindError::Kind);
        }
        forget(&mut lost, &mut routes);
        self.current.store(Arc::new(routes));
        Ok(Vec::new())
    }

    /// Takes a member out. `lost` tells a broken session from an endpoint that was given back.
    pub(crate) fn unbind(&self, url: &EndpointUrl, member: u64, lost: bool) {
        let mut all_lost = self.turn();
        let current = self.current.load();
        let Some(known) = current.at(url) else { return };
        known.pool.leave(member);
        if known.declared || !known.pool.is_empty() {
            return;
        }
        if lost {
            known.pool.is_lost();
            return all_lost.push_back((Instant::now(), url.clone()));
        }
        let mut routes = Routes::clone(&current);
        routes.take_out(url);
        forget(&mut all_lost, &mut routes);
        self.current.store(Arc::new(routes));
    }

    // Nothing panics while it holds the lock.
    fn turn(&self) -> MutexGuard<'_, Lost> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what has been lost for long enough.
fn forget(lost: &mut Lost, routes: &mut Routes) {
    while let Some((_, url)) = lost.pop_front_if(|(since, _)| since.elapsed() >= REMEMBERED) {
        let still_lost = |endpoint: &&Arc<Endpoint>| {
            let time = endpoint.pool.lost_for();
            !endpoint.declared && time.is_some_and(|time| time >= REMEMBERED)
        };
        if routes.at(&url).filter(still_lost).is_some() {
            routes.take_out(&url);
        }
    }
}
