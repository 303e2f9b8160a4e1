//! The message that shows where a text is wrong.

use std::fmt;

use thiserror::Error;

use super::redact::SHOWN_MAX;

/// A text that says what it cannot say, with the place. Prints as
///
/// ```text
/// adit.yaml:2:3: unknown field `wieght`, expected `url` or `weight`
///     2 |   wieght: 3
///       |   ^
/// did you mean `weight`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Mistake {
    pub(super) file: String,
    pub(super) message: String,
    pub(super) at: Option<Spot>,
    pub(super) remedy: Option<String>,
    pub(super) is_warning: bool,
}

/// All mistakes of one text, in the order of their places; at least one. Prints them one below the other, and how many
/// they are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Mistakes {
    pub(super) first: Box<Mistake>,
    pub(super) rest: Vec<Mistake>,
    pub(super) is_all: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) column: usize,
    /// The whole line, without what may be a secret.
    pub(super) source: String,
}

// === impl Mistake ===

impl Mistake {
    /// The line, from 1, if the place is known.
    pub fn line(&self) -> Option<usize> {
        self.at.as_ref().map(|spot| spot.line)
    }

    /// The column in characters, from 1, if the place is known.
    pub fn column(&self) -> Option<usize> {
        self.at.as_ref().map(|spot| spot.column)
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is and what, on one line.
    pub fn in_one_line(&self) -> String {
        let Self { file, message, .. } = self;
        match &self.at {
            None => format!("{file}: {message}"),
            Some(Spot { line, column, .. }) => format!("{file}:{line}:{column}: {message}"),
        }
    }

    /// Whether the text is right all the same.
    pub fn is_warning(&self) -> bool {
        self.is_warning
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, message, .. } = self;
        let kind = if self.is_warning { "warning: " } else { "" };
        match &self.at {
            None => write!(f, "{file}: {kind}{message}")?,
            Some(Spot {
                line,
                column,
                source,
            }) => {
                write!(f, "{file}:{line}:{column}: {kind}{message}")?;
                if *column <= SHOWN_MAX {
                    let indent: String = source
                        .chars()
                        .chain(std::iter::repeat(' '))
                        .take(column - 1)
                        .map(|c| if c == '\t' { c } else { ' ' })
                        .collect();
                    write!(f, "\n{line:>5} | {source}\n      | {indent}^")?;
                }
            }
        }
        let mut remedy = self.remedy.iter();
        remedy.try_for_each(|remedy| write!(f, "\n{remedy}"))
    }
}

// === impl Mistakes ===

impl Mistakes {
    /// The one that stands first in the text.
    pub fn first(&self) -> &Mistake {
        &self.first
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        std::iter::once(&*self.first).chain(&self.rest)
    }

    /// How many they are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// Whether the search came to its end, so that there are no more.
    pub fn is_all(&self) -> bool {
        self.is_all
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self {
            first: Box::new(mistake),
            rest: Vec::new(),
            is_all: true,
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{mistake}")?;
        }
        match (self.len(), self.is_all) {
            (1, true) => Ok(()),
            (1, false) => f.write_str("\n\n1 mistake, and there may be more"),
            (many, true) => write!(f, "\n\n{many} mistakes"),
            (many, false) => write!(f, "\n\n{many} mistakes, and there may be more"),
        }
    }
}
