//! What the checks of the services have found, said to the gateway of the moment.

use adit_wire::{limits::POOLS_SINCE, message::AgentMessage};
use tracing::warn;

use super::{Bindings, Key};
use crate::{Event, health::Health, session::Session};

// === impl Bindings ===

impl Bindings {
    /// A service is in another state than it was.
    pub(crate) fn checked(&mut self, key: Key, health: Health, session: Option<&mut Session>) {
        // It may have been found at the moment at which the endpoint was closed.
        let Some(binding) = self.held.get_mut(&key) else {
            return;
        };
        self.events.tell(Event::Health {
            name: binding.spec.name.clone(),
            upstream: binding.spec.forwards_to.clone(),
            up: health.up,
            reason: health.reason.clone(),
        });
        binding.health = Some(health);
        if let Some(session) = session {
            self.say_health(key, session);
        }
    }

    /// Tells the gateway how the service of an endpoint that stands is, if that is known.
    pub(super) fn say_health(&mut self, key: Key, session: &mut Session) {
        let Some((binding, endpoint)) = self.standing(key) else {
            return;
        };
        let Some(Health { up, reason }) = binding.health.clone() else {
            return;
        };
        if session.version >= POOLS_SINCE {
            session.say(AgentMessage::Health {
                endpoint,
                up,
                reason,
            });
        } else if !std::mem::replace(&mut self.warned_of_checks, true) {
            warn!(
                obj = "tunnels",
                "this gateway is of a version that knows nothing of health checks: it sends traffic to services that are down"
            );
        }
    }
}
