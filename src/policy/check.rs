//! `adit policy check`: every mistake of policies, and what in them is doubtful.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use adit_policy::tools::check::{self, Checked};
use clap::Args;

use super::{paint, read};
use crate::{exit::Failure, terminal};

/// Say whether policies are right, and where not
#[derive(Debug, Args)]
#[command(after_help = "\
A FILE is a policy, or a gateway.yaml or adit.yaml: then the policies in it are checked, and the files
with policies that it names.

Warnings are about what is right and was probably not meant: a rule that can never match, a header
that is added and removed, authentication behind a forward, an expression that always fails, a
variable that nothing fills in.")]
pub(super) struct Check {
    /// Policies, or configurations with policies in them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let warnings fail, too
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let texts: Result<Vec<_>, _> = self.files.iter().map(|file| read(file)).collect();
        let mut is_right = true;
        let mut named = Named::default();
        for (file, text) in self.files.iter().zip(texts?) {
            let checked = check::file(&file.display().to_string(), &text);
            is_right &= self.tell(file, &checked)?;
            is_right &= named.check(self, file, &checked)?;
        }
        match is_right {
            true => Ok(()),
            false => Err(Failure::Told),
        }
    }

    /// Whether there is nothing to complain of.
    fn tell(&self, file: &Path, checked: &Checked) -> Result<bool, Failure> {
        for found in checked.mistakes.iter().chain(&checked.warnings) {
            terminal::print(&format!("{found}\n\n"))?;
        }
        let summary = format!("{}: {}", file.display(), checked.summary());
        terminal::print(&format!("{}\n", paint().bold(&summary)))?;
        let is_tolerated = checked.warnings.is_empty() || !self.strict;
        Ok(checked.mistakes.is_empty() && is_tolerated)
    }
}

/// Files that configurations name; each is checked once.
#[derive(Debug, Default)]
struct Named(HashSet<PathBuf>);

impl Named {
    fn check(&mut self, check: &Check, file: &Path, checked: &Checked) -> Result<bool, Failure> {
        let mut is_right = true;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        for named in &checked.files {
            let named = folder.join(named);
            if !self.0.insert(named.clone()) {
                continue;
            }
            match fs::read_to_string(&named) {
                Ok(text) => {
                    let checked = check::policy(&named.display().to_string(), &text);
                    is_right &= check.tell(&named, &checked)?;
                }
                Err(error) => {
                    let by = file.display();
                    let named = named.display();
                    terminal::print(&format!("{named}: {error}; {by} names it\n"))?;
                    is_right = false;
                }
            }
        }
        Ok(is_right)
    }
}
