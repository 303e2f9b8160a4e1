//! The settings of an agent, and its first connection.

use std::{
    env,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use adit_wire::{
    limits::{OLDEST_VERSION, VERSION},
    message::{Hello, Refused, Token},
};
use tokio::sync::{mpsc, watch};

use crate::{
    Agent, CasError, ConnectCas, ConnectUrl, ConnectUrlError, End,
    backoff::Backoff,
    bindings::Bindings,
    event::Events,
    gateway::Gateway,
    health::Checks,
    reconnect::{Reconnect, State},
    session::Surroundings,
    stream::Running,
    tls,
};

/// Where an authtoken is looked for; the first that is set wins.
const TOKEN_VARIABLES: [&str; 2] = ["ADIT_AUTHTOKEN", "NGROK_AUTHTOKEN"];

/// A longer `connect_timeout` is cut to this.
const LONGEST_CONNECT: Duration = Duration::from_secs(3600);

/// Room for the user's own text in the greeting.
const METADATA_LIMIT: usize = 4096;

/// Settings of an [`Agent`]. Its `Debug` hides the token.
#[derive(Debug, Clone)]
pub struct AgentBuilder {
    connect_url: Option<String>,
    connect_cas: ConnectCas,
    connect_timeout: Duration,
    authtoken: Option<Token>,
    client: String,
    metadata: String,
    wait_for_first: bool,
    backoff: Backoff,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No gateway was named.
    #[error("no gateway to connect to: set connect_url to its host:port")]
    NoConnectUrl,
    /// The gateway's address is none.
    #[error(transparent)]
    ConnectUrl(#[from] ConnectUrlError),
    /// No token was given.
    #[error("no authtoken: set authtoken, or ADIT_AUTHTOKEN in the environment")]
    NoAuthtoken,
    /// A text is too long to be said in a greeting.
    #[error("the agent's {what} has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The authorities to verify the gateway against.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// The gateway refused for good.
    #[error(transparent)]
    Refused(Refused),
}

// === impl AgentBuilder ===

impl AgentBuilder {
    /// The gateway: `example.com:443`. Without a port, 443.
    #[must_use]
    pub fn connect_url(mut self, url: impl Into<String>) -> Self {
        self.connect_url = Some(url.into());
        self
    }

    /// Whom to believe that the gateway is who it says it is; the operating system's authorities
    /// unless set.
    #[must_use]
    pub fn connect_cas(mut self, cas: ConnectCas) -> Self {
        self.connect_cas = cas;
        self
    }

    /// How long TCP and TLS may take for one try, 10 seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit.min(LONGEST_CONNECT);
        self
    }

    /// The secret that the gateway knows this agent by.
    #[must_use]
    pub fn authtoken(mut self, token: impl Into<String>) -> Self {
        self.authtoken = Some(Token::new(token));
        self
    }

    /// Takes the token from `ADIT_AUTHTOKEN`, else `NGROK_AUTHTOKEN`. Changes nothing if neither
    /// is set.
    #[must_use]
    pub fn authtoken_from_env(self) -> Self {
        let set = |name: &&str| env::var(name).ok().filter(|token| !token.is_empty());
        match TOKEN_VARIABLES.iter().find_map(set) {
            Some(token) => self.authtoken(token),
            None => self,
        }
    }

    /// Program and version, for the gateway's lists: `adit/0.1.0`.
    #[must_use]
    pub fn client(mut self, client: impl Into<String>) -> Self {
        self.client = client.into();
        self
    }

    /// A text of the user's own about this agent, at most 4096 bytes.
    #[must_use]
    pub fn metadata(mut self, text: impl Into<String>) -> Self {
        self.metadata = text.into();
        self
    }

    /// Whether [`Self::connect`] waits for the first session; it does unless told not to.
    #[must_use]
    pub fn wait_for_first(mut self, wait: bool) -> Self {
        self.wait_for_first = wait;
        self
    }

    #[cfg(test)]
    pub(crate) fn backoff(mut self, least: Duration, most: Duration) -> Self {
        self.backoff = Backoff::new(least, most);
        self
    }

    /// Starts the agent on the present tokio runtime and waits for its first session, for as long
    /// as that takes. From then on the agent keeps itself connected.
    ///
    /// # Errors
    /// When a setting is wrong, or the gateway refuses for good. Never for a network that is down.
    pub async fn connect(self) -> Result<Agent, ConnectError> {
        let wait = self.wait_for_first;
        let agent = self.start()?;
        if wait {
            let mut state = agent.state.clone();
            let stands = state
                .wait_for(|state| !matches!(state, State::Connecting))
                .await;
            if let Ok(State::Ended(End::Refused(refused))) = stands.as_deref() {
                return Err(ConnectError::Refused(refused.clone()));
            }
        }
        Ok(agent)
    }

    fn start(self) -> Result<Agent, ConnectError> {
        let url: ConnectUrl = self
            .connect_url
            .ok_or(ConnectError::NoConnectUrl)?
            .parse()?;
        let token = self.authtoken.ok_or(ConnectError::NoAuthtoken)?;
        at_most(METADATA_LIMIT, "metadata", &self.metadata)?;
        at_most(256, "client", &self.client)?;
        at_most(1024, "authtoken", token.expose())?;
        let config = tls::to_gateway(&self.connect_cas)?;
        let gateway = Arc::new(Gateway::new(url, &config, self.connect_timeout)?);

        let events = Events::new();
        let (commands, commanded) = mpsc::unbounded_channel();
        let (told_state, state) = watch::channel(State::Connecting);
        let hello = Hello {
            versions: (OLDEST_VERSION, VERSION),
            token,
            agent_id: format!("{:032x}", rand::random::<u128>()),
            epoch: 0,
            client: self.client,
            metadata: self.metadata,
        };
        let with = Surroundings {
            gateway,
            backoff: self.backoff.clone(),
            running: Running::default(),
            events: events.clone(),
        };
        let life = Reconnect {
            with,
            hello,
            bindings: Bindings::new(
                self.backoff.clone(),
                events.clone(),
                Checks::new(commands.downgrade()),
            ),
            backoff: self.backoff,
            commands: commanded,
            to_itself: commands.downgrade(),
            state: told_state,
        };
        tokio::spawn(life.run());
        Ok(Agent {
            commands,
            events,
            state,
            keys: Arc::new(AtomicU64::new(1)),
        })
    }
}

impl Default for AgentBuilder {
    fn default() -> Self {
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        Self {
            connect_url: None,
            connect_cas: ConnectCas::Host,
            connect_timeout: Duration::from_secs(10),
            authtoken: None,
            client: format!("adit-agent/{} {os} {arch}", env!("CARGO_PKG_VERSION")),
            metadata: String::new(),
            wait_for_first: true,
            backoff: Backoff::default(),
        }
    }
}

fn at_most(limit: usize, what: &'static str, text: &str) -> Result<(), ConnectError> {
    match text.len() {
        length if length > limit => Err(ConnectError::TooLong {
            what,
            length,
            limit,
        }),
        _ => Ok(()),
    }
}
