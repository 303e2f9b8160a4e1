//! No expression exhausts the stack, the memory or the patience of a core.

use crate::testing::{eval, fails, gives};

/// As much as the threads have on which a gateway runs and a policy is read.
const STACK: usize = 2 << 20;

/// Runs something on a thread with a stack of that size.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(run).unwrap().join().unwrap();
}

/// A text of at most 16 KiB that repeats its parts.
fn full(begin: &str, repeated: &str, middle: &str, repeated_after: &str, end: &str) -> String {
    let around = begin.len() + middle.len() + end.len();
    let times = ((16 << 10) - around) / (repeated.len() + repeated_after.len());
    [
        begin,
        &repeated.repeat(times),
        middle,
        &repeated_after.repeat(times),
        end,
    ]
    .concat()
}

#[test]
fn no_text_is_too_deep_for_the_stack() {
    on_a_small_stack(|| {
        for (repeated, middle, after) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("[", "", ""),
            ("{1:", "1", "}"),
            ("f(", "1", ")"),
            ("size(", "''", ")"),
            ("!-", "1", ""),
            ("!", "true", ""),
            ("-", "1", ""),
            ("1+", "1", ""),
            ("1-(", "1", ")"),
            ("a.", "a", ""),
            ("a", "", "[0]"),
            ("''", "", ".trim()"),
            ("true?", "1", ":1"),
            ("true?1:", "1", ""),
            ("true?(", "1", "):1"),
            ("[1].map(x,", "1", ")"),
            ("[0]", "", ".map(x,[x,x])"),
            ("has(", "a", ")"),
            ("1==", "1", ""),
            ("1 in[", "1", "]"),
            (".", "a", ""),
            ("'", "", ""),
            ("r'", "", ""),
            ("a?b:", "c", ""),
        ] {
            let text = full("", repeated, middle, after, "");
            // Whether it has a value does not matter.
            drop(eval(&text));
        }
    });
}

#[test]
fn chains_of_and_and_or_are_not_deep() {
    on_a_small_stack(|| {
        for (sign, value) in [("||", "false"), ("&&", "true")] {
            let text = full(value, &format!("{sign}{value}"), "", "", "");
            gives(&[(&text, value)]);
        }
    });
}

#[test]
fn a_tree_as_deep_as_allowed_is_compiled_evaluated_and_dropped() {
    on_a_small_stack(|| {
        let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        gives(&[(&format!("{}.size()", lists(90)), "1")]);
        let sum = |terms: usize| vec!["1"; terms].join("+");
        gives(&[(&sum(190), "190")]);
        fails(&[(
            &sum(300),
            "the expression is nested too deep (ERR_ADIT_2200)",
        )]);
        fails(&[(&lists(101), "the expression is nested too deep")]);
    });
}

#[test]
fn what_takes_too_long_ends_at_the_budget() {
    let ten = "lists.range(10000)";
    let long = "lists.range(10000).map(i, 'xxxxxxxxxx').join()";
    fails(&[
        (
            &format!("{ten}.all(a, {ten}.all(b, a >= 0))"),
            "ERR_ADIT_50002",
        ),
        (&format!("{ten}.map(a, {ten})"), "ERR_ADIT_50002"),
        (
            &format!("{ten}.filter(a, {long}.contains('y'))"),
            "ERR_ADIT_50002",
        ),
        (
            &format!("{ten}.all(a, {long}.matches('(?:[a-x]{{1,100}}){{20}}z'))"),
            "ERR_ADIT_50002",
        ),
        (
            &format!("[{long}].map(x, [x, x, x, x]).map(x, [x, x, x, x]).map(x, [x, x])"),
            "ERR_ADIT_50002",
        ),
        (
            &format!("[0]{} == [0]", ".map(x,[x,x])".repeat(90)),
            "ERR_ADIT_50002",
        ),
        (
            &format!("[0]{} == [0]", ".map(x,[x])".repeat(150)),
            "ERR_ADIT_50002",
        ),
        (
            &full(
                "[",
                "lists.range(10000),",
                "",
                "",
                "].flatten().sort().size()",
            ),
            "ERR_ADIT_50002",
        ),
        (
            &format!("{ten}.all(a, getQueryParam('a') == [] && {long}.lower() != '')"),
            "ERR_ADIT_50002",
        ),
    ]);
}
