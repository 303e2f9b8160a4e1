//! Tests of cases: above all that what is not as expected is told.

use super::*;

const POLICY: &str = "on_http_request:
  - name: fills
    expressions: [\"req.method == 'PUT'\"]
    actions:
      - { type: set-vars, config: { vars: [{ map: { a: 1, b: [2] } }] } }
      - { type: add-headers, config: { headers: { x-a: b } } }
      - { type: log, config: { metadata: { a: 1 } } }
  - name: tried
    mode: shadow
    actions: [{ type: deny }]
  - name: forwards
    expressions: [\"req.url.path == '/away'\"]
    actions: [{ type: forward-internal, config: { url: https://b.internal } }]
  - name: fails
    expressions: [\"req.url.path == '/broken'\", \"req.headers['x-none'][0] == ''\"]
    actions: [{ type: deny }]
";

async fn run(cases: &str) -> SuiteReport {
    let text = format!("{POLICY}---\n{cases}");
    let suite = Suite::read("c.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    suite.run(None).await
}

/// What one expectation differs in: keys, what was expected and what there was.
async fn differences(given: &str, expect: &str) -> Vec<(String, String, String)> {
    let case = format!("cases: [{{ name: a, given: {given}, expect: {expect} }}]\n");
    let report = run(&case).await;
    let failures = report.cases.into_iter().flat_map(|case| case.failures);
    failures
        .map(|failure| (failure.key, failure.expected, failure.got))
        .collect()
}

#[tokio::test]
async fn whatever_is_not_as_expected_is_told_by_its_key() {
    const PUT: &str = "{ method: PUT, url: '/p?q', body: in, upstream: { status: 201, headers: { x-s: [1, 2] }, body: out } }";
    const RIGHT: &[&str] = &[
        "{ verdict: continue, status: 201, headers: { x-s: ['1', '2'], x-t: null }, body: out, body_contains: u }",
        "{ upstream: { method: PUT, url: 'https://app.example.com/p?q', path: '/p?q', headers: { x-a: b }, body: in } }",
        "{ rules: [fills], shadow: [tried], edits: ['+ x-a: b'], vars: { map: { b: [2] } }, log: [{ a: 1.0 }], fetched: [] }",
        "{ rules: ['0'] }",
        "{ rules: ['on_http_request[0]'] }",
        "{ results: { add_headers: { headers_added: { x-a: b } }, log: { metadata: {} }, rate_limit: null } }",
    ];
    for right in RIGHT {
        assert_eq!(differences(PUT, right).await, [], "{right}");
    }
    for (wrong, key, expected, got) in [
        ("{ verdict: deny }", "verdict", "deny", "continue"),
        ("{ code: ERR_ADIT_2254 }", "code", "ERR_ADIT_2254", "none"),
        ("{ reason: no }", "reason", "… no …", "none"),
        ("{ status: 200 }", "status", "200", "201"),
        ("{ headers: { x-s: 1 } }", "headers.x-s", "1", "1, 2"),
        ("{ headers: { x-s: null } }", "headers.x-s", "none", "1, 2"),
        ("{ headers: { x-t: 1 } }", "headers.x-t", "1", "none"),
        ("{ body: '' }", "body", "", "out"),
        (
            "{ body_contains: [o, x] }",
            "body_contains.1",
            "… x …",
            "out",
        ),
        (
            "{ upstream: { method: GET } }",
            "upstream.method",
            "GET",
            "PUT",
        ),
        ("{ upstream: { path: /p } }", "upstream.path", "/p", "/p?q"),
        (
            "{ upstream: { headers: { x-a: c } } }",
            "upstream.headers.x-a",
            "c",
            "b",
        ),
        ("{ upstream: { body: out } }", "upstream.body", "out", "in"),
        (
            "{ forward_to: https://b.internal }",
            "forward_to",
            "https://b.internal",
            "none",
        ),
        ("{ rules: [] }", "rules", "none", "fills"),
        (
            "{ rules: [fills, fills] }",
            "rules",
            "fills, fills",
            "fills",
        ),
        ("{ rules: ['1'] }", "rules", "1", "fills"),
        ("{ shadow: [] }", "shadow", "none", "tried"),
        ("{ edits: [] }", "edits", "", "+ x-a: b"),
        ("{ vars: { map: { a: 2 } } }", "vars.map.a", "2", "1"),
        ("{ vars: { map: { b: [] } } }", "vars.map.b", "[]", "[2]"),
        ("{ vars: { other: 1 } }", "vars.other", "1", "null"),
        (
            "{ results: { log: null } }",
            "results.log",
            "null",
            "{\"metadata\":{\"a\":1}}",
        ),
        ("{ log: [] }", "log", "[]", "[{\"a\":1}]"),
        ("{ fetched: [{}] }", "fetched", "1 requests", "0: "),
    ] {
        let told = differences(PUT, wrong).await;
        let wanted = (key.to_owned(), expected.to_owned(), got.to_owned());
        assert_eq!(told, [wanted], "{wrong}");
    }
    for (given, wrong, key) in [
        ("{ url: /broken }", "{ code: ERR_ADIT_2238 }", "code"),
        ("{ url: /broken }", "{ reason: other }", "reason"),
        ("{ url: /broken }", "{ upstream: {} }", "upstream"),
        (
            "{ url: /away }",
            "{ forward_to: https://c.internal }",
            "forward_to",
        ),
        ("{ url: 'tcp://a.example:22' }", "{ status: 200 }", ""),
    ] {
        let told = differences(given, wrong).await;
        assert!(told.len() == 1 && told[0].0 == key, "{wrong}: {told:?}");
    }
}

#[tokio::test]
async fn a_failure_has_the_line_of_what_is_expected() {
    let report = run("given: { url: /a }\ncases:\n  - name: one\n    expect:\n      status: 200\n      verdict: deny\n").await;
    let [case] = &report.cases[..] else {
        panic!("{report:?}");
    };
    // The policy has 16 lines, and `---` is one more.
    assert_eq!((case.line, case.failures[0].line), (20, 23));
    assert!(case.explanation.contains("GET https://app.example.com/a"));
}

#[tokio::test]
async fn requests_of_a_case_share_counters_and_time_goes_on() {
    let text = "on_http_request:
  - actions:
      - type: rate-limit
        config: { name: a, algorithm: token_bucket, capacity: 2, rate: 10s, bucket_key: [conn.client_ip] }
  - actions: [{ type: add-headers, config: { headers: { x-now: \"${time.now}\" } } }]
---
given: { time: 2026-05-01T10:00:00Z }
cases:
  - name: a
    requests:
      - given: { repeat: 2, after: 1s }
        expect: { upstream: { headers: { x-now: 2026-05-01T10:00:02Z } } }
      - expect: { verdict: refuse }
      - given: { after: 5s }
        expect: { upstream: { headers: { x-now: 2026-05-01T10:00:07Z } } }
      - given: { fresh: true, time: 2026-05-01T12:00:00Z, repeat: 2 }
        expect: { upstream: { headers: { x-now: 2026-05-01T12:00:00Z } } }
      - expect: { verdict: refuse }
  - name: the next case begins anew
    expect: { upstream: { headers: { x-now: 2026-05-01T10:00:00Z } } }
";
    let report = Suite::read("c.yaml", text).unwrap().run(None).await;
    let failures: Vec<_> = report
        .cases
        .iter()
        .flat_map(|case| &case.failures)
        .collect();
    assert!(
        failures.is_empty() && report.cases.len() == 2,
        "{failures:?}"
    );
}

#[test]
fn a_case_that_expects_nothing_is_no_case() {
    for (text, why) in [
        ("cases: [{ name: a }]", "a case expects something"),
        (
            "cases: [{ name: a, expect: {} }]",
            "a case expects something",
        ),
        (
            "cases: [{ name: a, requests: [{}] }]",
            "a case expects something",
        ),
        (
            "cases: [{ name: a, expect: { status: 200 }, requests: [{ expect: { status: 200 } }] }]",
            "its own `expect`",
        ),
        ("cases: []", "needs `cases`"),
        (
            "cases: [{ name: a, expect: { staus: 200 } }]",
            "did you mean `status`?",
        ),
        (
            "cases: [{ name: a, given: { mehtod: PUT }, expect: { status: 200 } }]",
            "did you mean `method`?",
        ),
        (
            "cases: [{ name: a, given: { url: nothing }, expect: { status: 200 } }]",
            "is no URL",
        ),
        (
            "cases: [{ name: a, expect: { code: 2254 } }]",
            "ERR_ADIT_2254",
        ),
    ] {
        let error = Suite::read("c.yaml", text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_policy_that_does_not_load_fails_its_cases() {
    let text = "on_http_request: [{ actions: [{ type: dney }] }]\n---\ncases: [{ name: a, expect: { status: 200 } }]\n";
    let report = Suite::read("c.yaml", text).unwrap().run(None).await;
    assert!(report.cases.len() == 1 && !report.cases[0].passed());
    assert!(
        report.cases[0].failures[0].got.contains("c.yaml:1:39"),
        "{report:?}"
    );
    let expected = text.replace(
        "cases: [{ name: a, expect: { status: 200 } }]",
        "mistakes: [dney, more]",
    );
    let report = Suite::read("c.yaml", &expected).unwrap().run(None).await;
    assert!(!report.cases[0].passed(), "one mistake less than expected");
    let alone = Suite::read("c.yaml", "cases: [{ name: a, expect: { status: 200 } }]\n").unwrap();
    assert!(
        !alone.run(None).await.cases[0].passed(),
        "there is no policy"
    );
}
