//! Tests of several mistakes in one document: all of them, in order, and no echoes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::{Endpoint, printed};
use crate::document::{Both, Document, Mistakes, read};

/// Messages with line and column.
fn told(mistakes: &Mistakes) -> Vec<String> {
    let told = mistakes.iter().map(|mistake| {
        let (line, column) = (mistake.line().unwrap(), mistake.column().unwrap());
        format!("{line}:{column} {}", mistake.message())
    });
    told.collect()
}

fn all<T: serde::de::DeserializeOwned + std::fmt::Debug>(text: &str) -> Vec<String> {
    told(&read::<T>("f", text).unwrap_err())
}

#[test]
fn every_mistake_is_told_in_the_order_of_the_text() {
    assert_eq!(
        printed(
            "- name: one\n  weight: -1\n  wieght: 2\n- url: ok\n- name: three\n  ports: [80, http, 443, 70000]\n"
        ),
        "adit.yaml:2:11: [0] \"one\".weight: invalid value: integer `-1`, expected u32
    2 |   weight: -1
      |           ^

adit.yaml:3:3: [0] \"one\": unknown field `wieght`, expected one of `name`, `url`, `weight`, `ports`
    3 |   wieght: …
      |   ^
did you mean `weight`?

adit.yaml:6:15: [2] \"three\".ports[1]: invalid type: string \"http\", expected u16
    6 |   ports: [80, http, 443, 70000]
      |               ^

adit.yaml:6:26: [2] \"three\".ports[3]: invalid value: integer `70000`, expected u16
    6 |   ports: [80, http, 443, 70000]
      |                          ^

4 mistakes"
    );
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Pair {
    cert: String,
    weight: u32,
}

#[test]
fn a_field_is_not_missing_if_its_value_is_wrong() {
    assert_eq!(
        all::<Vec<Pair>>("- {cert: a, weight: heavy}\n- {cert: [], weight: 1}\n"),
        [
            "1:21 [0].weight: invalid type: string \"heavy\", expected u32",
            "2:10 [1].cert: invalid type: list, expected a string",
        ]
    );
}

#[test]
fn a_field_is_not_missing_if_it_is_there_with_a_slip_in_it() {
    assert_eq!(
        all::<Pair>("cert: a\nwieght: 1\n"),
        ["2:1 unknown field `wieght`, expected `cert` or `weight`"]
    );
}

#[test]
fn a_field_is_missing_beside_a_key_that_nobody_knows() {
    assert_eq!(
        all::<Pair>("colour: red\ncert: a\n"),
        [
            "1:1 unknown field `colour`, expected `cert` or `weight`",
            "1:1 missing field `weight`",
        ]
    );
}

/// A list that holds something.
#[derive(Debug)]
#[allow(dead_code)]
struct Some(Vec<u8>);

impl<'de> Deserialize<'de> for Some {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        match list.is_empty() {
            true => Err(D::Error::custom("at least one number is needed")),
            false => Ok(Self(list)),
        }
    }
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Lists {
    first: Some,
    second: Some,
    third: Some,
}

#[test]
fn what_is_left_out_is_not_missed() {
    // The items of `second` are right; they are not read again while the mistake of `third` is looked for.
    assert_eq!(
        all::<Lists>("first: [x]\nsecond: [1]\nthird: [2, -1]\n"),
        [
            "1:9 first[0]: invalid type: string \"x\", expected u8",
            "3:12 third[1]: invalid value: integer `-1`, expected u8",
        ]
    );
    assert_eq!(
        all::<Lists>("first: [x]\nsecond: []\nthird: [1]\n"),
        [
            "1:9 first[0]: invalid type: string \"x\", expected u8",
            "2:9 second: at least one number is needed",
        ]
    );
}

#[test]
fn a_policy_tells_the_mistakes_of_each_of_its_parts() {
    let text = "\
on_http_requests: []
on_http_request:
  - name: block bots
    actions:
      - type: dney
      - config: {status_code: 99, bdoy: x}
        type: deny
  - actions:
      - type: add-headers
        config: {headers: {connection: close}}
on_http_response:
  - name: late
    action: []
    actions:
      - type: deny
";
    // What would be right instead grows with the language.
    let told = all::<Document>(text);
    let told: Vec<_> = told
        .iter()
        .filter_map(|told| told.split(", ").next())
        .collect();
    assert_eq!(
        told,
        [
            "1:1 unknown phase `on_http_requests`",
            "5:15 on_http_request[0] \"block bots\".actions[0].type: unknown action `dney`",
            "6:31 on_http_request[0] \"block bots\".actions[1].config.status_code: status 99 is not from 200 to 599 (ERR_ADIT_2215)",
            "6:35 on_http_request[0] \"block bots\".actions[1].config: unknown field `bdoy`",
            "10:28 on_http_request[1].actions[0].config.headers: header `connection` belongs to the connection",
            "13:5 on_http_response[0] \"late\": unknown field `action`",
            "15:15 on_http_response[0] \"late\".actions[0].type: action `deny` does not run in on_http_response",
        ]
    );
}

#[test]
fn what_two_places_share_is_told_once() {
    assert_eq!(
        all::<Vec<Endpoint>>(
            "- &a {url: x, weight: heavy}\n- *a\n- ports: &p [x]\n- ports: *p\n- weight: -1\n"
        ),
        [
            "1:23 [0].weight: invalid type: string \"heavy\", expected u32",
            "3:14 [2].ports[0]: invalid type: string \"x\", expected u16",
            "5:11 [4].weight: invalid value: integer `-1`, expected u32",
        ]
    );
    assert_eq!(
        all::<Vec<Endpoint>>("- weight: &w heavy\n- weight: *w\n").len(),
        1
    );
}

#[test]
fn what_is_right_in_one_place_and_wrong_in_another_is_told() {
    let text = "
on_http_request:
  - actions: &shared [{type: deny}, {type: deny}]
  - actions: [{type: dney}]
on_http_response:
  - actions: *shared
";
    let told = all::<Document>(text);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        told[0].starts_with("3:30 on_http_response[0].actions[0].type"),
        "{told:#?}"
    );
}

#[test]
fn an_item_of_a_list_with_an_order_is_not_left_out_alone() {
    assert_eq!(
        all::<Vec<(u8, bool)>>("- [x, true]\n- [1, 2]\n- [1, true, 3]\n- [1]\n- [1, true]\n"),
        [
            "1:4 [0][0]: invalid type: string \"x\", expected u8",
            "2:7 [1][1]: invalid type: integer `2`, expected a boolean",
            "3:3 [2]: invalid length 3, expected a list of 2",
            "4:3 [3]: invalid length 1, expected a tuple of size 2",
        ]
    );
}

#[test]
fn what_no_type_shall_see_is_told_beside_the_rest() {
    assert_eq!(
        all::<Vec<Endpoint>>(
            "- {url: a, url: b}\n- {url: !x c, weight: heavy}\n- ? [k]\n  : v\n- !y {}\n"
        ),
        [
            "1:12 [0]: the key `url` stands here twice",
            "2:9 [1].url: a tag (`!…`) has no meaning here",
            "2:23 [1].weight: invalid type: string \"heavy\", expected u32",
            "3:5 [2]: a list or a map cannot be a key",
            "5:3 [3]: a tag (`!…`) has no meaning here",
        ]
    );
}

#[test]
fn a_value_that_is_read_as_two_types_tells_what_either_dislikes() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Small {
        weight: u8,
    }
    type Two = Both<Vec<Endpoint>, Vec<Small>>;
    assert_eq!(
        all::<Two>("- weight: 1\n- weight: 256\n- weight: x\n- url: 5\n  weight: 1\n"),
        [
            "2:11 [1].weight: invalid value: integer `256`, expected u8",
            "3:11 [2].weight: invalid type: string \"x\", expected u32",
            "4:3 [3]: unknown field `url`, expected `weight`",
        ]
    );
    let Both(endpoints, small) = read::<Two>("f", "- weight: 7\n").unwrap();
    assert_eq!((endpoints[0].weight, small[0].weight), (7, 7));
}

#[test]
fn a_choice_is_a_text_or_a_map_of_one_entry() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        None,
        Some { weight: u8 },
    }
    assert_eq!(
        read::<Vec<Choice>>("f", "[none, {some: {weight: 1}}]").unwrap(),
        [Choice::None, Choice::Some { weight: 1 }]
    );
    assert_eq!(
        all::<Vec<Choice>>("[nnoe, {some: {weight: x}}, {none: , some: }, [], some]"),
        [
            "1:2 [0]: unknown variant `nnoe`, expected `none` or `some`",
            "1:24 [1].some.weight: invalid type: string \"x\", expected u8",
            "1:29 [2]: invalid type: map, expected one choice",
            "1:47 [3]: invalid type: list, expected one choice",
            "1:51 [4]: invalid type: unit variant, expected a map",
        ]
    );
}

#[test]
fn more_than_a_hundred_mistakes_are_not_told() {
    let mistakes = read::<Vec<u8>>("f", &"- x\n".repeat(101)).unwrap_err();
    assert_eq!((mistakes.len(), mistakes.is_all()), (100, false));
    assert!(
        mistakes
            .to_string()
            .ends_with("\n\n100 mistakes, and there may be more"),
    );
    let tags = read::<Vec<u8>>("f", &"- !x 1\n".repeat(101)).unwrap_err();
    assert_eq!((tags.len(), tags.is_all()), (100, false));
    let mistakes = read::<Vec<u8>>("f", &"- x\n".repeat(100)).unwrap_err();
    assert_eq!((mistakes.len(), mistakes.is_all()), (100, true));
}

#[test]
fn a_large_document_is_searched_as_far_as_the_work_goes() {
    // A list goes on where the last pass ended, so that all of it is searched.
    let line = |index: usize| match index % 200 {
        0 => "- {name: abcd, weight: heavy, url: x}\n".to_owned(),
        _ => format!("- {{name: abcd, url: xxxxxx, weight: {index}}}\n"),
    };
    let list: String = (0..20_000).map(line).collect();
    let mistakes = read::<Vec<Endpoint>>("f", &list).unwrap_err();
    assert_eq!((mistakes.len(), mistakes.is_all()), (100, true));
    // The entries of a map are read in each pass, which costs so much that the search ends early and says so.
    let line = |index: usize| match index % 500 {
        499 => format!("k{index}: heavy\n"),
        _ => format!("k{index}: 1\n"),
    };
    let map: String = (0..50_000).map(line).collect();
    let mistakes = read::<BTreeMap<String, u32>>("f", &map).unwrap_err();
    assert!((2..100).contains(&mistakes.len()) && !mistakes.is_all());
}

#[test]
fn no_heap_of_one_sign_takes_the_reader_long() {
    for piece in [
        "a,", "a: b, ", "{", "[", "\"", "'", "? ", ": ", "- ", "&a ", "- &a x\n", "- *a\n", "!x ",
        "- |\n", "#\n", "\t", "\n", "\r", "x ", "\\n", " x\n", "---\n", "%a\n", "- -\n", "<<: ",
        "\u{feff}",
    ] {
        for (open, close) in [("", ""), ("[", "]"), ("- |\n", ""), ("\"", "\"")] {
            let text = format!("{open}{}{close}", piece.repeat(20_000 / piece.len()));
            let read = read::<Vec<Endpoint>>("f", &text).map_err(|mistakes| mistakes.len());
            assert!(
                read.is_ok() || read.is_err_and(|mistakes| mistakes > 0),
                "{piece:?}"
            );
        }
    }
}
