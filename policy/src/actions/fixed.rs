//! A text of a policy that is the same for every exchange.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Text without `${…}`. Numbers and booleans become their text; `$${` is a literal `${`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fixed(pub(super) String);

/// Reads such a text into something else. What `parse` refuses is refused at the place of the text.
pub(super) fn read_as<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(String) -> Result<T, String>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(FixedVisitor { parse })
}

impl<'de> Deserialize<'de> for Fixed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_as(deserializer, |text| Ok(Self(text)))
    }
}

struct FixedVisitor<T> {
    parse: fn(String) -> Result<T, String>,
}

impl<T> Visitor<'_> for FixedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        if text.replace("$${", "").contains("${") {
            return Err(E::custom(
                "templates (`${…}`) are not built into this version; a literal `${` is written `$${`",
            ));
        }
        (self.parse)(text.replace("$${", "${")).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn scalars_become_their_text() {
        let list: Vec<Fixed> = read("f", "[a, 1, -2, 1.5, true, '$1', 'a $${b}']").unwrap();
        let texts: Vec<_> = list.iter().map(|fixed| fixed.0.as_str()).collect();
        assert_eq!(texts, ["a", "1", "-2", "1.5", "true", "$1", "a ${b}"]);
    }

    #[test]
    fn a_template_is_refused_at_its_place() {
        let mistake = read::<Vec<Fixed>>("f", "- a\n- b ${c}\n").unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "f:2:3: [1]: templates (`${…}`) are not built into this version; a literal `${` is written `$${`\n    2 | - b ${c}\n      |   ^"
        );
        assert!(read::<Vec<Fixed>>("f", "['$${a} ${b}']").is_err());
    }
}
