//! How the lists and the keys of a policy are read, so that every mistake keeps its place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::scope;
use crate::action::Phase;

/// Where rules and actions stand, and how their keys are spelled there.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) phase: Phase,
    /// Whether keys are the same in any case, as they are in policies of the older form.
    pub(super) any_case: bool,
}

/// Something that a list of a policy holds.
pub(super) trait Item: Sized {
    /// What it is called.
    const WHAT: &'static str;
    /// Its keys, in the order in which [`read`](Self::read) needs them.
    const KEYS: Keys;

    fn read<'de, A: MapAccess<'de>>(setting: Setting, map: A) -> Result<Self, A::Error>;

    /// The action in it that ends the phase whenever it comes to it, so that nothing behind it is ever reached.
    fn ends_by(&self) -> Option<&'static str>;
}

/// A list in a phase, and what to say when it is none or too long.
pub(super) struct ListOf<T> {
    pub(super) setting: Setting,
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
        let mut ended_by = None;
        while let Some(item) = list.next_element_seed(One {
            setting: self.setting,
            ended_by,
            item: PhantomData::<T>,
        })? {
            ended_by = ended_by.or_else(|| item.ends_by());
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
    setting: Setting,
    /// What ends the phase before.
    ended_by: Option<&'static str>,
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
        let item = T::read(self.setting, map)?;
        if let Some(kind) = self.ended_by {
            scope::object(format!(
                "this {} is never reached: `{kind}` before it ends the phase (ERR_ADIT_2207)",
                T::WHAT
            ));
        }
        Ok(item)
    }
}

/// The keys of one kind of map. A key that begins with `x-` is nobody's: a home for anchors.
pub(super) struct Keys {
    pub(super) of: &'static str,
    pub(super) known: &'static [&'static str],
    pub(super) code: u16,
}

impl Keys {
    /// Reads the keys of one map.
    pub(super) fn of(&self, setting: Setting) -> KeysOfOne<'_> {
        KeysOfOne {
            keys: self,
            any_case: setting.any_case,
            seen: Vec::new(),
        }
    }

    /// What to say of a key that is none of these.
    pub(super) fn unknown(&self, key: &str) -> String {
        let Self { of, known, code } = self;
        let known = known.join("` or `");
        format!("unknown {of} `{key}`, expected `{known}` (ERR_ADIT_{code})")
    }
}

/// The keys of one map, each of them once.
pub(super) struct KeysOfOne<'k> {
    keys: &'k Keys,
    any_case: bool,
    seen: Vec<&'static str>,
}

impl KeysOfOne<'_> {
    /// The next key: `None` behind the last, and nobody's is `Some(None)`.
    pub(super) fn next<'de, A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
    ) -> Result<Option<Option<&'static str>>, A::Error> {
        map.next_key_seed(self)
    }
}

impl<'de> DeserializeSeed<'de> for &mut KeysOfOne<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for &mut KeysOfOne<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let is_meant = |name: &&&str| match self.any_case {
            true => name.eq_ignore_ascii_case(key),
            false => **name == key,
        };
        match self.keys.known.iter().find(is_meant) {
            // The same spelling twice is refused for every document; this is for two spellings.
            Some(name) if self.seen.contains(name) => Err(E::custom(format_args!(
                "the key `{name}` stands here twice (ERR_ADIT_2236)"
            ))),
            Some(name) => {
                self.seen.push(name);
                Ok(Some(name))
            }
            None if key.starts_with("x-") => Ok(None),
            None => Err(E::custom(self.keys.unknown(key))),
        }
    }
}
