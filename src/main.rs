//! The `adit` command: reads what was typed, does it, and says how it ended.

mod cli;
mod completion;
mod config;
mod config_edit;
mod embedded;
mod endpoint_flags;
mod exit;
mod gateway;
mod hash_password;
mod hidden_line;
mod http;
mod log;
mod paths;
mod policy;
mod policy_file;
mod reload;
mod report;
mod running;
mod runtime;
mod screen;
mod serve;
mod settings;
mod signals;
mod start;
mod supervisor;
mod tcp;
mod terminal;
mod trust;

use std::{
    backtrace::Backtrace,
    env,
    panic::{self, PanicHookInfo},
    process::ExitCode,
    thread,
};

use adit_gateway::printable;
use clap::{FromArgMatches, error::ErrorKind};

use self::{
    cli::{Cli, Subject},
    exit::Failure,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the process returns after a panic, as Rust does by itself.
const PANICKED: u8 = 101;

fn main() -> ExitCode {
    panic::set_hook(Box::new(note_panic));
    // Unwinding to here gives the terminal back on its way.
    let code = panic::catch_unwind(|| {
        let name = cli::name_of(env::args_os().next().as_deref());
        match parse(name) {
            Ok(cli) => run(cli, name),
            Err(code) => code,
        }
    });
    screen::tell_panics();
    code.unwrap_or_else(|_| ExitCode::from(PANICKED))
}

fn parse(name: &'static str) -> Result<Cli, ExitCode> {
    let parsed = cli::command(name).try_get_matches();
    parsed
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches))
        .map_err(|error| {
            let asked_for = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            if asked_for {
                return ended(name, terminal::print(&error.render().to_string()));
            }
            terminal::note(error.render().to_string().trim_end());
            // `adit policy` has its own meaning for 1: the policy is wrong.
            let is_policy = env::args_os().nth(1).is_some_and(|word| word == "policy");
            let failure = match is_policy {
                true => Failure::usage(""),
                false => Failure::mistake(""),
            };
            ExitCode::from(failure.code())
        })
}

fn run(cli: Cli, name: &'static str) -> ExitCode {
    // The provider that every TLS connection of this process uses; a second one is no harm.
    drop(rustls::crypto::ring::default_provider().install_default());
    let outcome = match cli.command {
        Subject::Http(http) => http.run(&cli.shared),
        Subject::Tcp(tcp) => tcp.run(&cli.shared),
        Subject::Start(start) => start.run(&cli.shared),
        Subject::Gateway(gateway) => gateway.run(&cli.shared),
        Subject::Policy(policy) => policy.run(),
        Subject::Config(config) => config.run(&cli.shared),
        Subject::Completion(completion) => completion.run(name),
        Subject::Version => {
            terminal::print(&format!("{name} version {}\n", env!("CARGO_PKG_VERSION")))
        }
    };
    ended(name, outcome)
}

fn ended(name: &str, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Told) {
                terminal::note(&format!("{name}: {failure}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

/// A panic in one exchange's task does not end the process, so it must not end the screen either:
/// there it is kept until the terminal is free.
fn note_panic(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("no message");
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let thread = thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(
        lvl = "crit",
        obj = "panic",
        thread,
        at = place,
        err = what,
        "panicked"
    );
    let trace = Backtrace::capture();
    screen::note_panic(format!(
        "thread {thread} panicked at {place}: {what}\n{trace}"
    ));
}
