//! Reads the keyboard: `q` and Ctrl+C ask to leave, a new size asks for a new picture.

use std::{io, sync::Arc, thread};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::{Scene, Shared};

/// Starts listening. The thread ends with the process, or with the keyboard.
pub(super) fn listen<S: Scene>(shared: Arc<Shared<S>>) -> io::Result<()> {
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            while let Ok(event) = event::read() {
                match event {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        let control = key.modifiers.contains(KeyModifiers::CONTROL);
                        match key.code {
                            KeyCode::Char('q') => shared.quit.notify_one(),
                            KeyCode::Char('c') if control => shared.quit.notify_one(),
                            _ => {}
                        }
                    }
                    Event::Resize(..) => shared.redraw(),
                    _ => {}
                }
            }
        })?;
    Ok(())
}
