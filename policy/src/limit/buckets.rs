//! A bounded map from keys to buckets that forgets the least recently used one when it is full.
//!
//! The entries stand in one vector and name their neighbours in the order of use by index; a hash table holds nothing
//! but indexes. So a bucket costs its own 80 bytes and about eight more.

use std::time::Duration;

use hashbrown::HashTable;

use super::key::Key;
use super::tokens::Tokens;
use super::window::Window;

/// What is counted for one key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bucket {
    /// Of a sliding window.
    Window(Window),
    /// Of a token bucket.
    Tokens(Tokens),
}

/// The map.
pub(super) struct Buckets {
    /// Indexes into `entries`, found by the low half of the key.
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// The most recently used entry, or [`NONE`].
    newest: u32,
    /// The least recently used entry, or [`NONE`].
    oldest: u32,
    bound: usize,
}

struct Entry {
    key: Key,
    newer: u32,
    older: u32,
    /// From this second on the bucket is as good as an empty one.
    empty_at: u32,
    bucket: Bucket,
}

/// No entry has this index.
const NONE: u32 = u32::MAX;

// === impl Buckets ===

impl Buckets {
    /// Keeps up to `bound` buckets, and at least one.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            newest: NONE,
            oldest: NONE,
            bound: bound.clamp(1, NONE as usize),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bucket of this key, made if it is not there, and whether another one with something in it was forgotten for
    /// it. `memory` is how long from now the bucket must be remembered.
    pub(super) fn touch(
        &mut self,
        key: Key,
        now: Duration,
        memory: Duration,
        make: impl FnOnce() -> Bucket,
    ) -> (&mut Bucket, bool) {
        let mut dropped = false;
        let found = self
            .index
            .find(key.low, |at| self.entries[*at as usize].key == key)
            .copied();
        let at = match found {
            Some(at) => {
                if at != self.newest {
                    self.unlink(at);
                    self.link(at);
                }
                at
            }
            None => {
                let entry = Entry {
                    key,
                    newer: NONE,
                    older: NONE,
                    empty_at: 0,
                    bucket: make(),
                };
                let (at, forgotten) = self.place(entry, now);
                dropped = forgotten;
                self.link(at);
                let entries = &self.entries;
                self.index
                    .insert_unique(key.low, at, |at| entries[*at as usize].key.low);
                at
            }
        };
        let entry = &mut self.entries[at as usize];
        let empty_at = now.saturating_add(memory).as_secs().saturating_add(1);
        entry.empty_at = u32::try_from(empty_at).unwrap_or(u32::MAX);
        (&mut entry.bucket, dropped)
    }

    /// Puts an entry at a place of its own: the oldest's if that is empty by now or there is no room, else a new one.
    fn place(&mut self, entry: Entry, now: Duration) -> (u32, bool) {
        let oldest = self.oldest;
        let empty = self
            .entries
            .get(oldest as usize)
            .is_some_and(|oldest| u64::from(oldest.empty_at) <= now.as_secs());
        if !empty && self.entries.len() < self.bound {
            self.entries.push(entry);
            return ((self.entries.len() - 1) as u32, false);
        }
        self.unlink(oldest);
        let low = self.entries[oldest as usize].key.low;
        if let Ok(slot) = self.index.find_entry(low, |at| *at == oldest) {
            slot.remove();
        }
        self.entries[oldest as usize] = entry;
        (oldest, !empty)
    }

    /// Takes an entry out of the order of use.
    fn unlink(&mut self, at: u32) {
        let Entry { newer, older, .. } = self.entries[at as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }

    /// Makes an entry the most recently used one.
    fn link(&mut self, at: u32) {
        let older = self.newest;
        let entry = &mut self.entries[at as usize];
        entry.newer = NONE;
        entry.older = older;
        self.newest = at;
        match older {
            NONE => self.oldest = at,
            older => self.entries[older as usize].newer = at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> Key {
        // Many keys share the half that the table looks at.
        Key {
            high: number,
            low: number % 3,
        }
    }

    /// A bucket that can be told from others.
    fn bucket(number: u32) -> Bucket {
        Bucket::Tokens(Tokens {
            full_at: [0, number],
        })
    }

    fn mark(bucket: &Bucket) -> u32 {
        match bucket {
            Bucket::Tokens(tokens) => tokens.full_at[1],
            Bucket::Window(_) => panic!("not of this test"),
        }
    }

    #[test]
    fn an_entry_has_eighty_bytes() {
        assert_eq!(size_of::<Entry>(), 80);
    }

    proptest! {
        #[test]
        fn the_least_recently_used_is_forgotten(
            bound in 1..8_usize,
            steps in prop::collection::vec((0..12_u64, 0..4_u64, 1..20_u64), 1..200),
        ) {
            let mut buckets = Buckets::new(bound);
            // The newest last: key, mark, and from when on it is empty.
            let mut model: Vec<(u64, u32, u64)> = Vec::new();
            let mut now = 0;
            for (fresh, (number, pause, memory)) in steps.into_iter().enumerate() {
                now += pause;
                let fresh = u32::try_from(fresh).unwrap();
                let empty_at = now + memory + 1;
                let (bucket, dropped) = buckets.touch(
                    key(number),
                    Duration::from_secs(now),
                    Duration::from_secs(memory),
                    || bucket(fresh),
                );
                let mut expected = false;
                match model.iter().position(|entry| entry.0 == number) {
                    Some(at) => {
                        let (_, old, _) = model.remove(at);
                        model.push((number, old, empty_at));
                    }
                    None => {
                        let empty = model.first().is_some_and(|oldest| oldest.2 <= now);
                        if empty || model.len() == bound {
                            model.remove(0);
                            expected = !empty;
                        }
                        model.push((number, fresh, empty_at));
                    }
                }
                prop_assert_eq!(mark(bucket), model.last().unwrap().1);
                prop_assert_eq!(dropped, expected);
                prop_assert_eq!(buckets.len(), model.len());
                prop_assert_eq!(buckets.index.len(), model.len());
            }
        }
    }
}
