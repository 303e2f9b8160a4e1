//! Tests with invented documents: nothing makes the reader panic or go on for ever, and JSON means what it says.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::Endpoint;
use crate::document::{Document, read};

/// A document that is right, to be spoilt.
const RIGHT: &str = "\
x-anchor: &codes {status_code: 404, body: \"no\\tway\"}
on_http_request:
  - name: 'block it''s'
    actions:
      - type: add-headers
        config:
          headers: {x-a: [], x-b: 1.50, x-c: |
              text
            }
      - {config: *codes, type: deny}
on_http_response:
- actions: [{type: add-headers, config: {headers: {a: >-
    b
    c
  }}}]
";

/// Pieces that mean something in YAML.
const PIECES: &[&str] = &[
    "- ",
    ": ",
    "? ",
    "&a ",
    "*a ",
    "!x ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    "\"",
    "|",
    ">",
    "#",
    "%",
    "---",
    "...",
    "\n",
    "\r",
    "\t",
    "  ",
    "<<",
    "~",
    "\u{feff}",
    "\u{85}",
    "\\",
    "on_http_request",
    "actions",
    "type",
    "deny",
    "name",
    "0x",
    "é",
];

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 60, 6, |inner| {
        let entries = proptest::collection::vec((text(), inner.clone()), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Value::from),
            entries.prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC*",
        proptest::sample::select(PIECES).prop_map(str::to_owned),
        any::<String>()
    ]
}

/// Reads it as several types; every mistake can be printed.
fn reads(text: &str) {
    let printed = [
        read::<Document>("f", text).map(drop),
        read::<Vec<Endpoint>>("f", text).map(drop),
        read::<Value>("f", text).map(drop),
    ]
    .map(|read| read.map_err(|mistakes| (mistakes.len(), mistakes.to_string())));
    assert!(
        printed
            .iter()
            .flat_map(|read| read.as_ref().err())
            .all(|(count, text)| *count > 0 && !text.is_empty())
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        reads(&text);
    }

    #[test]
    fn no_heap_of_yaml_makes_the_reader_panic(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60)) {
        reads(&pieces.concat());
    }

    #[test]
    fn no_spoilt_document_makes_the_reader_panic(
        at in 0..RIGHT.len(), cut in 0..12_usize, piece in proptest::sample::select(PIECES)
    ) {
        let start = RIGHT.get(..at).unwrap_or_default();
        let end = RIGHT.get(at + cut..).unwrap_or_default();
        reads(&format!("{start}{piece}{end}"));
    }

    #[test]
    fn json_is_read_as_what_it_says(value in value()) {
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(&read::<Value>("f", &json).unwrap(), &value);
        }
    }

    // An agent writes a policy out again before it sends it.
    #[test]
    fn what_the_yaml_writer_writes_is_read_as_the_same(value in value()) {
        let yaml = serde_yaml::to_string(&value).unwrap();
        // The writer folds at what ended a line in YAML 1.1; the agent compares, and refuses to send that.
        prop_assume!(!yaml.contains(['\u{85}', '\u{2028}', '\u{2029}']));
        prop_assert_eq!(read::<Value>("f", &yaml).unwrap(), value, "{}", yaml);
    }
}

#[test]
fn the_document_that_is_spoilt_is_right_but_for_one_list() {
    let mistakes = read::<Document>("f", RIGHT).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes}");
}
