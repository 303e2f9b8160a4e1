//! What is wrong with an expression is told in one sentence, at its place.

use crate::action::Phase;
use crate::document::scope;
use crate::expr::Expression;
use crate::expr::syntax::Wrong;

fn wrong(text: &str) -> (usize, String) {
    let Wrong { at, message } = Expression::compile(text).expect_err(text);
    (at, message)
}

#[test]
fn each_mistake_has_its_place_and_its_remedy() {
    for (text, at, message) in [
        (
            "req.url.pth",
            8,
            "unknown variable `req.url.pth`; did you mean `req.url.path`? (ERR_ADIT_2200)",
        ),
        (
            "req.method == 'GET' && foo",
            23,
            "unknown variable `foo` (ERR_ADIT_2200)",
        ),
        (
            "req.path",
            4,
            "unknown variable `req.path`; did you mean `req.url.path`? (ERR_ADIT_2200)",
        ),
        (
            "conn.ts.end",
            8,
            "unknown variable `conn.ts.end`; did you mean `conn.ts.start`? (ERR_ADIT_2200)",
        ),
        (
            "req",
            0,
            "`req` is no value: name one of its fields (ERR_ADIT_2200)",
        ),
        (
            "vars == 1",
            0,
            "`vars` is no value: name one, as in `vars.x` (ERR_ADIT_2200)",
        ),
        ("'é' + x", 6, "unknown variable `x` (ERR_ADIT_2200)"),
        (
            "'a'.contain('b')",
            4,
            "unknown function `contain`; did you mean `contains`? (ERR_ADIT_2200)",
        ),
        (
            "contains('a', 'b')",
            0,
            "`contains` is written `string.contains(string)` (ERR_ADIT_2200)",
        ),
        (
            "base64.encod('a')",
            7,
            "unknown function `base64.encod`; did you mean `base64.encode`? (ERR_ADIT_2200)",
        ),
        (
            "'a'.contains()",
            4,
            "`contains` takes 1 argument, not 0 (ERR_ADIT_2200)",
        ),
        (
            "'a'.replace('b')",
            4,
            "`replace` takes 2 or 3 arguments, not 1 (ERR_ADIT_2200)",
        ),
        (
            "'a'.contains(1)",
            4,
            "`contains` does not take (string, int); it is `string.contains(string)` (ERR_ADIT_2200)",
        ),
        (
            "[1].sort(x, y, x < y)",
            4,
            "`sort` takes no condition: write `list.sortBy(x, key)` (ERR_ADIT_2200)",
        ),
        (
            "'a'.matches('(')",
            12,
            "the pattern is wrong: unclosed group (ERR_ADIT_2261)",
        ),
        (
            "1 + 'a'",
            2,
            "`+` does not take int and string (ERR_ADIT_2200)",
        ),
        (
            "req.url.port.x",
            13,
            "`req.url.port` is int and has no field `x` (ERR_ADIT_2200)",
        ),
        (
            "for x in [1]",
            0,
            "`for` is a reserved word (ERR_ADIT_2200)",
        ),
        (
            "1 = 1",
            2,
            "`=` is no sign: equality is written `==` (ERR_ADIT_2200)",
        ),
        (
            "true & false",
            5,
            "`&` is no sign: write `&&` (ERR_ADIT_2200)",
        ),
        (
            "true and false",
            5,
            "unexpected `and`: write `&&` (ERR_ADIT_2200)",
        ),
        ("not true", 4, "unexpected `true` (ERR_ADIT_2200)"),
        ("1 +", 3, "something is missing at the end (ERR_ADIT_2200)"),
        ("(1", 2, "`)` is missing at the end (ERR_ADIT_2200)"),
        ("[1 2]", 3, "`]` is missing before `2` (ERR_ADIT_2200)"),
        ("f(1,)", 4, "unexpected `)` (ERR_ADIT_2200)"),
        ("{'a' 1}", 5, "`:` is missing before `1` (ERR_ADIT_2200)"),
        ("true ? 1", 8, "`:` is missing at the end (ERR_ADIT_2200)"),
        ("a.b{c: 1}", 2, "messages cannot be made (ERR_ADIT_2200)"),
        ("a.'b'", 2, "unexpected a string (ERR_ADIT_2200)"),
        ("1 @ 2", 2, "`@` does not belong here (ERR_ADIT_2200)"),
        ("`a`", 0, "``` does not belong here (ERR_ADIT_2200)"),
        ("'a' 'b'", 4, "unexpected a string (ERR_ADIT_2200)"),
        ("", 0, "something is missing at the end (ERR_ADIT_2200)"),
        (
            "${req.method}",
            0,
            "an expression stands without `${}`: write req.method (ERR_ADIT_2200)",
        ),
        (
            "req.headers.get('x')",
            12,
            "`get` is no function: write `req.headers['x']`, or `getReqHeader('x')` if it may be absent (ERR_ADIT_2200)",
        ),
        (
            "actions.ngrok.add_header.x",
            25,
            "no action leaves results under `actions.ngrok.add_header`; did you mean `add_headers`? (ERR_ADIT_2200)",
        ),
        (
            "getReqHeader('a').b",
            18,
            "list(string) has no field `b` (ERR_ADIT_2200)",
        ),
    ] {
        assert_eq!(wrong(text), (at, message.to_owned()), "{text}");
    }
}

#[test]
fn what_is_not_there_in_a_phase_is_told_with_where_it_is() {
    let of = |phase, text| scope::with_phase(phase, || wrong(text));
    let later = "on_http_response, on_event_stream_message";
    for (phase, text, at, message) in [
        (
            Phase::OnTcpConnect,
            "req.method",
            4,
            format!(
                "`req.method` is not there in on_tcp_connect, only in on_http_request, {later} (ERR_ADIT_2200)"
            ),
        ),
        (
            Phase::OnHttpRequest,
            "1 == res.status_code",
            9,
            format!(
                "`res.status_code` is not there in on_http_request, only in {later} (ERR_ADIT_2200)"
            ),
        ),
        (
            Phase::OnHttpRequest,
            "hasResHeader('a')",
            0,
            format!(
                "`hasResHeader` is not there in on_http_request, only in {later} (ERR_ADIT_2200)"
            ),
        ),
    ] {
        assert_eq!(of(phase, text), (at, message), "{text}");
    }
}

#[test]
fn a_long_text_is_refused() {
    let text = format!("'{}'", "a".repeat(16 << 10));
    assert_eq!(
        wrong(&text),
        (
            0,
            "the expression is longer than 16384 bytes (ERR_ADIT_2221)".to_owned()
        )
    );
}
