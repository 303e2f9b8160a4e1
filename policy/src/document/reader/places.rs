//! Where the values of a document stand, for whoever has something to say about one of them after it was read.

use super::mistake::Mistake;
use super::parse;
use super::repair::Found;
use super::source::Source;
use super::tree::{Entry, Mark, Node, Tree};
use super::trouble::Place;

/// A document's places, found by the way to a value.
pub struct Places<'t> {
    source: Source<'t>,
    /// None if the text cannot be parsed; then everything stands in its first line.
    tree: Option<Tree<'t>>,
}

/// One step on the way from a document to one of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of a map's key.
    Key(String),
    /// To an item of a list, from 0.
    Item(usize),
}

// === impl Places ===

impl<'t> Places<'t> {
    /// The places of a text. `file` is only a name for messages.
    pub fn of(file: &'t str, text: &'t str) -> Self {
        Self {
            source: Source { file, text },
            tree: parse::parse(text).ok(),
        }
    }

    /// The line of a value, from 1. A way that goes on behind the document's end leads to the last value on it.
    pub fn line(&self, way: &[Step]) -> usize {
        self.found(way, String::new())
            .map_or(Mark::START, |found| self.source.mark(&found))
            .line
    }

    /// Something to warn of at a value.
    pub fn warning(&self, way: &[Step], message: String) -> Mistake {
        let warning = match self.found(way, message.clone()) {
            Some(found) => self.source.warnings(&[found]).pop(),
            None => None,
        };
        warning.unwrap_or_else(|| self.source.nowhere(message))
    }

    /// Something that is wrong with a value only because of another one.
    pub fn mistake(&self, way: &[Step], message: String) -> Mistake {
        Mistake {
            is_warning: false,
            ..self.warning(way, message)
        }
    }

    fn found(&self, way: &[Step], message: String) -> Option<Found<'_>> {
        let mut blame = &self.tree.as_ref()?.root;
        let mut path = Vec::new();
        for step in way {
            let node: &Node<'_> = &blame.value;
            let Some((index, entry)) = step.taken(node) else {
                break;
            };
            path.push((node, index));
            blame = entry;
        }
        let place = Place {
            path,
            node: &blame.value,
            offset: None,
            blame,
        };
        Some(Found { message, place })
    }
}

// === impl Step ===

impl Step {
    fn taken<'n, 'a>(&self, from: &'n Node<'a>) -> Option<(usize, &'n Entry<'a>)> {
        let entries = from.entries().iter().enumerate();
        let mut entries = entries.filter(|(index, entry)| match self {
            Self::Key(key) => entry.key_text() == Some(key),
            Self::Item(item) => entry.key.is_none() && index == item,
        });
        entries.next()
    }
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(item: usize) -> Self {
        Self::Item(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a:\n  - b: 1\n    name: first\n  - c\n";

    #[test]
    fn a_value_is_found_by_the_way_to_it() {
        let places = Places::of("x.yaml", TEXT);
        assert_eq!(places.line(&["a".into(), 0.into(), "name".into()]), 3);
        assert_eq!(places.line(&["a".into(), 1.into()]), 4);
        assert_eq!(
            places.line(&["a".into(), 1.into(), "b".into(), 7.into()]),
            4,
            "as far as the way goes"
        );
        assert_eq!(places.line(&[]), 1);
        assert_eq!(Places::of("x.yaml", "[").line(&["a".into()]), 1);
    }

    #[test]
    fn a_warning_shows_its_place() {
        let places = Places::of("x.yaml", TEXT);
        let warning = places.warning(&["a".into(), 0.into(), "b".into()], "odd".to_owned());
        assert!(warning.is_warning());
        assert_eq!(
            warning.to_string(),
            "x.yaml:2:8: warning: a[0] \"first\".b: odd\n    2 |   - b: 1\n      |        ^"
        );
    }
}
