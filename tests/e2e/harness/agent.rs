//! An agent in this process, through the public API of `adit-agent`.

use std::fmt::Display;

use adit_agent::{ConnectCas, EndpointOptions, Event, Forwarder, HealthCheck, Protocol, Upstream};
use tokio::sync::broadcast;

use super::{Gateway, soon};

/// A connected agent with its endpoints bound. Dropping it ends it.
pub(crate) struct Agent {
    pub(crate) agent: adit_agent::Agent,
    pub(crate) forwarders: Vec<Forwarder>,
}

/// What an agent shall be.
pub(crate) struct Builder {
    connect_url: String,
    token: String,
    cas: ConnectCas,
    endpoints: Vec<Wanted>,
}

struct Wanted {
    options: EndpointOptions,
    upstream: Option<Upstream>,
}

// === impl Agent ===

impl Agent {
    /// An agent `tester` that forwards one URL to an address.
    pub(crate) async fn forward(gateway: &Gateway, url: &str, upstream: impl Display) -> Self {
        Self::builder(gateway)
            .url(url)
            .upstream(upstream)
            .start()
            .await
    }

    /// Begins the settings of an agent `tester`.
    pub(crate) fn builder(gateway: &Gateway) -> Builder {
        Builder {
            connect_url: gateway.connect_url(),
            token: gateway.token(),
            cas: ConnectCas::File(gateway.ca_pem().to_owned()),
            endpoints: Vec::new(),
        }
    }

    /// The URL of its first endpoint, as the gateway says it: with the port.
    pub(crate) fn url(&self) -> String {
        self.forwarders[0].url()
    }

    /// What happens to it from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.agent.events()
    }

    /// Ends it now, running streams included.
    pub(crate) async fn close(self) {
        soon("the agent's end", self.agent.close()).await;
    }
}

/// Waits for an event that `is` describes.
pub(crate) async fn event(
    events: &mut broadcast::Receiver<Event>,
    is: impl Fn(&Event) -> bool,
) -> Event {
    soon("an event of the agent", async {
        loop {
            match events.recv().await {
                Ok(event) if is(&event) => return event,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => panic!("the agent has ended"),
            }
        }
    })
    .await
}

// === impl Builder ===

impl Builder {
    /// Another agent's token.
    pub(crate) fn token(self, token: String) -> Self {
        Self { token, ..self }
    }

    /// Begins an endpoint; what follows is about it.
    pub(crate) fn url(mut self, url: &str) -> Self {
        let name = format!("endpoint-{}", self.endpoints.len());
        self.endpoints.push(Wanted {
            options: EndpointOptions::new(name).url(url),
            upstream: None,
        });
        self
    }

    /// Where the endpoint's traffic goes: an address, a port, `unix:/path`. Without it, where the first one's goes.
    pub(crate) fn upstream(mut self, upstream: impl Display) -> Self {
        let upstream = Upstream::parse(&upstream.to_string()).unwrap();
        self.endpoints
            .last_mut()
            .expect("url() comes first")
            .upstream = Some(upstream);
        self
    }

    /// Checks the service that was named last.
    pub(crate) fn health_check(mut self, check: HealthCheck) -> Self {
        let wanted = self.endpoints.last_mut().expect("url() comes first");
        let upstream = wanted.upstream.take().expect("upstream() comes first");
        wanted.upstream = Some(upstream.health_check(check));
        self
    }

    /// The endpoint's own traffic policy.
    pub(crate) fn policy(self, yaml: &str) -> Self {
        self.option(|options| options.traffic_policy(yaml))
    }

    /// Others may serve the URL, too.
    pub(crate) fn pooling(self) -> Self {
        self.option(|options| options.pooling_enabled(true))
    }

    /// Its share of the pool.
    pub(crate) fn weight(self, weight: u32) -> Self {
        self.option(|options| options.weight(weight))
    }

    /// The service speaks HTTP/2 without negotiation.
    pub(crate) fn protocol_http2(self) -> Self {
        self.option(|options| options.protocol(Protocol::Http2))
    }

    /// Any other option of the endpoint.
    pub(crate) fn option(mut self, set: impl FnOnce(EndpointOptions) -> EndpointOptions) -> Self {
        let mut wanted = self.endpoints.pop().expect("url() comes first");
        wanted.options = set(wanted.options);
        self.endpoints.push(wanted);
        self
    }

    /// Connects and waits until every endpoint is bound.
    pub(crate) async fn start(self) -> Agent {
        self.try_start()
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same; what is refused is said as the agent's user would read it.
    pub(crate) async fn try_start(self) -> Result<Agent, String> {
        let connecting = adit_agent::Agent::builder()
            .connect_url(self.connect_url)
            .authtoken(self.token)
            .connect_cas(self.cas)
            .connect();
        let agent = soon("a session", connecting)
            .await
            .map_err(|error| error.to_string())?;
        let first = self
            .endpoints
            .first()
            .and_then(|wanted| wanted.upstream.clone());
        let mut forwarders = Vec::new();
        for wanted in self.endpoints {
            let upstream = wanted
                .upstream
                .or_else(|| first.clone())
                .expect("an upstream");
            let bound = soon("a bind", agent.forward(wanted.options, upstream)).await;
            forwarders.push(bound.map_err(|error| error.to_string())?);
        }
        Ok(Agent { agent, forwarders })
    }
}
