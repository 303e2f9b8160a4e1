//! What became of cases.

use crate::document::{Places, Step};
use crate::tools::coverage::Coverage;
use crate::tools::expect::Difference;

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
    /// What happened in the first exchange with a failure, as [`crate::tools::explain`] tells it.
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

// === impl CaseReport, Failure ===

impl CaseReport {
    /// Whether everything is as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Something is wrong with the file as a whole.
    pub(super) fn whole(name: &str, expected: &str, got: &str) -> Self {
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
    pub(super) fn of(difference: Difference, way: &[Step], places: &Places<'_>) -> Self {
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
