//! Tests of reading: places, several mistakes, what is refused whatever it is read as.

mod invented;
mod places;
mod several;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Endpoint {
    #[serde(default)]
    name: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    weight: u32,
    #[serde(default)]
    ports: Vec<u16>,
}

fn printed(text: &str) -> String {
    read::<Vec<Endpoint>>("adit.yaml", text)
        .unwrap_err()
        .to_string()
}

fn refused(text: &str) -> String {
    read::<Value>("f", text).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_one_and_without_its_value() {
    assert_eq!(
        printed("- url: a\n- url: b\n  wieght: hunter2\n"),
        "adit.yaml:3:3: [1]: unknown field `wieght`, expected one of `name`, `url`, `weight`, `ports`\n    3 |   wieght: …\n      |   ^\ndid you mean `weight`?"
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
        "adit.yaml:2:4: illegal placement of ':' indicator\n    2 | - b: }\n      |    ^"
    );
    assert_eq!(
        printed("- url: [a\n"),
        "adit.yaml:1:8: unclosed bracket '['\n    1 | - url: [a\n      |        ^"
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
    let list = |levels| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read::<Value>("f", &list(64)).is_ok());
    assert!(refused(&list(65)).starts_with("f:1:65: lists and maps are nested more than 64 deep"));
    let mixed = "- ".repeat(40) + &list(25);
    assert!(refused(&mixed).contains("nested more than 64 deep"));
    assert!(refused(&"[".repeat(500_000)).contains("nested more than 64 deep"));
    assert!(refused(&"- ".repeat(100_000)).contains("nested more than 64 deep"));
    let mut chain = String::from("a0: &a0 [x]\n");
    for level in 1..70 {
        chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(refused(&chain).contains("nested more than 64 deep"));
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
    assert!(refused("a: &a [*a]\n").starts_with("f:1:8: an alias stands inside of what"));
    assert!(refused("a: *a\n").starts_with("f:1:4: "));
}

#[test]
fn an_alias_that_stays_small_is_welcome() {
    let map: BTreeMap<String, Vec<u8>> = read("f", "a: &a [1, 2]\nb: *a\n").unwrap();
    assert_eq!(map["b"], [1, 2]);
}

#[test]
fn tags_and_complex_keys_are_refused() {
    assert!(refused("a: !x y\n").starts_with("f:1:4: a: a tag (`!…`) has no meaning here"));
    assert!(refused("!!map {a: b}\n").starts_with("f:1:1: a tag (`!…`) has no meaning here"));
    assert!(refused("!x a: b\n").starts_with("f:1:1: a tag (`!…`) has no meaning here"));
    assert!(refused("? [a]\n: b\n").starts_with("f:1:3: a list or a map cannot be a key"));
}

#[test]
fn two_documents_in_one_text_are_refused() {
    assert!(refused("a: 1\n---\nb: 1\n").starts_with("f:2:1: more than one document"));
}
