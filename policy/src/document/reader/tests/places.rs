//! Tests of places inside a value, and of warnings.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::action::Phase;
use crate::document::{read, read_warned, scope};

/// A text in which `!` is a mistake at its own place and `?` gives a warning.
#[derive(Debug, PartialEq)]
struct Careful(String);

impl<'de> Deserialize<'de> for Careful {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CarefulVisitor)
    }
}

struct CarefulVisitor;

impl Visitor<'_> for CarefulVisitor {
    type Value = Careful;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a careful text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Careful, E> {
        if let Some(offset) = text.chars().position(|c| c == '!') {
            scope::at(offset);
            return Err(E::custom("`!` is loud"));
        }
        if text.contains('?') {
            scope::warn("it asks");
        }
        Ok(Careful(text.to_owned()))
    }
}

/// Lines and columns of the mistakes.
fn places(text: &str) -> Vec<(usize, usize)> {
    let mistakes = read::<Vec<Careful>>("f", text).unwrap_err();
    let places = mistakes
        .iter()
        .map(|mistake| (mistake.line().unwrap(), mistake.column().unwrap()));
    places.collect()
}

#[test]
fn a_mistake_inside_a_text_is_shown_where_it_lies() {
    assert_eq!(
        read::<Vec<Careful>>("f", "- quiet\n- \"möre ö! lärm\"\n")
            .unwrap_err()
            .to_string(),
        "f:2:10: [1]: `!` is loud\n    2 | - \"möre ö! lärm\"\n      |          ^"
    );
}

#[test]
fn each_way_to_write_a_text_keeps_its_places() {
    assert_eq!(places("- a b!c\n"), [(1, 6)]);
    assert_eq!(places("- 'a!'\n- ' \"!'\n"), [(1, 5), (2, 6)]);
    assert_eq!(places("- \"a'!\"\n"), [(1, 6)]);
    assert_eq!(places("[a, b!]\n"), [(1, 6)]);
    let block = "- |\n   ab!\n- |-\n  x\n\n    y ö!\n- |2\n    ab\n   !\n";
    assert_eq!(places(block), [(2, 6), (6, 8), (9, 4)]);
    assert_eq!(places("- |\r\n  ab\r\n  c!\r\n"), [(3, 4)]);
    assert_eq!(places("- |\n\n\n  ab!\n"), [(4, 5)]);
    assert_eq!(places("- a\n  b! c\n"), [(1, 3)]);
}

#[test]
fn a_place_that_the_writing_hides_falls_back_to_the_beginning() {
    for text in [
        "- 'it''s !'\n",
        "- \"a\\tb!\"\n",
        "- >\n  !\n",
        "- \"a\n  b !\"\n",
    ] {
        let line = if text.contains('>') { 2 } else { 1 };
        assert_eq!(places(text), [(line, 3)], "{text}");
    }
    // Before the escape the two still run side by side.
    assert_eq!(places("- 'a! it''s'\n"), [(1, 5)]);
}

#[test]
fn a_place_does_not_stay_for_the_next_mistake() {
    #[derive(Debug, Deserialize)]
    struct Quiet(#[allow(dead_code)] u8);
    assert!(read::<Vec<Careful>>("f", "- abc!\n").is_err());
    let mistakes = read::<Vec<Quiet>>("f", "- abcdef\n").unwrap_err();
    assert_eq!(mistakes.first().column(), Some(3));
}

#[test]
fn a_warning_has_its_place_and_is_no_mistake() {
    let (value, warnings) = read_warned::<Vec<Careful>>("f", "- well\n- why?\n").unwrap();
    assert_eq!(value.len(), 2);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].is_warning());
    assert_eq!(
        warnings[0].to_string(),
        "f:2:3: warning: [1]: it asks\n    2 | - why?\n      |   ^"
    );
    assert_eq!(read_warned::<Vec<Careful>>("f", "- well\n").unwrap().1, []);
}

#[test]
fn warnings_come_in_order_and_once_for_what_is_shared() {
    /// Warns of the map before and after it reads what stands in it.
    #[derive(Debug)]
    struct Talkative;
    impl<'de> Deserialize<'de> for Talkative {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            scope::warn("a map");
            BTreeMap::<String, Careful>::deserialize(deserializer).map(|_| Self)
        }
    }
    let (_, warnings) =
        read_warned::<Vec<Talkative>>("f", "- &a\n  x: y\n  k: why?\n- *a\n").unwrap();
    let told: Vec<_> = warnings
        .iter()
        .map(|warning| (warning.line().unwrap(), warning.message()))
        .collect();
    assert_eq!(told, [(2, "[0]: a map"), (3, "[0].k: it asks")]);
}

#[test]
fn a_document_with_mistakes_tells_them_and_no_warnings() {
    let mistakes = read_warned::<Vec<Careful>>("f", "- why?\n- no!\n- oh!\n").unwrap_err();
    assert_eq!(mistakes.len(), 2);
    assert!(mistakes.iter().all(|mistake| !mistake.is_warning()));
    // Nothing of them is left for the next document.
    assert_eq!(read_warned::<Vec<Careful>>("f", "- well\n").unwrap().1, []);
}

#[test]
fn a_document_that_is_read_within_a_phase_is_not_in_it() {
    #[derive(Debug)]
    struct Where(Option<Phase>);
    impl<'de> Deserialize<'de> for Where {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(|_| Self(scope::phase()))
        }
    }
    let outside: Where = scope::with_phase(Phase::OnHttpRequest, || read("f", "x").unwrap());
    assert_eq!(outside.0, None);
    assert_eq!(scope::phase(), None);
}

#[test]
fn a_secret_is_not_shown_wherever_the_mistake_lies() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Keeper {
        password: Careful,
        weight: u8,
    }
    let told = read::<Vec<Keeper>>(
        "f",
        "- password: |\n    hunter2\n    hunter3!\n  weight: heavy\n- {password: 'hunter4!', weight: \"hunter5\"}\n",
    )
    .unwrap_err()
    .to_string();
    assert!(
        told.contains("heavy") && !told.contains("hunter4"),
        "{told}"
    );
    assert!(
        !told.contains("hunter2") && !told.contains("hunter3"),
        "{told}"
    );
}

#[test]
fn the_value_of_a_key_that_nobody_knows_is_shown_by_no_mistake_of_its_line() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Weight {
        weight: u8,
    }
    assert_eq!(
        read::<Vec<Weight>>("f", "[{weight: -1, key: hunter2}, {weight: -2}]\n")
            .unwrap_err()
            .to_string(),
        "f:1:11: [0].weight: invalid value: integer `-1`, expected u8
    1 | [{weight: -1, key: …
      |           ^

f:1:15: [0]: unknown field `key`, expected `weight`
    1 | [{weight: -1, key: …
      |               ^

f:1:39: [1].weight: invalid value: integer `-2`, expected u8
    1 | [{weight: -1, key: …
      |                                       ^

3 mistakes"
    );
}
