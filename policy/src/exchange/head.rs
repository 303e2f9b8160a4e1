//! Headers that are copied at the first change, and the list of the changes.

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::action::Fault;

/// The header of a request or a response: a view that is copied at the first change, and the list of the changes.
///
/// Later rules see the changed value; the gateway replays the list onto the header that it really sends.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    lines: Cow<'a, HeaderMap>,
    edits: Vec<HeaderEdit>,
}

/// One change of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// All lines of this name give way to this one.
    Set {
        /// Which header.
        name: HeaderName,
        /// Its only value from now on.
        value: HeaderValue,
    },
    /// One more line; what is there stays.
    Append {
        /// Which header.
        name: HeaderName,
        /// The value of the new line.
        value: HeaderValue,
    },
    /// All lines of this name go.
    Remove {
        /// Which header.
        name: HeaderName,
    },
}

// === impl Head ===

impl<'a> Head<'a> {
    /// A view of these lines, with no edits yet.
    pub fn of(lines: &'a HeaderMap) -> Self {
        Self {
            lines: Cow::Borrowed(lines),
            edits: Vec::new(),
        }
    }

    /// The lines as they stand after the edits so far. A name may have several lines: a rule that refuses on one must
    /// look at all of them.
    pub fn lines(&self) -> &HeaderMap {
        &self.lines
    }

    /// The edits so far, in order.
    pub fn edits(&self) -> &[HeaderEdit] {
        &self.edits
    }

    /// Gives the edits to whoever replays them.
    pub fn into_edits(self) -> Vec<HeaderEdit> {
        self.edits
    }

    /// Replaces all lines of this name by one.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Fault> {
        self.change(HeaderEdit::Set { name, value })
    }

    /// Adds a line.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Fault> {
        self.change(HeaderEdit::Append { name, value })
    }

    /// Removes all lines of this name. A name that is not there leaves no edit.
    pub fn remove(&mut self, name: HeaderName) -> Result<(), Fault> {
        if !self.lines.contains_key(&name) {
            return Ok(());
        }
        self.change(HeaderEdit::Remove { name })
    }

    fn change(&mut self, edit: HeaderEdit) -> Result<(), Fault> {
        edit.apply(self.lines.to_mut())?;
        self.edits.push(edit);
        Ok(())
    }
}

// === impl HeaderEdit ===

impl HeaderEdit {
    /// Replays this edit onto another header.
    pub fn apply(&self, lines: &mut HeaderMap) -> Result<(), Fault> {
        match self {
            Self::Set { name, value } => {
                lines
                    .try_insert(name, value.clone())
                    .map_err(|_| Fault::TooManyHeaders)?;
            }
            Self::Append { name, value } => {
                lines
                    .try_append(name, value.clone())
                    .map_err(|_| Fault::TooManyHeaders)?;
            }
            Self::Remove { name } => {
                lines.remove(name);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-role");

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn texts<'a>(head: &'a Head<'_>) -> Vec<&'a str> {
        head.lines()
            .get_all(NAME)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    #[test]
    fn nothing_is_copied_until_something_changes() {
        let lines = HeaderMap::from_iter([(NAME, value("user"))]);
        let mut head = Head::of(&lines);
        head.remove(HeaderName::from_static("absent")).unwrap();
        assert!(matches!(head.lines, Cow::Borrowed(_)));
        assert!(head.edits().is_empty());
    }

    #[test]
    fn a_change_is_seen_at_once_and_leaves_an_edit() {
        let lines = HeaderMap::from_iter([(NAME, value("user"))]);
        let mut head = Head::of(&lines);
        head.append(NAME, value("admin")).unwrap();
        assert_eq!(texts(&head), ["user", "admin"]);
        head.set(NAME, value("nobody")).unwrap();
        assert_eq!(texts(&head), ["nobody"]);
        head.remove(NAME).unwrap();
        assert_eq!(texts(&head), [""; 0]);
        assert_eq!(head.into_edits().len(), 3);
        assert_eq!(lines.len(), 1, "the original stays as it was");
    }

    #[test]
    fn replaying_the_edits_gives_the_header_that_the_policy_saw() {
        let mut lines = HeaderMap::from_iter([(NAME, value("user"))]);
        let copy = lines.clone();
        let mut head = Head::of(&copy);
        head.append(NAME, value("admin")).unwrap();
        head.set(HeaderName::from_static("x-other"), value("1"))
            .unwrap();
        let seen = head.lines().clone();
        for edit in head.into_edits() {
            edit.apply(&mut lines).unwrap();
        }
        assert_eq!(lines, seen);
    }

    /// One change, of a few names, so that they meet each other.
    #[derive(Clone, Debug)]
    enum Change {
        Set(usize, u8),
        Append(usize, u8),
        Remove(usize),
    }

    const NAMES: [&str; 3] = ["x-a", "x-b", "accept"];

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0..3_usize, any::<u8>()).prop_map(|(name, value)| Change::Set(name, value)),
            (0..3_usize, any::<u8>()).prop_map(|(name, value)| Change::Append(name, value)),
            (0..3_usize).prop_map(Change::Remove),
        ]
    }

    proptest! {
        /// What a policy saw is what a plain list of lines says, and what replaying its edits gives.
        #[test]
        fn edits_mean_the_same_to_whoever_sees_them_and_to_whoever_replays_them(
            before in proptest::collection::vec((0..3_usize, any::<u8>()), 0..6),
            changes in proptest::collection::vec(change(), 0..12),
        ) {
            let name = |index: usize| HeaderName::from_static(NAMES[index]);
            let value = |number: u8| HeaderValue::from_str(&number.to_string()).unwrap();
            let mut lines = HeaderMap::new();
            let mut plain: Vec<(usize, u8)> = before;
            for (index, number) in &plain {
                lines.append(name(*index), value(*number));
            }
            let original = lines.clone();
            let mut head = Head::of(&original);
            for change in changes {
                match change {
                    Change::Set(index, number) => {
                        head.set(name(index), value(number)).unwrap();
                        plain.retain(|(known, _)| *known != index);
                        plain.push((index, number));
                    }
                    Change::Append(index, number) => {
                        head.append(name(index), value(number)).unwrap();
                        plain.push((index, number));
                    }
                    Change::Remove(index) => {
                        head.remove(name(index)).unwrap();
                        plain.retain(|(known, _)| *known != index);
                    }
                }
            }
            for (index, name) in NAMES.iter().enumerate() {
                let seen: Vec<_> = head.lines().get_all(*name).iter().cloned().collect();
                let wanted = plain.iter().filter(|(known, _)| *known == index);
                let wanted: Vec<_> = wanted.map(|(_, number)| value(*number)).collect();
                prop_assert_eq!(seen, wanted, "{}", name);
            }
            let seen = head.lines().clone();
            for edit in head.into_edits() {
                edit.apply(&mut lines).unwrap();
            }
            prop_assert_eq!(lines, seen);
        }
    }
}
