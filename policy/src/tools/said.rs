//! Values of a case as people write them: a text, or a number or a truth value without quotes.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use http::{HeaderName, HeaderValue};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Anything that reads itself from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<T>(pub T);

/// Texts; one alone stands for a list of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

/// Header lines by name, in order; null stands for none of this name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(pub Vec<(HeaderName, Option<Vec<String>>)>);

// === impl Said ===

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text, so that `1.50` keeps its zero.
        deserializer.deserialize_str(SaidVisitor(PhantomData))
    }
}

struct SaidVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for SaidVisitor<T> {
    type Value = Said<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Said<T>, E> {
        text.parse().map(Said).map_err(E::custom)
    }
}

// === impl Texts ===

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Texts, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Texts, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Texts, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Texts, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(Said(text)) = list.next_element()? {
            texts.push(text);
        }
        Ok(Texts(texts))
    }
}

// === impl Lines ===

impl Lines {
    /// One more line, as in `x-a: b`.
    ///
    /// # Errors
    /// When it is no header line.
    pub fn add(&mut self, line: &str) -> Result<(), &'static str> {
        const FORM: &str = "a header is written as in `name: value`";
        let (name, value) = line.split_once(':').ok_or(FORM)?;
        let name = name.trim().parse().map_err(|_| FORM)?;
        let value = value.trim();
        HeaderValue::from_str(value).map_err(|_| FORM)?;
        self.0.push((name, Some(vec![value.to_owned()])));
        Ok(())
    }

    /// The lines that are there.
    pub fn pairs(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().flat_map(|(name, values)| {
            let values = values.iter().flatten();
            values.map(move |value| (name, value.as_str()))
        })
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of header names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(Said(name)) = map.next_key::<Said<HeaderName>>()? {
            let values: Option<Values> = map.next_value()?;
            lines.push((name, values.map(|Values(values)| values)));
        }
        Ok(Lines(lines))
    }
}

/// Texts that can stand in a header.
struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Texts(values) = Texts::deserialize(deserializer)?;
        for value in &values {
            HeaderValue::from_str(value).map_err(|_| {
                D::Error::custom("a header value has no line breaks and no control characters")
            })?;
        }
        Ok(Self(values))
    }
}
