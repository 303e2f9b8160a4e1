//! Reads a tree again and again, each time without what is known to be wrong, to find what else is.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr;

use serde::de::DeserializeOwned;

use super::refused;
use super::source;
use super::tree::{Entry, Node, State, Tree};
use super::trouble::Place;
use super::value::{Pass, Value};

/// Most mistakes that are told of one document.
pub(super) const MISTAKES_MAX: usize = 100;
/// What all passes after the first may cost together, in entries passed by: a large document whose mistakes take longer
/// to find is told fewer of them.
const WORK_MAX: u64 = 16_000_000;

/// Something to tell about a document.
pub(super) struct Found<'a> {
    pub(super) message: String,
    pub(super) place: Place<'a>,
}

/// The search for all mistakes of one document.
pub(super) struct Repair<'a> {
    root: &'a Entry<'a>,
    found: Vec<Found<'a>>,
    /// Complaints that are not told, because they only follow from what was found.
    echoes: Vec<Found<'a>>,
    work_left: u64,
}

// === impl Repair ===

impl<'a> Repair<'a> {
    pub(super) fn of(tree: &'a Tree<'a>) -> Self {
        let mut found = Vec::new();
        if tree.has_refused {
            refused::collect(&tree.root, &mut Vec::new(), &mut found);
        }
        Self {
            root: &tree.root,
            found,
            echoes: Vec::new(),
            work_left: WORK_MAX,
        }
    }

    /// The value with its warnings, or mistakes, and whether these are all.
    pub(super) fn read<T: DeserializeOwned>(
        mut self,
    ) -> Result<(T, Vec<Found<'a>>), (Vec<Found<'a>>, bool)> {
        let mut is_all = true;
        for number in 0.. {
            if self.root.is_out() {
                break;
            }
            let pass = self.pass(number);
            let root = Value {
                pass: &pass,
                up: None,
                node: &self.root.value,
                blame: self.root,
                is_shared: false,
            };
            let trouble = match root.read(PhantomData::<T>) {
                Ok(value) if self.found.is_empty() => {
                    self.found = pass.objections.take();
                    if self.found.is_empty() {
                        return Ok((value, pass.warnings.take()));
                    }
                    break;
                }
                Ok(_) => break,
                Err(trouble) => trouble,
            };
            if number > 0 {
                self.work_left = pass.work_left.get();
            }
            if trouble.is_tired() || self.found.len() >= MISTAKES_MAX {
                is_all = false;
                break;
            }
            let (message, Some(place)) = trouble.into_parts() else {
                break;
            };
            let blame = place.blame;
            // What was left out already cannot be wrong once more; to go on would be to go on for ever.
            if blame.state.replace(State::Out) == State::Out {
                break;
            }
            let found = Found { message, place };
            match self.is_echo(&found, number) {
                true => self.echoes.push(found),
                false => self.found.push(found),
            }
        }
        is_all &= self.found.len() <= MISTAKES_MAX;
        self.found.truncate(MISTAKES_MAX);
        Err((self.found, is_all))
    }

    fn pass(&self, number: u32) -> Pass<'a> {
        // The first pass is bounded by the length of the document.
        let work = if number == 0 {
            u64::MAX
        } else {
            self.work_left
        };
        Pass {
            number,
            work_left: Cell::new(work),
            warnings: RefCell::default(),
            objections: RefCell::default(),
        }
    }

    /// Whether the complaint is about a list or a map, and only because something in it was left out.
    fn is_echo(&self, found: &Found<'a>, pass: u32) -> bool {
        let node = found.place.node;
        match missing(&found.message) {
            Some(name) => node
                .entries()
                .iter()
                .any(|entry| entry.is_out() && self.explains(entry, name)),
            None => lacks_something(node, pass),
        }
    }

    /// Whether a key is missing because of what was said about an entry that is left out: its value is wrong, or it is
    /// there with a slip in it, or it was missing a level further inside already.
    fn explains(&self, entry: &Entry<'a>, name: &str) -> bool {
        let is_slip = |found: &Found<'_>| {
            let key = entry.key.as_deref();
            key.is_some_and(|key| ptr::eq(key, found.place.node))
                && source::meant(&found.message) == Some(name)
        };
        let is_inside = |found: &Found<'_>| {
            ptr::eq(&*entry.value, found.place.node) && missing(&found.message) == Some(name)
        };
        let mut heard = self.found.iter().chain(&self.echoes);
        // A block that is left out may be read as an empty one, which lacks what the block has.
        let mut inside = entry.value.entries().iter();
        entry.key_text() == Some(name)
            || inside.any(|entry| entry.key_text() == Some(name))
            || heard.any(|found| is_slip(found) || is_inside(found))
    }
}

/// The name in "missing field `name`" and in "an action needs a `name`".
fn missing(message: &str) -> Option<&str> {
    let (_, rest) = ["missing field `", " needs a `", " needs an `", " needs `"]
        .iter()
        .find_map(|words| message.split_once(words))?;
    rest.split_once('`').map(|(name, _)| name)
}

fn lacks_something(node: &Node<'_>, pass: u32) -> bool {
    let lacks = |entry: &Entry<'_>| !entry.is_due(pass) || lacks_something(&entry.value, pass);
    node.entries().iter().any(lacks)
}
