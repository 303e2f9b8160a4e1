//! The log: one line per event, in the forms that people, scripts and wrappers of ngrok read.

mod line;
mod writer;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use clap::ValueEnum;
use time::UtcOffset;
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use self::line::Line;
pub(crate) use self::writer::Writer;
use crate::exit::Failure;

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: colours on a terminal; `logfmt` elsewhere
    Term,
    /// `key=value` pairs
    Logfmt,
    /// One JSON object per line
    Json,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Threshold {
    /// Everything
    Debug,
    /// What happens
    Info,
    /// What may be wrong
    Warn,
    /// What is wrong
    Error,
    /// What ends the process
    Crit,
}

/// Everything that decides about the log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) destination: Destination,
    pub(crate) format: Format,
    pub(crate) threshold: Threshold,
    /// For `term` lines; the others speak UTC.
    pub(crate) offset: UtcOffset,
    /// The gateway is only a helper here: what it does in order is no news.
    pub(crate) gateway_quiet: bool,
}

impl Log {
    /// Sends every later event of this process to the destination. The answer, when dropped,
    /// waits a moment for the last lines.
    pub(crate) fn start(self) -> Result<Option<Writer>, Failure> {
        if self.destination == Destination::Off {
            return Ok(None);
        }
        let form = self.form();
        let writer = Writer::start(&self.destination, form).map_err(|error| {
            Failure::mistake(format_args!(
                "cannot write the log to {}: {error}",
                self.destination
            ))
        })?;
        let lines = Lines {
            form,
            threshold: self.threshold,
            gateway_quiet: self.gateway_quiet && self.threshold != Threshold::Debug,
            writer: writer.clone(),
        };
        tracing_subscriber::registry()
            .with(lines)
            .try_init()
            .map_err(|_| Failure::mistake("the log was started twice"))?;
        Ok(Some(writer))
    }

    fn form(&self) -> Form {
        let terminal = match self.destination {
            Destination::Stdout => io::stdout().is_terminal(),
            Destination::Stderr => io::stderr().is_terminal(),
            Destination::File(_) | Destination::Off => false,
        };
        match self.format {
            Format::Json => Form::Json,
            Format::Term if terminal => Form::Term {
                offset: self.offset,
                colour: crate::screen::colour_wanted(),
            },
            Format::Term | Format::Logfmt => Form::Logfmt,
        }
    }
}

/// A format, decided: what `term` means depends on the destination.
#[derive(Debug, Clone, Copy)]
enum Form {
    Logfmt,
    Json,
    Term { offset: UtcOffset, colour: bool },
}

/// Turns events into lines.
struct Lines {
    form: Form,
    threshold: Threshold,
    gateway_quiet: bool,
    writer: Writer,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, event: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Libraries may warn; what else they have to say is about themselves.
        let target = event.target();
        let news = target.starts_with("adit")
            && !(self.gateway_quiet && target.starts_with("adit_gateway"));
        *event.level() <= self.threshold.level() && (news || *event.level() <= Level::WARN)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.threshold.level()))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event);
        if self.threshold != Threshold::Crit || line.is_critical() {
            self.writer.send(line.shown_as(self.form));
        }
    }
}

impl Threshold {
    /// `tracing` has no level above error: such events carry a field `lvl = "crit"`.
    fn level(self) -> Level {
        match self {
            Self::Debug => Level::DEBUG,
            Self::Info => Level::INFO,
            Self::Warn => Level::WARN,
            Self::Error | Self::Crit => Level::ERROR,
        }
    }
}

impl Destination {
    /// Reads `path|stdout|stderr|false`.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "false" | "" => Self::Off,
            "stdout" | "true" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        }
    }

    /// Whether lines sent there would land in the middle of the status screen.
    pub(crate) fn shares_the_terminal(&self) -> bool {
        match self {
            Self::Stdout => true,
            Self::Stderr => io::stderr().is_terminal(),
            Self::Off | Self::File(_) => false,
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("nowhere"),
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
