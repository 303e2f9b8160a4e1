//! Runs the cases of a file.

use super::{Case, CaseReport, CaseText, CasesText, Failure, Request, Suite, SuiteReport};
use crate::document::{Mistakes, Places, Step};
use crate::tools::check;
use crate::tools::coverage::Coverage;
use crate::tools::explain::Explanation;
use crate::tools::given::Given;
use crate::tools::run::Run;
use crate::tools::said::Texts;
use crate::tools::simulation::Simulation;

impl Suite {
    /// What to report of a file that [`Self::read`] refuses.
    pub fn unreadable(file: &str, mistakes: &Mistakes) -> SuiteReport {
        let said = mistakes.to_string();
        SuiteReport {
            file: file.to_owned(),
            cases: vec![CaseReport::whole(
                "the cases are read",
                "no mistakes",
                &said,
            )],
            coverage: Coverage::default(),
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
                let told = Explanation::of(stage.policy(), &given, &run);
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
