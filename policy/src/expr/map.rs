//! Maps: made by an expression, or a view on headers, a query or cookies that is parsed only as far as it is asked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use super::value::{Entries, Key, Text, Value};
use super::{cookies, json};
use crate::canonical::query_pairs;

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Its entries, in the order of their keys.
    Entries(Arc<Entries<'a>>),
    /// Header lines: looked up without regard to case, one list of texts for each name.
    Headers(&'a HeaderMap),
    /// A query: one list of decoded texts for each name.
    Query(&'a str),
    /// The cookies of a request (`cookie`) or of a response (`set-cookie`).
    Cookies(&'a HeaderMap, cookies::Side),
    /// Claims, as JSON has them.
    Json(&'a serde_json::Map<String, serde_json::Value>),
}

impl<'a> Map<'a> {
    /// The value of a key.
    pub fn get(&self, key: &Key<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Entries(entries), key) => entries.get(key).cloned(),
            (Self::Headers(lines), Key::String(name)) => {
                lines.contains_key(&**name).then(|| header(lines, name))
            }
            (Self::Query(query), Key::String(name)) => {
                let values = query_values(query, name);
                (!values.is_empty()).then(|| Value::texts(values))
            }
            (Self::Cookies(lines, side), Key::String(name)) => {
                let found: Vec<_> = cookies::named(lines, *side, name).collect();
                (!found.is_empty()).then(|| Value::list(found))
            }
            (Self::Json(entries), Key::String(name)) => entries.get(&**name).map(of_json),
            _ => None,
        }
    }

    /// Whether there is a value for a key.
    pub fn contains(&self, key: &Key<'a>) -> bool {
        match (self, key) {
            (Self::Entries(entries), key) => entries.contains_key(key),
            (Self::Headers(lines), Key::String(name)) => lines.contains_key(&**name),
            (Self::Query(query), Key::String(name)) => {
                query_pairs(query).any(|(known, _)| *known == **name)
            }
            (Self::Cookies(lines, side), Key::String(name)) => {
                cookies::named(lines, *side, name).next().is_some()
            }
            (Self::Json(entries), Key::String(name)) => entries.contains_key(&**name),
            _ => false,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Headers(lines) => lines.keys_len(),
            Self::Json(entries) => entries.len(),
            _ => self.entries().len(),
        }
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries; a view is parsed now, once.
    pub fn entries(&self) -> Cow<'_, Entries<'a>> {
        let grouped = |pairs: &mut dyn Iterator<Item = (Text<'a>, Value<'a>)>| {
            let mut lists: BTreeMap<Key<'a>, Vec<Value<'a>>> = BTreeMap::new();
            for (name, value) in pairs {
                lists.entry(Key::String(name)).or_default().push(value);
            }
            let lists = lists.into_iter();
            Cow::Owned(
                lists
                    .map(|(name, list)| (name, Value::list(list)))
                    .collect(),
            )
        };
        match self {
            Self::Entries(entries) => Cow::Borrowed(entries),
            Self::Headers(lines) => {
                let names = lines.keys().map(|name| name.as_str());
                let entries = names.map(|name| (Key::String(name.into()), header(lines, name)));
                Cow::Owned(entries.collect())
            }
            Self::Query(query) => grouped(
                &mut query_pairs(query).map(|(name, value)| (name.into(), Value::text(value))),
            ),
            Self::Cookies(lines, side) => grouped(&mut cookies::all_named(lines, *side)),
            Self::Json(entries) => {
                let entries = entries.iter();
                let entries = entries
                    .map(|(name, value)| (Key::String(name.as_str().into()), of_json(value)));
                Cow::Owned(entries.collect())
            }
        }
    }

    /// The keys in the order in which they are gone through: as they came for headers, sorted for all others.
    pub fn keys(&self) -> Vec<Key<'a>> {
        match self {
            Self::Headers(lines) => {
                let names = lines.keys().map(|name| name.as_str().into());
                names.map(Key::String).collect()
            }
            _ => self.entries().keys().cloned().collect(),
        }
    }

    pub(super) fn equals(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.entries(), other.entries());
        ours.len() == theirs.len()
            && ours
                .iter()
                .all(|(key, value)| theirs.get(key).is_some_and(|other| value.equals(other)))
    }

    /// Cost units of looking something up: a view may have to be parsed for it.
    pub(super) fn looking_up(&self) -> u64 {
        match self {
            Self::Entries(_) | Self::Headers(_) => 1,
            Self::Json(entries) => 1 + entries.len() as u64 / 16,
            Self::Query(_) | Self::Cookies(..) => 1 + self.source_len() as u64 / 16,
        }
    }

    /// About how many bytes a view looks at; of a map that was made, how many entries there are.
    pub(super) fn source_len(&self) -> usize {
        let lines_len = |lines: http::header::ValueIter<'_, _>| -> usize {
            lines.map(|line: &http::HeaderValue| line.len() + 16).sum()
        };
        match self {
            Self::Entries(entries) => entries.len(),
            Self::Headers(lines) => lines.values().map(|value| value.len() + 16).sum(),
            Self::Cookies(lines, side) => lines_len(lines.get_all(side.header()).iter()),
            Self::Query(query) => query.len(),
            Self::Json(entries) => entries.len() * 16,
        }
    }

    pub(super) fn into_owned(self) -> Map<'static> {
        let entries = self.entries().into_owned().into_iter();
        let owned = entries.map(|(key, value)| (key.into_owned(), value.into_owned()));
        Map::Entries(Arc::new(owned.collect()))
    }
}

/// One claim. What is nested deeper than JSON that an expression decodes is null.
fn of_json(value: &serde_json::Value) -> Value<'static> {
    json::from_json(value.clone(), 1).unwrap_or(Value::Null)
}

/// The values of a header, `[]` if there is none. What is no UTF-8 is shown with replacement characters.
pub(crate) fn header<'a>(lines: &'a HeaderMap, name: &str) -> Value<'a> {
    let values = lines.get_all(name).iter();
    Value::texts(values.map(|value| String::from_utf8_lossy(value.as_bytes())))
}

/// The decoded values of a query's name.
pub(crate) fn query_values<'a>(query: &'a str, name: &str) -> Vec<Cow<'a, str>> {
    let pairs = query_pairs(query).filter(|(known, _)| known == name);
    pairs.map(|(_, value)| value).collect()
}
