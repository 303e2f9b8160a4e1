//! Which values came from secrets, and what is shown in their place.
//!
//! The mark stands beside a value, not in it: an expression that has read a secret, or something with a mark, marks
//! whatever it gives, of any type. Variables, results and header lines keep their marks; whoever prints them shows the
//! mark. What the values are for does not change.

use std::fmt;
use std::sync::Arc;

use crate::expr::{Key, Value};

/// Whether a value came from a secret, and from which. Prints as `[secret web/key]`, what is shown in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Taint {
    /// It may be shown.
    #[default]
    None,
    /// It came from this one: `vault/name`.
    Named(Arc<str>),
    /// It came from several, or from one without a name, as a token of a provider is.
    Unnamed,
}

/// Which parts of a value came from secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taints(Vec<(Path, Taint)>);

/// The keys that lead to a part; none lead to all of it.
type Path = Box<[Box<str>]>;

// === impl Taint ===

impl Taint {
    /// Of the secret of this name.
    pub(crate) fn of(vault: &str, name: &str) -> Self {
        Self::Named(format!("{vault}/{name}").into())
    }

    /// Whether it must not be shown.
    pub fn is_secret(&self) -> bool {
        *self != Self::None
    }

    /// Of what was made of both.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, one) | (one, Self::None) => one,
            (one, other) if one == other => one,
            _ => Self::Unnamed,
        }
    }

    /// The text, or what is shown in its place.
    pub(crate) fn hide(&self, text: String) -> String {
        match self {
            Self::None => text,
            secret => secret.to_string(),
        }
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Named(name) => write!(f, "[secret {name}]"),
            Self::Unnamed => f.write_str("[secret]"),
        }
    }
}

// === impl Taints ===

impl Taints {
    /// Nothing of it, or all of it.
    pub(crate) fn whole(taint: Taint) -> Self {
        let mut taints = Self::default();
        taints.add(&[], taint);
        taints
    }

    /// These fields of a map, whatever secrets they came from.
    pub(crate) fn fields(names: &[&str]) -> Self {
        let mut taints = Self::default();
        for name in names {
            taints.add(&[name], Taint::Unnamed);
        }
        taints
    }

    /// One more part.
    pub(crate) fn add(&mut self, path: &[&str], taint: Taint) {
        if taint.is_secret() {
            let path = path.iter().map(|key| Box::from(*key)).collect();
            self.0.push((path, taint));
        }
    }

    /// Whether nothing came from a secret.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the part to which a path leads, with everything below it.
    pub(crate) fn at(&self, path: &[Key<'_>]) -> Taint {
        let is_around = |marked: &Path| {
            let steps = marked.iter().zip(path);
            steps
                .into_iter()
                .all(|(known, key)| matches!(key, Key::String(name) if **name == **known))
        };
        let found = self.0.iter().filter(|(marked, _)| is_around(marked));
        found.fold(Taint::None, |all, (_, taint)| all.and(taint.clone()))
    }

    /// The value as it may be shown.
    pub(crate) fn hide(&self, value: &Value<'static>) -> Value<'static> {
        let mut shown = value.clone();
        for (path, taint) in &self.0 {
            shown = hidden(shown, path, taint);
        }
        shown
    }
}

fn hidden(value: Value<'static>, path: &[Box<str>], taint: &Taint) -> Value<'static> {
    let Some((key, rest)) = path.split_first() else {
        return Value::text(taint.to_string());
    };
    let Value::Map(map) = &value else {
        // What is no map has no such part, so that all of it is what was marked.
        return Value::text(taint.to_string());
    };
    let entries = map.entries().into_owned().into_iter();
    Value::map_of(entries.map(|(name, value)| {
        let is_marked = matches!(&name, Key::String(name) if **name == **key);
        let value = if is_marked {
            hidden(value, rest, taint)
        } else {
            value
        };
        (name, value)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::json::encode;

    fn key(name: &'static str) -> Key<'static> {
        Key::String(name.into())
    }

    #[test]
    fn what_is_made_of_several_secrets_has_no_name() {
        let web = Taint::of("web", "key");
        assert_eq!(web.clone().and(Taint::None), web);
        assert_eq!(Taint::None.and(web.clone()), web);
        assert_eq!(web.clone().and(web.clone()).to_string(), "[secret web/key]");
        assert_eq!(web.and(Taint::of("web", "other")).to_string(), "[secret]");
    }

    #[test]
    fn a_part_is_marked_with_what_is_around_it_and_below_it() {
        let mut taints = Taints::fields(&["token"]);
        taints.add(&["req", "url"], Taint::of("web", "key"));
        assert_eq!(taints.at(&[key("token")]), Taint::Unnamed);
        assert_eq!(taints.at(&[key("token"), key("x")]), Taint::Unnamed);
        assert_eq!(taints.at(&[key("req")]), Taint::of("web", "key"));
        assert_eq!(taints.at(&[key("req"), key("method")]), Taint::None);
        assert_eq!(taints.at(&[key("user")]), Taint::None);
        assert_eq!(taints.at(&[]), Taint::Unnamed);
    }

    #[test]
    fn only_what_is_marked_is_hidden() {
        let value = Value::map([
            ("token", Value::text("t")),
            (
                "req",
                Value::map([("url", Value::text("u")), ("method", Value::text("m"))]),
            ),
        ]);
        let mut taints = Taints::fields(&["token", "absent"]);
        taints.add(&["req", "url"], Taint::of("web", "key"));
        assert_eq!(
            encode(&taints.hide(&value)),
            r#"{"req":{"method":"m","url":"[secret web/key]"},"token":"[secret]"}"#
        );
        let whole = Taints::whole(Taint::Unnamed);
        assert_eq!(encode(&whole.hide(&Value::Int(5))), r#""[secret]""#);
        assert!(Taints::whole(Taint::None).is_empty());
    }
}
