//! The handle by which a program uses its agent.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use adit_wire::message::{EndpointSpec, Refused};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    AgentBuilder, EndpointOptions, Event, Forwarder, HealthCheck, Listener, Upstream,
    bindings::Wanted,
    dial::{Dialer, DialerError},
    endpoint::{Endpoint, OptionError},
    event::Events,
    reconnect::{Command, State},
    routes::Target,
};

/// Streams that may wait for a listener's program to accept them.
const UNACCEPTED: usize = 64;

/// An agent: connected to a gateway, or on its way to be again.
///
/// Clones are the same agent. It lives for as long as an [`Agent`], a [`Listener`] or a
/// [`Forwarder`] of it does; [`Agent::drain`] ends it in order.
#[derive(Clone)]
pub struct Agent {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) events: Events,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) keys: Arc<AtomicU64>,
}

/// Why an agent, or an endpoint, is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// This program wished it.
    Closed,
    /// The gateway refused, and asking again cannot help.
    Refused(Refused),
}

/// Why an endpoint is not served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The gateway refused.
    #[error(transparent)]
    Refused(Refused),
    /// No gateway would take these options.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The upstream cannot be dialled.
    #[error(transparent)]
    Upstream(#[from] DialerError),
    /// The agent is over.
    #[error("the agent has ended: {0}")]
    Ended(End),
}

// === impl Agent ===

impl Agent {
    /// Begins the settings of an agent.
    #[must_use]
    pub fn builder() -> AgentBuilder {
        AgentBuilder::default()
    }

    /// Asks for an endpoint whose streams this program takes itself.
    ///
    /// Waits for the gateway's answer, and before that for the gateway.
    ///
    /// # Errors
    /// When the gateway refuses, or the agent ends before it answers.
    pub async fn listen(&self, options: EndpointOptions) -> Result<Listener, BindError> {
        let (hand, streams) = mpsc::channel(UNACCEPTED);
        let endpoint = self
            .bind(options.into_spec(String::new())?, Target::Hand(hand), None)
            .await?;
        Ok(Listener { endpoint, streams })
    }

    /// Asks for an endpoint whose streams go to `upstream`.
    ///
    /// Waits for the gateway's answer, and before that for the gateway. The service itself is
    /// dialled for each stream and may come and go.
    ///
    /// # Errors
    /// When the upstream does not fit the endpoint's URL ([`Upstream::for_url`]), the gateway refuses, or the agent ends
    /// before it answers.
    pub async fn forward(
        &self,
        options: EndpointOptions,
        upstream: Upstream,
    ) -> Result<Forwarder, BindError> {
        let upstream = upstream.for_url(options.wanted_url());
        let upstream = upstream.map_err(DialerError::from)?;
        let dialer = Dialer::new(&upstream)?;
        let mut spec = options.into_spec(upstream.to_string())?;
        let check = upstream.check.clone();
        spec.checked = check.is_some();
        let target = Target::Dial(Arc::new(dialer));
        let endpoint = self.bind(spec, target, check).await?;
        Ok(Forwarder { endpoint, upstream })
    }

    /// What happens from now on. A receiver that falls behind loses the oldest events.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.listen()
    }

    /// Whether a session stands at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), State::Connected)
    }

    /// Takes no more streams, waits until those that run are done or the deadline has passed, and
    /// ends the agent with all its endpoints.
    pub async fn drain(&self, deadline: Duration) {
        let (done, is_done) = oneshot::channel();
        if self
            .commands
            .send(Command::Drain { deadline, done })
            .is_ok()
        {
            // An error means that the agent ended by itself.
            drop(is_done.await);
        }
        self.done().await;
    }

    /// Ends the agent now, running streams included.
    pub async fn close(&self) {
        self.drain(Duration::ZERO).await;
    }

    /// Waits for the end of the agent: it was closed, or refused for good.
    pub async fn done(&self) -> End {
        let mut state = self.state.clone();
        match state
            .wait_for(|state| matches!(state, State::Ended(_)))
            .await
            .as_deref()
        {
            Ok(State::Ended(end)) => end.clone(),
            Ok(_) | Err(_) => End::Closed,
        }
    }

    async fn bind(
        &self,
        spec: EndpointSpec,
        target: Target,
        check: Option<HealthCheck>,
    ) -> Result<Endpoint, BindError> {
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let name = spec.name.clone();
        let wanted = Box::new(Wanted {
            key,
            spec,
            target,
            check,
            answer,
        });
        let asked = self.commands.send(Command::Bind(wanted)).is_ok();
        let answer = if asked { answered.await.ok() } else { None };
        let Some(answer) = answer else {
            return Err(BindError::Ended(self.done().await));
        };
        Ok(Endpoint {
            key,
            name,
            commands: self.commands.clone(),
            standing: answer?,
        })
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it was closed"),
            Self::Refused(refused) => refused.fmt(f),
        }
    }
}
