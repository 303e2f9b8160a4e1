//! `adit policy`: policies are checked, tried and tested from the command line.

use std::fs;

use tempfile::TempDir;

use crate::harness::command::{Told, run};

const POLICY: &str = "on_http_request:
  - name: no bots
    expressions: [\"req.user_agent.contains('bot')\"]
    actions: [{ type: deny }]
  - name: mark
    expressions: [\"req.url.path.startsWith('/admin')\", \"req.method == 'GET'\"]
    actions:
      - { type: add-headers, config: { headers: { authorization: Bearer hush, x-client: \"${conn.client_ip}\" } } }
      - { type: basic-auth, config: { credentials: [\"user:password1\"] } }
  - name: later
    mode: shadow
    actions: [{ type: deny, config: { status_code: 451 } }]
";

const CASES: &str = "policy: policies/app.yaml
cases:
  - name: bots are denied
    given: { headers: { user-agent: bot } }
    expect: { verdict: deny, status: 403, rules: [no bots] }
  - name: others are not <asked>
    given: { url: /admin }
    expect: { verdict: refuse, status: 401 }
";

fn home(files: &[(&str, &str)]) -> TempDir {
    let home = TempDir::new().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

async fn adit(home: &TempDir, line: &str) -> Told {
    run(home, ["policy"].into_iter().chain(line.split(' '))).await
}

// === check ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tells_every_mistake_and_every_doubt() {
    let wrong = POLICY
        .replace("type: deny", "type: dney")
        .replace("name: mark", "nmae: mark");
    let never = POLICY.replace("req.method == 'GET'", "1 > 2");
    let home = home(&[
        ("right.yaml", POLICY),
        ("wrong.yaml", &wrong),
        ("never.yaml", &never),
    ]);
    let right = adit(&home, "check right.yaml").await;
    assert_eq!(
        (right.code, right.stdout.as_str()),
        (0, "right.yaml: 3 rules, no mistakes\n"),
        "{right:?}"
    );
    let told = adit(&home, "check wrong.yaml right.yaml").await;
    assert_eq!(told.code, 1, "{told:?}");
    for place in [
        "wrong.yaml:4:23: ",
        "wrong.yaml:5:5: ",
        "wrong.yaml:12:23: ",
    ] {
        assert!(told.stdout.contains(place), "{place}: {}", told.stdout);
    }
    assert!(told.stdout.contains("wrong.yaml: 3 mistakes\n"), "{told:?}");
    assert!(told.stdout.contains("right.yaml: 3 rules"), "{told:?}");
    assert_eq!(told.stderr, "");

    let doubtful = adit(&home, "check never.yaml").await;
    assert_eq!(doubtful.code, 0, "{doubtful:?}");
    assert!(
        doubtful.stdout.contains("never.yaml:6:")
            && doubtful.stdout.contains("can never match")
            && doubtful
                .stdout
                .ends_with("never.yaml: 3 rules, no mistakes, 1 warning\n"),
        "{}",
        doubtful.stdout
    );
    assert_eq!(adit(&home, "check --strict never.yaml").await.code, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_the_policies_of_a_configuration() {
    let gateway = "domain: example.com
endpoints:
  - url: https://a.example.com
    traffic_policy:
      on_http_request:
        - expressions: [false]
          actions: [{ type: deny }]
  - { url: https://b.example.com, traffic_policy_file: policies/b.yaml }
  - { url: https://c.example.com, traffic_policy_file: policies/c.yaml }
";
    let agent = "version: 3
endpoints:
  - name: app
    upstream: { url: 3000 }
    traffic_policy: { on_http_request: [{ actions: [{ type: dney }] }] }
";
    let home = home(&[
        ("gateway.yaml", gateway),
        ("adit.yaml", agent),
        ("policies/b.yaml", POLICY),
    ]);
    let told = adit(&home, "check gateway.yaml adit.yaml").await;
    assert_eq!(told.code, 1, "{told:?}");
    for part in [
        "gateway.yaml:6:25: warning: endpoints[0].traffic_policy.on_http_request[0].expressions[0]: the rule can never match",
        "gateway.yaml: 1 rule, no mistakes, 1 warning\n",
        "policies/b.yaml: 3 rules, no mistakes\n",
        "policies/c.yaml: No such file",
        "adit.yaml:5:61: endpoints[0] \"app\".traffic_policy",
        "adit.yaml: 1 mistake\n",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
}

// === explain ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_tells_what_decided() {
    let home = home(&[("p.yaml", POLICY), ("body.txt", "from a file")]);
    let told = adit(
        &home,
        "explain p.yaml --url /admin -H cookie:a=b --client-ip 203.0.113.7",
    )
    .await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    for part in [
        "GET https://app.example.com/admin from 203.0.113.7 at 2026-01-01T00:00:00Z\n",
        "  cookie: ***\n",
        "  ✗ on_http_request[0] \"no bots\"\n",
        "      ✗ req.user_agent.contains('bot')",
        "  ✓ on_http_request[1] \"mark\"\n",
        "      ✓ req.url.path.startsWith('/admin')",
        "          + authorization: ***\n",
        "          + x-client: 203.0.113.7\n",
        "refused with 401 (ERR_ADIT_50011)",
        "1 more rule was not looked at",
        "verdict: refuse, by on_http_request[1].actions[1] (basic-auth): ",
        "the service is not asked\n",
        "the client gets 401\n",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    assert!(!told.stdout.contains('\u{1b}'), "a pipe has no colours");
    assert!(!told.stdout.contains("hush"), "{}", told.stdout);
    let shown = adit(&home, "explain p.yaml --url /admin --show-secrets").await;
    assert!(shown.stdout.contains("Bearer hush"), "{}", shown.stdout);

    let told = adit(&home, "explain p.yaml --url http://b.example/x --method POST --body @body.txt --response 404 --response-header x-a:1 --response-body gone").await;
    for part in [
        "(shadow: only tried)",
        "denied with 451",
        "verdict: continue\n",
        "the service gets POST http://b.example/x\n",
        "  from a file\n",
        "the client gets 404\n  x-a: 1\n",
        "  gone\n",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_speaks_json() {
    let home = home(&[("p.yaml", POLICY)]);
    let told = adit(&home, "explain p.yaml --url /admin --json").await;
    let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(json["verdict"], "refuse");
    assert_eq!(json["code"], "ERR_ADIT_50011");
    assert_eq!(json["by"], "on_http_request[1].actions[1] (basic-auth)");
    assert_eq!(json["client"]["status"], 401);
    assert_eq!(json["upstream"], serde_json::Value::Null);
    let rules = &json["phases"][0]["rules"];
    assert_eq!(rules[0]["expressions"][0]["value"], false);
    assert_eq!(rules[1]["expressions"][1]["text"], "req.method == 'GET'");
    assert_eq!(rules[1]["actions"][0]["edits"][0]["value"], "***");
    assert_eq!(rules[1]["actions"][1]["outcome"], "refused");
}

// === test ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_runs_cases_beside_their_policy() {
    let failing = CASES
        .replace("status: 401", "status: 200")
        .replace("policies/app.yaml", "../policies/app.yaml");
    let home = home(&[
        ("policies/app.yaml", POLICY),
        ("cases.yaml", CASES),
        ("more/failing.yaml", &failing),
    ]);
    let told = adit(&home, "test cases.yaml").await;
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(
        told.stdout,
        "cases.yaml\n  ✓ bots are denied\n  ✓ others are not <asked>\n\n2 cases in 1 file: all passed\n"
    );

    let told = adit(
        &home,
        "test cases.yaml more/failing.yaml --junit out.xml --coverage",
    )
    .await;
    assert_eq!((told.code, told.stderr.as_str()), (1, ""), "{told:?}");
    for part in [
        "  ✗ others are not <asked>  more/failing.yaml:6\n",
        "      line 8, status:\n        - expected 200\n        + got      401\n",
        "      │ GET https://app.example.com/admin from 192.0.2.1\n",
        "coverage: 71 % of rules and actions (10 of 14)\n",
        "  not reached: policies/app.yaml:10: on_http_request[2] \"later\"\n",
        "4 cases in 2 files: 1 failed\n",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let xml = fs::read_to_string(home.path().join("out.xml")).unwrap();
    for part in [
        "<testsuites name=\"adit policy test\" tests=\"4\" failures=\"1\">",
        "<testcase name=\"others are not &lt;asked&gt;\" classname=\"more/failing.yaml\" file=\"more/failing.yaml\" line=\"6\">",
        "<failure message=\"more/failing.yaml:8: status: expected 200, got 401\">",
        "<property name=\"coverage.percent\" value=\"71\"/>",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    assert_eq!(adit(&home, "test cases.yaml --fail-under 71").await.code, 0);
    let little = adit(&home, "test cases.yaml --fail-under 72").await;
    assert_eq!(little.code, 1);
    assert!(little.stderr.contains("71 %"), "{little:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_says_what_is_wrong_with_cases() {
    let slip = CASES.replace("expect: { verdict: deny", "expect: { verdcit: deny");
    let empty = "policy: p.yaml\ncases: [{ name: nothing }]\n";
    let lost = CASES.replace("policies/app.yaml", "nowhere.yaml");
    let home = home(&[
        ("slip.yaml", &slip),
        ("empty.yaml", empty),
        ("lost.yaml", &lost),
    ]);
    for (file, said) in [
        (
            "slip.yaml",
            "slip.yaml:5:15: cases[0] \"bots are denied\".expect: unknown field `verdcit`",
        ),
        (
            "empty.yaml",
            "empty.yaml:2:9: cases[0] \"nothing\": a case expects something",
        ),
        ("lost.yaml", "nowhere.yaml: No such file"),
    ] {
        let told = adit(&home, &format!("test {file}")).await;
        assert_eq!(told.code, 1, "{told:?}");
        assert!(told.stdout.contains(said), "{said}: {}", told.stdout);
    }
}

// === usage ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_is_told_from_a_wrong_policy() {
    let home = home(&[("p.yaml", POLICY), ("wrong.yaml", "on_http_request: {}\n")]);
    for (line, said) in [
        ("check", "FILE"),
        ("chekc p.yaml", "check"),
        ("check nowhere.yaml", "nowhere.yaml"),
        ("explain p.yaml", "--url"),
        ("explain p.yaml --url nothing", "`nothing` is no URL"),
        ("explain p.yaml --url /%2e%2e%5c", "ERR_ADIT_50003"),
        ("explain p.yaml --url / --time yesterday", "--time"),
        ("explain p.yaml --url / -H nothing", "name: value"),
        ("explain p.yaml --url / --body @nowhere", "nowhere"),
        ("test p.yaml --fail-under 101", "101"),
    ] {
        let told = adit(&home, line).await;
        assert_eq!(told.code, 2, "{line}: {told:?}");
        assert!(
            told.stderr.contains(said) && told.stdout.is_empty(),
            "{line}: {told:?}"
        );
    }
    let told = adit(&home, "explain wrong.yaml --url /").await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("wrong.yaml:1:"), "{told:?}");
}
