//! The way to a place, as `on_http_request[0] "block bots".actions[1].config.rate`.

use std::fmt::Write as _;

use super::trouble::Place;

/// Longest part of a name that is shown, in characters.
const NAME_MAX: usize = 40;

/// A path with the names that its entries give themselves, for people.
pub(super) fn shown(place: &Place<'_>) -> String {
    path(place, true)
}

/// A path of keys and indexes alone.
pub(super) fn plain(place: &Place<'_>) -> String {
    path(place, false)
}

fn path(place: &Place<'_>, with_names: bool) -> String {
    let mut path = String::new();
    for (node, index) in &place.path {
        let Some(entry) = node.entries().get(*index) else {
            continue;
        };
        let written = match &entry.key {
            Some(_) => {
                let dot = if path.is_empty() { "" } else { "." };
                write!(path, "{dot}{}", entry.key_text().unwrap_or("?"))
            }
            None => write!(path, "[{index}]"),
        };
        let named = match entry
            .value
            .name()
            .filter(|_| with_names && entry.key.is_none())
        {
            Some(name) if name.chars().nth(NAME_MAX).is_some() => {
                let start: String = name.chars().take(NAME_MAX).collect();
                write!(path, " \"{start}…\"")
            }
            Some(name) => write!(path, " \"{name}\""),
            None => Ok(()),
        };
        // Writing to a String does not fail.
        written.and(named).unwrap_or_default();
    }
    path
}
