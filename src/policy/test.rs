//! `adit policy test`: do policies do what their cases say?

use std::{
    fs,
    path::{Path, PathBuf},
};

use adit_policy::tools::{
    case::{Suite, SuiteReport},
    report::{self, Totals},
};
use clap::Args;

use super::{paint, read, unreadable};
use crate::{exit::Failure, runtime, terminal};

/// Run the cases of policies
#[derive(Debug, Args)]
#[command(after_help = "\
A FILE holds cases:

  policy: policy.yaml              # beside it; or the policy stands above a line ---
  cases:
    - name: strangers are refused
      given: { url: /admin, client_ip: 203.0.113.7 }
      expect: { verdict: refuse, status: 403 }

given:   method url version headers body body_base64 client_ip region time after tls random fetch
         secrets upstream forward repeat fresh
expect:  verdict code reason status headers body body_contains upstream forward_to rules edits vars
         results shadow fetched log
A case may have `requests`, each with given and expect: they find the same counters. What is not expected
is not compared.

Examples:
  adit policy test examples/*/cases.yaml
  adit policy test cases.yaml --junit results.xml --coverage --fail-under 100")]
pub(super) struct Test {
    /// Files of cases
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write what became of the cases as JUnit XML, too
    #[arg(long, value_name = "OUT.xml")]
    junit: Option<PathBuf>,
    /// Tell which rules and actions no case reaches
    #[arg(long)]
    coverage: bool,
    /// Fail if the cases reach less than N of 100 rules and actions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=100))]
    fail_under: Option<u8>,
}

impl Test {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let texts: Result<Vec<_>, _> = self.files.iter().map(|file| read(file)).collect();
        let texts = texts?;
        runtime::run(async {
            let mut suites = Vec::new();
            let mut unread = 0;
            for (file, text) in self.files.iter().zip(&texts) {
                match Suite::read(&file.display().to_string(), text) {
                    Ok(suite) => {
                        let ran = run(file, &suite).await;
                        terminal::print(&report::text(&ran, paint()))?;
                        suites.push(ran);
                    }
                    Err(mistakes) => {
                        terminal::print(&format!("{mistakes}\n"))?;
                        unread += 1;
                    }
                }
            }
            self.tell(&suites, unread)
        })
    }

    fn tell(&self, suites: &[SuiteReport], unread: usize) -> Result<(), Failure> {
        let totals = Totals::of(suites);
        if self.coverage || self.fail_under.is_some() {
            terminal::print(&format!("\n{}", report::coverage(suites)))?;
        }
        if let Some(file) = &self.junit {
            fs::write(file, report::junit(suites)).map_err(|error| unreadable(file, &error))?;
        }
        let summary = totals.summary(suites.len(), unread);
        terminal::print(&format!("\n{}\n", paint().bold(&summary)))?;
        let wanted = self.fail_under.map_or(0, usize::from);
        if totals.percent() < wanted {
            let reached = totals.percent();
            return Err(Failure::mistake(format_args!(
                "the cases reach {reached} % of rules and actions, less than {wanted} %"
            )));
        }
        match unread == 0 && totals.failed == 0 {
            true => Ok(()),
            false => Err(Failure::Told),
        }
    }
}

async fn run(file: &Path, suite: &Suite) -> SuiteReport {
    let Some(named) = suite.policy_file() else {
        return suite.run(None).await;
    };
    let policy = file.parent().unwrap_or_else(|| Path::new("")).join(named);
    let name = policy.display().to_string();
    match fs::read_to_string(&policy) {
        Ok(text) => suite.run(Some((&name, &text))).await,
        Err(error) => suite.without_policy(&format!("{name}: {error}")),
    }
}
