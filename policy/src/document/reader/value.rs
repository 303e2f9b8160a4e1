//! One node that a type reads itself from, and the pass over the document in which it does.

use std::cell::{Cell, RefCell};

use serde::de::{DeserializeSeed, Visitor};

use super::entries::{Items, Pairs};
use super::repair::Found;
use super::tree::{Entry, Kind, Node, Scalar};
use super::trouble::{Place, Trouble};
use crate::document::scope;

/// What reading one value costs, where passing by an entry costs 1.
const VALUE_COST: u64 = 16;

/// One pass over a document.
pub(super) struct Pass<'a> {
    pub(super) number: u32,
    /// What may still be done; a pass that uses it up ends.
    pub(super) work_left: Cell<u64>,
    pub(super) warnings: RefCell<Vec<Found<'a>>>,
    pub(super) objections: RefCell<Vec<Found<'a>>>,
}

/// A node on the way from the root.
#[derive(Clone, Copy)]
pub(super) struct Value<'s, 'a> {
    pub(super) pass: &'s Pass<'a>,
    pub(super) up: Option<&'s Step<'s, 'a>>,
    pub(super) node: &'a Node<'a>,
    /// What is left out of the next pass if this cannot be read.
    pub(super) blame: &'a Entry<'a>,
    /// Whether some other way may lead here as well: then this reading does not speak for that one.
    pub(super) is_shared: bool,
}

/// One step from the root: the entry of a list or a map.
#[derive(Clone, Copy)]
pub(super) struct Step<'s, 'a> {
    pub(super) up: Option<&'s Self>,
    pub(super) of: &'a Node<'a>,
    pub(super) index: usize,
}

// === impl Pass ===

impl<'a> Pass<'a> {
    pub(super) fn spend(&self, cost: u64) -> Result<(), Trouble<'a>> {
        let left = self.work_left.get().checked_sub(cost);
        self.work_left.set(left.unwrap_or(0));
        left.map(drop).ok_or_else(Trouble::tired)
    }
}

// === impl Value ===

impl<'s, 'a> Value<'s, 'a> {
    /// Lets a type read itself. Whatever it complains or warns of without a place has this one.
    pub(super) fn read<'de, S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, Trouble<'a>> {
        self.pass.spend(VALUE_COST)?;
        let (result, aside) = scope::aside_of(|| seed.deserialize(self));
        let found = |message| Found {
            message,
            place: self.place(None),
        };
        let warnings = aside.warnings.into_iter().map(found);
        self.pass.warnings.borrow_mut().extend(warnings);
        let objections = aside.objections.into_iter().map(found);
        self.pass.objections.borrow_mut().extend(objections);
        result.map_err(|trouble| trouble.placed(|| self.place(aside.offset)))
    }

    fn place(&self, offset: Option<usize>) -> Place<'a> {
        let steps = std::iter::successors(self.up, |step| step.up);
        let mut path: Vec<_> = steps.map(|step| (step.of, step.index)).collect();
        path.reverse();
        Place {
            path,
            node: self.node,
            offset,
            blame: self.blame,
        }
    }

    pub(super) fn list<'de, V: Visitor<'de>>(
        self,
        entries: &'a [Entry<'a>],
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        let mut items = Items::new(self, entries);
        let value = visitor.visit_seq(&mut items)?;
        items.end().map(|()| value)
    }

    pub(super) fn map<'de, V: Visitor<'de>>(
        self,
        entries: &'a [Entry<'a>],
        first: &[&str],
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        let mut pairs = Pairs::new(self, entries, first);
        let value = visitor.visit_map(&mut pairs)?;
        pairs.end().map(|()| value)
    }

    pub(super) fn scalar(&self) -> Option<&'a Scalar<'a>> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }
}
