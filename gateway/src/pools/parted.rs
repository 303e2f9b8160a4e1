//! A map that is quick to look into and cheap to copy with a change: it is kept in parts, and copies share all parts but
//! those that differ.

use std::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;

/// Groups of parts, and parts of a group. A change copies the pointers to all groups, those to the parts of one of them,
/// and the entries of one part: ten of them if there are ten thousand in all.
const GROUPS: usize = 32;
const PARTS: usize = 32;

/// A map of which older copies may still be read while newer ones are made.
pub(super) struct Parted<K, V> {
    groups: Arc<[Group<K, V>]>,
    len: usize,
    hasher: RandomState,
}

type Group<K, V> = Arc<[Part<K, V>]>;
type Part<K, V> = Arc<HashTable<(K, V)>>;

// === impl Parted ===

impl<K, V> Parted<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let parts = self.groups.iter().flat_map(|group| group.iter());
        parts.flat_map(|part| part.iter().map(|(_, value)| value))
    }
}

/// The group and the part for a hash. A table looks at its lowest and at its highest bits, so these are others.
fn place(hash: u64) -> (usize, usize) {
    let middle = usize::try_from(hash >> 32 & 0xffff).unwrap_or_default();
    (middle % GROUPS, middle / GROUPS % PARTS)
}

impl<K: Hash + Eq + Clone, V: Clone> Parted<K, V> {
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let (group, part) = place(hash);
        let part = self.groups.get(group)?.get(part)?;
        let found = part.find(hash, |(known, _)| known.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// Puts a value in its place. One that was there is gone.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        let hash = self.hasher.hash_one(&key);
        let hasher = &self.hasher;
        if let Some(part) = part_mut(&mut self.groups, hash) {
            let rehash = |(key, _): &(K, V)| hasher.hash_one(key);
            part.insert_unique(hash, (key, value), rehash);
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        // What is not there is no reason to copy anything.
        if self.get(key).is_none() {
            return;
        }
        let hash = self.hasher.hash_one(key);
        let part = part_mut(&mut self.groups, hash);
        let found = part.and_then(|part| part.find_entry(hash, |(known, _)| known == key).ok());
        if let Some(found) = found {
            found.remove();
            self.len -= 1;
        }
    }
}

/// A part of which nobody else has the same copy.
fn part_mut<K: Clone, V: Clone>(
    groups: &mut Arc<[Group<K, V>]>,
    hash: u64,
) -> Option<&mut HashTable<(K, V)>> {
    let (group, part) = place(hash);
    let group = Arc::make_mut(groups).get_mut(group)?;
    Arc::make_mut(group).get_mut(part).map(Arc::make_mut)
}

impl<K, V> Default for Parted<K, V> {
    fn default() -> Self {
        let part: Part<K, V> = Arc::new(HashTable::new());
        let group: Group<K, V> = (0..PARTS).map(|_| Arc::clone(&part)).collect();
        Self {
            groups: (0..GROUPS).map(|_| Arc::clone(&group)).collect(),
            len: 0,
            hasher: RandomState::new(),
        }
    }
}

impl<K, V> Clone for Parted<K, V> {
    fn clone(&self) -> Self {
        Self {
            groups: Arc::clone(&self.groups),
            len: self.len,
            hasher: self.hasher.clone(),
        }
    }
}

impl<K, V> fmt::Debug for Parted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parted").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_like_any_map_and_older_copies_stay(
            changes in prop::collection::vec((0..200_u16, any::<Option<u8>>()), 0..500)
        ) {
            let mut parted = Parted::<String, u8>::default();
            let mut plain = HashMap::new();
            let mut copies = Vec::new();
            for (at, (key, value)) in changes.into_iter().enumerate() {
                let key = key.to_string();
                match value {
                    Some(value) => {
                        parted.insert(key.clone(), value);
                        plain.insert(key, value);
                    }
                    None => {
                        parted.remove(&key);
                        plain.remove(&key);
                    }
                }
                if at % 50 == 0 {
                    copies.push((parted.clone(), plain.clone()));
                }
            }
            copies.push((parted, plain));
            for (parted, plain) in copies {
                prop_assert_eq!(parted.is_empty(), plain.is_empty());
                prop_assert_eq!(parted.values().count(), plain.len());
                for key in (0..200_u16).map(|key| key.to_string()) {
                    prop_assert_eq!(parted.get(key.as_str()), plain.get(&key));
                }
            }
        }
    }

    #[test]
    fn a_copy_with_one_change_shares_all_parts_but_one() {
        let mut newer = Parted::<String, usize>::default();
        (0..10_000).for_each(|at| newer.insert(at.to_string(), at));
        let older = newer.clone();
        newer.insert("4711".into(), 0);
        newer.remove(&"nobody".into());
        let parts = |one: &Parted<String, usize>| -> Vec<_> {
            one.groups.iter().flat_map(|group| group.to_vec()).collect()
        };
        let (newer, older) = (parts(&newer), parts(&older));
        let differ = newer.iter().zip(&older);
        let differ = differ.filter(|(one, other)| !Arc::ptr_eq(one, other));
        assert_eq!(differ.count(), 1);
        assert!(newer.iter().all(|part| part.len() < 50), "uneven");
    }
}
