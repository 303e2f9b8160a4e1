//! Every endpoint by host, in one snapshot that exchanges hold on to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use adit_policy::{
    Policy,
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
};
use arc_swap::{ArcSwap, Guard};
use ring::digest::{SHA256, digest};
use tokio::time::Instant;

use super::{member::Member, session::Session};
use crate::counts::Counts;

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
    pub(crate) members: Vec<Arc<Member>>,
    lost: Option<Instant>,
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
}

/// Why a URL cannot be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindError {
    #[error(
        "another agent serves this URL; if both should, both need pooling_enabled (ERR_ADIT_334)"
    )]
    Taken,
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
            .filter(|endpoint| endpoint.lost.is_none())
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

    fn new(url: EndpointUrl, counts: Arc<Counts>) -> Self {
        Self {
            id: id(&url),
            url,
            policy: None,
            normalize_paths: false,
            declared: false,
            counts,
            members: Vec::new(),
            lost: None,
        }
    }

    /// Whether `session` may join those who serve, or must be refused, or displaces somebody.
    fn place_for(
        &self,
        newcomer: &Member,
        stale_after: Duration,
    ) -> Result<Vec<Arc<Session>>, BindError> {
        let pooling = newcomer.spec.pooling || self.declared;
        let mut displaced = Vec::new();
        for holder in self
            .members
            .iter()
            .filter(|holder| !holder.session.end.is_cancelled())
        {
            if pooling && (holder.spec.pooling || self.declared) {
                continue;
            }
            // A crashed agent that comes back must not wait for its own ghost to be noticed.
            let same_owner = holder.session.owner == newcomer.session.owner;
            if same_owner && holder.session.pulse.silence() > stale_after {
                displaced.push(Arc::clone(&holder.session));
            } else {
                return Err(BindError::Taken);
            }
        }
        Ok(displaced)
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
            } = entry;
            if let Some((map, host)) = routes.slot(&url) {
                let endpoint = Endpoint {
                    policy,
                    normalize_paths,
                    declared: true,
                    ..Endpoint::new(url, Arc::default())
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
        self.change(|routes| {
            let (map, host) = routes.slot(url).ok_or(BindError::Kind)?;
            let mut endpoint = map.get(&host).map_or_else(
                || Endpoint::new(url.clone(), Arc::clone(&self.agents)),
                |known| Endpoint::clone(known),
            );
            let displaced = endpoint.place_for(member, stale_after)?;
            endpoint.members.retain(|old| {
                !old.session.end.is_cancelled()
                    && !displaced.iter().any(|gone| gone.id == old.session.id)
            });
            endpoint.members.push(Arc::clone(member));
            endpoint.lost = None;
            map.insert(host, Arc::new(endpoint));
            Ok(displaced)
        })
    }

    /// Takes a member out. `lost` tells a broken session from an endpoint that was given back.
    pub(crate) fn unbind(&self, url: &EndpointUrl, member: u64, lost: bool) {
        self.change(|routes| {
            let Some((map, host)) = routes.slot(url) else {
                return;
            };
            let Some(known) = map.get(&host) else { return };
            let mut endpoint = Endpoint::clone(known);
            endpoint.members.retain(|other| other.id != member);
            if endpoint.members.is_empty() && !endpoint.declared {
                if !lost {
                    map.remove(&host);
                    return;
                }
                endpoint.lost = Some(Instant::now());
            }
            map.insert(host, Arc::new(endpoint));
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Routes) -> T) -> T {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = Routes::clone(&self.current.load());
        let answer = change(&mut routes);
        for map in routes.all() {
            map.retain(|_, endpoint| {
                endpoint
                    .lost
                    .is_none_or(|since| since.elapsed() < REMEMBERED)
            });
        }
        self.current.store(Arc::new(routes));
        answer
    }
}
