//! The entries of one list or map, as serde asks for them.

use std::rc::Rc;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess};

use super::tree::{Entry, State};
use super::trouble::Trouble;
use super::value::{Step, Value};

/// The items of a list that are still to be read.
pub(super) struct Items<'s, 'a> {
    of: Value<'s, 'a>,
    entries: &'a [Entry<'a>],
    next: usize,
    /// Whether all items are read in every pass, and one that is wrong makes the whole list wrong.
    is_whole: bool,
}

/// The entries of a map that are still to be read.
pub(super) struct Pairs<'s, 'a> {
    of: Value<'s, 'a>,
    entries: &'a [Entry<'a>],
    /// Indexes of entries, the next one last.
    order: Vec<usize>,
    /// The entry whose key was read.
    current: Option<(usize, &'a Entry<'a>)>,
}

/// A value in an entry of `of`.
fn enter<'n, 'a>(of: Value<'n, 'a>, step: &'n Step<'n, 'a>, entry: &'a Entry<'a>) -> Value<'n, 'a> {
    Value {
        pass: of.pass,
        up: Some(step),
        node: &entry.value,
        blame: entry,
        is_shared: of.is_shared || Rc::strong_count(&entry.value) > 1,
    }
}

// === impl Items ===

impl<'s, 'a> Items<'s, 'a> {
    pub(super) fn new(of: Value<'s, 'a>, entries: &'a [Entry<'a>]) -> Self {
        Self {
            of,
            entries,
            next: 0,
            is_whole: false,
        }
    }

    /// For a list in which each index has a meaning.
    pub(super) fn all(of: Value<'s, 'a>, entries: &'a [Entry<'a>]) -> Self {
        Self {
            is_whole: true,
            ..Self::new(of, entries)
        }
    }

    /// Nothing may be left when a type has read what it wants.
    pub(super) fn end(&mut self) -> Result<(), Trouble<'a>> {
        let taken = self.next;
        match self.next_due()? {
            None => Ok(()),
            Some(_) => Err(Trouble::invalid_length(
                self.entries.len(),
                &format!("a list of {taken}").as_str(),
            )),
        }
    }

    fn next_due(&mut self) -> Result<Option<(usize, &'a Entry<'a>)>, Trouble<'a>> {
        let pass = self.of.pass;
        while let Some(entry) = self.entries.get(self.next) {
            let index = self.next;
            self.next += 1;
            if self.is_whole || entry.is_due(pass.number) {
                return Ok(Some((index, entry)));
            }
            pass.spend(1)?;
        }
        Ok(None)
    }
}

impl<'de, 'a> SeqAccess<'de> for Items<'_, 'a> {
    type Error = Trouble<'a>;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Trouble<'a>> {
        let Some((index, entry)) = self.next_due()? else {
            return Ok(None);
        };
        let step = Step {
            up: self.of.up,
            of: self.of.node,
            index,
        };
        let mut value = enter(self.of, &step, entry);
        if self.is_whole {
            value.blame = self.of.blame;
            value.is_shared = true;
        }
        let is_shared = value.is_shared;
        let read = value.read(seed)?;
        if !is_shared {
            entry.state.set(State::Read(self.of.pass.number));
        }
        Ok(Some(read))
    }
}

// === impl Pairs ===

impl<'s, 'a> Pairs<'s, 'a> {
    /// The entries whose keys are in `first` come in that order, before the others.
    pub(super) fn new(of: Value<'s, 'a>, entries: &'a [Entry<'a>], first: &[&str]) -> Self {
        let mut order: Vec<_> = (0..entries.len()).rev().collect();
        if !first.is_empty() {
            let rank = |index: &usize| {
                let key = entries.get(*index)?.key_text();
                // Some documents spell keys in any case; what is none of theirs may come in any order.
                first
                    .iter()
                    .position(|name| key.is_some_and(|key| name.eq_ignore_ascii_case(key)))
            };
            order.sort_by_cached_key(|index| std::cmp::Reverse(rank(index).unwrap_or(first.len())));
        }
        Self {
            of,
            entries,
            order,
            current: None,
        }
    }

    /// Nothing may be left when a type has read what it wants.
    pub(super) fn end(&mut self) -> Result<(), Trouble<'a>> {
        match self.next_due()? {
            None => Ok(()),
            Some(_) => Err(Trouble::invalid_length(
                self.entries.len(),
                &"a map of fewer entries",
            )),
        }
    }

    fn next_due(&mut self) -> Result<Option<(usize, &'a Entry<'a>)>, Trouble<'a>> {
        let pass = self.of.pass;
        while let Some(index) = self.order.pop() {
            if let Some(entry) = self.entries.get(index)
                && entry.is_due(pass.number)
            {
                return Ok(Some((index, entry)));
            }
            pass.spend(1)?;
        }
        Ok(None)
    }
}

impl<'de, 'a> MapAccess<'de> for Pairs<'_, 'a> {
    type Error = Trouble<'a>;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Trouble<'a>> {
        self.current = self.next_due()?;
        let Some((_, entry)) = self.current else {
            return Ok(None);
        };
        let Some(key) = &entry.key else {
            return Err(Trouble::custom("an entry without a key"));
        };
        // The key stands in the map's own place, and its mistake makes the entry one.
        let key = Value {
            node: key,
            blame: entry,
            ..self.of
        };
        key.read(seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Trouble<'a>> {
        let Some((index, entry)) = self.current.take() else {
            return Err(Trouble::custom("a value was read before its key"));
        };
        let step = Step {
            up: self.of.up,
            of: self.of.node,
            index,
        };
        enter(self.of, &step, entry).read(seed)
    }
}
