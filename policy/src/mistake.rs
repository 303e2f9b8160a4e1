//! Reading YAML or JSON into a type, and the message that shows where the text is wrong.

use std::fmt;

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::nearest::nearest;
use crate::redact::{self, SHOWN_MAX};
use crate::survey::Survey;

/// Longest document in bytes; a longer one is refused before it is parsed.
const TEXT_MAX: usize = 1 << 20;
/// Most brackets left open at once, wherever they stand: the parser's time grows with the square of it.
const OPEN_MAX: i64 = 1_000;

/// Reads a YAML or JSON document. `file` is only a name for messages.
///
/// Before the typed reading, duplicate keys, tags, deep nesting and exploding aliases are refused.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Mistake> {
    let mistake = |message: String| Mistake {
        file: file.to_owned(),
        message,
        at: None,
        remedy: None,
    };
    if text.len() > TEXT_MAX {
        return Err(mistake(format!(
            "the document is longer than {TEXT_MAX} bytes"
        )));
    }
    if most_open(text) > OPEN_MAX {
        return Err(mistake(format!(
            "more than {OPEN_MAX} brackets are open at once"
        )));
    }
    Survey::of(text)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .and_then(|()| T::deserialize(serde_yaml::Deserializer::from_str(text)))
        .map_err(|error| Mistake::of(file, text, &error))
}

/// A text that says what it cannot say, with the place. Prints as
///
/// ```text
/// adit.yaml:2:3: unknown field `wieght`, expected `url` or `weight`
///     2 |   wieght: 3
///       |   ^
/// did you mean `weight`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Mistake {
    file: String,
    message: String,
    at: Option<Spot>,
    remedy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Spot {
    line: usize,
    column: usize,
    source: String,
}

// === impl Mistake ===

impl Mistake {
    /// The line, from 1, if the place is known.
    pub fn line(&self) -> Option<usize> {
        self.at.as_ref().map(|spot| spot.line)
    }

    /// The column in characters, from 1, if the place is known.
    pub fn column(&self) -> Option<usize> {
        self.at.as_ref().map(|spot| spot.column)
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn of(file: &str, text: &str, error: &serde_yaml::Error) -> Self {
        let mut message = error.to_string();
        let at = error.location().map(|location| {
            let (line, column) = (location.line(), location.column());
            // The parser appends the place that the first line of our message shows already.
            message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
            let source = text.lines().nth(line - 1).unwrap_or_default();
            Spot {
                line,
                column,
                source: redact::source_line(source, &message),
            }
        });
        // The path of an entry of a list at the root comes as `.[0]`.
        if message.starts_with(".[") {
            message.remove(0);
        }
        let remedy = remedy(&message);
        let message = redact::message(&message);
        Self {
            file: file.to_owned(),
            message,
            at,
            remedy,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            message,
            at,
            remedy,
        } = self;
        match at {
            None => write!(f, "{file}: {message}")?,
            Some(Spot {
                line,
                column,
                source,
            }) => {
                write!(f, "{file}:{line}:{column}: {message}")?;
                if *column <= SHOWN_MAX {
                    let indent: String = source
                        .chars()
                        .take(column - 1)
                        .map(|c| if c == '\t' { c } else { ' ' })
                        .collect();
                    write!(f, "\n{line:>5} | {source}\n      | {indent}^")?;
                }
            }
        }
        remedy
            .as_ref()
            .map_or(Ok(()), |remedy| write!(f, "\n{remedy}"))
    }
}

/// The most brackets that are open at once. Those in texts and comments count too: it is a bound, not a parser.
fn most_open(text: &str) -> i64 {
    let mut open = 0;
    let mut most = 0;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// From "unknown field `x`, expected one of `a`, `b`": the name nearest to `x`, if one is near.
fn remedy(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Endpoint {
        #[serde(default)]
        #[allow(dead_code)]
        url: String,
        #[serde(default)]
        #[allow(dead_code)]
        weight: u32,
    }

    fn printed(text: &str) -> String {
        read::<Vec<Endpoint>>("adit.yaml", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_unknown_key_is_shown_with_the_nearest_one_and_without_its_value() {
        assert_eq!(
            printed("- url: a\n- url: b\n  wieght: hunter2\n"),
            "adit.yaml:3:3: [1]: unknown field `wieght`, expected `url` or `weight`\n    3 |   wieght: …\n      |   ^\ndid you mean `weight`?"
        );
    }

    #[test]
    fn a_wrong_value_is_shown_under_a_caret() {
        assert_eq!(
            printed("- url: a\n  weight: heavy\n"),
            "adit.yaml:2:11: [0].weight: invalid type: string \"heavy\", expected u32\n    2 |   weight: heavy\n      |           ^"
        );
    }

    #[test]
    fn a_text_that_is_no_yaml_says_where() {
        assert_eq!(
            printed("- url: [a\n- b: }\n"),
            "adit.yaml:2:4: did not find expected ',' or ']', while parsing a flow sequence at line 1 column 8\n    2 | - b: }\n      |    ^"
        );
    }

    #[test]
    fn a_document_that_is_too_long_is_not_parsed() {
        assert_eq!(
            printed(&"#".repeat(TEXT_MAX + 1)),
            "adit.yaml: the document is longer than 1048576 bytes"
        );
    }

    #[test]
    fn a_line_with_a_secret_is_shown_without_it() {
        assert!(!printed("- authtoken: [s3cret\n").contains("s3cret"));
    }

    #[test]
    fn json_is_read_by_the_same_parser() {
        let list: Vec<Endpoint> = read("a.json", r#"[{"url": "a", "weight": 2}]"#).unwrap();
        assert_eq!(list[0].weight, 2);
    }

    #[test]
    fn tabs_before_the_place_keep_the_caret_below_it() {
        let text = printed("[{url: a,\tweight: x}]");
        assert!(text.ends_with("\n      |          \t        ^"), "{text}");
    }
}
