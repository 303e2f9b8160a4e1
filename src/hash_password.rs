//! `adit config hash-password`: a password becomes a hash for a policy, and is seen by nobody on its way.

use std::io::{self, BufRead, IsTerminal};

use adit_policy::{
    env::Env,
    password::{self, Algorithm},
    secret::Secret,
};
use clap::{Args, ValueEnum};

use crate::{exit::Failure, hidden_line, runtime, terminal};

/// More than any password has, in bytes.
const LINE_MAX: u64 = 4_096;

/// Make the hash of a password, for `basic-auth`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit config hash-password --user ada                 asks twice, and prints a line for the policy
  pass show app/ada | adit config hash-password        one line of standard input
  adit config hash-password --algorithm bcrypt         for other programs that know nothing newer

The password is never an argument: others on this machine could see it, and the shell remembers it.
In a policy the line stands under `credentials:`. Keep the quotes: YAML would see a meaning in `$`, `,` and `=`.")]
pub(crate) struct HashPassword {
    /// How it is hashed
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    algorithm: Name,
    /// Whose password it is: prints `- 'NAME:HASH'`, ready to paste
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Name {
    #[default]
    Argon2id,
    Bcrypt,
}

impl HashPassword {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // Who misspells the name need not type the password first.
        let line = |hash: &str| match &self.user {
            Some(user) => password::quoted_credential(user, hash).map(|item| format!("- {item}")),
            None => Ok(hash.to_owned()),
        };
        line("").map_err(Failure::mistake)?;
        let is_asked = io::stdin().is_terminal();
        let password = match is_asked {
            true => asked()?,
            false => one_line(io::stdin().lock())?,
        };
        let algorithm = match self.algorithm {
            Name::Argon2id => Algorithm::Argon2id,
            Name::Bcrypt => Algorithm::Bcrypt,
        };
        let hash = password::make(algorithm, password.expose(), Env::system().random());
        let hash = hash.map_err(Failure::mistake)?;
        if is_asked && self.user.is_some() {
            terminal::note("In the policy, under `credentials:` of `basic-auth`:");
        }
        let line = line(&hash).map_err(Failure::mistake)?;
        terminal::print(&format!("{line}\n"))
    }
}

/// Asks twice, for what is typed cannot be seen.
fn asked() -> Result<Secret, Failure> {
    let mut typed = Vec::new();
    runtime::run(async {
        for prompt in ["Password: ", "The same again: "] {
            typed.push(hidden_line::ask(prompt).await?);
        }
        Ok(())
    })?;
    let first = typed.pop();
    match typed.pop() == first {
        true => first.ok_or_else(|| Failure::mistake("no password was typed")),
        false => Err(Failure::mistake("the two are not the same")),
    }
}

/// The first line, without its end.
fn one_line(input: impl BufRead) -> Result<Secret, Failure> {
    let mut line = Vec::new();
    let read = input.take(LINE_MAX).read_until(b'\n', &mut line);
    read.map_err(|error| Failure::mistake(format_args!("standard input: {error}")))?;
    let line = String::from_utf8(line)
        .map_err(|_| Failure::mistake("standard input: a password is UTF-8"))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        for (input, password) in [
            ("correct horse\n", "correct horse"),
            ("correct horse", "correct horse"),
            ("correct horse\r\nsecond line\n", "correct horse"),
            (" spaces stay \n", " spaces stay "),
            ("", ""),
        ] {
            assert_eq!(one_line(input.as_bytes()).unwrap().expose(), password);
        }
        assert!(one_line(&b"\xff\n"[..]).is_err());
        let endless = io::repeat(b'a');
        let read = one_line(io::BufReader::new(endless)).unwrap();
        assert_eq!(read.expose().len(), 4_096);
    }
}
