//! What is not there, and spellings that are forgiven.

use http::HeaderMap;

use crate::document::{Document, read_warned};
use crate::testing::{eval_in, fails, get, gives, gives_in, lines, request, response};

#[test]
fn an_absent_number_is_null_and_an_absent_text_is_empty() {
    let mut exchange_lines = HeaderMap::new();
    exchange_lines.insert("host", http::HeaderValue::from_static("app.example.com"));
    let mut exchange = request(&exchange_lines);
    exchange.request.as_mut().unwrap().has_body = true;
    gives_in(
        &exchange,
        &[
            (
                "req.content_length == null && !has(req.content_length)",
                "true",
            ),
            ("req.url.port == null && !has(req.url.port)", "true"),
            (
                "req.location == '' && req.content_type == '' && req.url.query == ''",
                "true",
            ),
            ("!has(req.location) && has(req.method)", "true"),
            ("conn.geo.country_code", "''"),
            ("conn.client_ip.categories", "dyn([])"),
            ("conn.client_ip.as.number", "0"),
            ("'x' in conn.client_ip.categories", "false"),
        ],
    );
    // What compares with an unknown length must not pass as if it were none.
    let failed = eval_in("req.content_length > 10", &exchange).unwrap_err();
    assert_eq!(failed, "`>` does not compare null_type with int");
    gives(&[
        ("req.content_length", "0"),
        ("req.content_length > 10", "false"),
    ]);
}

#[test]
fn a_missing_key_is_an_error_that_has_can_ask_for() {
    fails(&[
        (
            "req.headers['x-absent'] == ['a']",
            "no such key: `x-absent`",
        ),
        ("req.headers['x-absent'][0] != 'a'", "no such key"),
        ("req.headers['x-absent'][-1] != 'a'", "no such key"),
        ("req.cookies['c']", "no such key"),
        ("req.url.query_params['q']", "no such key"),
        ("vars.x == 1", "no such key: `vars.x`"),
        ("vars.x.y == 1", "no such key: `vars.x`"),
    ]);
    gives(&[
        (
            "has(req.headers['x-absent']) || has(req.headers.absent) || 'x' in req.headers",
            "false",
        ),
        (
            "has(req.cookies['c']) || has(req.url.query_params.q) || has(vars.x)",
            "false",
        ),
        ("getReqHeader('x')", "dyn([])"),
        (
            "hasReqHeader('x') || hasReqCookie('x') || hasQueryParam('x')",
            "false",
        ),
        ("getReqCookie('x').value + getReqCookie('x').domain", "''"),
        ("getReqCookie('x').secure", "false"),
        ("getQueryParam('x')", "dyn([])"),
    ]);
}

#[test]
fn what_an_action_did_not_leave_is_null() {
    gives(&[
        ("actions.ngrok.add_headers == null", "true"),
        (
            "actions.ngrok.add_headers.headers_added.deeper['x'] == null",
            "true",
        ),
        ("has(actions.ngrok.add_headers.headers_added)", "false"),
        ("actions.adit.add_headers == null", "true"),
        (
            "actions.ngrok.add_headers != null && actions.ngrok.add_headers.x.y == 1",
            "false",
        ),
    ]);
    fails(&[(
        "actions.ngrok.add_headers.x.startsWith('a')",
        "startsWith takes string, not null_type",
    )]);
}

#[test]
fn headers_are_found_however_they_are_written() {
    let lines = lines(&[("x-one", "1"), ("x-two", "a"), ("cookie", "a=1; b=2; a=3")]);
    let exchange = get("/p?q=1&Q=2&q=3&e", &lines);
    gives_in(
        &exchange,
        &[
            (
                "req.headers['X-One'] == ['1'] && 'X-ONE' in req.headers && has(req.headers['X-one'])",
                "true",
            ),
            ("getReqHeader('X-ONE')[0]", "'1'"),
            ("req.headers['X-One'][0] + req.headers['x-two'][0]", "'1a'"),
            (
                "req.headers.filter(k, k.startsWith('x-'))",
                "['x-one', 'x-two']",
            ),
            (
                "req.url.query_params",
                "{'q': ['1', '3'], 'Q': ['2'], 'e': ['']}",
            ),
            ("req.url.query_params.q", "['1', '3']"),
            ("getQueryParam('Q') + getQueryParam('e')", "['2', '']"),
            ("hasQueryParam('e') && !hasQueryParam('E')", "true"),
            ("req.cookies.a.map(c, c.value)", "['1', '3']"),
            ("getReqCookie('a').value", "'1'"),
            ("req.cookies.map(k, k)", "['a', 'b']"),
            (
                "size(req.cookies) + size(req.headers) + size(req.url.query_params)",
                "8",
            ),
        ],
    );
}

#[test]
fn a_name_may_be_a_value_and_have_fields() {
    let lines = lines(&[("content-type", "Text/HTML; Charset=\"utf-8\"")]);
    let exchange = get("/a/b?c=d", &lines);
    gives_in(
        &exchange,
        &[
            ("req.url", "'https://app.example.com/a/b?c=d'"),
            (
                "req.url.contains('/a') && req.url.path == '/a/b' && type(req.url) == string",
                "true",
            ),
            ("req.content_type", "'text/html'"),
            ("req.content_type.parameters.charset", "'utf-8'"),
            (
                "req.content_type.parameters['charset'] + req.content_type.raw",
                "'utf-8Text/HTML; Charset=\"utf-8\"'",
            ),
            (
                "conn.client_ip + conn.client_ip.geo.location.city",
                "'192.0.2.1'",
            ),
        ],
    );
    fails(&[(
        "req.url.path.x",
        "`req.url.path` is string and has no field `x`",
    )]);
}

#[test]
fn cookies_of_a_response_come_with_their_attributes() {
    let of_request = HeaderMap::new();
    let mut of_response = HeaderMap::new();
    for line in [
        "id=1; Path=/; Secure; Priority=High",
        "id=2; Path=/deep; HttpOnly; Max-Age=60; SameSite=Lax",
    ] {
        of_response.append("set-cookie", http::HeaderValue::from_static(line));
    }
    gives_in(
        &response(&of_request, &of_response),
        &[
            ("getResCookie('id').value", "'2'"),
            ("res.cookies.id.map(c, c.value)", "['2', '1']"),
            (
                "getResCookie('id').http_only && !getResCookie('id').secure && res.cookies.id[1].secure",
                "true",
            ),
            ("getResCookie('id').max_age", "duration('60s')"),
            (
                "res.cookies.id[1].unparsed_attributes",
                "{'Priority': 'High'}",
            ),
            ("res.status_code", "200"),
            (
                "hasResCookie('id') && hasResHeader('Set-Cookie') && getResCookie('no').path == ''",
                "true",
            ),
            ("getResHeader('set-cookie').size()", "2"),
        ],
    );
}

/// The warnings of a policy whose only rule has this expression.
fn warnings(expression: &str) -> Vec<String> {
    let text = format!(
        "on_http_request:\n  - expressions: [\"{expression}\"]\n    actions:\n      - {{ type: deny }}\n"
    );
    let (_, warnings) = read_warned::<Document>("policy.yaml", &text).unwrap();
    warnings.iter().map(|warning| warning.to_string()).collect()
}

#[test]
fn other_spellings_are_read_and_warned_of() {
    let lines = lines(&[("host", "app.example.com")]);
    gives_in(
        &request(&lines),
        &[
            ("request.method == 'GET' && request.url.path == '/'", "true"),
            (
                "'abc'.includes('b') && 'abc'.starts_with('a') && 'abc'.ends_with('c')",
                "true",
            ),
        ],
    );
    for (expression, said) in [
        ("request.method == 'GET'", "`request.` is read as `req.`"),
        (
            "req.method.includes('G')",
            "`includes` is read as `contains`",
        ),
        (
            "req.method.starts_with('G')",
            "`starts_with` is read as `startsWith`",
        ),
        (
            "req.method.ends_with('G')",
            "`ends_with` is read as `endsWith`",
        ),
        (
            "actions.ngrok.add_headers.error.code == 'ERR_NGROK_2211'",
            "`ERR_NGROK_2211` is read as `ERR_ADIT_2211`",
        ),
        (
            "actions.adit.add_headers.error.code in ['x', 'ERR_NGROK_2211']",
            "`ERR_NGROK_2211` is read as `ERR_ADIT_2211`",
        ),
        (
            "inCidrRange(conn.client_ip, '10.0.0.300')",
            "`10.0.0.300` is no range of addresses",
        ),
    ] {
        let warnings = warnings(expression);
        assert!(
            matches!(&warnings[..], [only] if only.contains(said)),
            "{expression}: {warnings:?}"
        );
    }
    for expression in [
        "req.headers['x'][0] == 'ERR_NGROK_2211'",
        "req.method == 'GET'",
    ] {
        assert_eq!(warnings(expression), [""; 0], "{expression}");
    }
}
