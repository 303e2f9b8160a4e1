//! Another place of an endpoint among those that serve its URL: its weight, its tier, its metadata.

use adit_wire::{
    limits::POOLS_SINCE,
    message::{AgentMessage, EndpointSpec, RefusalCode, Refused},
};
use tokio::sync::oneshot;

use super::{Binding, Bindings, Key};
use crate::{
    Event,
    endpoint::{PoolPlace, UpdateError},
    session::Session,
};

/// A place that a program wishes for an endpoint that it has.
#[derive(Debug)]
pub(crate) struct PlaceWish {
    pub(crate) change: PlaceChange,
    pub(crate) answer: oneshot::Sender<Result<(), UpdateError>>,
}

/// What of a place shall be another.
#[derive(Debug)]
pub(crate) enum PlaceChange {
    Weight(u32),
    Whole(PoolPlace),
}

// === impl Bindings ===

impl Bindings {
    /// Gives an endpoint another place. Without a session it is said with the endpoint itself, in the next one.
    pub(crate) fn set_place(&mut self, key: Key, wish: PlaceWish, session: Option<&mut Session>) {
        // Dropping the wish tells whoever waits that the endpoint has ended.
        let Some(binding) = self.held.get_mut(&key) else {
            return;
        };
        match wish.change {
            PlaceChange::Weight(weight) => binding.spec.weight = weight,
            PlaceChange::Whole(place) => place.put_into(&mut binding.spec),
        }
        let outcome = match session {
            Some(session) => self.say_place(key, session),
            None => Ok(()),
        };
        // Nobody may be waiting any more.
        drop(wish.answer.send(outcome.map_err(UpdateError::Refused)));
    }

    /// Tells the gateway the place of an endpoint that stands, unless it knows.
    pub(super) fn say_place(&mut self, key: Key, session: &mut Session) -> Result<(), Refused> {
        let Some((binding, endpoint)) = self.standing(key) else {
            return Ok(());
        };
        let place = PoolPlace::of(&binding.spec);
        if binding.said_place.as_ref() == Some(&place) {
            return Ok(());
        }
        let name = binding.spec.name.clone();
        let url = binding.granted.clone().unwrap_or_default();
        if session.version < POOLS_SINCE {
            let refused = too_old();
            self.events.tell(Event::NotReweighed {
                name,
                url,
                reason: refused.reason.clone(),
            });
            return Err(refused);
        }
        let (weight, tier) = (place.weight, place.tier);
        session.say(AgentMessage::Reweigh {
            endpoint,
            weight,
            tier,
            metadata: place.metadata.clone(),
        });
        binding.said_place = Some(place);
        self.events.tell(Event::Reweighed {
            name,
            url,
            weight,
            tier,
        });
        Ok(())
    }

    /// An endpoint that the gateway serves, with its number.
    pub(super) fn standing(&mut self, key: Key) -> Option<(&mut Binding, u64)> {
        let binding = self.held.get_mut(&key)?;
        let id = binding.id?;
        Some((binding, id))
    }
}

// === impl PoolPlace ===

impl PoolPlace {
    pub(crate) fn of(spec: &EndpointSpec) -> Self {
        Self {
            weight: spec.weight,
            tier: spec.tier,
            metadata: spec.metadata.clone(),
        }
    }

    fn put_into(self, spec: &mut EndpointSpec) {
        (spec.weight, spec.tier, spec.metadata) = (self.weight, self.tier, self.metadata);
    }
}

fn too_old() -> Refused {
    Refused {
        code: RefusalCode::Version,
        reason: "this gateway is of a version that cannot change the weight of an endpoint that is online; restart to apply it"
            .into(),
        retryable: false,
    }
}
