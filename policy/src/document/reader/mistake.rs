//! The message that shows where a text is wrong.

use std::fmt;

use thiserror::Error;

use super::path;
use super::redact::{self, SHOWN_MAX};
use super::repair::Found;
use super::spot;
use super::tree::Mark;
use crate::nearest::nearest;

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
    file: String,
    message: String,
    at: Option<Spot>,
    remedy: Option<String>,
    is_warning: bool,
}

/// All mistakes of one text, in the order of their places; at least one. Prints them one below the other, and how many
/// they are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Mistakes {
    first: Box<Mistake>,
    rest: Vec<Mistake>,
    is_all: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Spot {
    line: usize,
    column: usize,
    source: String,
}

/// A text under its name.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
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

// === impl Source ===

impl Source<'_> {
    /// A mistake of the text as a whole.
    pub(super) fn nowhere(self, message: String) -> Mistake {
        Mistake {
            file: self.file.to_owned(),
            message,
            at: None,
            remedy: None,
            is_warning: false,
        }
    }

    /// A mistake that no value made.
    pub(super) fn mistake_at(self, mark: Mark, message: String) -> Mistake {
        let source = redact::source_line(spot::line(self.text, mark), "", &message);
        Mistake {
            at: Some(Spot {
                line: mark.line,
                column: mark.column,
                source,
            }),
            ..self.nowhere(redact::message("", &message))
        }
    }

    pub(super) fn warning(self, found: &Found<'_>) -> Mistake {
        Mistake {
            is_warning: true,
            ..self.mistake(found, self.mark(found))
        }
    }

    /// What was found, in order, and the same thing at the same place only once.
    pub(super) fn mistakes(self, found: &[Found<'_>], is_all: bool) -> Mistakes {
        let mut placed: Vec<_> = found
            .iter()
            .map(|found| (self.mark(found), found))
            .collect();
        placed.sort_by_key(|(mark, _)| *mark);
        placed.dedup_by(|(mark, found), (before, told)| {
            mark == before && found.message == told.message
        });
        let mut list = placed
            .into_iter()
            .map(|(mark, found)| self.mistake(found, mark));
        let first = list.next();
        Mistakes {
            first: Box::new(first.unwrap_or_else(|| self.nowhere("it cannot be read".to_owned()))),
            rest: list.collect(),
            is_all,
        }
    }

    fn mistake(self, found: &Found<'_>, mark: Mark) -> Mistake {
        let plain = path::plain(&found.place);
        let message = redact::message(&plain, &found.message);
        let message = match path::shown(&found.place) {
            path if path.is_empty() => message,
            path => redact::message("", &format!("{path}: {message}")),
        };
        let source = redact::source_line(spot::line(self.text, mark), &plain, &found.message);
        Mistake {
            at: Some(Spot {
                line: mark.line,
                column: mark.column,
                source,
            }),
            remedy: meant(&found.message).map(|name| format!("did you mean `{name}`?")),
            ..self.nowhere(message)
        }
    }

    fn mark(self, found: &Found<'_>) -> Mark {
        spot::mark(self.text, found.place.node, found.place.offset)
    }
}

/// From "unknown field `x`, expected one of `a`, `b`": the name nearest to `x`, if one is near.
pub(super) fn meant(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown ")?;
    if rest.contains("did you mean") {
        return None;
    }
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted)
}
