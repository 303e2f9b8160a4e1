//! The policies of `tests/policies/`: each file holds a policy, a line `---`, and cases (`adit_policy::tools::case`). One
//! more test is one more file there, or one more case in a file.
//!
//! `cargo test --test golden NAME…` runs the cases whose name (`file: case`) holds one of these words.

#![allow(
    clippy::disallowed_methods,
    reason = "here the files are read, on behalf of the engine"
)]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use adit_policy::actions::TYPES;
use adit_policy::tools::case::{Suite, SuiteReport};
use adit_policy::tools::paint::Paint;
use adit_policy::tools::report;

/// Options of the standard test harness that are followed by a value.
const WITH_VALUE: &[&str] = &[
    "--skip",
    "--test-threads",
    "--format",
    "--color",
    "--logfile",
    "-Z",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    let options = Options::of(std::env::args().skip(1));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/policies");
    let mut out = io::stdout().lock();
    let (mut passed, mut failed) = (0_usize, Vec::new());
    let mut untested: Vec<_> = TYPES.to_vec();
    for path in files(&folder)? {
        let text = fs::read_to_string(&path)?;
        untested.retain(|kind| !holds(&text, kind));
        let mut suite = suite(&path, &text).await;
        let file = suite.file.clone();
        suite
            .cases
            .retain(|case| options.wants(&format!("{file}: {}", case.name)));
        for case in &suite.cases {
            let word = match (options.lists, case.passed()) {
                (true, _) => "test",
                (false, true) => "ok",
                (false, false) => "FAILED",
            };
            match options.lists {
                true => writeln!(out, "{file}: {}: {word}", case.name)?,
                false => writeln!(out, "test {file}: {} ... {word}", case.name)?,
            }
        }
        passed += suite.cases.iter().filter(|case| case.passed()).count();
        suite.cases.retain(|case| !case.passed());
        if !suite.cases.is_empty() {
            failed.push(suite);
        }
    }
    if options.lists {
        return Ok(ExitCode::SUCCESS);
    }
    assert!(
        untested.is_empty(),
        "no file holds these actions: {}",
        untested.join(", ")
    );
    for suite in &failed {
        write!(out, "\n{}", report::text(suite, Paint::Plain))?;
    }
    let count: usize = failed.iter().map(|suite| suite.cases.len()).sum();
    let word = if count == 0 { "ok" } else { "FAILED" };
    writeln!(
        out,
        "\ntest result: {word}. {passed} passed; {count} failed; 0 ignored\n"
    )?;
    Ok(ExitCode::from(u8::from(count > 0) * 101))
}

/// The files of the folder, which is never empty.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?.collect();
    let paths = entries?.into_iter().map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no test", folder.display());
    Ok(files)
}

/// Whether a policy has an action of this type.
fn holds(text: &str, kind: &str) -> bool {
    let words = text.split("type: ").skip(1);
    let mut kinds = words.filter_map(|word| word.split([',', '\n', ' ']).next());
    kinds.any(|word| word == kind)
}

async fn suite(path: &Path, text: &str) -> SuiteReport {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match Suite::read(&name, text) {
        Ok(suite) => suite.run(None).await,
        Err(mistakes) => Suite::unreadable(&name, &mistakes),
    }
}

/// What of the standard test harness's command line means something here.
#[derive(Debug, Default)]
struct Options {
    lists: bool,
    exact: bool,
    words: Vec<String>,
    skipped: Vec<String>,
}

impl Options {
    fn of(arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => options.lists = true,
                "--exact" => options.exact = true,
                "--skip" => options.skipped.extend(arguments.next()),
                option if WITH_VALUE.contains(&option) => drop(arguments.next()),
                option if option.starts_with('-') => {}
                _ => options.words.push(argument),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        let fits = |word: &String| match self.exact {
            true => name == word,
            false => name.contains(word.as_str()),
        };
        (self.words.is_empty() || self.words.iter().any(fits)) && !self.skipped.iter().any(fits)
    }
}
