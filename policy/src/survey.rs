//! The walk over a document before its typed reading, by the same parser: what no type should ever have to face.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of lists and maps; one more is refused.
const DEPTH_MAX: usize = 64;
/// How many times its own length a document may grow to when aliases are written out; beyond it is refused.
const EXPANSION_MAX: usize = 10;

/// Walks everything once; answers nothing but mistakes.
pub(crate) struct Survey {
    budget: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Node<'s> {
    survey: &'s Survey,
    depth: usize,
}

struct Key<'s, 'k> {
    survey: &'s Survey,
    seen: &'k mut HashSet<String>,
}

// === impl Survey ===

impl Survey {
    pub(crate) fn of(text: &str) -> Self {
        Self {
            budget: Cell::new(EXPANSION_MAX * text.len().max(64)),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        &self,
        deserializer: D,
    ) -> Result<(), D::Error> {
        Node {
            survey: self,
            depth: 0,
        }
        .deserialize(deserializer)
    }

    fn spend<E: Error>(&self, cost: usize) -> Result<(), E> {
        let left = self.budget.get().checked_sub(cost).ok_or_else(|| {
            E::custom(format_args!(
                "aliases make the document more than {EXPANSION_MAX} times as long as it is"
            ))
        })?;
        self.budget.set(left);
        Ok(())
    }
}

// === impl Node ===

impl Node<'_> {
    fn child<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!(
                "lists and maps are nested more than {DEPTH_MAX} deep"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean, a list or a map")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.survey.spend(1)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.survey.spend(1)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.survey.spend(1)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.survey.spend(1)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.survey.spend(1)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.survey.spend(1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.survey.spend(text.len() + 1)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.survey.spend(1)?;
        let child = self.child()?;
        while list.next_element_seed(child)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.survey.spend(1)?;
        let child = self.child()?;
        let mut seen = HashSet::new();
        while map
            .next_key_seed(Key {
                survey: self.survey,
                seen: &mut seen,
            })?
            .is_some()
        {
            map.next_value_seed(child)?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("a tag (`!…`) has no meaning here"))
    }
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of plain text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.survey.spend(key.len() + 1)?;
        if !self.seen.insert(key.to_owned()) {
            return Err(E::custom(format_args!("the key `{key}` stands here twice")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::mistake::read;

    fn refused(text: &str) -> String {
        read::<serde_yaml::Value>("f", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_its_second_place() {
        assert_eq!(
            read::<BTreeMap<String, u8>>("f", "a: 1\nb: 2\na: 3\n")
                .unwrap_err()
                .to_string(),
            "f:3:1: the key `a` stands here twice\n    3 | a: 3\n      | ^"
        );
        assert!(
            refused(r#"{"a": {"b": 1, "b": 2}}"#)
                .starts_with("f:1:16: a: the key `b` stands here twice")
        );
    }

    #[test]
    fn sixty_four_levels_are_read_and_one_more_is_refused() {
        assert!(read::<serde_yaml::Value>("f", &("[".repeat(64) + &"]".repeat(64))).is_ok());
        assert!(refused(&("[".repeat(65) + &"]".repeat(65))).contains("nested more than 64 deep"));
        assert_eq!(
            refused(&"[".repeat(500_000)),
            "f: more than 1000 brackets are open at once"
        );
        assert!(refused(&"- ".repeat(100_000)).contains("nested more than 64 deep"));
    }

    #[test]
    fn aliases_that_explode_are_refused() {
        let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..9 {
            let previous = format!("*a{}, ", level - 1).repeat(9);
            text += &format!("a{level}: &a{level} [{previous}]\n");
        }
        assert!(
            refused(&text).contains("aliases make the document more than 10 times as long"),
            "{}",
            refused(&text)
        );
        assert!(refused("a: &a [*a]\n").starts_with("f:"));
    }

    #[test]
    fn an_alias_that_stays_small_is_welcome() {
        let map: BTreeMap<String, Vec<u8>> = read("f", "a: &a [1, 2]\nb: *a\n").unwrap();
        assert_eq!(map["b"], [1, 2]);
    }

    #[test]
    fn tags_and_complex_keys_are_refused() {
        assert!(refused("a: !x y\n").starts_with("f:1:4: a: a tag (`!…`) has no meaning here"));
        assert!(refused("? [a]\n: b\n").contains("expected a key of plain text"));
    }

    #[test]
    fn two_documents_in_one_text_are_refused() {
        assert!(refused("a: 1\n---\nb: 1\n").contains("more than one document"));
    }
}
