//! `adit config`: look after the configuration file, and make what is written into others.

use std::{
    env,
    path::{Path, PathBuf},
    process,
};

use adit_agent::ConnectUrl;
use adit_policy::secret::Secret;
use clap::{Args, Subcommand};

use crate::{
    cli::{self, Shared},
    config_edit::{self, Setting},
    exit::Failure,
    hash_password::HashPassword,
    paths::Places,
    settings, terminal,
};

/// Look after the configuration file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit config add-authtoken adit_2Qm…        written once, used by every later command
  adit config add-connect-url example.com:443
  adit config check --config ./adit.yaml
  adit config hash-password --user ada       a line for the credentials of a policy")]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Save the token that the gateway's operator gave you
    AddAuthtoken {
        /// The token; it is not shown again
        #[arg(value_parser = cli::secret)]
        token: Secret,
    },
    /// Save which gateway to connect to
    #[command(alias = "add-server-addr")]
    AddConnectUrl {
        /// The gateway's address
        #[arg(value_name = "HOST:PORT")]
        connect_url: String,
    },
    /// Read the file and say whether it is right, and where not
    Check,
    /// Open the file in $EDITOR
    Edit,
    HashPassword(HashPassword),
}

impl Config {
    pub(crate) fn run(self, shared: &Shared) -> Result<(), Failure> {
        match self.command {
            Task::AddAuthtoken { token } => {
                let file = the_file(shared)?;
                config_edit::save(&file, Setting::Authtoken, token.expose())?;
                terminal::print(&format!("Authtoken saved to {}\n", file.display()))
            }
            Task::AddConnectUrl { connect_url } => {
                let file = the_file(shared)?;
                let url: ConnectUrl = connect_url.parse().map_err(Failure::mistake)?;
                config_edit::save(&file, Setting::ConnectUrl, &url.to_string())?;
                terminal::print(&format!("Gateway address saved to {}\n", file.display()))
            }
            Task::Check => check(shared),
            Task::Edit => edit(&the_file(shared)?),
            Task::HashPassword(hash_password) => hash_password.run(),
        }
    }
}

/// The one file that a change goes to.
fn the_file(shared: &Shared) -> Result<PathBuf, Failure> {
    let mut named = settings::named_files(shared);
    match (named.pop(), named.is_empty()) {
        (Some(file), true) => Ok(file),
        (None, _) => Places::of_process().config_file(),
        (Some(_), false) => Err(Failure::mistake(
            "several configuration files are named: name the one to change",
        )),
    }
}

fn check(shared: &Shared) -> Result<(), Failure> {
    let files = settings::files(shared);
    if files.is_empty() {
        let file = Places::of_process().config_file()?;
        return Err(Failure::mistake(format_args!(
            "{}: there is no such file; adit config add-authtoken makes one",
            file.display()
        )));
    }
    let config = settings::load(&files)?;
    for warning in config.warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    for file in files {
        terminal::print(&format!("Valid configuration file at {}\n", file.display()))?;
    }
    Ok(())
}

fn edit(file: &Path) -> Result<(), Failure> {
    let editor = env::var("VISUAL").or_else(|_| env::var("EDITOR"));
    let editor = editor.ok().filter(|words| !words.trim().is_empty());
    let editor = editor.unwrap_or_else(|| "nano".to_owned());
    // $EDITOR may carry arguments: `code --wait`.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("nano");
    config_edit::create(file)?;
    let status = process::Command::new(program)
        .args(words)
        .arg(file)
        .status();
    match status {
        Ok(status) if status.success() => settings::load(&[file.to_owned()]).map(drop),
        Ok(status) => Err(Failure::mistake(format_args!(
            "{program} ended with {status}"
        ))),
        Err(error) => Err(Failure::mistake(format_args!(
            "{program}: {error}; set EDITOR"
        ))),
    }
}
