//! A bounded map from keys to buckets that forgets the least recently used one when it is full.
//!
//! A bucket with its key fills one cache line. The order of use, which changes at each use, stands in a list of its own
//! that is small enough to stay in a nearer cache, as does the hash table, which holds nothing but indexes. So a
//! request waits for memory once. All in all a bucket costs about 85 bytes.

use std::time::Duration;

use hashbrown::HashTable;

use super::key::Key;

/// What is counted for one key: words whose meaning the limiter knows, for its number is part of the key.
pub(super) type Bucket = [u32; 12];

/// The map.
pub(super) struct Buckets {
    /// Indexes into `entries`, found by the low half of the key.
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// For each entry, its place in the order of use.
    uses: Vec<Use>,
    /// The most recently used entry, or [`NONE`].
    newest: u32,
    /// The least recently used entry, or [`NONE`].
    oldest: u32,
    bound: usize,
}

#[repr(align(64))]
struct Entry {
    key: Key,
    bucket: Bucket,
}

#[derive(Clone, Copy)]
struct Use {
    /// The next entry that is more recently used, or [`NONE`].
    newer: u32,
    /// The next entry that is less recently used, or [`NONE`].
    older: u32,
    /// From this second on the bucket is as good as an empty one.
    empty_at: u32,
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
            uses: Vec::new(),
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
        let entries = &self.entries;
        let found = self
            .index
            .find(key.low, |at| entries[*at as usize].key == key)
            .copied();
        let (at, dropped) = match found {
            Some(at) => {
                if at != self.newest {
                    self.unlink(at);
                    self.link(at);
                }
                (at, false)
            }
            None => self.insert(
                Entry {
                    key,
                    bucket: make(),
                },
                now,
            ),
        };
        let empty_at = now.saturating_add(memory).as_secs().saturating_add(1);
        self.uses[at as usize].empty_at = u32::try_from(empty_at).unwrap_or(NONE);
        (&mut self.entries[at as usize].bucket, dropped)
    }

    /// The bucket of this key, if it is there. That is no use of it.
    pub(super) fn find(&self, key: Key) -> Option<&Bucket> {
        let entries = &self.entries;
        let found = self
            .index
            .find(key.low, |at| entries[*at as usize].key == key);
        found.map(|at| &entries[*at as usize].bucket)
    }

    /// Puts an entry at the oldest's place if that is empty by now or there is no room, else at a new one.
    fn insert(&mut self, entry: Entry, now: Duration) -> (u32, bool) {
        let low = entry.key.low;
        let oldest = self.uses.get(self.oldest as usize);
        let empty = oldest.is_some_and(|oldest| u64::from(oldest.empty_at) <= now.as_secs());
        let grows = !empty && self.entries.len() < self.bound;
        let at = if grows {
            self.entries.push(entry);
            self.uses.push(Use {
                newer: NONE,
                older: NONE,
                empty_at: 0,
            });
            (self.entries.len() - 1) as u32
        } else {
            let at = self.oldest;
            self.unlink(at);
            let forgotten = self.entries[at as usize].key.low;
            if let Ok(slot) = self.index.find_entry(forgotten, |other| *other == at) {
                slot.remove();
            }
            self.entries[at as usize] = entry;
            at
        };
        self.link(at);
        let entries = &self.entries;
        self.index
            .insert_unique(low, at, |at| entries[*at as usize].key.low);
        (at, !grows && !empty)
    }

    /// Takes an entry out of the order of use.
    fn unlink(&mut self, at: u32) {
        let Use { newer, older, .. } = self.uses[at as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.uses[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.uses[older as usize].newer = newer,
        }
    }

    /// Makes an entry the most recently used one.
    fn link(&mut self, at: u32) {
        let older = self.newest;
        let place = &mut self.uses[at as usize];
        place.newer = NONE;
        place.older = older;
        self.newest = at;
        match older {
            NONE => self.oldest = at,
            older => self.uses[older as usize].newer = at,
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

    #[test]
    fn a_bucket_with_its_key_fills_a_cache_line() {
        assert_eq!((size_of::<Entry>(), size_of::<Use>()), (64, 12));
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
                    || [fresh; 12],
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
                prop_assert_eq!(bucket[0], model.last().unwrap().1);
                let found = buckets.find(key(number)).map(|bucket| bucket[0]);
                prop_assert_eq!(found, Some(model.last().unwrap().1));
                prop_assert!(buckets.find(key(12)).is_none());
                prop_assert_eq!(dropped, expected);
                prop_assert_eq!(buckets.len(), model.len());
                prop_assert_eq!(buckets.index.len(), model.len());
            }
        }
    }
}
