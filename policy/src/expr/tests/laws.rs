//! What holds for every text and every value.

use std::cmp::Ordering;

use http::HeaderMap;
use proptest::prelude::*;

use crate::expr::Expression;
use crate::expr::compile::{FOLDING_MAX, compile_within};
use crate::expr::eval::{Frame, eval};
use crate::expr::number::compare;
use crate::expr::template::{Piece, pieces};
use crate::expr::value::Value;
use crate::memory::Spent;
use crate::testing::{eval_in, request};

/// Words of which expressions are made, and some that are none.
const WORDS: &[&str] = &[
    "1",
    "0",
    "-1",
    "2u",
    "1.5",
    "1e400",
    "9223372036854775807",
    "'a'",
    "'é}'",
    "\"b\"",
    "r'\\'",
    "b'\\xff'",
    "'''c'''",
    "true",
    "false",
    "null",
    "x",
    "req",
    "req.url",
    "req.method",
    "req.headers",
    "vars.v",
    "actions.ngrok.log",
    "conn.client_ip",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "!",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    "<=",
    "in",
    ".map(x,",
    ".all(x,",
    ".sortBy(x,",
    "has(",
    "size(",
    ".size()",
    ".split(",
    ".matches('a{2}')",
    "matches(",
    "int(",
    "string(",
    "timestamp(",
    "duration('1h')",
    "lists.range(",
    "hash.md5(",
    ".format(",
    "url.parse(",
    "'",
    "\"",
    "\\",
    "$",
    "//",
    "\n",
    "é",
    "for",
];

/// `${…}` in pieces: what stands in quotes hides its braces.
const CONTENTS: &[&str] = &[
    "a",
    " ",
    "{",
    "}",
    "'}'",
    "\"}\"",
    "'\\'}'",
    "'''}'}'''",
    "r'}\\'",
    "\"\"\"}\"}\"\"\"",
    "// }\n",
    "{'{': 1}",
    "'//'",
    "$",
    "é",
];

fn soup() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(prop::sample::select(WORDS), 0..24);
    words.prop_map(|words| words.concat())
}

/// Expressions of constants that mostly have a value.
fn constant() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "0",
            "1",
            "-7",
            "3u",
            "2.5",
            "'a'",
            "'xyz'",
            "b'a'",
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "duration('1s')",
            "timestamp(0)",
        ][..],
    );
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 40, 3, |inner| {
            let operators = &[
                "+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in",
            ][..];
            let methods = &[
                "size()",
                "upper()",
                "sort()",
                "distinct()",
                "encodeJson()",
                "charAt(0)",
                "split('')",
                "getHours()",
            ][..];
            let calls = &[
                "string",
                "int",
                "double",
                "type",
                "json.encode",
                "dyn",
                "size",
                "hash.crc32",
            ][..];
            prop_oneof![
                (
                    inner.clone(),
                    prop::sample::select(operators),
                    inner.clone()
                )
                    .prop_map(|(a, sign, b)| format!("(dyn({a}) {sign} {b})")),
                (inner.clone(), prop::sample::select(methods))
                    .prop_map(|(a, method)| format!("dyn({a}).{method}")),
                (inner.clone(), prop::sample::select(calls))
                    .prop_map(|(a, call)| format!("{call}(dyn({a}))")),
                (inner.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, b, c)| format!("(dyn({a}) ? {b} : {c})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'k': {a}, 'l': {b}}}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("dyn({a})[{b}]")),
                inner.prop_map(|a| format!("has(dyn({a})['k'])")),
            ]
        })
}

fn number() -> impl Strategy<Value = Value<'static>> {
    let whole = prop_oneof![
        Just(0),
        Just(1),
        Just(-1),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(1 << 53),
        Just((1 << 53) + 1),
        any::<i64>()
    ];
    prop_oneof![
        whole.clone().prop_map(Value::Int),
        whole
            .clone()
            .prop_map(|value| Value::Uint(value.unsigned_abs())),
        #[allow(
            clippy::cast_precision_loss,
            reason = "doubles near whole numbers are the interesting ones"
        )]
        whole.prop_map(|value| Value::Double(value as f64)),
        any::<f64>().prop_map(Value::Double),
        Just(Value::Uint(u64::MAX)),
        Just(Value::Double(18_446_744_073_709_551_616.0)),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        number(),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "[ab]{0,2}".prop_map(Value::text),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let entries = prop::collection::vec(("[ab]", inner.clone()), 0..3);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::list),
            entries.prop_map(Value::map),
        ]
    })
}

/// The text that would be cut into these pieces.
fn printed(pieces: &[Piece<'_>]) -> String {
    let shown = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.replace("${", "$${"),
        Piece::Expression { text, .. } => format!("${{{text}}}"),
    });
    shown.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_that_was_cut_can_be_put_together(parts in prop::collection::vec(prop::sample::select(
        &["a", "$", "${", "$${", "{", "}", "'", "\"", "\\", "x", " ", "//", "\n", "é"][..]), 0..16)) {
        let text = parts.concat();
        if let Ok(cut) = pieces(&text) {
            let again = printed(&cut);
            let shown = |pieces: &[Piece<'_>]| printed(pieces);
            prop_assert_eq!(shown(&pieces(&again).unwrap()), again);
            for piece in &cut {
                if let Piece::Expression { at, text: inside } = piece {
                    let from: String = text.chars().skip(*at).collect();
                    prop_assert!(from.starts_with(inside));
                }
            }
        }
    }

    #[test]
    fn braces_and_quotes_are_cut_at_the_right_brace(parts in prop::collection::vec(prop::sample::select(CONTENTS), 1..8)) {
        let mut open = 0_i32;
        let mut closed_early = false;
        for part in &parts {
            open += match *part { "{" => 1, "}" => -1, _ => 0 };
            closed_early |= open < 0;
        }
        let inside = parts.concat();
        // A quote that touches another one, or a letter, would mean something else.
        let inside_apart = parts.join(" ");
        prop_assume!(!inside.trim().is_empty() && open == 0 && !closed_early);
        let text = format!("<${{{inside_apart}}}>");
        let expected = [
            Piece::Text("<".to_owned()),
            Piece::Expression { at: 3, text: &inside_apart },
            Piece::Text(">".to_owned()),
        ];
        prop_assert_eq!(pieces(&text).unwrap(), expected);
    }

    #[test]
    fn no_text_makes_the_compiler_or_what_it_compiled_panic(text in soup()) {
        let lines = HeaderMap::new();
        // Whether it has a value does not matter.
        drop(eval_in(&text, &request(&lines)));
    }

    #[test]
    fn no_characters_make_the_compiler_panic(text in "\\PC{0,40}") {
        drop(Expression::compile(&text));
        drop(pieces(&text));
    }

    #[test]
    fn a_value_found_at_load_is_the_one_found_later(text in constant()) {
        let lines = HeaderMap::new();
        let folded = eval_in(&text, &request(&lines));
        let nothing_left = Spent::default();
        nothing_left.add(FOLDING_MAX);
        let later = compile_within(&text, None, nothing_left).map(|compiled| {
            let spent = Spent::default();
            let found = eval(&compiled.node, &mut Frame::folding(&spent, u64::MAX)).map(Value::into_owned);
            found.map_err(|error| error.to_string())
        });
        let later = later.unwrap_or_else(|wrong| Err(wrong.message));
        prop_assert_eq!(shown(folded), shown(later));
    }

    #[test]
    fn equality_and_order_agree(a in value(), b in value(), c in value()) {
        prop_assert_eq!(a.equals(&b), b.equals(&a));
        if a.equals(&b) && b.equals(&c) {
            prop_assert!(a.equals(&c));
        }
        if let (Some(x), Some(y)) = (a.clone().into_key(), b.clone().into_key()) {
            prop_assert_eq!(x == y, a.equals(&b));
        }
        let order = compare(&a, &b);
        prop_assert_eq!(order, compare(&b, &a).map(Ordering::reverse));
        if let Some(order) = order {
            prop_assert_eq!(order == Ordering::Equal, a.equals(&b));
        }
        if compare(&a, &b) == Some(Ordering::Less) && compare(&b, &c) == Some(Ordering::Less) {
            prop_assert_eq!(compare(&a, &c), Some(Ordering::Less));
        }
    }

    #[test]
    fn numbers_are_ordered_without_gaps(a in number(), b in number(), c in number()) {
        let at_most = |a: &Value<'_>, b: &Value<'_>| compare(a, b).map(Ordering::is_le);
        if at_most(&a, &b) == Some(true) && at_most(&b, &c) == Some(true) {
            prop_assert_eq!(at_most(&a, &c), Some(true));
        }
    }
}

/// NaN is not equal to itself, and a text of it is.
fn shown(value: Result<Value<'static>, String>) -> String {
    format!("{value:?}")
}
