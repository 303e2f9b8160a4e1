//! A value of a document in which every text may hold `${…}`: maps and lists at any depth.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::EvalError;
use super::expression::placed;
use super::template::{Compiled, Template};
use super::value::Value;
use crate::exchange::Exchange;
use crate::taint::Taint;

/// A value in which every text may hold `${…}`; keys never do.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// The same for every exchange.
    Fixed(Value<'static>),
    /// A text to be filled in.
    Computed(Template),
    /// A list of such values.
    List(Vec<Self>),
    /// A map of such values.
    Map(Vec<(String, Self)>),
}

impl Tree {
    /// Reads a map of such values.
    pub(crate) fn map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor)
    }

    /// The value for an exchange, and whether any of it came from a secret. A text that is one `${…}` and nothing else
    /// becomes its value.
    pub(crate) fn value(
        &self,
        exchange: &Exchange<'_>,
    ) -> Result<(Value<'static>, Taint), EvalError> {
        if let Self::Fixed(value) = self {
            return Ok((value.clone(), Taint::None));
        }
        let all = Cell::new(Taint::None);
        let value = self.fill(exchange, &|made| {
            let (value, taint) = made?;
            all.set(all.take().and(taint));
            Ok(value)
        });
        Ok((value?.into_owned(), all.into_inner()))
    }

    /// The value as it may be shown, with `failed` in the place of each text that fails.
    pub(crate) fn shown(
        &self,
        exchange: &Exchange<'_>,
        failed: fn(EvalError) -> Value<'static>,
    ) -> Value<'static> {
        let filled: Result<_, Infallible> = self.fill(exchange, &|made| {
            Ok(match made {
                Ok((value, Taint::None)) => value,
                Ok((_, secret)) => Value::text(secret.to_string()),
                Err(error) => failed(error),
            })
        });
        match filled {
            Ok(value) => value.into_owned(),
            Err(never) => match never {},
        }
    }

    /// How many lists and maps are nested: none in a text.
    pub(crate) fn depth(&self) -> usize {
        let deepest = |depths: &mut dyn Iterator<Item = usize>| 1 + depths.max().unwrap_or(0);
        match self {
            Self::Fixed(Value::List(items)) => {
                deepest(&mut items.iter().map(|item| Self::Fixed(item.clone()).depth()))
            }
            Self::Fixed(Value::Map(map)) => {
                let entries = map.entries();
                deepest(
                    &mut entries
                        .values()
                        .map(|item| Self::Fixed(item.clone()).depth()),
                )
            }
            Self::Fixed(_) | Self::Computed(_) => 0,
            Self::List(items) => deepest(&mut items.iter().map(Self::depth)),
            Self::Map(entries) => deepest(&mut entries.iter().map(|(_, item)| item.depth())),
        }
    }

    fn fill<'e, E>(
        &'e self,
        exchange: &'e Exchange<'_>,
        of: &dyn Fn(Result<(Value<'e>, Taint), EvalError>) -> Result<Value<'e>, E>,
    ) -> Result<Value<'e>, E> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Computed(template) => of(template.marked(exchange))?,
            Self::List(items) => {
                let items = items.iter().map(|item| item.fill(exchange, of));
                Value::List(items.collect::<Result<_, E>>()?)
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, item)| Ok((key.as_str(), item.fill(exchange, of)?)));
                Value::map(entries.collect::<Result<Vec<_>, E>>()?)
            }
        })
    }

    fn fixed(&self) -> Option<&Value<'static>> {
        match self {
            Self::Fixed(value) => Some(value),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Fixed(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Fixed(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Fixed(Value::Int(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        let value = i64::try_from(value).map_or(Value::Uint(value), Value::Int);
        Ok(Tree::Fixed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Fixed(Value::Double(value)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(match Template::compile(text).map_err(placed)? {
            Compiled::Fixed(text) => Tree::Fixed(Value::text(text)),
            Compiled::Computed(template) => Tree::Computed(template),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Tree>()? {
            items.push(item);
        }
        let fixed: Option<Vec<_>> = items.iter().map(|item| item.fixed().cloned()).collect();
        Ok(fixed.map_or(Tree::List(items), |fixed| Tree::Fixed(Value::list(fixed))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tree, A::Error> {
        MapVisitor.visit_map(map)
    }
}

struct MapVisitor;

impl<'de> Visitor<'de> for MapVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<String, Tree>()? {
            entries.push(entry);
        }
        let fixed = entries
            .iter()
            .map(|(key, item)| Some((key.clone(), item.fixed()?.clone())));
        let fixed: Option<Vec<_>> = fixed.collect();
        Ok(fixed.map_or(Tree::Map(entries), |fixed| Tree::Fixed(Value::map(fixed))))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::document::read;
    use crate::expr::json::encode;
    use crate::testing::request;

    fn tree(text: &str) -> Tree {
        read("f", text).unwrap()
    }

    #[test]
    fn texts_are_filled_in_at_any_depth_and_a_lone_one_keeps_its_type() {
        let tree = tree(
            "{a: [1, -1, 1.5, true, null, '${1 + 1}'], b: {c: 'is ${req.method}', '${d}': {}}, e: '$${f}', \
             g: \"${['x']}\", h: '5'}",
        );
        let headers = HeaderMap::new();
        let (value, _) = tree.value(&request(&headers)).unwrap();
        assert_eq!(
            encode(&value),
            r#"{"a":[1,-1,1.5,true,null,2],"b":{"${d}":{},"c":"is GET"},"e":"${f}","g":["x"],"h":"5"}"#
        );
    }

    #[test]
    fn what_is_the_same_for_every_exchange_is_made_once() {
        assert!(tree("{a: [1, {b: c}]}").fixed().is_some());
        assert!(tree("{a: [1, {b: '${1}'}]}").fixed().is_none());
    }

    #[test]
    fn a_failure_is_told_or_replaced() {
        let tree = tree("[\"${req.headers['x'][0]}\", '${req.method}']");
        let headers = HeaderMap::new();
        let exchange = request(&headers);
        assert!(tree.value(&exchange).is_err());
        let value = tree.shown(&exchange, |_| Value::text("?"));
        assert_eq!(encode(&value), r#"["?","GET"]"#);
    }

    #[test]
    fn depth_counts_lists_and_maps() {
        for (text, depth) in [
            ("a", 0),
            ("'${1}'", 0),
            ("[]", 1),
            ("{a: [1], b: '${1}'}", 2),
            ("[[{a: ['${1}']}]]", 4),
            ("[[{a: [1]}]]", 4),
        ] {
            assert_eq!(tree(text).depth(), depth, "{text}");
        }
    }

    #[test]
    fn a_mistake_deep_inside_keeps_its_place() {
        let refused = read::<Tree>("f", "a:\n  - b: 'x ${req.methot}'\n").unwrap_err();
        assert_eq!(
            (refused.first().line(), refused.first().column()),
            (Some(2), Some(17))
        );
    }
}
