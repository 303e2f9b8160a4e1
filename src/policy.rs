//! `adit policy`: is a policy right, what would it do with a request, and does it do what its cases say?

mod check;
mod explain;
mod test;

use std::{env, fs, io, io::IsTerminal, path::Path};

use adit_policy::tools::paint::Paint;
use clap::{Args, Subcommand};

use self::{check::Check, explain::Explain, test::Test};
use crate::exit::Failure;

/// Check, try and test traffic policies, without a gateway
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit policy check policy.yaml                                    is it right?
  adit policy explain policy.yaml --url https://app.example.com/   what would it do?
  adit policy test cases.yaml                                      does it do what it should?

Exit codes: 0 all is well; 1 a policy is wrong, or a case failed; 2 the command was used wrongly,
or a file cannot be read.")]
pub(crate) struct Policy {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Check(Check),
    Explain(Box<Explain>),
    Test(Test),
}

impl Policy {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.task {
            Task::Check(check) => check.run(),
            Task::Explain(explain) => explain.run(),
            Task::Test(test) => test.run(),
        }
    }
}

/// The text of a file that was named on the command line.
fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::usage(format_args!("{}: {error}", file.display()))
}

/// Colours are for eyes: not for files, not for pipes, and not where somebody does not want them
/// (<https://no-color.org>).
fn paint() -> Paint {
    let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|term| term == "dumb");
    match io::stdout().is_terminal() && !is_unwanted {
        true => Paint::Ansi,
        false => Paint::Plain,
    }
}
