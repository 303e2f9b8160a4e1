//! Every endpoint by host, in one snapshot that exchanges hold on to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use adit_policy::{
    Policy,
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
};
use arc_swap::{ArcSwap, Guard};
use ring::digest::{SHA256, digest};

use super::{
    member::Member,
    pool::{Pool, Taken},
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

/// All endpoints at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    https: Table,
    http: Table,
}

#[derive(Debug, Clone, Default)]
struct Table {
    exact: HashMap<Host, Arc<Endpoint>>,
    /// By the name behind `*.`.
    wildcard: HashMap<Host, Arc<Endpoint>>,
}

/// The current [`Routes`], and the one place that changes them.
#[derive(Debug)]
pub(crate) struct Endpoints {
    current: ArcSwap<Routes>,
    /// What happens at the endpoints that only agents know.
    pub(crate) agents: Arc<Counts>,
    /// What happens to requests that are for no endpoint.
    pub(crate) nowhere: Counts,
    changing: Mutex<()>,
}

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
    #[error("only http and https endpoints with a host can be bound (ERR_ADIT_332)")]
    Kind,
}

// === impl Routes ===

impl Routes {
    /// The endpoint that answers for a canonical host. An exact name beats a wildcard, and a longer
    /// wildcard a shorter one. Internal ones are not found: no client gets to them.
    pub(crate) fn find(&self, scheme: Scheme, host: &str) -> Option<&Arc<Endpoint>> {
        match is_internal(host) {
            true => None,
            false => self.find_any(scheme, host),
        }
    }

    /// The same for the gateway itself, which gets to internal ones, too.
    pub(crate) fn find_any(&self, scheme: Scheme, host: &str) -> Option<&Arc<Endpoint>> {
        let table = self.table(scheme)?;
        if let Some(endpoint) = table.exact.get(host) {
            return Some(endpoint);
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(endpoint) = table.wildcard.get(parent) {
                return Some(endpoint);
            }
            rest = parent;
        }
        None
    }

    /// The endpoint of exactly this URL.
    pub(crate) fn at(&self, url: &EndpointUrl) -> Option<&Arc<Endpoint>> {
        let table = self.table(url.scheme)?;
        match &url.host {
            HostPattern::Exact(host) => table.exact.get(host),
            HostPattern::Wildcard(host) => table.wildcard.get(host),
            HostPattern::Random => None,
        }
    }

    /// Every endpoint that is declared or has members.
    pub(crate) fn online(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        [&self.https, &self.http]
            .into_iter()
            .flat_map(|table| table.exact.values().chain(table.wildcard.values()))
            .filter(|endpoint| endpoint.declared || !endpoint.pool.is_empty())
    }

    fn table(&self, scheme: Scheme) -> Option<&Table> {
        match scheme {
            Scheme::Https => Some(&self.https),
            Scheme::Http => Some(&self.http),
            Scheme::Tcp | Scheme::Tls => None,
        }
    }

    fn slot(&mut self, url: &EndpointUrl) -> Option<(&mut HashMap<Host, Arc<Endpoint>>, Host)> {
        let table = match url.scheme {
            Scheme::Https => &mut self.https,
            Scheme::Http => &mut self.http,
            Scheme::Tcp | Scheme::Tls => return None,
        };
        match &url.host {
            HostPattern::Exact(host) => Some((&mut table.exact, host.clone())),
            HostPattern::Wildcard(host) => Some((&mut table.wildcard, host.clone())),
            HostPattern::Random => None,
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut HashMap<Host, Arc<Endpoint>>> {
        [&mut self.https, &mut self.http]
            .into_iter()
            .flat_map(|table| [&mut table.exact, &mut table.wildcard])
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Whether it has a URL that only policies of this gateway can use.
    pub(crate) fn has_internal_url(url: &EndpointUrl) -> bool {
        match &url.host {
            HostPattern::Exact(host) | HostPattern::Wildcard(host) => is_internal(host.as_str()),
            HostPattern::Random => false,
        }
    }

    fn new(url: EndpointUrl, counts: Arc<Counts>, pool: config::Pool) -> Self {
        Self {
            id: id(&url),
            url,
            policy: None,
            normalize_paths: false,
            declared: false,
            counts,
            pool: Arc::new(Pool::new(pool)),
        }
    }
}

/// Whether only policies of this gateway get to a host.
pub(crate) fn is_internal(host: &str) -> bool {
    host.ends_with(".internal") || host == "internal"
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
    pub(crate) fn declare(declared: Vec<Declared>) -> Self {
        let mut routes = Routes::default();
        for entry in declared {
            let Declared {
                url,
                policy,
                normalize_paths,
                pool,
            } = entry;
            if let Some((map, host)) = routes.slot(&url) {
                let endpoint = Endpoint {
                    policy,
                    normalize_paths,
                    declared: true,
                    ..Endpoint::new(url, Arc::default(), pool)
                };
                map.insert(host, Arc::new(endpoint));
            }
        }
        Self {
            current: ArcSwap::from_pointee(routes),
            agents: Arc::default(),
            nowhere: Counts::default(),
            changing: Mutex::new(()),
        }
    }

    /// The routes of this moment.
    pub(crate) fn snapshot(&self) -> Guard<Arc<Routes>> {
        self.current.load()
    }

    /// Gives declared endpoints other policies, all in one step. Exchanges that run keep those they have.
    pub(crate) fn set_policies(&self, changed: Vec<Declared>) {
        let _one_at_a_time = self.turn();
        self.change(|routes| {
            for Declared { url, policy, .. } in changed {
                let Some((map, host)) = routes.slot(&url) else {
                    continue;
                };
                if let Some(known) = map.get_mut(&host) {
                    let endpoint = Endpoint::clone(known);
                    *known = Arc::new(Endpoint { policy, ..endpoint });
                }
            }
        });
    }

    /// Lets a member serve a URL. Sessions it displaces are returned, to be closed.
    pub(crate) fn bind(
        &self,
        url: &EndpointUrl,
        member: &Arc<Member>,
        stale_after: Duration,
    ) -> Result<Vec<Arc<Session>>, BindError> {
        let _one_at_a_time = self.turn();
        if let Some(known) = self.current.load().at(url) {
            let joined = known.pool.join(member, known.declared, stale_after);
            return joined.map_err(|Taken { by }| BindError::Taken { by });
        }
        let endpoint = Endpoint::new(
            url.clone(),
            Arc::clone(&self.agents),
            config::Pool::default(),
        );
        endpoint
            .pool
            .join(member, false, stale_after)
            .map_err(|Taken { by }| BindError::Taken { by })?;
        self.change(|routes| {
            let (map, host) = routes.slot(url).ok_or(BindError::Kind)?;
            map.insert(host, Arc::new(endpoint));
            Ok(Vec::new())
        })
    }

    /// Takes a member out. `lost` tells a broken session from an endpoint that was given back.
    pub(crate) fn unbind(&self, url: &EndpointUrl, member: u64, lost: bool) {
        let _one_at_a_time = self.turn();
        let routes = self.current.load();
        let Some(known) = routes.at(url) else { return };
        known.pool.leave(member);
        if known.declared || !known.pool.is_empty() {
            return;
        }
        if lost {
            return known.pool.is_lost();
        }
        self.change(|routes| {
            if let Some((map, host)) = routes.slot(url) {
                map.remove(&host);
            }
        });
    }

    // Nothing panics while it holds the lock.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who calls this has [`Self::turn`].
    fn change<T>(&self, change: impl FnOnce(&mut Routes) -> T) -> T {
        let mut routes = Routes::clone(&self.current.load());
        let answer = change(&mut routes);
        for map in routes.all() {
            map.retain(|_, endpoint| {
                let lost = endpoint.pool.lost_for();
                endpoint.declared || lost.is_none_or(|time| time < REMEMBERED)
            });
        }
        self.current.store(Arc::new(routes));
        answer
    }
}
