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
}
