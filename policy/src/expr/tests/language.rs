//! What the CEL specification says of operators, literals, macros and names.

use crate::testing::{fails, gives};

#[test]
fn whole_numbers_never_wrap() {
    gives(&[
        ("9223372036854775807 - 1", "9223372036854775806"),
        ("-9223372036854775808", "-9223372036854775807 - 1"),
        ("18446744073709551615u - 1u", "18446744073709551614u"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("7u % 4u", "3u"),
        ("1.0 / 0.0 > 1e308", "true"),
    ]);
    fails(&[
        ("9223372036854775807 + 1", "`+` overflows"),
        ("-9223372036854775808 - 1", "`-` overflows"),
        ("9223372036854775807 * 2", "`*` overflows"),
        ("-9223372036854775808 / -1", "`/` overflows"),
        ("-9223372036854775808 % -1", "`%` overflows"),
        ("-(-9223372036854775808)", "`-` overflows"),
        ("0u - 1u", "`-` overflows"),
        ("18446744073709551615u + 1u", "`+` overflows"),
        ("1 / 0", "division by zero"),
        ("1u % 0u", "division by zero"),
        ("1 + 1u", "`+` does not take int and uint"),
        ("1 + 1.0", "`+` does not take int and double"),
        ("dyn(1) + 1.0", "`+` does not take int and double"),
        ("1.0 % 2.0", "`%` does not take double and double"),
        ("-1u", "`-` does not take uint"),
        ("'a' - 'b'", "`-` does not take string and string"),
    ]);
}

#[test]
fn literals_are_read_as_they_are_written() {
    gives(&[
        ("0x1F", "31"),
        ("-0x8000000000000000", "-9223372036854775808"),
        ("0xFFu", "255u"),
        ("1e3", "1000.0"),
        (".5", "0.5"),
        ("1.5E-1", "0.15"),
        (
            r"'\x41\u00e9\U0001F600\101\a\b\f\n\r\t\v\\\?\`\''",
            "'Aé😀A' + '\\x07\\x08\\x0c\\x0a\\x0d\\x09\\x0b\\\\?`\\''",
        ),
        (r"r'\d\'", r"'\\d\\'"),
        (r#"R"a\n""#, r"'a\\n'"),
        ("'''a'b\nc'''", "'a\\'b\\nc'"),
        (r#""""a"b""""#, r#"'a"b'"#),
        ("'''a\r\nb'''", "'a\\nb'"),
        (r"b'\xff\377é'", r"b'\xff\xff\xc3\xa9'"),
        (r"br'\x'", r"b'\\x'"),
        (r"rb'\x'", r"b'\\x'"),
        ("1 // a comment\n + 1", "2"),
        ("[1, 2,]", "[1, 2]"),
        ("{'a': 1,}", "{'a': 1}"),
        ("\t1\n+\r\n2\u{c}", "3"),
    ]);
    fails(&[
        ("9223372036854775808", "out of range"),
        ("18446744073709551616u", "out of range"),
        ("1e999", "out of range"),
        ("0x", "is no number"),
        ("1abc", "`1abc` is no number"),
        ("1.0u", "`1.0u` is no number"),
        (r"'\q'", r"`\q` is no escape"),
        (r"'\x4'", r"`\x` is no escape"),
        (r"'\ud800'", r"`\u` is no escape"),
        (r"'\400'", r"`\4` is no escape"),
        (r"b'\u0041'", r"`\u` is no escape"),
        ("'a", "a text is not closed"),
        ("'''a'", "a text is not closed"),
        ("'a\nb'", "a text goes over a line's end"),
    ]);
}

#[test]
fn numbers_of_different_kinds_are_compared_by_what_they_count() {
    gives(&[
        ("dyn(1) == 1u && 1 == 1.0 && 1u == 1.0", "true"),
        ("1 < 2u && 1u < 1.5 && -1 < 0u && 1.5 > 1", "true"),
        ("9223372036854775807 < 9223372036854775808u", "true"),
        ("9007199254740993 == 9007199254740992.0", "false"),
        ("1 in [1.0, 2.0] && 1u in [1]", "true"),
        ("0.0 / 0.0 == 0.0 / 0.0", "false"),
        ("0.0 / 0.0 < 1.0 || 0.0 / 0.0 >= 1.0", "false"),
        ("-0.0 == 0.0", "true"),
        (
            "'a' < 'b' && 'a' < 'aa' && b'a' < b'b' && false < true",
            "true",
        ),
        ("'z' < 'é'", "true"),
        (
            "timestamp(1) < timestamp(2) && duration('1s') < duration('1m')",
            "true",
        ),
    ]);
    fails(&[
        ("1 < 'a'", "`<` does not take int and string"),
        ("dyn(1) < 'a'", "`<` does not compare int with string"),
        ("null < null", "`<` does not take null and null"),
        ("[1] < [2]", "`<` does not take"),
        ("1 == 'a'", "`==` does not take int and string"),
    ]);
    gives(&[
        ("dyn(1) == 'a'", "false"),
        ("dyn(1) != 'a'", "true"),
        ("null == 1", "false"),
    ]);
}

#[test]
fn lists_and_maps() {
    gives(&[
        ("[1, 2] + [3]", "[1, 2, 3]"),
        ("[1, 'a', null] == [1.0, 'a', null]", "true"),
        ("[1, 2] == [2, 1]", "false"),
        ("[[1], {'a': [2]}] == [[1u], {'a': [2.0]}]", "true"),
        ("{'a': 1, 'b': 2} == {'b': 2.0, 'a': 1u}", "true"),
        ("{1: 'x'}[1u] + {1u: 'x'}[1.0]", "'xx'"),
        ("{true: 1}[true]", "1"),
        ("1.0 in {1: 2}", "true"),
        ("1.5 in {1: 2}", "false"),
        ("[5, 6][1] + [5, 6][1u] + [5, 6][dyn(1.0)]", "18"),
        ("{'a': {'b': [1, 2]}}.a.b[1]", "2"),
        ("'a' in {'a': null}", "true"),
        ("{'a': null}.a", "null"),
        ("1 in []", "false"),
    ]);
    fails(&[
        ("{'a': 1}.b", "no such key: `b`"),
        ("{'a': 1}['b']", "no such key: `b`"),
        ("{1: 2}[1.5]", "double is no key of a map"),
        ("[1][1]", "outside of the list"),
        ("[1][-1]", "outside of the list"),
        ("[1][dyn(0.5)]", "outside of the list"),
        ("[1][dyn('a')]", "a list has nothing at string"),
        ("{'a': 1, 'a': 2}", "the map has the key `a` twice"),
        ("{1: 1, 1u: 2}", "the map has the key `1` twice"),
        ("{null: 1}", "null is no key of a map"),
        ("{[1]: 1}", "is no key of a map"),
        ("1 in 1", "`in` does not take int and int"),
        ("'a' in 'abc'", "`in` does not take string and string"),
        ("dyn('a') in dyn('abc')", "in does not take string"),
        ("'abc'[0]", "string has nothing at int"),
        ("dyn(1).a", "int has no fields"),
    ]);
}

#[test]
fn a_side_that_decides_makes_the_errors_of_others_void() {
    gives(&[
        ("true || 1 / 0 == 1", "true"),
        ("1 / 0 == 1 || true", "true"),
        ("false && 1 / 0 == 1", "false"),
        ("1 / 0 == 1 && false", "false"),
        ("1 / 0 == 1 || false || 1 / 0 == 2 || true", "true"),
        ("dyn('x') || true", "true"),
        ("[1, 0].exists(x, 2 / x == 2)", "true"),
        ("[0, 1].exists(x, 2 / x == 2)", "true"),
        ("[0, 2].all(x, 2 / x == 5)", "false"),
        ("true ? 1 : 1 / 0", "1"),
        ("false ? 1 / 0 : 2", "2"),
        ("false ? 1 : true ? 2 : 3", "2"),
        ("true ? (false ? 1 : 2) : 3", "2"),
    ]);
    fails(&[
        ("1 / 0 == 1 || false", "division by zero"),
        ("true && 1 / 0 == 1", "division by zero"),
        ("[0, 1].exists(x, 2 / x == 5)", "division by zero"),
        ("[0, 2].all(x, 2 / x == 1)", "division by zero"),
        ("[0, 1].exists_one(x, 2 / x == 2)", "division by zero"),
        ("dyn('x') && true", "`&&` takes bool, not string"),
        ("1 || true", "`||` takes bool, not int"),
        ("1 / 0 > 0 ? true : true", "division by zero"),
        ("dyn(1) ? 1 : 2", "`?:` takes bool, not int"),
        ("!1", "`!` takes bool, not int"),
    ]);
}

#[test]
fn operators_bind_as_the_grammar_says() {
    gives(&[
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("10 - 3 - 2", "5"),
        ("2 * (3 + 4) % 5", "4"),
        ("true || false && false", "true"),
        ("(true || false) && false", "false"),
        ("!true || true", "true"),
        ("!!true == true", "true"),
        ("--1 + - -2", "3"),
        ("1 + 1 == 2 && 3 > 2 == true", "true"),
        ("1 in [1] == true", "true"),
        ("-2 * -3", "6"),
        ("1 < 2 ? 'a' : 'b'", "'a'"),
        ("[1, 2][0] + {'a': [3]}.a[0]", "4"),
        ("- [1][0]", "-1"),
    ]);
}

#[test]
fn macros_go_through_lists_and_keys() {
    gives(&[
        ("[1, 2].all(x, x > 0)", "true"),
        ("[].all(x, false) && ![].exists(x, true)", "true"),
        ("{'one': 1}.exists(k, k.startsWith('o'))", "true"),
        ("[1, 2, 3].exists_one(x, x == 2)", "true"),
        ("[2, 2].exists_one(x, x == 2)", "false"),
        ("[1, 2, 3].filter(x, x > 1)", "[2, 3]"),
        ("{'b': 1, 'a': 2}.filter(k, true)", "['a', 'b']"),
        ("[1, 2, 3].map(n, n * n)", "[1, 4, 9]"),
        ("[1, 2, 3, 4].map(n, n % 2 == 0, n * 2)", "[4, 8]"),
        ("{'b': 1, 'a': 2}.map(k, k)", "['a', 'b']"),
        ("[[1, 2], [3]].map(x, x.map(y, y + 1))", "[[2, 3], [4]]"),
        (
            "[1, 2].map(x, [10, 20].map(y, x * y))",
            "[[10, 20], [20, 40]]",
        ),
        ("[1].map(x, [2].map(x, x)[0] + x)", "[3]"),
        ("[1, 2].exists(a, [2, 3].exists(b, a == b))", "true"),
        ("has({'a': 1}.a) && !has({'a': 1}.b)", "true"),
        ("has({'a': 1}['a']) && !has([1][5])", "true"),
        ("has({'a': null}.a)", "true"),
        ("[{'a': 1}].exists(m, has(m.a) && m.a == 1)", "true"),
    ]);
    fails(&[
        (
            "[1].all(x, 1)",
            "`the condition of a macro` takes bool, not int",
        ),
        ("[1].all(1, true)", "a name and a condition"),
        ("[1].all(x.y, true)", "a name and a condition"),
        (
            "'abc'.all(x, true)",
            "macros go through a list or a map, not string",
        ),
        ("has(1)", "`has` asks for a field or a key"),
        ("x", "unknown variable `x`"),
        ("[1].map(x, x) + [x]", "unknown variable `x`"),
        (
            "[1].map(a,[1].map(b,[1].map(c,[1].map(d,[1].map(e,[1].map(f,[1].map(g,[1].map(h,[1].map(i,1)))))))))",
            "more than 8 macros",
        ),
    ]);
}

#[test]
fn a_loop_variable_hides_what_has_its_name() {
    gives(&[
        ("[{'url': 'x'}].map(req, req.url)", "['x']"),
        ("['x'].map(req, req + 'y')", "['xy']"),
        ("['x'].map(vars, vars)", "['x']"),
        ("[{'escape': 'x'}].map(url, url.escape)", "['x']"),
        ("['a,b'].map(json, json.split(','))", "[['a', 'b']]"),
    ]);
}

#[test]
fn times_are_calculated_with() {
    gives(&[
        ("timestamp(0) + duration('1h') == timestamp(3600)", "true"),
        ("duration('1h') + timestamp(0) == timestamp(3600)", "true"),
        ("timestamp(3600) - duration('1h') == timestamp(0)", "true"),
        ("timestamp(3600) - timestamp(0) == duration('1h')", "true"),
        ("duration('1h') - duration('2h') == duration('-1h')", "true"),
        ("timestamp(time.now) == timestamp(1700000000)", "true"),
    ]);
    fails(&[
        (
            "timestamp(253402200000) + duration('48h')",
            "the time is out of range",
        ),
        (
            "timestamp(0) + timestamp(0)",
            "`+` does not take timestamp and timestamp",
        ),
        (
            "duration('1h') - timestamp(0)",
            "`-` does not take duration and timestamp",
        ),
        ("duration('1h') * 2", "`*` does not take duration and int"),
    ]);
}
