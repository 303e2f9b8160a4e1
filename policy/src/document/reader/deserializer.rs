//! A value as serde's `Deserializer`: what any type may ask for, answered from the tree.

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::both::{BOTH, Twice};
use super::entries::{Items, Pairs};
use super::tree::{Kind, Scalar};
use super::trouble::Trouble;
use super::value::Value;

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
