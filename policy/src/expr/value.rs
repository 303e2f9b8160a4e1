//! Values of expressions: borrowed from the exchange where they can be, cheap to clone always.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use super::map::Map;

/// A value of an expression.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Nothing: an absent number or time, the result of an action that did not run.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is never negative.
    Uint(u64),
    /// A number with a fraction.
    Double(f64),
    /// A text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<[Self]>),
    /// A map.
    Map(Map<'a>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(SignedDuration),
    /// A type, by its name.
    Type(&'static str),
}

/// A text that is borrowed or shared.
#[derive(Clone)]
pub enum Text<'a> {
    /// From the exchange or the policy.
    Borrowed(&'a str),
    /// Made by an expression.
    Shared(Arc<str>),
}

/// A key of a map. Whole numbers are one kind of key, however they are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond the signed ones.
    Uint(u64),
    /// A text.
    String(Text<'a>),
}

// === impl Value ===

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::String(text.into())
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A list of texts.
    pub fn texts<T: Into<Text<'a>>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(items.into_iter().map(Self::text))
    }

    /// A map with texts as keys.
    pub fn map<K: Into<Text<'a>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (Key::String(key.into()), value));
        Self::Map(Map::Entries(Arc::new(entries.collect())))
    }

    /// A map with keys of any kind.
    pub(crate) fn map_of(entries: impl IntoIterator<Item = (Key<'a>, Self)>) -> Self {
        Self::Map(Map::Entries(Arc::new(entries.into_iter().collect())))
    }

    /// A value that borrows nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Double(value) => Value::Double(value),
            Self::String(text) => Value::String(text.into_owned()),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::List(items) => {
                Value::List(items.iter().cloned().map(Value::into_owned).collect())
            }
            Self::Map(map) => Value::Map(map.into_owned()),
            Self::Timestamp(value) => Value::Timestamp(value),
            Self::Duration(value) => Value::Duration(value),
            Self::Type(value) => Value::Type(value),
        }
    }

    /// The name of its type, as `type(x)` says it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same value, whose text is borrowed: nobody counts who shares it.
    pub(crate) fn borrowed(&'a self) -> Self {
        match self {
            Self::String(text) => Self::String(Text::Borrowed(text)),
            other => other.clone(),
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        super::weight::of(self, usize::MAX).unwrap_or(usize::MAX)
    }

    /// How it stands in a text: what `${…}` puts there.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Uint(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
            Self::String(text) => Cow::Borrowed(text),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => Cow::Owned(super::json::base64(bytes)),
            },
            Self::List(items) => match &items[..] {
                // A header with one line is meant as its value.
                [Self::String(only)] => Cow::Borrowed(only),
                _ => Cow::Owned(super::json::encode(self)),
            },
            Self::Map(_) => Cow::Owned(super::json::encode(self)),
            Self::Timestamp(time) => Cow::Owned(time.to_string()),
            Self::Duration(length) => Cow::Owned(duration_text(*length)),
            Self::Type(name) => Cow::Borrowed(name),
        }
    }

    /// Whether two values are the same; numbers of different kinds are compared by what they count.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::String(a), Self::String(b)) => **a == **b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => a.equals(b),
            _ => super::number::compare(self, other) == Some(std::cmp::Ordering::Equal),
        }
    }

    /// The value as a key, if it can be one.
    pub fn into_key(self) -> Option<Key<'a>> {
        Some(match self {
            Self::Bool(value) => Key::Bool(value),
            Self::Int(value) => Key::Int(value),
            Self::Uint(value) => i64::try_from(value).map_or(Key::Uint(value), Key::Int),
            Self::Double(value) => super::number::whole(value)?,
            Self::String(text) => Key::String(text),
            _ => return None,
        })
    }
}

/// CEL's spelling of a duration: seconds, with a fraction only if there is one.
pub(crate) fn duration_text(length: SignedDuration) -> String {
    let (seconds, nanos) = (length.as_secs(), length.subsec_nanos());
    if nanos == 0 {
        return format!("{seconds}s");
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let text = format!(
        "{sign}{}.{:09}",
        seconds.unsigned_abs(),
        nanos.unsigned_abs()
    );
    format!("{}s", text.trim_end_matches('0'))
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a HeaderMap> for Value<'a> {
    fn from(lines: &'a HeaderMap) -> Self {
        Self::Map(Map::Headers(lines))
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

// === impl Key ===

impl<'a> Key<'a> {
    /// The key as a value.
    pub fn into_value(self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::String(text) => Value::String(text),
        }
    }

    pub(super) fn into_owned(self) -> Key<'static> {
        match self {
            Self::Bool(value) => Key::Bool(value),
            Self::Int(value) => Key::Int(value),
            Self::Uint(value) => Key::Uint(value),
            Self::String(text) => Key::String(text.into_owned()),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Uint(value) => value.fmt(f),
            Self::String(text) => f.write_str(text),
        }
    }
}

// === impl Text ===

impl Text<'_> {
    pub(crate) fn into_owned(self) -> Text<'static> {
        match self {
            Self::Borrowed(text) => Text::Shared(text.into()),
            Self::Shared(text) => Text::Shared(text),
        }
    }
}

impl<'a> Text<'a> {
    /// A part of the text, which borrows what the text borrows.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Option<Self> {
        Some(match self {
            Self::Borrowed(text) => Self::Borrowed(text.get(range)?),
            Self::Shared(text) if range == (0..text.len()) => self.clone(),
            Self::Shared(text) => Self::Shared(text.get(range)?.into()),
        })
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Arc<str>> for Text<'_> {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Borrowed(text),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

pub(super) type Entries<'a> = BTreeMap<Key<'a>, Value<'a>>;
