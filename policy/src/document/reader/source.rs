//! Writes down what was found in a text, with the line that shows it.

use super::mistake::{Mistake, Mistakes, Spot};
use super::path;
use super::redact;
use super::repair::Found;
use super::spot;
use super::tree::Mark;
use crate::nearest::nearest;

/// A text under its name.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
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
        let source = redact::source_line(spot::line(self.text, mark), "", None);
        Mistake {
            at: Some(Spot {
                line: mark.line,
                column: mark.column,
                source,
            }),
            ..self.nowhere(redact::message("", &message))
        }
    }

    pub(super) fn warnings(self, found: &[Found<'_>]) -> Vec<Mistake> {
        let warnings = self.in_order(found).map(|mistake| Mistake {
            is_warning: true,
            ..mistake
        });
        warnings.collect()
    }

    pub(super) fn mistakes(self, found: &[Found<'_>], is_all: bool) -> Mistakes {
        let mut list = self.in_order(found);
        let first = list.next();
        Mistakes {
            first: Box::new(first.unwrap_or_else(|| self.nowhere("it cannot be read".to_owned()))),
            rest: list.collect(),
            is_all,
        }
    }

    /// What was found, in the order of the text, and the same thing at the same place only once.
    fn in_order(self, found: &[Found<'_>]) -> impl Iterator<Item = Mistake> {
        let hidden: Vec<_> = found.iter().filter_map(value_of_unknown).collect();
        let marked = |found| (self.mark(found), found);
        let mut marked: Vec<_> = found.iter().map(marked).collect();
        marked.sort_by_key(|(mark, _)| *mark);
        marked.dedup_by(|(mark, found), (before, told)| {
            mark == before && found.message == told.message
        });
        let ordered = marked.into_iter();
        ordered.map(move |(mark, found)| self.mistake(found, mark, &hidden))
    }

    fn mistake(self, found: &Found<'_>, mark: Mark, hidden: &[Mark]) -> Mistake {
        let plain = path::plain(&found.place);
        let message = redact::message(&plain, &found.message);
        let message = match path::shown(&found.place) {
            path if path.is_empty() => message,
            path => redact::message("", &format!("{path}: {message}")),
        };
        let in_line = hidden.iter().filter(|hidden| hidden.line == mark.line);
        let columns = in_line.map(|hidden| hidden.column - 1).min();
        let source = redact::source_line(spot::line(self.text, mark), &plain, columns);
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

    pub(super) fn mark(self, found: &Found<'_>) -> Mark {
        spot::mark(self.text, found.place.node, found.place.offset)
    }
}

/// Where the value of a key begins that nobody knows: nobody knows whether it is a secret either, so that no line shows it.
fn value_of_unknown(found: &Found<'_>) -> Option<Mark> {
    let is_unknown = found.message.contains("unknown field");
    is_unknown.then_some(found.place.blame.value.mark)
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
