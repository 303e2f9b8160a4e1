//! A line that is typed and not shown: a password. Whatever ends the typing, the terminal is as it was before.

use std::io::{self, Write};

use adit_policy::secret::Secret;
use ratatui::crossterm::{
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    terminal::{disable_raw_mode, enable_raw_mode},
};
use tokio::sync::oneshot;

use crate::{exit::Failure, signals::Signals, terminal};

/// Asks on standard error, so that standard output holds nothing but the result. Ctrl+C and signals end it.
pub(crate) async fn ask(prompt: &str) -> Result<Secret, Failure> {
    let mut signals = Signals::take_over().map_err(Failure::mistake)?;
    signals
        .take_over_the_terminals()
        .map_err(Failure::mistake)?;
    let raw = Raw::begin(prompt).map_err(unusable)?;
    let (line, typed) = oneshot::channel();
    std::thread::Builder::new()
        .name("keys".to_owned())
        // Whoever asked may be gone when the line is there.
        .spawn(|| drop(line.send(read())))
        .map_err(Failure::mistake)?;
    let line = tokio::select! {
        line = typed => line.ok(),
        () = signals.next() => None,
    };
    drop(raw);
    match line {
        Some(Ok(Some(line))) => Ok(line),
        Some(Ok(None)) | None => Err(Failure::mistake("interrupted")),
        Some(Err(error)) => Err(unusable(error)),
    }
}

fn unusable(error: io::Error) -> Failure {
    Failure::mistake(format_args!("the terminal: {error}"))
}

/// The line; `None` if it was given up.
fn read() -> io::Result<Option<Secret>> {
    let mut line = String::new();
    loop {
        let Event::Key(key) = event::read()? else {
            continue;
        };
        match meaning(key) {
            Meaning::Char(c) => line.push(c),
            Meaning::Back => drop(line.pop()),
            Meaning::Clear => line.clear(),
            Meaning::End => return Ok(Some(Secret::new(line))),
            Meaning::GiveUp => return Ok(None),
            Meaning::Nothing => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Char(char),
    Back,
    Clear,
    End,
    GiveUp,
    Nothing,
}

fn meaning(key: KeyEvent) -> Meaning {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind == KeyEventKind::Release => Meaning::Nothing,
        KeyCode::Char('c' | 'd') if control => Meaning::GiveUp,
        KeyCode::Char('u') if control => Meaning::Clear,
        KeyCode::Char('j' | 'm') if control => Meaning::End,
        KeyCode::Char('h') if control => Meaning::Back,
        KeyCode::Char(_) if control => Meaning::Nothing,
        KeyCode::Char(c) => Meaning::Char(c),
        KeyCode::Backspace => Meaning::Back,
        KeyCode::Enter => Meaning::End,
        _ => Meaning::Nothing,
    }
}

/// A terminal that shows nothing of what is typed.
struct Raw;

impl Raw {
    /// The prompt comes last, so that whoever sees it can type.
    fn begin(prompt: &str) -> io::Result<Self> {
        enable_raw_mode()?;
        let raw = Self;
        let mut out = io::stderr().lock();
        write!(out, "{prompt}").and_then(|()| out.flush())?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        drop(disable_raw_mode());
        // The line end that was typed was not shown either.
        terminal::note("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_they_mean_at_a_prompt() {
        let key = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        let plain = |code| key(code, KeyModifiers::NONE);
        let control = |c| key(KeyCode::Char(c), KeyModifiers::CONTROL);
        assert_eq!(plain(KeyCode::Char('ä')), Meaning::Char('ä'));
        assert_eq!(
            key(KeyCode::Char('A'), KeyModifiers::SHIFT),
            Meaning::Char('A')
        );
        assert_eq!(plain(KeyCode::Enter), Meaning::End);
        assert_eq!(plain(KeyCode::Backspace), Meaning::Back);
        assert_eq!(plain(KeyCode::Up), Meaning::Nothing);
        assert_eq!(
            (control('c'), control('d')),
            (Meaning::GiveUp, Meaning::GiveUp)
        );
        assert_eq!(
            (control('u'), control('a')),
            (Meaning::Clear, Meaning::Nothing)
        );
    }
}
