//! What to ask the gateway for: an endpoint and its options.

pub use adit_wire::message::Protocol;
use adit_wire::message::{EndpointSpec, Refused};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    End,
    bindings::{Key, PlaceChange, PlaceWish, Wish},
    reconnect::Command,
    upstream::is_tcp,
};

/// An endpoint as a program asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointOptions {
    pub(crate) spec: EndpointSpec,
}

/// An option that no gateway would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A name is what status lines, logs and `start NAME` go by.
    #[error("an endpoint needs a name")]
    NoName,
    /// A text is too long.
    #[error("the endpoint's {what} has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// Its place among the endpoints that serve one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPlace {
    /// Share of the pool's traffic; 0 takes no new traffic.
    pub weight: u32,
    /// Lower tiers serve first; a higher one only while no lower can.
    pub tier: u32,
    /// A text of the user's own, at most 4096 bytes.
    pub metadata: String,
}

/// Why an endpoint stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The gateway refused, or is of a version that cannot change it.
    #[error(transparent)]
    Refused(Refused),
    /// No gateway would take it.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// A newer one was wished for before the gateway had answered.
    #[error("a newer policy took its place")]
    Superseded,
    /// The endpoint is over.
    #[error("the endpoint has ended: {0}")]
    Ended(End),
}

/// Bytes of an endpoint's metadata.
const METADATA: usize = 4096;

/// Bytes of a traffic policy.
const POLICY: usize = 1024 * 1024;

/// How an endpoint stands, over all sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) url: String,
    pub(crate) end: Option<End>,
}

/// The program's hold on an endpoint that was granted.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) standing: watch::Receiver<Standing>,
}

// === impl Endpoint ===

impl Endpoint {
    pub(crate) fn url(&self) -> String {
        self.standing.borrow().url.clone()
    }

    pub(crate) async fn set_place(&self, change: PlaceChange) -> Result<(), UpdateError> {
        if let PlaceChange::Whole(place) = &change {
            at_most(METADATA, "metadata", &place.metadata)?;
        }
        let (answer, answered) = oneshot::channel();
        let wish = PlaceWish { change, answer };
        let reweigh = Command::Reweigh {
            key: self.key,
            wish,
        };
        self.told(reweigh, answered).await
    }

    pub(crate) async fn update_policy(&self, text: String) -> Result<(), UpdateError> {
        at_most(POLICY, "traffic policy", &text)?;
        let (answer, answered) = oneshot::channel();
        let wish = Wish { text, answer };
        let update = Command::Update {
            key: self.key,
            wish,
        };
        self.told(update, answered).await
    }

    /// What comes of a wish.
    async fn told(
        &self,
        wish: Command,
        answered: oneshot::Receiver<Result<(), UpdateError>>,
    ) -> Result<(), UpdateError> {
        let asked = self.commands.send(wish).is_ok();
        match if asked { answered.await.ok() } else { None } {
            Some(answer) => answer,
            None => Err(UpdateError::Ended(self.done().await)),
        }
    }

    pub(crate) async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        if self
            .commands
            .send(Command::Unbind {
                key: self.key,
                done: Some(done),
            })
            .is_ok()
        {
            // An error means that the agent ended, and the endpoint with it.
            drop(is_done.await);
        }
    }

    pub(crate) fn close_soon(&self) {
        // An error means that the agent ended, and the endpoint with it.
        drop(self.commands.send(Command::Unbind {
            key: self.key,
            done: None,
        }));
    }

    pub(crate) async fn done(&self) -> End {
        let mut standing = self.standing.clone();
        match standing.wait_for(|standing| standing.end.is_some()).await {
            Ok(standing) => standing.end.clone().unwrap_or(End::Closed),
            Err(_) => End::Closed,
        }
    }
}

// === impl EndpointOptions ===

impl EndpointOptions {
    /// An https endpoint of this name with a URL of the gateway's choice.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let spec = EndpointSpec {
            name: name.into(),
            weight: 100,
            ..EndpointSpec::default()
        };
        Self { spec }
    }

    /// The wanted URL: `https://app.example.com`, `app.example.com`, `http://` for a random one over plain http,
    /// `tcp://:20022` for a port of the gateway, `tcp://` for any, or `tcp://db.internal:5432` for one that only
    /// policies of the gateway get to.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.spec.url = url.into();
        self
    }

    /// Whether other sessions may serve the same URL.
    #[must_use]
    pub fn pooling_enabled(mut self, enabled: bool) -> Self {
        self.spec.pooling_enabled = enabled;
        self
    }

    /// Share of the pool's traffic, 100 unless set; 0 takes no new traffic.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.spec.weight = weight;
        self
    }

    /// Lower tiers serve first; a higher one only while no lower can.
    #[must_use]
    pub fn tier(mut self, tier: u32) -> Self {
        self.spec.tier = tier;
        self
    }

    /// A text of the user's own, at most 4096 bytes.
    #[must_use]
    pub fn metadata(mut self, text: impl Into<String>) -> Self {
        self.spec.metadata = text.into();
        self
    }

    /// A description, at most 255 bytes.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.spec.description = text.into();
        self
    }

    /// A traffic policy as YAML or JSON text. The gateway reads it and says what is wrong with it.
    #[must_use]
    pub fn traffic_policy(mut self, text: impl Into<String>) -> Self {
        self.spec.traffic_policy = Some(text.into());
        self
    }

    /// The HTTP version the service speaks; HTTP/1.1 unless set. Behind a `tcp://` URL it is always
    /// [`Protocol::Tcp`].
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.spec.protocol = protocol;
        self
    }

    /// Whether to tell each exchange as an [`Event::Exchange`](crate::Event::Exchange).
    #[must_use]
    pub fn report(mut self, report: bool) -> Self {
        self.spec.report = report;
        self
    }

    /// The traffic policy that was given.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.spec.traffic_policy.as_deref()
    }

    /// The place in the pool that was given.
    #[must_use]
    pub fn place(&self) -> PoolPlace {
        PoolPlace::of(&self.spec)
    }

    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The URL that was asked for; empty if any will do.
    #[must_use]
    pub fn wanted_url(&self) -> &str {
        &self.spec.url
    }

    pub(crate) fn into_spec(self, forwards_to: String) -> Result<EndpointSpec, OptionError> {
        let Self { mut spec } = self;
        if spec.name.is_empty() {
            return Err(OptionError::NoName);
        }
        at_most(255, "name", &spec.name)?;
        at_most(2048, "url", &spec.url)?;
        at_most(METADATA, "metadata", &spec.metadata)?;
        at_most(255, "description", &spec.description)?;
        at_most(
            POLICY,
            "traffic policy",
            spec.traffic_policy.as_deref().unwrap_or_default(),
        )?;
        at_most(1024, "upstream", &forwards_to)?;
        spec.forwards_to = forwards_to;
        if is_tcp(&spec.url) {
            spec.protocol = Protocol::Tcp;
        }
        Ok(spec)
    }
}

fn at_most(limit: usize, what: &'static str, text: &str) -> Result<(), OptionError> {
    match text.len() {
        length if length > limit => Err(OptionError::TooLong {
            what,
            length,
            limit,
        }),
        _ => Ok(()),
    }
}
