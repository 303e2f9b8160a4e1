//! The life of `adit http` and `adit start`: connect, bring the endpoints online, show what
//! happens, and leave in order.

use adit_agent::{
    Agent, AgentBuilder, BindError, ConnectCas, ConnectError, End, EndpointOptions, Upstream,
};
use adit_gateway::Embedded;
use tokio::task::JoinSet;
use tracing::warn;

use crate::{
    embedded,
    exit::Failure,
    log::Writer,
    reload::{self, Online, Origin},
    report::Report,
    running::Running,
    runtime,
    screen::{Screen, Status},
    settings::Settings,
    signals::Signals,
    terminal,
};

/// An endpoint to bring online.
pub(crate) struct Endpoint {
    pub(crate) options: EndpointOptions,
    pub(crate) upstream: Upstream,
    /// Any name will do, and so both schemes if a gateway of our own serves it.
    pub(crate) random: bool,
}

/// What to do, with everything about it decided and every file read.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Where the endpoints' policies and weights were read, and are read again.
    pub(crate) origin: Origin,
}

// === impl Plan ===

impl Plan {
    /// Does it, until someone wants it to end or the gateway refuses for good.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let log = self.settings.log.clone().start()?;
        for warning in &self.settings.warnings {
            warn!(obj = "app", "{warning}");
            if !self.settings.log.destination.shares_the_terminal() {
                terminal::note(&format!("warning: {warning}"));
            }
        }
        let outcome = runtime::run(self.serve());
        log.iter().for_each(Writer::flush);
        outcome
    }

    async fn serve(self) -> Result<(), Failure> {
        let (offset, screen) = (self.settings.log.offset, self.settings.screen);
        let mut signals = Signals::take_over().map_err(Failure::mistake)?;
        let own = match self.settings.own_gateway {
            true => Some(embedded::start().await?),
            false => None,
        };
        let agent = connect(self.settings.agent, own.as_ref())
            .await
            .map_err(unconnected)?;
        // Nothing is lost: the agent's task has not run yet.
        let events = agent.events();
        let screen = if screen {
            Screen::open(Status::default()).ok()
        } else {
            None
        };
        let reporting = screen.is_some() || tracing::enabled!(tracing::Level::DEBUG);
        if screen.is_some() {
            signals
                .take_over_the_terminals()
                .map_err(Failure::mistake)?;
        }
        let mut report = Report::new(screen, offset);
        if let Some(own) = &own {
            embedded::tell(own, &mut report);
        }
        let wanted = Online::of(self.endpoints.iter().map(|one| &one.options));
        let online = bring_online(self.endpoints, &wanted, &agent, (own.is_some(), reporting));
        let news = reload::start(
            self.origin,
            wanted,
            self.settings.written,
            self.settings.warnings,
        )?;
        let mut running = Running {
            events,
            news,
            signals,
            report,
            online,
        };
        let ended = running.until_the_end(&agent).await;
        match ended {
            Ok(()) => running.leave(&agent, own.as_ref()).await,
            // Nothing is online, or something that should be is not: no reason to stay.
            Err(_) => agent.close().await,
        }
        ended
    }
}

/// Starts the agent. A gateway that is down now is waited for, with the screen open.
async fn connect(agent: AgentBuilder, own: Option<&Embedded>) -> Result<Agent, ConnectError> {
    let client = format!(
        "adit/{} {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS
    );
    let agent = agent.client(client).wait_for_first(false);
    match own {
        Some(own) => {
            let cas = ConnectCas::Certificates(vec![own.ca_certificate()]);
            let agent = agent
                .connect_url(own.connect_url())
                .authtoken(own.authtoken());
            agent.connect_cas(cas).connect().await
        }
        None => agent.connect().await,
    }
}

/// Asks for all endpoints at once; the answers come in their own time.
fn bring_online(
    endpoints: Vec<Endpoint>,
    wanted: &Online,
    agent: &Agent,
    (own_gateway, reporting): (bool, bool),
) -> JoinSet<Result<End, BindError>> {
    let mut online = JoinSet::new();
    for Endpoint {
        options,
        upstream,
        random,
    } in endpoints
    {
        let changes = wanted.of_endpoint(options.name());
        let options = options.report(reporting);
        let all = match random && own_gateway {
            // Plain http costs nothing here, and needs no certificate.
            true => vec![options.clone().url("https://"), options.url("http://")],
            false => vec![options],
        };
        for options in all {
            let (agent, upstream, changes) = (agent.clone(), upstream.clone(), changes.clone());
            online.spawn(async move {
                let forwarder = agent.forward(options, upstream).await?;
                // What only waits for the agent's end must not keep it.
                drop(agent);
                let Some(changes) = changes else {
                    return Ok(forwarder.done().await);
                };
                tokio::select! {
                    end = forwarder.done() => Ok(end),
                    never = reload::follow(&forwarder, changes) => match never {},
                }
            });
        }
    }
    online
}

fn unconnected(error: ConnectError) -> Failure {
    match error {
        ConnectError::Refused(refused) => Failure::Refused(refused.reason),
        ConnectError::NoAuthtoken => Failure::mistake(
            "no authtoken: ask the gateway's operator for one, then adit config add-authtoken TOKEN",
        ),
        error => Failure::mistake(error),
    }
}
