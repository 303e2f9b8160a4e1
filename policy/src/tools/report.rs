//! What became of cases, for people and as JUnit XML for continuous integration.

mod junit;

use std::fmt::Write as _;

pub use junit::junit;

use super::case::{CaseReport, Failure, SuiteReport};
use super::check::counted;
use super::coverage::percent;
use super::paint::Paint;

/// How all cases of several files went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many cases there are.
    pub cases: usize,
    /// How many of them failed.
    pub failed: usize,
    /// How many rules and actions there are.
    pub parts: usize,
    /// How many of them a case reached.
    pub reached: usize,
}

/// One file's cases, for people.
pub fn text(suite: &SuiteReport, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.bold(&suite.file));
    for case in &suite.cases {
        // Writing to a String does not fail.
        one(&mut text, suite, case, paint).unwrap_or_default();
    }
    text
}

/// What no case reached.
pub fn coverage(suites: &[SuiteReport]) -> String {
    let totals = Totals::of(suites);
    let mut text = format!(
        "coverage: {} % of rules and actions ({} of {})\n",
        totals.percent(),
        totals.reached,
        totals.parts
    );
    for part in suites.iter().flat_map(|suite| suite.coverage.missed()) {
        let line = format!(
            "  not reached: {}:{}: {}\n",
            part.file, part.line, part.path
        );
        text.push_str(&line);
    }
    text
}

fn one(
    text: &mut String,
    suite: &SuiteReport,
    case: &CaseReport,
    paint: Paint,
) -> std::fmt::Result {
    if case.passed() {
        return writeln!(text, "  {} {}", paint.with("32", "✓"), case.name);
    }
    writeln!(
        text,
        "  {} {}  {}:{}",
        paint.with("31", "✗"),
        case.name,
        suite.file,
        case.line
    )?;
    for failure in &case.failures {
        difference(text, failure, paint)?;
    }
    if case.explanation.is_empty() {
        return Ok(());
    }
    writeln!(text)?;
    for line in case.explanation.lines() {
        match line {
            "" => writeln!(text, "      {}", paint.dim("│"))?,
            line => writeln!(text, "      {} {line}", paint.dim("│"))?,
        }
    }
    writeln!(text)
}

/// As in `      line 7, status:`, with what is expected and what there is below.
fn difference(text: &mut String, failure: &Failure, paint: Paint) -> std::fmt::Result {
    let Failure {
        line,
        key,
        expected,
        got,
    } = failure;
    let colon = if key.is_empty() { "" } else { ", " };
    writeln!(text, "      line {line}{colon}{key}:")?;
    for (sign, style, said) in [("- expected", "31", expected), ("+ got     ", "32", got)] {
        for (index, line) in said
            .lines()
            .chain(said.is_empty().then_some(""))
            .enumerate()
        {
            let sign = if index == 0 { sign } else { "          " };
            writeln!(text, "        {} {line}", paint.with(style, sign))?;
        }
    }
    Ok(())
}

// === impl Totals ===

impl Totals {
    /// All of these together.
    pub fn of(suites: &[SuiteReport]) -> Self {
        let mut totals = Self::default();
        for suite in suites {
            let failed = suite.cases.iter().filter(|case| !case.passed());
            totals.cases += suite.cases.len();
            totals.failed += failed.count();
            totals.parts += suite.coverage.all();
            totals.reached += suite.coverage.all() - suite.coverage.missed().count();
        }
        totals
    }

    /// How many of 100 rules and actions a case reached, rounded down.
    pub fn percent(&self) -> usize {
        percent(self.reached, self.parts)
    }

    /// As in `20 cases in 3 files: all passed`. Files that could not be read are no success.
    pub fn summary(&self, files: usize, unread: usize) -> String {
        let cases = counted(self.cases, "case");
        let files = counted(files, "file");
        let mut words = match self.failed {
            0 if unread > 0 => format!("{cases} in {files} passed"),
            0 => format!("{cases} in {files}: all passed"),
            failed => format!("{cases} in {files}: {failed} failed"),
        };
        if unread > 0 {
            words.push_str(&format!("; {} with mistakes", counted(unread, "file")));
        }
        words
    }
}
