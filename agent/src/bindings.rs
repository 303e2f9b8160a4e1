//! The endpoints of an agent over all its sessions: asked for, granted, lost and asked for again.

mod health;
mod place;
mod policy;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use adit_wire::{
    limits::POOLS_SINCE,
    message::{AgentMessage, EndpointSpec, Protocol, RefusalCode, Refused},
};
use tokio::sync::{oneshot, watch};

use self::policy::{Asked, Updates, Wishes};
pub(crate) use self::{
    place::{PlaceChange, PlaceWish},
    policy::Wish,
};
use crate::{
    End, Event,
    agent::BindError,
    backoff::Backoff,
    endpoint::{PoolPlace, Standing},
    event::{Events, printable, printable_refusal},
    health::{Checking, Checks, Health, HealthCheck},
    routes::{Route, Target},
    session::Session,
};

/// Names a binding inside this process; also the number of its request.
pub(crate) type Key = u64;

/// What a program asks for, with where to send the answer.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) key: Key,
    pub(crate) spec: EndpointSpec,
    pub(crate) target: Target,
    /// Of the service that the target dials.
    pub(crate) check: Option<HealthCheck>,
    pub(crate) answer: oneshot::Sender<Result<watch::Receiver<Standing>, BindError>>,
}

#[derive(Debug)]
pub(crate) struct Bindings {
    held: BTreeMap<Key, Binding>,
    /// Those that stand in the present session.
    by_id: HashMap<u64, Key>,
    /// Asked in this session and not answered; may name bindings that were closed meanwhile.
    asked: BTreeSet<Key>,
    /// Questions for other policies.
    updates: Updates,
    checks: Checks,
    /// Whether it was said that the gateway does not listen to what the checks find.
    warned_of_checks: bool,
    backoff: Backoff,
    events: Events,
}

#[derive(Debug)]
struct Binding {
    /// With the policy that the gateway has taken, and the newest place.
    spec: EndpointSpec,
    /// The place that the gateway of the present session was told.
    said_place: Option<PoolPlace>,
    /// What the checks of the service have found.
    health: Option<Health>,
    _checking: Option<Checking>,
    wishes: Wishes,
    route: Arc<Route>,
    /// The URL that was granted, asked for again so that it stays.
    granted: Option<String>,
    /// The id in the present session.
    id: Option<u64>,
    /// Until the first answer.
    answer: Option<oneshot::Sender<Result<watch::Receiver<Standing>, BindError>>>,
    standing: watch::Sender<Standing>,
    backoff: Backoff,
}

// === impl Bindings ===

impl Bindings {
    pub(crate) fn new(backoff: Backoff, events: Events, checks: Checks) -> Self {
        Self {
            held: BTreeMap::new(),
            by_id: HashMap::new(),
            asked: BTreeSet::new(),
            updates: Updates::default(),
            checks,
            warned_of_checks: false,
            backoff,
            events,
        }
    }

    pub(crate) fn add(&mut self, wanted: Wanted) -> Key {
        let Wanted {
            key,
            spec,
            target,
            check,
            answer,
        } = wanted;
        let checking = match (&check, &target) {
            (Some(check), Target::Dial(dialer)) => {
                Some(self.checks.begin(key, check, dialer, spec.protocol))
            }
            _ => None,
        };
        let binding = Binding {
            route: Arc::new(Route {
                name: spec.name.clone(),
                target,
            }),
            spec,
            said_place: None,
            health: None,
            _checking: checking,
            wishes: Wishes::default(),
            granted: None,
            id: None,
            answer: Some(answer),
            standing: watch::Sender::new(Standing::default()),
            backoff: self.backoff.clone(),
        };
        self.held.insert(key, binding);
        key
    }

    /// Asks a new session for everything.
    pub(crate) fn ask_all(&mut self, session: &mut Session) {
        self.asked.clear();
        self.by_id.clear();
        self.updates.forget();
        for (&key, binding) in &mut self.held {
            binding.id = None;
            self.asked.insert(key);
            session.say(binding.question(key, session.version));
        }
        self.publish(session);
    }

    /// Asks for one endpoint, unless it has been asked for or stands.
    pub(crate) fn ask(&mut self, key: Key, session: &mut Session) {
        let Some(binding) = self
            .held
            .get_mut(&key)
            .filter(|binding| binding.id.is_none())
        else {
            return;
        };
        if self.asked.insert(key) {
            session.say(binding.question(key, session.version));
            self.publish(session);
        }
    }

    /// The gateway serves an endpoint.
    pub(crate) fn bound(&mut self, key: Key, id: u64, url: &str, session: &mut Session) {
        let was_asked = self.asked.remove(&key);
        let Some(binding) = self.held.get_mut(&key).filter(|_| was_asked) else {
            // Closed while the question was on its way.
            if was_asked {
                session.say(AgentMessage::Unbind { endpoint: id });
            }
            return self.publish(session);
        };
        let url = printable(url);
        binding.id = Some(id);
        self.by_id.insert(id, key);
        binding.granted = Some(url.clone());
        binding.backoff.reset();
        let route = Arc::clone(&binding.route);
        binding
            .standing
            .send_modify(|standing| standing.url.clone_from(&url));
        let wanted = match binding.answer.take() {
            Some(answer) => answer.send(Ok(binding.standing.subscribe())).is_ok(),
            None => true,
        };
        let (name, upstream) = (route.name.clone(), binding.spec.forwards_to.clone());
        session.routes.send_modify(|routes| {
            routes.by_id.insert(id, route);
        });
        self.publish(session);
        if !wanted {
            return self.close(key, Some(session));
        }
        self.events.tell(Event::Bound {
            name,
            url,
            upstream,
        });
        if let Some(binding) = self.held.get_mut(&key)
            && let Some(wish) = binding.wishes.answered(Asked::Bind)
        {
            binding.accept(wish, &self.events);
        }
        // What has changed while the question was on its way; a failure is an event.
        drop(self.say_place(key, session));
        self.say_health(key, session);
        self.ask_for_policy(key, session);
    }

    /// The gateway does not serve an endpoint. Answers how long to wait before asking again.
    pub(crate) fn refused(
        &mut self,
        key: Key,
        refused: Refused,
        session: &mut Session,
    ) -> Option<Duration> {
        let was_asked = self.asked.remove(&key);
        self.publish(session);
        let refused = printable_refusal(refused);
        let binding = self.held.get_mut(&key).filter(|_| was_asked)?;
        if let Some(answer) = binding.answer.take() {
            drop(answer.send(Err(BindError::Refused(refused))));
            self.held.remove(&key);
            return None;
        }
        // The endpoint need not go without traffic because its new policy is wrong.
        if refused.code == RefusalCode::Policy
            && let Some(wish) = binding.wishes.answered(Asked::Bind)
        {
            binding.reject(wish, refused, &self.events);
            self.ask(key, session);
            return None;
        }
        let name = binding.spec.name.clone();
        self.events.tell(Event::BindRefused {
            name,
            refused: refused.clone(),
        });
        // The granted URL may be none of this gateway's any more; the user's wish still may.
        if binding
            .granted
            .take_if(|_| !refused.retryable)
            .is_some_and(|url| url != binding.spec.url)
        {
            self.ask(key, session);
            return None;
        }
        if refused.retryable {
            return Some(binding.backoff.next());
        }
        self.end(key, End::Refused(refused));
        None
    }

    /// The gateway takes an endpoint away. Answers how long to wait before asking again.
    pub(crate) fn unbound(
        &mut self,
        id: u64,
        refused: Refused,
        session: &mut Session,
    ) -> Option<(Key, Duration)> {
        session.routes.send_modify(|routes| {
            routes.by_id.remove(&id);
        });
        let refused = printable_refusal(refused);
        let key = self.by_id.remove(&id)?;
        let binding = self.held.get_mut(&key)?;
        binding.id = None;
        let name = binding.spec.name.clone();
        self.events.tell(Event::Unbound {
            name,
            refused: Some(refused.clone()),
        });
        if refused.retryable {
            return Some((key, binding.backoff.next()));
        }
        self.end(key, End::Refused(refused));
        None
    }

    /// Gives an endpoint back.
    pub(crate) fn close(&mut self, key: Key, session: Option<&mut Session>) {
        let Some(binding) = self.held.get(&key) else {
            return;
        };
        let name = binding.spec.name.clone();
        if let (Some(id), Some(session)) = (binding.id, session) {
            session.say(AgentMessage::Unbind { endpoint: id });
            session.routes.send_modify(|routes| {
                routes.by_id.remove(&id);
            });
        }
        self.end(key, End::Closed);
        self.events.tell(Event::Unbound {
            name,
            refused: None,
        });
    }

    /// The agent is over.
    pub(crate) fn end_all(&mut self, end: &End) {
        let keys: Vec<_> = self.held.keys().copied().collect();
        for key in keys {
            self.end(key, end.clone());
        }
    }

    fn end(&mut self, key: Key, end: End) {
        let Some(binding) = self.held.remove(&key) else {
            return;
        };
        if let Some(id) = binding.id {
            self.by_id.remove(&id);
        }
        if let Some(answer) = binding.answer {
            drop(answer.send(Err(BindError::Ended(end.clone()))));
        }
        binding
            .standing
            .send_modify(|standing| standing.end = Some(end));
    }

    fn publish(&self, session: &Session) {
        session
            .routes
            .send_modify(|routes| routes.asked = self.asked.len());
    }
}

// === impl Binding ===

impl Binding {
    /// How the gateway is asked for it.
    fn question(&mut self, request: Key, version: u16) -> AgentMessage {
        self.said_place = Some(PoolPlace::of(&self.spec));
        let mut endpoint = self.spec.clone();
        if let Some(granted) = &self.granted {
            endpoint.url.clone_from(granted);
        }
        if let Some(policy) = self.wishes.with_bind() {
            endpoint.traffic_policy = policy;
        }
        // An older gateway knows no such word; it refuses the url in words of its own.
        if endpoint.protocol == Protocol::Tcp && version < POOLS_SINCE {
            endpoint.protocol = Protocol::default();
        }
        AgentMessage::Bind {
            request,
            endpoint: Box::new(endpoint),
        }
    }
}
