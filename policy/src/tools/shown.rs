//! How parts of an exchange are written for people, and what of them is nobody's business.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::exchange::HeaderEdit;
use crate::trace::Outcome;

/// In the place of a secret.
const HIDDEN: &str = "***";
/// How [`crate::Taint`] begins.
const MARK: &str = "[secret";
/// Longest value of a header that is shown, in characters.
const VALUE_MAX: usize = 200;
/// Headers that carry credentials.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];
/// A name with one of these words in it is one of a secret.
const SECRET_WORDS: &[&str] = &[
    "credential",
    "password",
    "private",
    "secret",
    "signature",
    "token",
];

/// Whether secrets are written as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// `***` stands in their place.
    #[default]
    Hidden,
    /// They are.
    Shown,
}

impl Secrets {
    /// A header's value as it may be shown. What came from a secret of a policy never is.
    pub(super) fn value<'v>(self, name: &HeaderName, value: &'v HeaderValue) -> Cow<'v, str> {
        match self == Self::Hidden && is_secret(name.as_str()) {
            _ if value.is_sensitive() => Cow::Borrowed("[secret]"),
            // The mark that stands in the place of a secret of a policy says its name.
            true if !value.as_bytes().starts_with(MARK.as_bytes()) => Cow::Borrowed(HIDDEN),
            _ => printable(value.as_bytes()),
        }
    }

    /// A change of a header: `+ name: value` adds a line, `= name: value` replaces all of them, `- name` removes them.
    pub(super) fn edit(self, edit: &HeaderEdit) -> String {
        match edit {
            HeaderEdit::Append { name, value } => format!("+ {name}: {}", self.value(name, value)),
            HeaderEdit::Set { name, value } => format!("= {name}: {}", self.value(name, value)),
            HeaderEdit::Remove { name } => format!("- {name}"),
        }
    }

    /// Takes the secrets out of a value that actions left or variables hold.
    pub(super) fn json(self, name: &str, value: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::Object(entries) if self == Self::Hidden => entries
                .into_iter()
                .map(|(key, value)| {
                    let value = self.json(&key, value);
                    (key, value)
                })
                .collect(),
            Value::Array(items) if self == Self::Hidden => items
                .into_iter()
                .map(|item| self.json(name, item))
                .collect(),
            Value::String(text)
                if self == Self::Hidden && is_secret(name) && !text.starts_with(MARK) =>
            {
                Value::from(HIDDEN)
            }
            other => other,
        }
    }
}

/// What an action said, as one would say it.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Next => "went on".to_owned(),
        Outcome::Answered(status) => format!("answered with {}", status.as_u16()),
        Outcome::Denied(status) => format!("denied with {}", status.as_u16()),
        Outcome::Refused(status, code) => {
            format!("refused with {} (ERR_ADIT_{code})", status.as_u16())
        }
        Outcome::Closed => "closed the connection".to_owned(),
        Outcome::Forwarded(url) => format!("forwarded to {url}"),
        Outcome::Failed { error, code } => format!("failed: {error} (ERR_ADIT_{code})"),
        Outcome::WouldRun => "would run; it reaches outside, so it was not tried".to_owned(),
    }
}

/// Bytes as text that cannot move a cursor, and not endless.
pub(super) fn printable(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    let is_plain = text.chars().all(|c| !c.is_control()) && text.len() <= VALUE_MAX;
    if is_plain {
        return text;
    }
    let mut shown: String = text
        .chars()
        .take(VALUE_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(VALUE_MAX).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_HEADERS.contains(&lower.as_str()) || SECRET_WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_unless_somebody_insists() {
        let edit = HeaderEdit::Set {
            name: http::header::AUTHORIZATION,
            value: HeaderValue::from_static("Basic abc"),
        };
        assert_eq!(Secrets::Hidden.edit(&edit), "= authorization: ***");
        assert_eq!(Secrets::Shown.edit(&edit), "= authorization: Basic abc");
        let left = serde_json::json!({"user": "a", "access_token": "b", "in": {"password": ["c"]}});
        assert_eq!(
            Secrets::Hidden.json("r", left),
            serde_json::json!({"user": "a", "access_token": "***", "in": {"password": ["***"]}})
        );
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(printable(b"a\x1b[2J"), "a\u{fffd}[2J");
        assert_eq!(printable(&[b'a'; 300]).chars().count(), VALUE_MAX + 1);
    }
}
