//! `adit completion`: what a shell needs to complete Adit's command lines.

use clap::Args;
use clap_complete::Shell;

use crate::{cli, exit::Failure, terminal};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(adit completion bash)                            # this bash
  adit completion zsh > \"${fpath[1]}/_adit\"                 # every new zsh
  adit completion fish > ~/.config/fish/completions/adit.fish")]
pub(crate) struct Completion {
    /// Which shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(&self, name: &'static str) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::command(name), name, &mut script);
        terminal::print(&String::from_utf8_lossy(&script))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_subcommands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut cli::command("adit"), "adit", &mut script);
            assert!(
                String::from_utf8_lossy(&script).contains("gateway"),
                "{shell}"
            );
        }
    }
}
