//! `adit gateway status`: how the endpoints and their members do, once or live.

mod access;
mod ask;
mod live;
mod picture;

use std::{io::IsTerminal, path::PathBuf, time::Duration};

use adit_policy::secret::Secret;
use clap::Args;

use self::{access::Access, picture::Picture};
use crate::{cli, cli::Shared, exit::Failure, runtime, terminal};

/// Show how endpoints and their members do: live in a terminal, once elsewhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit gateway status --config gateway.yaml                 on the gateway's own machine, as its user
  adit gateway status --api-url http://127.0.0.1:9181       from elsewhere, through `ssh -L 9181:127.0.0.1:9181 …`

The gateway needs `listen: { api: \"127.0.0.1:9181\" }`. Its token is read from data_dir/api.token, or given with --token
or ADIT_API_TOKEN. In the live table, q ends it.")]
pub(crate) struct Status {
    /// The gateway's configuration; the same as --config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The address of the admin API, if it is not the one in the configuration
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// The token of the admin API [env: ADIT_API_TOKEN]
    #[arg(long, value_name = "TOKEN", value_parser = cli::secret)]
    token: Option<Secret>,
    /// Print it once, even in a terminal
    #[arg(long, conflicts_with = "watch")]
    once: bool,
    /// Ask again every so many seconds, even without a terminal
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// Print JSON, as the admin API answers it
    #[arg(long)]
    json: bool,
}

/// `adit gateway token --api`: a token, and the line for `gateway.yaml`.
pub(super) fn token() -> Result<(), Failure> {
    let (token, hash) = adit_gateway::token::generate();
    terminal::print(&format!(
        "Token for the admin API, shown only now. For whoever uses it:\n\n  \
           export ADIT_API_TOKEN={token}\n\n\
         In gateway.yaml:\n\n  \
           listen: {{ api: \"127.0.0.1:9181\" }}        # beside the others\n  \
           api: {{ token_hash: \"{hash}\" }}\n"
    ))
}

/// How often a live table asks.
const USUAL: u64 = 1;

impl Status {
    pub(crate) fn run(self, shared: &Shared) -> Result<(), Failure> {
        let mut files: Vec<_> = shared.config.iter().cloned().chain(self.file).collect();
        let file = files.pop();
        if !files.is_empty() {
            return Err(Failure::mistake("a gateway has one configuration file"));
        }
        let access = Access::find(file.as_deref(), self.api_url.as_deref(), self.token)?;
        let every = Duration::from_secs(self.watch.unwrap_or(USUAL));
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        if terminal && !self.once && !self.json {
            return runtime::run(live::run(access, every));
        }
        loop {
            let picture = Picture::take(&access)?;
            let text = match self.json {
                true => picture.json(),
                false => picture.text(),
            };
            terminal::print(&text)?;
            if self.watch.is_none() {
                return Ok(());
            }
            // There is nothing else on this thread that would have to wait.
            std::thread::park_timeout(every);
        }
    }
}
