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

use std::borrow::Cow;

use serde::Deserialize;

use super::coverage::Coverage;
use super::expect::{Difference, Expect};
use super::given::Given;
use super::run::Run;
use super::simulation::Simulation;
use super::{check, said::Texts};
use crate::document::{Mistakes, Places, Step, read};

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

/// What became of a file's cases.
#[derive(Debug)]
pub struct SuiteReport {
    /// The file.
    pub file: String,
    /// Each case, in order.
    pub cases: Vec<CaseReport>,
    /// What of the policy no case reached.
    pub coverage: Coverage,
}

/// What became of one case.
#[derive(Debug)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// What is not as expected; empty if the case passes.
    pub failures: Vec<Failure>,
    /// What happened in the first exchange with a failure, as [`super::explain`] tells it.
    pub explanation: String,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of what is expected.
    pub line: usize,
    /// Its key, as in `upstream.headers.x-a`; empty for the case as a whole.
    pub key: String,
    /// What is expected.
    pub expected: String,
    /// What there is.
    pub got: String,
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

    /// What to report if the policy's file cannot be read.
    pub fn without_policy(&self, why: &str) -> SuiteReport {
        SuiteReport {
            file: self.file.clone(),
            cases: vec![CaseReport::whole("the policy can be read", "a policy", why)],
            coverage: Coverage::default(),
        }
    }

    /// Runs all cases. `policy` is the name and the text of [`Self::policy_file`].
    pub async fn run(&self, policy: Option<(&str, &str)>) -> SuiteReport {
        let inline = self
            .policy
            .as_deref()
            .map(|text| (self.file.as_str(), text));
        let mut report = SuiteReport {
            file: self.file.clone(),
            cases: Vec::new(),
            coverage: Coverage::default(),
        };
        let Some((file, text)) = inline.or(policy) else {
            let why = "name the policy: `policy: policy.yaml`, or put it above a line `---`";
            report
                .cases
                .push(CaseReport::whole("a policy", "no policy", why));
            return report;
        };
        let CasesText {
            mistakes, warnings, ..
        } = &self.cases.0;
        if mistakes.is_some() || warnings.is_some() {
            report.cases.extend(self.checked(file, text));
        }
        if mistakes.is_some() {
            return report;
        }
        match Simulation::of(file, text, false) {
            Ok(_) if self.cases.0.cases.is_empty() => return report,
            Ok(simulation) => report.coverage = Coverage::of(file, text, simulation.policy()),
            Err(error) => {
                let error = error.to_string();
                report
                    .cases
                    .push(CaseReport::whole("the policy loads", "no mistakes", &error));
                return report;
            }
        }
        let places = Places::of(&self.file, &self.text);
        for (index, Case(case)) in self.cases.0.cases.iter().enumerate() {
            let way = vec![Step::from("cases"), index.into()];
            let case = self.case(case, &way, &places, (file, text), &mut report.coverage);
            report.cases.push(case.await);
        }
        report
    }

    async fn case(
        &self,
        case: &CaseText,
        way: &[Step],
        places: &Places<'_>,
        (file, text): (&str, &str),
        coverage: &mut Coverage,
    ) -> CaseReport {
        let mut report = CaseReport {
            name: case.name.clone(),
            line: places.line(way),
            failures: Vec::new(),
            explanation: String::new(),
        };
        let common = case.given.clone().on(&self.cases.0.given);
        let alone = [Request {
            given: Given::default(),
            expect: case.expect.clone(),
        }];
        let (requests, is_alone) = match case.requests.is_empty() {
            true => (&alone[..], true),
            false => (&case.requests[..], false),
        };
        let mut simulation = None;
        for (index, request) in requests.iter().enumerate() {
            let given = given(request, &common, index);
            let kept = simulation.take().filter(|_| !given.fresh);
            let Some(stage) = kept.or_else(|| Simulation::of(file, text, false).ok()) else {
                return report;
            };
            let run = repeated(&stage, &given, coverage).await;
            let mut way = way.to_vec();
            if !is_alone {
                way.extend([Step::from("requests"), index.into()]);
            }
            way.push("expect".into());
            let failures = request.expect.differences(&run).into_iter();
            let failures: Vec<_> = failures.map(|d| Failure::of(d, &way, places)).collect();
            if report.failures.is_empty() && !failures.is_empty() {
                let told = super::explain::Explanation::of(stage.policy(), &given, &run);
                report.explanation = told.to_string();
            }
            report.failures.extend(failures);
            simulation = Some(stage);
        }
        report
    }

    /// Compares the policy's mistakes, or its warnings, with those that are expected.
    fn checked(&self, file: &str, text: &str) -> Vec<CaseReport> {
        let checked = check::policy(file, text);
        let places = Places::of(&self.file, &self.text);
        let CasesText {
            mistakes, warnings, ..
        } = &self.cases.0;
        let compared = [
            ("mistakes", mistakes, &checked.mistakes),
            ("warnings", warnings, &checked.warnings),
        ];
        let compared = compared.into_iter().filter_map(|(key, expected, got)| {
            let Texts(expected) = expected.as_ref()?;
            let got: Vec<_> = got.iter().map(ToString::to_string).collect();
            let line = places.line(&[key.into()]);
            let fits = expected.len() == got.len()
                && expected
                    .iter()
                    .zip(&got)
                    .all(|(part, whole)| whole.contains(part.as_str()));
            let failure = Failure {
                line,
                key: key.to_owned(),
                expected: expected.join("\n"),
                got: got.join("\n"),
            };
            Some(CaseReport {
                name: format!("the {key} of the policy"),
                line,
                failures: if fits { Vec::new() } else { vec![failure] },
                explanation: String::new(),
            })
        });
        compared.collect()
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

/// What a request is given. Time and chance go on from the request before, unless it says where.
fn given(request: &Request, common: &Given, index: usize) -> Given {
    let whole = request.given.clone().on(common);
    match index {
        0 => whole,
        _ => Given {
            time: request.given.time,
            after: request.given.after,
            random: request.given.random,
            ..whole
        },
    }
}

async fn repeated(stage: &Simulation, given: &Given, coverage: &mut Coverage) -> Run {
    let mut run = stage.run(given).await;
    coverage.add(&run);
    let again = Given {
        time: None,
        random: None,
        ..given.clone()
    };
    for _ in 1..given.repeat.unwrap_or(1) {
        run = stage.run(&again).await;
        coverage.add(&run);
    }
    run
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

// === impl CaseReport, Failure ===

impl CaseReport {
    /// Whether everything is as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Something is wrong with the file as a whole.
    fn whole(name: &str, expected: &str, got: &str) -> Self {
        Self {
            name: name.to_owned(),
            line: 1,
            failures: vec![Failure {
                line: 1,
                key: String::new(),
                expected: expected.to_owned(),
                got: got.to_owned(),
            }],
            explanation: String::new(),
        }
    }
}

impl Failure {
    fn of(difference: Difference, way: &[Step], places: &Places<'_>) -> Self {
        let Difference {
            way: inside,
            expected,
            got,
        } = difference;
        let whole: Vec<_> = way.iter().chain(&inside).cloned().collect();
        let keys = inside.iter().map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Item(item) => item.to_string(),
        });
        Self {
            line: places.line(&whole),
            key: keys.collect::<Vec<_>>().join("."),
            expected,
            got,
        }
    }
}
