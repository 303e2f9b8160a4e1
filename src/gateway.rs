//! `adit gateway`: be the edge; check its configuration; make tokens for agents.

mod status;

use std::path::{Path, PathBuf};

use adit_gateway::{Beginning, Sockets, TakeOver, token};
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    cli::Shared,
    exit::Failure,
    log::{Destination, Format, Threshold, Writer},
    runtime, settings,
    signals::{Hangups, Signals},
    supervisor::Supervisor,
    terminal,
};

/// Be the gateway: take traffic, decide, hand it to the agents
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  adit gateway token alice                  a token, and the line for gateway.yaml
  adit gateway check gateway.yaml           is it right?
  adit gateway --config gateway.yaml        run
  adit gateway status gateway.yaml          how do endpoints and agents do?

A change of gateway.yaml, or of a file it names (a policy, a certificate, a secret), is noticed, and SIGHUP reads them
again too: all of it is swapped at once, and no connection is touched. With a mistake in any of them everything stays
as it was, and the log says why. listen, domain, data_dir and tls.local_ca wait for a restart; the log names them.

With listen.admin, GET /health there says how the gateway is, and GET /metrics has its counters.

SIGTERM and SIGINT let running exchanges finish, within limits.shutdown_deadline; a second signal
ends them at once.

An upgrade drops no connection, in one of two ways; docs/upgrades.md has both, with units for systemd:
  adit gateway --take-over --config gateway.yaml
                                            gets the sockets of the gateway that runs with the same data_dir, starts
                                            on them, and lets it finish what it has; if it cannot start, the other
                                            one goes on
  systemctl restart adit                    with a socket unit systemd holds the sockets, and who comes meanwhile waits"
)]
pub(crate) struct Gateway {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    task: Option<Task>,
}

/// How to run a gateway
#[derive(Debug, Args)]
struct Run {
    /// The gateway's configuration; the same as --config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Continue in the place of the gateway that runs with the same data_dir: without one this one does not start,
    /// or with `if-running` starts by itself
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    take_over: Option<When>,
}

/// When to take over
#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Always,
    IfRunning,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Say whether configuration files are right, and where not
    Check {
        /// Files to read
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Make a token for an agent, or for the admin API: shown once, here, and kept nowhere
    Token {
        /// Who will use it
        #[arg(required_unless_present = "api")]
        name: Option<String>,
        /// For the admin API instead
        #[arg(long, conflicts_with = "name")]
        api: bool,
    },
    Status(status::Status),
    /// The same as no subcommand
    Run(Run),
}

impl Gateway {
    pub(crate) fn run(self, shared: &Shared) -> Result<(), Failure> {
        match self.task {
            Some(Task::Check { files }) => check(&files),
            Some(Task::Token { name, .. }) => match name {
                Some(name) => token(&name),
                None => status::token(),
            },
            Some(Task::Status(status)) => status.run(shared),
            Some(Task::Run(task)) => task.run(shared),
            None => self.run.run(shared),
        }
    }
}

fn check(files: &[PathBuf]) -> Result<(), Failure> {
    let mut mistakes = Vec::new();
    for file in files {
        match check_one(file) {
            Ok(()) => terminal::print(&format!("{}: ok\n", file.display()))?,
            Err(failure) => mistakes.push(failure.to_string()),
        }
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Failure::mistake(mistakes.join("\n\n")))
    }
}

/// The file, and the certificates and policies that it only names.
fn check_one(file: &Path) -> Result<(), Failure> {
    let config = adit_gateway::Config::load(file).map_err(Failure::mistake)?;
    let warnings = adit_gateway::Gateway::check(config).map_err(Failure::mistake)?;
    for warning in warnings {
        terminal::note(&warning.to_string());
    }
    Ok(())
}

fn token(name: &str) -> Result<(), Failure> {
    // Names appear in YAML, logs and access lists.
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c))
    {
        return Err(Failure::mistake("a name is letters, digits and - _ . @"));
    }
    let (token, hash) = token::generate();
    terminal::print(&format!(
        "Token for {name}, shown only now. On the agent's machine:\n\n  \
           adit config add-authtoken {token}\n\n\
         In gateway.yaml, with the URLs that {name} may serve:\n\n  \
           agents:\n    \
             - {{ name: {name}, token_hash: \"{hash}\", acl: [\"bind:{name}.example.com\", \"bind:*.{name}.example.com\"] }}\n"
    ))
}

// === impl Run ===

impl Run {
    fn run(self, shared: &Shared) -> Result<(), Failure> {
        let mut named: Vec<_> = shared.config.iter().cloned().chain(self.file).collect();
        let file = match (named.pop(), named.is_empty()) {
            (Some(file), true) => file,
            (Some(_), false) => {
                return Err(Failure::mistake("a gateway has one configuration file"));
            }
            (None, _) => {
                return Err(Failure::mistake(
                    "which configuration? adit gateway --config gateway.yaml",
                ));
            }
        };
        let config = adit_gateway::Config::load(&file).map_err(Failure::mistake)?;
        let beginning = Beginning {
            sockets: Sockets::from_environment().map_err(Failure::mistake)?,
            take_over: match self.take_over {
                None => TakeOver::No,
                Some(When::IfRunning) => TakeOver::IfRunning,
                Some(When::Always) => TakeOver::Yes,
            },
            hands_over: true,
        };
        let log =
            settings::log(shared, Destination::Stdout, Format::Term, Threshold::Info).start()?;
        let outcome = runtime::run(serve(config, beginning));
        log.iter().for_each(Writer::flush);
        outcome
    }
}

async fn serve(config: adit_gateway::Config, beginning: Beginning) -> Result<(), Failure> {
    let supervisor = Supervisor::of_environment();
    let mut signals = Signals::take_over().map_err(Failure::mistake)?;
    let mut hangups = Hangups::take_over().map_err(Failure::mistake)?;
    let gateway = adit_gateway::Gateway::begin(config, beginning)
        .await
        .map_err(Failure::mistake)?;
    for (scheme, address) in [
        ("https", gateway.https()),
        ("http", gateway.http()),
        ("admin", gateway.admin()),
        ("api", gateway.api()),
    ] {
        if let Some(address) = address {
            tracing::info!(obj = "gateway", scheme, addr = %address, "listening");
        }
    }
    supervisor.ready();
    let deadline = gateway.shutdown_deadline();
    loop {
        tokio::select! {
            () = signals.next() => {
                supervisor.stopping();
                break;
            }
            // The unit goes on with the other process.
            () = gateway.taken_over() => break,
            () = hangups.next() => {
                supervisor.reloading();
                reload(&gateway).await;
                supervisor.ready();
            }
        }
    }
    tokio::select! {
        () = gateway.shutdown(deadline) => {}
        () = signals.next() => tracing::warn!(obj = "gateway", "stopped at once"),
    }
    Ok(())
}

/// The gateway logs what has changed and what is wrong, once; whoever sends a signal wants to see an answer each time.
async fn reload(gateway: &adit_gateway::Gateway) {
    match gateway.reload().await {
        Ok(reloaded) => tracing::info!(
            obj = "gateway",
            changed = reloaded.changed,
            "the configuration was read again"
        ),
        Err(_) => tracing::warn!(
            obj = "gateway",
            "the configuration was read again and is not right; everything stays as it was"
        ),
    }
}
