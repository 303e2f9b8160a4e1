//! Two JSON values side by side, and paths to what does not matter in them.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Number, Value as Json};

/// Longest path that is told, in characters.
const TOLD: usize = 200;
/// Most steps of one ignored path. JSON that is deeper than 128 is not read at all.
const STEPS_MAX: usize = 64;

/// A path to parts of a JSON value: `$.time`, `$.items[*].id`, `$['a key']`, `$..etag` for a key at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Key(String),
    Index(usize),
    /// `*`: any key or index.
    Any,
    /// `..`: any number of steps, or none.
    Deep,
}

/// One step from a value into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'j> {
    Key(&'j str),
    Index(usize),
}

/// The path of the first difference between two values that is not ignored. Keys have no order, and numbers are equal if
/// their values are: `1` and `1.0`.
pub fn difference(ours: &Json, theirs: &Json, ignore: &[JsonPath]) -> Option<String> {
    let mut walk = Walk {
        path: Vec::new(),
        ignore,
    };
    walk.differs(ours, theirs).then(|| written(&walk.path))
}

/// Both values, as far as they have been looked at.
struct Walk<'j> {
    /// The way to where the walk is, or to the difference that ended it.
    path: Vec<Step<'j>>,
    ignore: &'j [JsonPath],
}

// === impl Walk ===

impl<'j> Walk<'j> {
    /// Whether there is a difference here or below; if so, `path` stays at it.
    fn differs(&mut self, ours: &'j Json, theirs: &'j Json) -> bool {
        match (ours, theirs) {
            (Json::Array(ours), Json::Array(theirs)) => {
                let longest = ours.len().max(theirs.len());
                (0..longest)
                    .any(|at| self.differs_at(Step::Index(at), ours.get(at), theirs.get(at)))
            }
            (Json::Object(ours), Json::Object(theirs)) => {
                let common = ours.iter();
                let mut common = common.map(|(key, value)| (key, Some(value), theirs.get(key)));
                common.any(|(key, ours, theirs)| self.differs_at(Step::Key(key), ours, theirs))
                    || theirs.iter().any(|(key, value)| {
                        !ours.contains_key(key)
                            && self.differs_at(Step::Key(key), None, Some(value))
                    })
            }
            (Json::Number(ours), Json::Number(theirs)) => {
                !is_equal(ours, theirs) && !self.is_ignored()
            }
            _ => ours != theirs && !self.is_ignored(),
        }
    }

    fn differs_at(
        &mut self,
        step: Step<'j>,
        ours: Option<&'j Json>,
        theirs: Option<&'j Json>,
    ) -> bool {
        self.path.push(step);
        let differs = match (ours, theirs) {
            (Some(ours), Some(theirs)) => self.differs(ours, theirs),
            _ => !self.is_ignored(),
        };
        if !differs {
            self.path.pop();
        }
        differs
    }

    /// Asked only where there is a difference. What lies below an ignored value is ignored.
    fn is_ignored(&self) -> bool {
        let covers = |ignored: &JsonPath| {
            (0..=self.path.len()).any(|end| {
                let path = self.path.get(..end).unwrap_or_default();
                leads_to(&ignored.0, path)
            })
        };
        self.ignore.iter().any(covers)
    }
}

/// Whether a pattern is all of a path. Each `..` is tried from left to right and given up for the next one, so that the
/// work is bounded by the lengths of both (the way in which `*` is matched in file names).
fn leads_to(pattern: &[Pattern], path: &[Step<'_>]) -> bool {
    let (mut at, mut step) = (0, 0);
    let mut deep: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), path.get(step)) {
            (None, None) => return true,
            (Some(Pattern::Deep), _) => {
                deep = Some((at + 1, step));
                at += 1;
                continue;
            }
            (Some(wanted), Some(here)) if wanted.is(here) => {
                at += 1;
                step += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = deep.filter(|(_, from)| *from < path.len()) else {
            return false;
        };
        deep = Some((after, from + 1));
        (at, step) = (after, from + 1);
    }
}

impl Pattern {
    fn is(&self, step: &Step<'_>) -> bool {
        match (self, step) {
            (Self::Key(key), Step::Key(name)) => key == name,
            (Self::Index(wanted), Step::Index(index)) => wanted == index,
            (Self::Any, _) => true,
            _ => false,
        }
    }
}

/// Whole numbers are compared as such: a large one does not fit a float.
fn is_equal(ours: &Number, theirs: &Number) -> bool {
    match ours.is_f64() || theirs.is_f64() {
        true => ours.as_f64() == theirs.as_f64(),
        false => ours == theirs,
    }
}

/// The path as people write it. Keys come from services: what is no letter or digit is escaped.
fn written(path: &[Step<'_>]) -> String {
    let mut text = String::from("$");
    for step in path {
        // A string takes everything.
        match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Key(key) if is_plain(key) => write!(text, ".{key}"),
            Step::Key(key) => write!(text, "['{}']", key.escape_default()),
        }
        .unwrap_or_default();
    }
    match text.char_indices().nth(TOLD) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

// === impl JsonPath ===

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// When the text is none; the message says why.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write it as in $.time, $.items[*].id, $['a key'] or $..etag";
        let wrong = || format!("`{text}` is no path into JSON; {FORMS} (ERR_ADIT_2204)");
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut patterns = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("..") {
                patterns.push(Pattern::Deep);
                rest = match after.starts_with('[') {
                    true => after,
                    false => named(after, &mut patterns).ok_or_else(wrong)?,
                };
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = named(after, &mut patterns).ok_or_else(wrong)?;
            } else {
                rest = bracketed(rest, &mut patterns).ok_or_else(wrong)?;
            }
            if patterns.len() > STEPS_MAX {
                return Err(format!(
                    "`{text}` has more than {STEPS_MAX} steps (ERR_ADIT_2221)"
                ));
            }
        }
        match patterns.is_empty() {
            true => Err(format!(
                "`{text}` is all of the body; write `body: false` instead (ERR_ADIT_2204)"
            )),
            false => Ok(Self(patterns)),
        }
    }
}

/// `name` or `*`; what is behind it.
fn named<'t>(text: &'t str, patterns: &mut Vec<Pattern>) -> Option<&'t str> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    patterns.push(match name {
        "" => return None,
        "*" => Pattern::Any,
        name if name.contains([']', '\'', '"']) => return None,
        name => Pattern::Key(name.to_owned()),
    });
    Some(rest)
}

/// `[0]`, `[*]` or `['name']`; what is behind it.
fn bracketed<'t>(text: &'t str, patterns: &mut Vec<Pattern>) -> Option<&'t str> {
    let inside = text.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(name) = inside.strip_prefix(quote) {
            let (name, rest) = name.split_once(quote)?;
            patterns.push(Pattern::Key(name.to_owned()));
            return rest.strip_prefix(']');
        }
    }
    let (index, rest) = inside.split_once(']')?;
    patterns.push(match index {
        "*" => Pattern::Any,
        index => Pattern::Index(index.parse().ok()?),
    });
    Some(rest)
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        let mut after_deep = false;
        for pattern in &self.0 {
            let dot = if after_deep { "" } else { "." };
            after_deep = *pattern == Pattern::Deep;
            match pattern {
                Pattern::Deep => f.write_str("..")?,
                Pattern::Any => f.write_str("[*]")?,
                Pattern::Index(index) => write!(f, "[{index}]")?,
                Pattern::Key(key) if is_plain(key) => write!(f, "{dot}{key}")?,
                Pattern::Key(key) => write!(f, "['{key}']")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn differ(ours: &str, theirs: &str, ignore: &[&str]) -> Option<String> {
        let json = |text| serde_json::from_str::<Json>(text).unwrap();
        let ignore = ignore.iter().map(|path| JsonPath::parse(path).unwrap());
        let ignore: Vec<_> = ignore.collect();
        difference(&json(ours), &json(theirs), &ignore)
    }

    #[test]
    fn what_means_the_same_is_equal() {
        for (ours, theirs) in [
            (
                r#"{"a": 1, "b": [true, null]}"#,
                r#"{"b":[true,null],"a":1}"#,
            ),
            (
                "[1, 1.5, 18446744073709551615]",
                "[1.0, 1.50, 18446744073709551615]",
            ),
            (r#""\u00e9""#, r#""é""#),
        ] {
            assert_eq!(differ(ours, theirs, &[]), None, "{ours} {theirs}");
        }
    }

    #[test]
    fn the_first_difference_is_told_by_its_path() {
        for (ours, theirs, path) in [
            ("1", "2", "$"),
            ("1", "\"1\"", "$"),
            ("9007199254740993", "9007199254740992", "$"),
            (
                r#"{"a": {"b": [1, 2]}}"#,
                r#"{"a": {"b": [1, 3]}}"#,
                "$.a.b[1]",
            ),
            (r#"{"a": 1}"#, r#"{"a": 1, "c": null}"#, "$.c"),
            (r#"{"a": 1, "c": null}"#, r#"{"a": 1}"#, "$.c"),
            ("[1]", "[1, 2]", "$[1]"),
            (r#"{"a\nb'": 1}"#, r#"{"a\nb'": 2}"#, r"$['a\nb\'']"),
            ("{}", "[]", "$"),
        ] {
            assert_eq!(
                differ(ours, theirs, &[]).as_deref(),
                Some(path),
                "{ours} {theirs}"
            );
        }
        let long = format!(r#"{{"{}": 1}}"#, "k".repeat(1000));
        let told = differ(&long, "{}", &[]).unwrap();
        assert_eq!(told.chars().count(), TOLD + 1, "{told}");
    }

    #[test]
    fn what_is_ignored_does_not_differ_nor_does_anything_below_it() {
        let ours = r#"{"time": 1, "items": [{"id": 1, "n": 1}, {"id": 2, "n": 1}], "meta": {"etag": "x"}, "a b": 1}"#;
        let theirs = r#"{"time": {"s": 2}, "items": [{"id": 9, "n": 1}, {"n": 1}], "meta": {"etag": "y"}, "a b": 2}"#;
        let all = ["$.time", "$.items[*].id", "$..etag", "$['a b']"];
        assert_eq!(differ(ours, theirs, &all), None);
        for (left_out, path) in [
            (0, "$.time"),
            (1, "$.items[0].id"),
            (2, "$.meta.etag"),
            (3, "$['a b']"),
        ] {
            let mut ignore = all.to_vec();
            ignore.remove(left_out);
            assert_eq!(differ(ours, theirs, &ignore).as_deref(), Some(path));
        }
        for others in [
            &["$.items", "$.*"][..],
            &["$..id", "$.time", "$.meta.*", "$.*"],
            &["$..*"],
        ] {
            assert_eq!(differ(ours, theirs, others), None, "{others:?}");
        }
        assert_eq!(differ("[1]", "[1, 2]", &["$[1]"]), None);
        assert_eq!(
            differ("[1]", "[1, 2, 3]", &["$[1]"]).as_deref(),
            Some("$[2]")
        );
    }

    #[test]
    fn a_path_is_read_and_told_in_one_form() {
        for (text, told) in [
            ("$.a.b", "$.a.b"),
            ("$['a'][\"b c\"][0]", "$.a['b c'][0]"),
            ("$.items[*].*", "$.items[*][*]"),
            ("$..id", "$..id"),
            ("$.a..[3]", "$.a..[3]"),
        ] {
            assert_eq!(JsonPath::parse(text).unwrap().to_string(), told);
        }
        for text in [
            "", "$", "a", ".a", "$a", "$.", "$..", "$.a.", "$[", "$[]", "$[-1]", "$['a]", "$['a'",
            "$[a]",
        ] {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
        assert!(JsonPath::parse(&format!("${}", ".a".repeat(65))).is_err());
    }

    fn some_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            (0..3_i64).prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inside| {
            prop_oneof![
                prop::collection::vec(inside.clone(), 0..3).prop_map(Json::from),
                prop::collection::btree_map("[ab]", inside, 0..3)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Two values differ if and only if they are not equal, whichever comes first; and not where all is ignored.
        #[test]
        fn a_difference_is_found_if_and_only_if_there_is_one(ours in some_json(), theirs in some_json()) {
            prop_assert_eq!(difference(&ours, &theirs, &[]).is_some(), ours != theirs);
            prop_assert_eq!(
                difference(&ours, &theirs, &[]).is_some(),
                difference(&theirs, &ours, &[]).is_some()
            );
            let anything = [JsonPath::parse("$..*").unwrap()];
            let differs = difference(&ours, &theirs, &anything);
            prop_assert!(differs.is_none_or(|path| path == "$"));
        }

        /// No text makes the reader panic, and what it reads it reads again.
        #[test]
        fn any_text_is_a_path_or_is_refused(text in r"\$?([.\[\]'*]|[a-c]|[0-9]){0,12}") {
            if let Ok(path) = JsonPath::parse(&text) {
                prop_assert_eq!(JsonPath::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
