//! The terminal while it is ours: raw mode and the alternate screen, given back on drop.

use std::io::{self, Stdout};

use ratatui::{
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use super::{Scene, view::Look};

/// A terminal that was taken over.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes it over. What was on it comes back when this is dropped.
    pub(super) fn take_over() -> io::Result<Self> {
        enable_raw_mode()?;
        let opened = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())));
        opened
            .map(|inner| Self { inner })
            .inspect_err(|_| restore())
    }

    pub(super) fn draw(&mut self, shown: &impl Scene, look: Look) -> io::Result<()> {
        self.inner.draw(|frame| shown.draw(frame, look)).map(drop)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    drop(execute!(io::stdout(), LeaveAlternateScreen, Show));
    restore_mode();
}

/// What can be given back without writing, and so without waiting.
pub(super) fn restore_mode() {
    drop(disable_raw_mode());
}
