//! Types as far as they are known before an exchange is there.

use std::fmt;

/// The type of an expression. What can only be known at run time is `Dyn`, and fits everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// What `type(x)` gives.
    Kind,
    /// With the type of its items.
    List(&'static Self),
    /// With texts as keys, and the type of its values.
    Map(&'static Self),
}

/// A list of texts.
pub(crate) const TEXTS: Type = Type::List(&Type::String);
/// A map of lists of texts: headers, a query.
pub(crate) const LINES: Type = Type::Map(&TEXTS);
/// A list of anything.
pub(crate) const LIST: Type = Type::List(&Type::Dyn);
/// A map of anything.
pub(crate) const MAP: Type = Type::Map(&Type::Dyn);

impl Type {
    /// Whether a value of this type may stand where `wanted` is asked for.
    pub(crate) fn fits(self, wanted: Self) -> bool {
        match (self, wanted) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(*b),
            (a, b) => a == b,
        }
    }

    /// Whether two values of these types can be compared for being the same.
    pub(super) fn comparable(self, other: Self) -> bool {
        // An absent number or time is null.
        let null = self == Self::Null || other == Self::Null;
        null || self.fits(other) || (self.is_number() && other.is_number())
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether such a value may be the key of a map. A double finds the whole number that it is.
    pub(super) fn is_key(self) -> bool {
        matches!(self, Self::Dyn | Self::Bool | Self::String) || self.is_number()
    }

    /// The type of a value that is one of two.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Dyn }
    }

    /// This type as that of the items of a list, or of the values of a map.
    pub(super) fn inside(self) -> &'static Self {
        match self {
            Self::Null => &Self::Null,
            Self::Bool => &Self::Bool,
            Self::Int => &Self::Int,
            Self::Uint => &Self::Uint,
            Self::Double => &Self::Double,
            Self::String => &Self::String,
            Self::Bytes => &Self::Bytes,
            Self::Timestamp => &Self::Timestamp,
            Self::Duration => &Self::Duration,
            TEXTS => &TEXTS,
            _ => &Self::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Kind => f.write_str("type"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(value) => write!(f, "map(string, {value})"),
        }
    }
}
