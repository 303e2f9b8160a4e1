//! Colours for terminals.

/// Whether a terminal shows colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// Letters alone.
    #[default]
    Plain,
    /// ANSI colours.
    Ansi,
}

// === impl Paint ===

impl Paint {
    /// A text in bold.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// A text that steps back.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A text in an ANSI style.
    pub fn with(self, style: &str, text: &str) -> String {
        match self {
            Self::Ansi if !text.is_empty() => format!("\x1b[{style}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    /// How many characters of a coloured mark nobody sees.
    pub(super) const fn weight(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Ansi => "\x1b[32m\x1b[0m".len(),
        }
    }
}
