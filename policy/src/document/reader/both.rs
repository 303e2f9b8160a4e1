//! One value, read as two types.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::trouble::Trouble;
use super::value::Value;

/// The name by which the reader knows that a value is to be read twice; no type of a document has it.
pub(super) const BOTH: &str = "$adit::document::Both";

/// The same value as an `A` and as a `B`, each mistake with its place. Only [`read`](crate::document::read) can read it.
///
/// For a value whose one form is for use and whose other is to be handed on.
#[derive(Clone, Debug)]
pub struct Both<A, B>(pub A, pub B);

/// Shows a value twice, as a list of two.
pub(super) struct Twice<'s, 'a> {
    value: Value<'s, 'a>,
    left: usize,
}

impl<'s, 'a> Twice<'s, 'a> {
    pub(super) fn of(value: Value<'s, 'a>) -> Self {
        // That one type read an item well says nothing about the other type.
        let value = Value {
            is_shared: true,
            ..value
        };
        Self { value, left: 2 }
    }
}

impl<'de, 'a> SeqAccess<'de> for Twice<'_, 'a> {
    type Error = Trouble<'a>;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Trouble<'a>> {
        match self.left.checked_sub(1) {
            None => Ok(None),
            Some(left) => {
                self.left = left;
                self.value.read(seed).map(Some)
            }
        }
    }
}

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Both<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(BOTH, BothVisitor(PhantomData))
    }
}

struct BothVisitor<A, B>(PhantomData<(A, B)>);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Visitor<'de> for BothVisitor<A, B> {
    type Value = Both<A, B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that a document's reader shows twice")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut twice: S) -> Result<Self::Value, S::Error> {
        let shown = (twice.next_element()?, twice.next_element()?);
        match shown {
            (Some(a), Some(b)) => Ok(Both(a, b)),
            _ => Err(S::Error::invalid_length(0, &self)),
        }
    }
}
