//! One node as serde's `Deserializer`: any type can read itself from it.

use std::cell::{Cell, RefCell};

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::both::{BOTH, Twice};
use super::entries::{Items, Pairs};
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
    pub(super) warnings: RefCell<Vec<(String, Place<'a>)>>,
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
        let result = seed.deserialize(self);
        let aside = scope::take_aside();
        let warnings = aside.warnings.into_iter();
        let warnings = warnings.map(|text| (text, self.place(None)));
        self.pass.warnings.borrow_mut().extend(warnings);
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

    fn list<'de, V: Visitor<'de>>(
        self,
        entries: &'a [Entry<'a>],
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        let mut items = Items::new(self, entries);
        let value = visitor.visit_seq(&mut items)?;
        items.end().map(|()| value)
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        entries: &'a [Entry<'a>],
        first: &[&str],
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        let mut pairs = Pairs::new(self, entries, first);
        let value = visitor.visit_map(&mut pairs)?;
        pairs.end().map(|()| value)
    }

    fn scalar(&self) -> Option<&'a Scalar<'a>> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }
}

impl<'de, 'a> Deserializer<'de> for Value<'_, 'a> {
    type Error = Trouble<'a>;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        match &self.node.kind {
            Kind::Scalar(scalar) => scalar.show(visitor),
            Kind::List(entries) => self.list(entries, visitor),
            Kind::Map(entries) => self.map(entries, &[], visitor),
        }
    }

    /// The text as it stands there, whatever it looks like: a token of digits keeps them all.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        match self.scalar() {
            Some(scalar) => visitor.visit_str(&scalar.text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        self.deserialize_str(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        match self.scalar().and_then(Scalar::float) {
            Some(number) => visitor.visit_f64(number),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        match self.scalar() {
            Some(scalar) if scalar.is_null() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        match name {
            BOTH => visitor.visit_seq(Twice::of(self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        match self.scalar() {
            Some(scalar) if scalar.is_absent() => self.list(&[], visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        match &self.node.kind {
            // Each item has a meaning by its index, so none can be left out alone.
            Kind::List(entries) => {
                let mut items = Items::all(self, entries);
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        self.deserialize_struct("", &[], visitor)
    }

    /// The entries come in the order of the fields, so that one that says how to read another comes before it,
    /// wherever it stands.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        match &self.node.kind {
            Kind::Map(entries) => self.map(entries, fields, visitor),
            Kind::Scalar(scalar) if scalar.is_absent() => self.map(&[], &[], visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    /// A choice is a text, or a map of one entry if it carries something.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble<'a>> {
        match &self.node.kind {
            Kind::Scalar(scalar) => visitor.visit_enum(StrDeserializer::new(&scalar.text)),
            Kind::Map(entries) if entries.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Pairs::new(self, entries, &[])))
            }
            Kind::Map(_) => Err(Trouble::invalid_type(Unexpected::Map, &"one choice")),
            Kind::List(_) => Err(Trouble::invalid_type(Unexpected::Seq, &"one choice")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble<'a>> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 bytes byte_buf unit unit_struct
    }
}
