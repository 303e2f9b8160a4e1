//! Where the answer of a provider says what about a person.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::{Map, Value};

use super::in_standard_words;
use crate::login::person::subject;
use crate::login::provider::Failed;

/// A place in a JSON text: `user.emails.0` or `/user/emails/0` (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(String);

/// The places of what is known of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The object that is about the person.
    pub(crate) root: Path,
    pub(crate) id: Path,
    pub(crate) email: Path,
    pub(crate) name: Path,
    /// A list of texts, or one.
    pub(crate) groups: Path,
}

// === impl Path ===

impl Path {
    /// Reads a path; the empty one is the whole text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let dotted = |text: &str| {
            let parts = text
                .split('.')
                .map(|part| part.replace('~', "~0").replace('/', "~1"));
            parts.fold(String::new(), |path, part| format!("{path}/{part}"))
        };
        match text {
            "" => Ok(Self(String::new())),
            pointer if pointer.starts_with('/') => Ok(Self(pointer.to_owned())),
            text if text.split('.').any(str::is_empty) => Err(format!(
                "`{text}` is no path: write one like user.email or /user/email"
            )),
            text => Ok(Self(dotted(text))),
        }
    }

    /// The member of this name below a pointer.
    pub(super) fn of(root: &'static str, name: &'static str) -> Self {
        Self(format!("{root}/{name}"))
    }

    pub(super) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.0)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(PathVisitor)
    }
}

struct PathVisitor;

impl Visitor<'_> for PathVisitor {
    type Value = Path;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path into a JSON text, like user.email or /user/email")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Path, E> {
        Path::parse(text).map_err(E::custom)
    }
}

// === impl Paths ===

impl Default for Paths {
    /// As OpenID Connect names them.
    fn default() -> Self {
        Self {
            root: Path(String::new()),
            id: Path::of("", "sub"),
            email: Path::of("", "email"),
            name: Path::of("", "name"),
            groups: Path::of("", "groups"),
        }
    }
}

impl Paths {
    /// Everything that the answer says, with what is known of the person in the words of OpenID Connect.
    pub(super) fn claims(
        &self,
        answer: &Value,
        is_verified: bool,
    ) -> Result<Map<String, Value>, Failed> {
        let Some(Value::Object(said)) = self.root.find(answer) else {
            let why = "user-info answers nothing about a person";
            return Err(Failed::Unbelievable(why.to_owned()));
        };
        let email = self.email.find(answer).filter(|email| email.is_string());
        let standard = [
            ("sub", Some(subject(self.id.find(answer))?.into())),
            ("email", email.cloned()),
            ("email_verified", email.map(|_| is_verified.into())),
            ("name", self.name.find(answer).cloned()),
            ("groups", self.groups.find(answer).cloned()),
        ];
        Ok(in_standard_words(said.clone(), standard))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_has_two_spellings() {
        let value = json!({"a": {"b": [1, {"c": 2}]}, "x.y": 3, "p/q": 4});
        let at = |path: &str| Path::parse(path).unwrap().find(&value).cloned();
        assert_eq!(at("a.b.1.c"), Some(json!(2)));
        assert_eq!(at("/a/b/0"), Some(json!(1)));
        assert_eq!(at("/x.y"), Some(json!(3)));
        assert_eq!(at("p/q"), Some(json!(4)));
        assert_eq!(at(""), Some(value.clone()));
        assert_eq!(at("a.c"), None);
        for bad in [".", "a.", ".a", "a..b"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
