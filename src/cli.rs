//! What may be typed: the subcommands, and the flags that several of them share.

use std::{convert::Infallible, path::PathBuf};

use adit_policy::secret::Secret;
use clap::{ArgAction, Args, Command, CommandFactory, Parser, Subcommand, builder::StyledStr};

use crate::{
    completion::Completion,
    config::Config,
    gateway::Gateway,
    http::Http,
    log::{Format, Threshold},
    policy::Policy,
    start::Start,
    tcp::Tcp,
};

/// Give a service on this machine a public HTTPS URL, and decide in YAML who may use it.
#[derive(Debug, Parser)]
#[command(
    name = "adit",
    version,
    disable_help_subcommand = false,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  adit http 3000                            a URL for localhost:3000, with nothing else set up
  adit http 3000 --url app.example.com      at a name of your gateway
  adit tcp 22                               a port for localhost:22
  adit start --all                          everything in the configuration file
  adit gateway --config gateway.yaml        be the gateway
  adit policy test cases.yaml               do policies do what they should?

With no gateway configured, `adit http`, `adit tcp` and `adit start` bring their own on this machine."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Subject,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    Http(Box<Http>),
    Tcp(Box<Tcp>),
    Start(Start),
    Gateway(Gateway),
    Policy(Policy),
    Config(Config),
    Completion(Completion),
    /// Print the version
    Version,
}

/// Flags that every subcommand takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Shared {
    /// Configuration file; given several times, later ones win [env: ADIT_CONFIG]
    #[arg(long, global = true, value_name = "FILE", action = ArgAction::Append)]
    pub(crate) config: Vec<PathBuf>,
    /// Where log lines go: a path, stdout, stderr or false
    #[arg(long, global = true, value_name = "WHERE")]
    pub(crate) log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<Format>,
    /// What is worth a log line
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<Threshold>,
}

/// Flags about the session with the gateway.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct SessionFlags {
    /// The gateway, as host:port; without one, a gateway of this machine's own is started
    /// [env: ADIT_CONNECT_URL]
    #[arg(long, value_name = "HOST:PORT", alias = "server-addr")]
    pub(crate) connect_url: Option<String>,
    /// What the gateway knows this agent by; better kept in the configuration file
    /// [env: ADIT_AUTHTOKEN, NGROK_AUTHTOKEN]
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    pub(crate) authtoken: Option<Secret>,
}

/// Keeps a secret of the command line out of every message.
pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// The whole command line under the name it was called by: `adit`, or `ngrok` if a link or a copy
/// of that name stands in for it.
pub(crate) fn command(name: &'static str) -> Command {
    let command = Cli::command();
    if name == "adit" {
        command
    } else {
        renamed(command, name).name(name).bin_name(name)
    }
}

/// Examples that are typed as they stand must begin with the name that works here.
fn renamed(mut command: Command, name: &str) -> Command {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(StyledStr::from(text.replace("adit ", &format!("{name} "))));
    }
    command.mut_subcommands(|child| renamed(child, name))
}

/// The name in `argv[0]`, if it is one that this program answers to.
pub(crate) fn name_of(argument: Option<&std::ffi::OsStr>) -> &'static str {
    let stem = argument
        .map(std::path::Path::new)
        .and_then(std::path::Path::file_stem);
    if stem.is_some_and(|stem| stem == "ngrok") {
        "ngrok"
    } else {
        "adit"
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let matches = command("adit").try_get_matches_from(line.split(' '))?;
        Cli::from_arg_matches(&matches)
    }

    #[test]
    fn the_definition_is_consistent() {
        command("adit").debug_assert();
        command("ngrok").debug_assert();
    }

    #[test]
    fn the_line_that_wrappers_of_ngrok_type_is_understood() {
        let cli =
            parse("ngrok http 80 --log=stdout --log-format=logfmt --pooling-enabled=true").unwrap();
        assert_eq!(cli.shared.log.as_deref(), Some("stdout"));
        let Subject::Http(http) = cli.command else {
            panic!("not http")
        };
        assert_eq!(http.upstream, "80");
        assert!(http.endpoint.pooling_enabled);
    }

    #[test]
    fn a_program_called_ngrok_speaks_of_ngrok() {
        assert_eq!(name_of(Some("/usr/local/bin/ngrok".as_ref())), "ngrok");
        assert_eq!(name_of(Some("./adit".as_ref())), "adit");
        let help = command("ngrok").render_help().to_string();
        assert!(
            help.contains("Usage: ngrok") && help.contains("  ngrok http 3000"),
            "{help}"
        );
        assert!(!help.contains("adit http"), "{help}");
    }

    #[test]
    fn flags_of_ngrok_that_would_do_nothing_are_refused() {
        assert!(parse("adit http 80 --oauth=google").is_err());
        assert!(parse("adit http 80 --basic-auth=a:b").is_err());
    }

    #[test]
    fn a_token_on_the_command_line_is_not_shown() {
        let cli = parse("adit http 80 --authtoken adit_secret").unwrap();
        assert!(!format!("{cli:?}").contains("adit_secret"));
    }
}
