//! The table in a terminal, drawn anew whenever the gateway was asked again.

use std::time::Duration;

use ratatui::{
    Frame,
    style::{Modifier, Style},
    text::Line,
    widgets::Paragraph,
};
use tokio::{task::spawn_blocking, time::interval};

use super::{access::Access, picture::Picture};
use crate::{
    exit::Failure,
    screen::{Look, Scene, Screen},
    signals::Signals,
};

/// What is shown.
#[derive(Debug, Clone)]
struct Table {
    picture: Picture,
    /// Why the picture is an old one.
    problem: Option<String>,
}

/// Shows it until somebody wants it to end.
pub(super) async fn run(access: Access, every: Duration) -> Result<(), Failure> {
    // What is wrong from the beginning is told without a screen.
    let picture = take(access.clone()).await?;
    let mut signals = Signals::take_over().map_err(Failure::mistake)?;
    signals
        .take_over_the_terminals()
        .map_err(Failure::mistake)?;
    let table = Table {
        picture,
        problem: None,
    };
    let screen = Screen::open(table).map_err(Failure::mistake)?;
    let mut tick = interval(every);
    let showing = async {
        loop {
            tick.tick().await;
            let taken = take(access.clone()).await;
            screen.update(|table| match taken {
                Ok(picture) => {
                    table.picture = picture;
                    table.problem = None;
                }
                Err(failure) => table.problem = Some(failure.to_string()),
            });
        }
    };
    tokio::select! {
        () = showing => {}
        () = screen.quit() => {}
        () = signals.next() => {}
    }
    Ok(())
}

async fn take(access: Access) -> Result<Picture, Failure> {
    let taken = spawn_blocking(move || Picture::take(&access)).await;
    taken.map_err(Failure::mistake)?
}

// === impl Table ===

impl Scene for Table {
    fn draw(&self, frame: &mut Frame<'_>, look: Look) {
        let area = frame.area();
        let bold = match look.colour {
            true => Style::new().add_modifier(Modifier::BOLD),
            false => Style::new(),
        };
        let mut lines: Vec<Line<'_>> = Vec::new();
        for line in self.picture.lines() {
            // Members are indented, what they belong to is not.
            let style = match line.starts_with(' ') {
                true => Style::new(),
                false => bold,
            };
            lines.push(Line::styled(line, style));
        }
        if let Some(problem) = &self.problem {
            lines.insert(0, Line::styled(problem.clone(), bold));
        }
        let room = usize::from(area.height).saturating_sub(1);
        let hidden = lines.len().saturating_sub(room);
        lines.truncate(room);
        lines.push(Line::raw(match hidden {
            0 => "q quits".to_owned(),
            hidden => format!("q quits   … {hidden} more lines: adit gateway status --once"),
        }));
        frame.render_widget(Paragraph::new(lines), area);
    }
}
