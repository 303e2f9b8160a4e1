//! What goes wrong while a type reads itself, with the place where it did.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::tree::{Entry, Node};

/// An error of serde's, placed by the innermost value that was being read.
#[derive(Debug)]
pub(super) struct Trouble<'a>(Box<Inner<'a>>);

struct Inner<'a> {
    message: String,
    place: Option<Place<'a>>,
    is_tired: bool,
}

/// Where something was found.
#[derive(Clone)]
pub(super) struct Place<'a> {
    /// The lists and maps around it, outermost first, each with the index of the entry that leads on.
    pub(super) path: Vec<(&'a Node<'a>, usize)>,
    pub(super) node: &'a Node<'a>,
    /// Where in the node's text, in characters.
    pub(super) offset: Option<usize>,
    /// What is left out to find out what else is wrong.
    pub(super) blame: &'a Entry<'a>,
}

impl<'a> Trouble<'a> {
    /// The work of looking for more mistakes is used up.
    pub(super) fn tired() -> Self {
        Self(Box::new(Inner {
            message: "too much to read".to_owned(),
            place: None,
            is_tired: true,
        }))
    }

    pub(super) fn is_tired(&self) -> bool {
        self.0.is_tired
    }

    /// Places it, unless it was placed further inside.
    pub(super) fn placed(mut self, place: impl FnOnce() -> Place<'a>) -> Self {
        self.0.place.get_or_insert_with(place);
        self
    }

    pub(super) fn into_parts(self) -> (String, Option<Place<'a>>) {
        (self.0.message, self.0.place)
    }
}

impl de::Error for Trouble<'_> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Inner {
            message: message.to_string(),
            place: None,
            is_tired: false,
        }))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // In the words of a document, not of Rust.
        let expected = match expected.to_string() {
            words if words.starts_with("struct ") => "a map".to_owned(),
            words => words.replace("a sequence", "a list"),
        };
        match unexpected {
            Unexpected::Unit | Unexpected::Option => {
                Self::custom(format_args!("invalid type: null, expected {expected}"))
            }
            Unexpected::Seq => {
                Self::custom(format_args!("invalid type: list, expected {expected}"))
            }
            other => Self::custom(format_args!("invalid type: {other}, expected {expected}")),
        }
    }
}

impl std::error::Error for Trouble<'_> {}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
