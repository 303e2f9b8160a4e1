//! Reading YAML or JSON into a type, and finding every mistake on the way.
//!
//! A text is parsed once, into a tree that remembers places ([`parse`], [`tree`]). A type reads itself from the tree
//! through serde ([`deserializer`], [`entries`]), and serde ends at the first mistake. So what is wrong is left out of the tree
//! and the type reads itself again, until it finds nothing more ([`repair`] says which complaints are only echoes of
//! what was left out). What a document means is decided by the first pass alone: a value is given out only if that pass
//! found nothing.

mod both;
mod deserializer;
mod entries;
mod mistake;
mod open;
mod parse;
mod path;
mod places;
mod redact;
mod refused;
mod repair;
mod scalar;
mod source;
mod spot;
mod tree;
mod trouble;
mod value;

use serde::de::DeserializeOwned;

pub use self::both::Both;
pub use self::mistake::{Mistake, Mistakes};
pub use self::places::{Places, Step};
use self::repair::Repair;
use self::source::Source;
use super::scope;

/// Longest document in bytes; a longer one is refused before it is parsed.
const TEXT_MAX: usize = 1 << 20;

/// Reads a YAML or JSON document. `file` is only a name for messages.
///
/// # Errors
/// With every mistake that was found: in the text, in its keys, in its values. Whatever the type is, duplicate keys,
/// tags, deep nesting and exploding aliases are refused.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Mistakes> {
    read_warned(file, text).map(|(value, _)| value)
}

/// Reads a document that is right, with what its values warn of ([`scope::warn`]).
///
/// # Errors
/// As [`read`]; warnings are only told of a document without a mistake.
pub fn read_warned<T: DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<(T, Vec<Mistake>), Mistakes> {
    let source = Source { file, text };
    if text.len() > TEXT_MAX {
        let message = format!("the document is longer than {TEXT_MAX} bytes");
        return Err(source.nowhere(message).into());
    }
    let tree = parse::parse(text)
        .map_err(|unparsable| source.mistake_at(unparsable.mark, unparsable.message))?;
    let repair = Repair::of(&tree);
    match scope::apart(|| repair.read::<T>()) {
        Ok((value, warnings)) => Ok((value, source.warnings(&warnings))),
        Err((found, is_all)) => Err(source.mistakes(&found, is_all)),
    }
}

#[cfg(test)]
mod tests;
