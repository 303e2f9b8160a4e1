//! What flags, environment and configuration files say together, the first of them first.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
};

use adit_agent::{
    AgentBuilder,
    config::{self, AgentConfig, Config, ConsoleUi, EndpointConfig, LogFormat, LogLevel, Written},
};
use time::UtcOffset;

use crate::{
    cli::{SessionFlags, Shared},
    exit::Failure,
    log::{Destination, Format, Log, Threshold},
    paths::Places,
};

/// Everything about the session, decided.
pub(crate) struct Settings {
    /// Of an agent that knows whom to trust, and where its gateway is if there is one.
    pub(crate) agent: AgentBuilder,
    /// Nobody named a gateway, so this process brings its own.
    pub(crate) own_gateway: bool,
    pub(crate) log: Log,
    /// Whether to open the status screen.
    pub(crate) screen: bool,
    /// The configuration's.
    pub(crate) endpoints: Vec<EndpointConfig>,
    /// What its files said besides policies.
    pub(crate) written: Written,
    /// What the user wrote and should know more about.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// Reads the configuration and puts the flags and the environment before it.
    pub(crate) fn read(shared: &Shared, session: &SessionFlags) -> Result<Self, Failure> {
        let config = load(&files(shared))?;
        let mut agent = config.builder().authtoken_from_env();
        if let Some(token) = &session.authtoken {
            agent = agent.authtoken(token.expose());
        }
        let named = session.connect_url.clone().or_else(|| {
            env::var("ADIT_CONNECT_URL")
                .ok()
                .filter(|value| !value.is_empty())
        });
        let own_gateway = named.is_none() && config.agent.connect_url.is_none();
        if let Some(url) = named {
            agent = agent.connect_url(url);
        }
        let terminal = io::stdout().is_terminal();
        let log = log_of_agent(shared, &config.agent, terminal);
        let screen = match config.agent.console_ui {
            ConsoleUi::Never => false,
            // Not even on request into a file or a pipe: nobody could read it there.
            ConsoleUi::IfTty | ConsoleUi::Always => {
                terminal && !log.destination.shares_the_terminal()
            }
        };
        let Config {
            endpoints,
            warnings,
            written,
            ..
        } = config;
        Ok(Self {
            agent,
            own_gateway,
            log,
            screen,
            endpoints,
            written,
            warnings,
        })
    }
}

/// The log of a command that has a screen to show, and so by default logs only without one.
fn log_of_agent(shared: &Shared, config: &AgentConfig, terminal: bool) -> Log {
    let screen = terminal && config.console_ui != ConsoleUi::Never;
    let destination = match Destination::from(&config.log) {
        Destination::Off if !screen => Destination::Stdout,
        other => other,
    };
    Log {
        gateway_quiet: true,
        ..log(
            shared,
            destination,
            config.log_format.into(),
            config.log_level.into(),
        )
    }
}

/// The log that the flags ask for, and these where they say nothing.
pub(crate) fn log(
    shared: &Shared,
    destination: Destination,
    format: Format,
    threshold: Threshold,
) -> Log {
    Log {
        destination: shared
            .log
            .as_deref()
            .map_or(destination, Destination::parse),
        format: shared.log_format.unwrap_or(format),
        threshold: shared.log_level.unwrap_or(threshold),
        offset: UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC),
        gateway_quiet: false,
    }
}

/// The configuration of these files, or where the mistake in them stands.
pub(crate) fn load(files: &[PathBuf]) -> Result<Config, Failure> {
    Config::load(files).map_err(Failure::mistake)
}

/// The files to read: those named, else the default one if it exists.
pub(crate) fn files(shared: &Shared) -> Vec<PathBuf> {
    let named = named_files(shared);
    if !named.is_empty() {
        return named;
    }
    // No home, no default file; that is no mistake.
    let default = Places::of_process().config_file().ok();
    default.into_iter().filter(|file| file.exists()).collect()
}

/// The files that the flags name, else the environment.
pub(crate) fn named_files(shared: &Shared) -> Vec<PathBuf> {
    if !shared.config.is_empty() {
        return shared.config.clone();
    }
    let list = env::var_os("ADIT_CONFIG").unwrap_or_default();
    env::split_paths(&list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

// === what the configuration file calls these ===

impl From<&config::Log> for Destination {
    fn from(log: &config::Log) -> Self {
        match log {
            config::Log::Off => Self::Off,
            config::Log::Stdout => Self::Stdout,
            config::Log::Stderr => Self::Stderr,
            config::Log::File(path) => Self::File(path.clone()),
        }
    }
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Term => Self::Term,
            LogFormat::Logfmt => Self::Logfmt,
            LogFormat::Json => Self::Json,
        }
    }
}

impl From<LogLevel> for Threshold {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
            LogLevel::Crit => Self::Crit,
        }
    }
}
