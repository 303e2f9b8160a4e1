//! Another traffic policy for an endpoint: wished for, asked for, taken over or refused.

use std::collections::{BTreeMap, HashMap};

use adit_wire::{
    limits::UPDATE_SINCE,
    message::{AgentMessage, RefusalCode, Refused},
};
use tokio::sync::oneshot;

use super::{Binding, Bindings, Key};
use crate::{
    Event,
    endpoint::UpdateError,
    event::{Events, printable_refusal},
    session::Session,
};

/// A policy that a program wishes for an endpoint that it has.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Blank for none.
    pub(crate) text: String,
    pub(crate) answer: oneshot::Sender<Result<(), UpdateError>>,
}

/// The wishes for one endpoint: at most one that the gateway was asked for, and the newest after it.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    asked: Option<(Asked, Wish)>,
    waiting: Option<Wish>,
}

/// The questions of the present session that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Updates {
    last: u64,
    asked: HashMap<u64, Key>,
}

/// The message that a wish was sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Bind,
    /// With this number of its request.
    Update(u64),
}

// === impl Bindings ===

impl Bindings {
    /// Takes up a wish. Without a session it is asked for with the endpoint itself, in the next one.
    pub(crate) fn update(&mut self, key: Key, wish: Wish, session: Option<&mut Session>) {
        // Dropping the wish tells whoever waits that the endpoint has ended.
        let Some(binding) = self.held.get_mut(&key) else {
            return;
        };
        let wishes = &mut binding.wishes;
        if wishes.asked.is_none()
            && wishes.waiting.is_none()
            && binding.spec.traffic_policy == wish.policy()
        {
            return wish.tell(Ok(()));
        }
        if let Some(older) = wishes.waiting.replace(wish) {
            older.tell(Err(UpdateError::Superseded));
        }
        if let Some(session) = session {
            self.ask_for_policy(key, session);
        }
    }

    /// The gateway has taken a policy over.
    pub(crate) fn updated(&mut self, request: u64, session: &mut Session) {
        if let Some((key, binding, wish)) = self.updates.answered(&mut self.held, request) {
            binding.accept(wish, &self.events);
            self.ask_for_policy(key, session);
        }
    }

    /// The gateway has not taken a policy over.
    pub(crate) fn update_refused(&mut self, request: u64, refused: Refused, session: &mut Session) {
        if let Some((key, binding, wish)) = self.updates.answered(&mut self.held, request) {
            binding.reject(wish, refused, &self.events);
            self.ask_for_policy(key, session);
        }
    }

    /// Asks for the newest wish, if there is one and the endpoint stands and no earlier one is on its way.
    pub(super) fn ask_for_policy(&mut self, key: Key, session: &mut Session) {
        let Some(binding) = self.held.get_mut(&key) else {
            return;
        };
        let (Some(endpoint), None) = (binding.id, &binding.wishes.asked) else {
            return;
        };
        let Some(wish) = binding.wishes.waiting.take() else {
            return;
        };
        if session.version < UPDATE_SINCE {
            return binding.reject(wish, too_old(), &self.events);
        }
        let request = self.updates.number(key);
        session.say(AgentMessage::Update {
            request,
            endpoint,
            traffic_policy: wish.policy(),
        });
        binding.wishes.asked = Some((Asked::Update(request), wish));
    }
}

// === impl Updates ===

impl Updates {
    fn number(&mut self, key: Key) -> u64 {
        self.last += 1;
        self.asked.insert(self.last, key);
        self.last
    }

    /// The binding whose wish was asked for under this number.
    fn answered<'a>(
        &mut self,
        held: &'a mut BTreeMap<Key, Binding>,
        request: u64,
    ) -> Option<(Key, &'a mut Binding, Wish)> {
        let key = self.asked.remove(&request)?;
        let binding = held.get_mut(&key)?;
        let wish = binding.wishes.answered(Asked::Update(request))?;
        Some((key, binding, wish))
    }

    /// The session is another one.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
    }
}

// === impl Binding ===

impl Binding {
    pub(super) fn accept(&mut self, wish: Wish, events: &Events) {
        self.spec.traffic_policy = wish.policy();
        wish.tell(Ok(()));
        let (name, url) = self.shown();
        events.tell(Event::PolicyUpdated { name, url });
    }

    pub(super) fn reject(&mut self, wish: Wish, refused: Refused, events: &Events) {
        let refused = printable_refusal(refused);
        wish.tell(Err(UpdateError::Refused(refused.clone())));
        let (name, url) = self.shown();
        events.tell(Event::PolicyRefused { name, url, refused });
    }

    fn shown(&self) -> (String, String) {
        let url = self.granted.clone().unwrap_or_default();
        (self.spec.name.clone(), url)
    }
}

// === impl Wishes ===

impl Wishes {
    /// The policy to bind with, if it is another than the one there was; also what an earlier session left unanswered.
    pub(super) fn with_bind(&mut self) -> Option<Option<String>> {
        let left = self.asked.take().map(|(_, wish)| wish);
        let wish = match (self.waiting.take(), left) {
            (Some(newer), Some(older)) => {
                older.tell(Err(UpdateError::Superseded));
                newer
            }
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return None,
        };
        let policy = wish.policy();
        self.asked = Some((Asked::Bind, wish));
        Some(policy)
    }

    /// The wish that was asked for in this way and has its answer now.
    pub(super) fn answered(&mut self, how: Asked) -> Option<Wish> {
        let asked = self.asked.take_if(|(asked, _)| *asked == how);
        asked.map(|(_, wish)| wish)
    }
}

// === impl Wish ===

impl Wish {
    fn policy(&self) -> Option<String> {
        (!self.text.trim().is_empty()).then(|| self.text.clone())
    }

    fn tell(self, outcome: Result<(), UpdateError>) {
        // Nobody may be waiting any more.
        drop(self.answer.send(outcome));
    }
}

fn too_old() -> Refused {
    Refused {
        code: RefusalCode::Version,
        reason: "this gateway is of a version that cannot exchange the policy of an endpoint that is online; restart to apply it"
            .into(),
        retryable: false,
    }
}
