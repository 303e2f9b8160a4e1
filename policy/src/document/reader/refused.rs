//! What is wrong with a tree whatever it is read as.

use super::repair::{Found, MISTAKES_MAX};
use super::tree::{Entry, Node, Refused};
use super::trouble::Place;

const TAG: &str = "a tag (`!…`) has no meaning here";

/// Everything that the parser saw and no type shall.
pub(super) fn collect<'a>(
    entry: &'a Entry<'a>,
    path: &mut Vec<(&'a Node<'a>, usize)>,
    found: &mut Vec<Found<'a>>,
) {
    // One too many says that there are more.
    if found.len() > MISTAKES_MAX {
        return;
    }
    if let Some(refused) = entry.refused {
        let key = entry.key.as_deref();
        let (key, message) = match refused {
            Refused::TaggedValue => (None, TAG.to_owned()),
            Refused::TaggedKey => (key, TAG.to_owned()),
            Refused::KeyOfNoText => (key, "a list or a map cannot be a key".to_owned()),
            Refused::Twice => {
                let text = entry.key_text().unwrap_or_default();
                (key, format!("the key `{text}` stands here twice"))
            }
        };
        let mut around = path.clone();
        if key.is_some() {
            around.pop();
        }
        found.push(Found {
            message,
            place: Place {
                path: around,
                node: key.unwrap_or(&entry.value),
                offset: None,
                blame: entry,
            },
        });
        return;
    }
    for (index, inner) in entry.value.entries().iter().enumerate() {
        path.push((&entry.value, index));
        collect(inner, path, found);
        path.pop();
    }
}
