//! Files of cases: what a policy is given, and what is expected of it.
//!
//! ```yaml
//! policy: policy.yaml            # beside this file; or the policy itself stands above a line `---`
//! given: { client_ip: 10.0.0.7 } # what all cases are given
//! cases:
//!   - name: the office gets in
//!     given: { url: /admin }     # every field of `Given`
//!     expect: { verdict: continue, upstream: { headers: { x-office: "yes" } } }   # every field of `Expect`
//!   - name: the third request within a second is too much
//!     requests:                  # one after the other, with the same counters
//!       - { given: { repeat: 2 }, expect: { verdict: continue } }
//!       - { expect: { status: 429, code: ERR_ADIT_50010 } }
//!       - { given: { after: 1m }, expect: { verdict: continue } }
//! ```
//!
//! Instead of cases, a file may hold `mistakes:` or `warnings:`, texts that the policy's mistakes or warnings must hold,
//! one for each.

mod report;
mod running;

use std::borrow::Cow;

use serde::Deserialize;

use super::expect::Expect;
use super::given::Given;
use super::said::Texts;
use crate::document::{Mistakes, read};
pub use report::{CaseReport, Failure, SuiteReport};

/// A file of cases, read.
#[derive(Debug)]
pub struct Suite {
    file: String,
    /// The cases' part of the file; what stands above is blank, so that lines keep their numbers.
    text: String,
    /// The policy's part, if it stands in the same file.
    policy: Option<String>,
    cases: Cases,
}

/// The cases of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "CasesText")]
struct Cases(CasesText);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesText {
    /// The policy's file, as seen from this one.
    policy: Option<String>,
    /// What all cases are given.
    #[serde(default)]
    given: Given,
    /// The cases.
    #[serde(default)]
    cases: Vec<Case>,
    /// Parts of the policy's mistakes, one for each.
    mistakes: Option<Texts>,
    /// Parts of what `policy check` warns of, one for each.
    warnings: Option<Texts>,
}

/// One case: a request and what is expected of it, or several, one after the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "CaseText")]
struct Case(CaseText);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    /// What the case shows, as a sentence.
    name: String,
    /// What is given; with `requests`, what all of them are given.
    #[serde(default)]
    given: Given,
    /// What is expected.
    #[serde(default)]
    expect: Expect,
    /// Several requests that find the same counters.
    #[serde(default)]
    requests: Vec<Request>,
}

/// One of several requests of a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    /// What it is given besides what the case is given.
    given: Given,
    /// What is expected of it; may be nothing if only its effect on later ones matters.
    expect: Expect,
}

// === impl Suite ===

impl Suite {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// With every mistake in it, each with its place. The policy is not looked at yet.
    pub fn read(file: &str, text: &str) -> Result<Self, Mistakes> {
        let (policy, cases) = parted(text);
        Ok(Self {
            cases: read(file, &cases)?,
            file: file.to_owned(),
            text: cases,
            policy,
        })
    }

    /// The policy's file as seen from this one, unless the policy stands in the same file.
    pub fn policy_file(&self) -> Option<&str> {
        match self.policy {
            Some(_) => None,
            None => self.cases.0.policy.as_deref(),
        }
    }
}

/// The policy in a text: all of it, or what stands above the cases.
pub fn policy_in(text: &str) -> Cow<'_, str> {
    parted(text).0.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The policy above the first line `---` that has something above it, and the cases below.
fn parted(text: &str) -> (Option<String>, String) {
    let mut begins = 0;
    for line in text.split_inclusive('\n') {
        let above = text.get(..begins).unwrap_or_default();
        let is_blank = |line: &str| line.trim().is_empty() || line.starts_with('#');
        if line.trim_end() == "---" && !above.lines().all(is_blank) {
            let below = text.get(begins + line.len()..).unwrap_or_default();
            let blank = "\n".repeat(above.lines().count() + 1);
            return (Some(above.to_owned()), blank + below);
        }
        begins += line.len();
    }
    (None, text.to_owned())
}

// === impl CasesText, CaseText ===

impl TryFrom<CasesText> for Cases {
    type Error = &'static str;

    fn try_from(cases: CasesText) -> Result<Self, &'static str> {
        match cases.cases.is_empty() && cases.mistakes.is_none() && cases.warnings.is_none() {
            true => Err("a file of cases needs `cases`: each with `name`, `given` and `expect`"),
            false => Ok(Self(cases)),
        }
    }
}

impl TryFrom<CaseText> for Case {
    type Error = &'static str;

    fn try_from(case: CaseText) -> Result<Self, &'static str> {
        let nothing = Expect::default();
        let is_expected = case.expect != nothing;
        let in_requests = case.requests.iter().any(|one| one.expect != nothing);
        match (is_expected, in_requests) {
            (false, false) => Err("a case expects something: fill in `expect`"),
            (true, _) if !case.requests.is_empty() => {
                Err("each of `requests` has its own `expect`; the case has none")
            }
            _ => Ok(Self(case)),
        }
    }
}

#[cfg(test)]
mod tests;
