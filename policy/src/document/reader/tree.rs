//! A document as a tree that remembers where everything stands.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use granit_parser::{Marker, ScalarStyle};

/// A whole document.
pub(super) struct Tree<'a> {
    /// The way to the outermost node.
    pub(super) root: Entry<'a>,
    /// Whether some entry is refused whatever it is read as.
    pub(super) has_refused: bool,
}

/// A scalar, a list or a map. An alias is one more way to the same node.
pub(super) struct Node<'a> {
    pub(super) mark: Mark,
    pub(super) kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
    Scalar(Scalar<'a>),
    List(Vec<Entry<'a>>),
    Map(Vec<Entry<'a>>),
}

/// A text with the way it was written.
pub(super) struct Scalar<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) style: ScalarStyle,
    /// Where the source goes on behind it, in bytes.
    pub(super) end: usize,
}

/// The way from a list or a map to one of its nodes.
pub(super) struct Entry<'a> {
    /// Only the entries of maps have one.
    pub(super) key: Option<Rc<Node<'a>>>,
    pub(super) value: Rc<Node<'a>>,
    /// Why this is refused whatever it is read as.
    pub(super) refused: Option<Refused>,
    pub(super) state: Cell<State>,
}

/// What no type should ever have to face. The rest of the document is read without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Twice,
    TaggedKey,
    TaggedValue,
    KeyOfNoText,
}

/// How far the reading of an entry is: a document with mistakes is read several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// To be read.
    Due,
    /// Read well in this pass; later ones look for more mistakes elsewhere.
    Read(u32),
    /// It has a mistake that is known.
    Out,
}

/// A place in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// From 0.
    pub(super) byte: usize,
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

// === impl Node ===

impl<'a> Node<'a> {
    /// What stands in a list or a map.
    pub(super) fn entries(&self) -> &[Entry<'a>] {
        match &self.kind {
            Kind::Scalar(_) => &[],
            Kind::List(entries) | Kind::Map(entries) => entries,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The name that a map gives itself.
    pub(super) fn name(&self) -> Option<&str> {
        let Kind::Map(entries) = &self.kind else {
            return None;
        };
        let own = entries
            .iter()
            .find(|entry| entry.key_text() == Some("name"))?;
        own.value.text()
    }
}

// === impl Entry ===

impl<'a> Entry<'a> {
    pub(super) fn new(
        key: Option<Rc<Node<'a>>>,
        value: Rc<Node<'a>>,
        refused: Option<Refused>,
    ) -> Self {
        let state = match refused {
            Some(_) => State::Out,
            None => State::Due,
        };
        Self {
            key,
            value,
            refused,
            state: Cell::new(state),
        }
    }

    pub(super) fn key_text(&self) -> Option<&str> {
        self.key.as_ref()?.text()
    }

    pub(super) fn is_out(&self) -> bool {
        self.state.get() == State::Out
    }

    /// Whether this pass reads it.
    pub(super) fn is_due(&self, pass: u32) -> bool {
        match self.state.get() {
            State::Due => true,
            State::Read(before) => before == pass,
            State::Out => false,
        }
    }
}

// === impl Mark ===

impl Mark {
    pub(super) const START: Self = Self {
        byte: 0,
        line: 1,
        column: 1,
    };
}

impl From<&Marker> for Mark {
    fn from(marker: &Marker) -> Self {
        Self {
            byte: marker.byte_offset().unwrap_or(0),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}
