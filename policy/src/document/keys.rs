//! How the lists and the keys of a policy are read, so that every mistake keeps its place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::action::Phase;

/// Parts of the language that a later version brings. To ignore one would turn a policy into another.
const LATER: &[&str] = &["on_tls_request", "inbound", "outbound"];

/// Something that a list of a policy holds.
pub(super) trait Item: Sized {
    /// Its keys, in the order in which [`read`](Self::read) needs them.
    const KEYS: Keys;

    fn read<'de, A: MapAccess<'de>>(phase: Phase, map: A) -> Result<Self, A::Error>;
}

/// A list in a phase, and what to say when it is none or too long.
pub(super) struct ListOf<T> {
    pub(super) phase: Phase,
    pub(super) max: usize,
    pub(super) what: &'static str,
    pub(super) hint: &'static str,
    pub(super) item: PhantomData<T>,
}

impl<'de, T: Item> DeserializeSeed<'de> for ListOf<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Item> Visitor<'de> for ListOf<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.what)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Vec<T>, A::Error> {
        Err(A::Error::custom(format_args!(
            "{} (ERR_ADIT_2236)",
            self.hint
        )))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(One {
            phase: self.phase,
            item: PhantomData,
        })? {
            if items.len() == self.max {
                return Err(A::Error::custom(format_args!(
                    "more than {} {} in one list",
                    self.max, self.what
                )));
            }
            items.push(item);
        }
        Ok(items)
    }
}

struct One<T> {
    phase: Phase,
    item: PhantomData<T>,
}

impl<'de, T: Item> DeserializeSeed<'de> for One<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_struct("", T::KEYS.known, self)
    }
}

impl<'de, T: Item> Visitor<'de> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read(self.phase, map)
    }
}

/// The keys of one kind of map. A key that begins with `x-` is nobody's (`None`): a home for anchors.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) of: &'static str,
    pub(super) known: &'static [&'static str],
    pub(super) code: u16,
}

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Keys {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let Self { of, known, code } = self;
        match known.iter().find(|name| **name == key) {
            Some(name) => Ok(Some(name)),
            None if key.starts_with("x-") => Ok(None),
            None if LATER.contains(&key) => Err(E::custom(format_args!(
                "`{key}` is not built into this version"
            ))),
            None => {
                let known = known.join("` or `");
                Err(E::custom(format_args!(
                    "unknown {of} `{key}`, expected `{known}` (ERR_ADIT_{code})"
                )))
            }
        }
    }
}
