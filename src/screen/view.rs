//! How the status is laid out: the lines, their colours, and what narrow terminals leave out.

use std::time::Duration;

use ratatui::{
    Frame,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{
    Scene,
    fit::{broken, columns_of, fitted},
    status::{Request, Session, Status},
};
use crate::printable::printable;

const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second]");

/// Columns of the labels; terminals narrower than [`NARROW`] get each label on a line of its own.
const LABEL: usize = 17;
const NARROW: usize = 48;

/// How the screen looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Whether colours are welcome.
    pub(crate) colour: bool,
}

impl Scene for Status {
    fn draw(&self, frame: &mut Frame<'_>, look: Look) {
        draw(frame, self, look);
    }
}

/// Draws everything, top down; what does not fit at the bottom is the oldest.
fn draw(frame: &mut Frame<'_>, status: &Status, look: Look) {
    let area = frame.area();
    let mut page = Page {
        lines: Vec::new(),
        width: usize::from(area.width),
        look,
    };
    page.head(status);
    page.counters(status);
    page.requests(status, usize::from(area.height));
    frame.render_widget(Paragraph::new(page.lines), area);
}

struct Page {
    lines: Vec<Line<'static>>,
    width: usize,
    look: Look,
}

// === impl Page ===

impl Page {
    fn head(&mut self, status: &Status) {
        let quiet = self.look.quiet();
        let strong = Style::new().add_modifier(Modifier::BOLD);
        self.lines.push(Line::from(vec![
            Span::styled("adit", strong),
            Span::styled(" (Ctrl+C to quit)", quiet),
        ]));
        self.gap();
        let (session, colour) = match &status.session {
            Session::Connecting => ("connecting".to_owned(), Color::Yellow),
            Session::Online => ("online".to_owned(), Color::Green),
            Session::Reconnecting(why) => (format!("reconnecting: {why}"), Color::Red),
            Session::Stopping => (
                "stopping; Ctrl+C again to stop at once".to_owned(),
                Color::Yellow,
            ),
        };
        self.row("Session Status", &session, self.look.painted(colour));
        self.row("Version", env!("CARGO_PKG_VERSION"), Style::new());
        let latency = status.latency.map_or_else(|| "-".to_owned(), shown);
        self.row("Latency", &latency, Style::new());
        for (label, text) in &status.notes {
            self.row(label, text, Style::new());
        }
        for line in &status.forwarding {
            let mut text = format!("{} -> {}", line.url, line.upstream);
            let down = status.down.get(&line.name);
            if let Some(why) = down {
                text.push_str(&format!(" (down: {why})"));
            }
            let colour = down.map_or(Color::Cyan, |_| Color::Red);
            self.row("Forwarding", &text, self.look.painted(colour));
        }
    }

    fn counters(&mut self, status: &Status) {
        let total: u64 = status.answers.iter().sum();
        let mut text = format!("{total}");
        for (class, count) in status
            .answers
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            match class {
                0 => text.push_str(&format!("  other {count}")),
                class => text.push_str(&format!("  {class}xx {count}")),
            }
        }
        self.row("Requests", &text, Style::new());
        if let Some((at, problem)) = &status.problem {
            let text = format!("{}  {problem}", clock(*at));
            self.row("Last Error", &text, self.look.painted(Color::Red));
        }
    }

    fn requests(&mut self, status: &Status, height: usize) {
        self.gap();
        let room = height.saturating_sub(self.lines.len());
        for request in status.requests.iter().take(room) {
            let line = self.request(request);
            self.lines.push(line);
        }
    }

    fn request(&self, request: &Request) -> Line<'static> {
        let status = format!(" {:<4}", request.status);
        let duration = format!("{:>9}", shown(request.duration));
        let method = format!("{:<7} ", printable(&request.method));
        let time = format!("{}  ", clock(request.at));
        // The path gets what the others leave, and the others leave when it gets too little.
        let spare = self.width.saturating_sub(method.len() + status.len());
        let duration_columns = columns_of(&duration);
        let with_duration = spare >= 12 + duration_columns;
        let spare = if with_duration {
            spare - duration_columns
        } else {
            spare
        };
        let with_time = spare >= 12 + time.len();
        let spare = if with_time { spare - time.len() } else { spare };

        let path = fitted(&printable(&request.path), spare);
        let mut spans = Vec::with_capacity(5);
        if with_time {
            spans.push(Span::styled(time, self.look.quiet()));
        }
        spans.push(Span::raw(method));
        spans.push(Span::raw(path));
        spans.push(Span::styled(
            status,
            self.look.painted(of_status(request.status)),
        ));
        if with_duration {
            spans.push(Span::styled(duration, self.look.quiet()));
        }
        Line::from(spans)
    }

    /// A label and its text, which goes on under itself where the line is full.
    fn row(&mut self, label: &str, text: &str, style: Style) {
        let beside = self.width >= NARROW;
        if !beside {
            self.lines
                .push(Line::styled(label.to_owned(), self.look.quiet()));
        }
        let indent = if beside { LABEL } else { 2 };
        let text = printable(text);
        let lines = broken(&text, self.width.saturating_sub(indent));
        for (at, part) in lines.into_iter().enumerate() {
            let label = if at == 0 && beside { label } else { "" };
            self.lines.push(Line::from(vec![
                Span::raw(format!("{label:<indent$}")),
                Span::styled(part, style),
            ]));
        }
    }

    fn gap(&mut self) {
        self.lines.push(Line::default());
    }
}

impl Look {
    fn painted(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn quiet(self) -> Style {
        if self.colour {
            Style::new().add_modifier(Modifier::DIM)
        } else {
            Style::new()
        }
    }
}

fn of_status(status: u16) -> Color {
    match status {
        200..=299 => Color::Green,
        300..=399 => Color::Cyan,
        400..=499 => Color::Yellow,
        _ => Color::Red,
    }
}

fn clock(at: OffsetDateTime) -> String {
    at.format(CLOCK).unwrap_or_default()
}

fn shown(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros @ 10_000..1_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use time::macros::datetime;

    use super::*;

    fn status() -> Status {
        let mut status = Status {
            session: Session::Online,
            ..Status::default()
        };
        status.latency = Some(Duration::from_micros(1_250));
        status.notes.push((
            "Certificate",
            "/home/ann/.local/share/adit/ca.pem".to_owned(),
        ));
        status.forward(
            "web",
            "https://blue-fox.localhost:8443",
            "http://localhost:3000",
        );
        status.problem(
            datetime!(2026-01-02 03:04:05 UTC),
            "http://localhost:3000: connection refused".to_owned(),
        );
        status.request(Request {
            at: datetime!(2026-01-02 03:04:06 UTC),
            method: "GET".to_owned(),
            path: "/a/rather/long/path\u{1b}[2J/that/does/not/fit/everywhere".to_owned(),
            status: 502,
            duration: Duration::from_micros(12_345),
        });
        status
    }

    fn picture(width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(frame, &status(), Look { colour: true }))
            .unwrap();
        let cells = terminal
            .backend()
            .buffer()
            .content()
            .chunks(usize::from(width));
        cells
            .map(|row| {
                row.iter()
                    .map(|cell| cell.symbol())
                    .collect::<String>()
                    .trim_end()
                    .into()
            })
            .collect()
    }

    #[test]
    fn a_screen_shows_everything_in_columns() {
        assert_eq!(
            picture(80, 11),
            [
                "adit (Ctrl+C to quit)",
                "",
                "Session Status   online",
                &format!("Version          {}", env!("CARGO_PKG_VERSION")),
                "Latency          1.2 ms",
                "Certificate      /home/ann/.local/share/adit/ca.pem",
                "Forwarding       https://blue-fox.localhost:8443 -> http://localhost:3000",
                "Requests         1  5xx 1",
                "Last Error       03:04:05  http://localhost:3000: connection refused",
                "",
                "03:04:06  GET     /a/rather/long/path\\u001b[2J/that/does/not/fit/… 502     12 ms",
            ]
        );
    }

    #[test]
    fn a_service_that_is_down_says_so_beside_its_url() {
        let mut status = status();
        status.health("web", Some(&"GET /up: status 503".to_owned()));
        let drawn = |status: &Status| {
            let mut terminal = Terminal::new(TestBackend::new(120, 11)).unwrap();
            let look = Look { colour: false };
            terminal.draw(|frame| draw(frame, status, look)).unwrap();
            terminal.backend().to_string()
        };
        let says = "http://localhost:3000 (down: GET /up: status 503)";
        assert!(drawn(&status).contains(says));
        status.health("web", None);
        assert!(!drawn(&status).contains("down"));
    }

    #[test]
    fn a_narrow_screen_keeps_every_letter_of_a_url() {
        let picture = picture(24, 30).join("\n");
        let joined: String = picture.lines().map(str::trim).collect();
        assert!(joined.contains("https://blue-fox.localhost:8443 ->http://localhost:3000"));
        assert!(picture.contains("GET     /a/rather/… 502"), "{picture}");
    }

    #[test]
    fn the_smallest_screens_do_not_panic() {
        for width in 1..20 {
            for height in 1..5 {
                picture(width, height);
            }
        }
    }

    #[test]
    fn without_colour_no_cell_has_one() {
        let mut terminal = Terminal::new(TestBackend::new(60, 20)).unwrap();
        terminal
            .draw(|frame| draw(frame, &status(), Look { colour: false }))
            .unwrap();
        assert!(
            terminal
                .backend()
                .buffer()
                .content()
                .iter()
                .all(|cell| cell.fg == Color::Reset)
        );
    }
}
