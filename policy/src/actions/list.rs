//! A list that is not empty and not endless.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// What may stand in the list of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The field.
    pub(super) field: &'static str,
    /// Most items; one more is refused.
    pub(super) max: usize,
    /// The number of the error if there are more.
    pub(super) code: u16,
}

impl Bounds {
    /// Reads a list within these bounds.
    pub(super) fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let items = PhantomData;
        deserializer.deserialize_seq(ListVisitor {
            bounds: self,
            items,
        })
    }

    /// The items of a list, if they are within these bounds.
    pub(super) fn items<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
        self,
        mut list: A,
    ) -> Result<Vec<T>, A::Error> {
        let Self { field, max, code } = self;
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == max {
                return Err(A::Error::custom(format_args!(
                    "more than {max} items in `{field}` (ERR_ADIT_{code})"
                )));
            }
            items.push(item);
        }
        match items.is_empty() {
            true => Err(A::Error::custom(format_args!(
                "`{field}` needs at least one item (ERR_ADIT_2223)"
            ))),
            false => Ok(items),
        }
    }
}

struct ListVisitor<T> {
    bounds: Bounds,
    items: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        self.bounds.items(list)
    }
}
