//! Tests of `http-request`, on a network that is a map.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::*;
use crate::body::Transform as _;
use crate::body::coding::Coding;
use crate::body::compress::Compress;
use crate::env::{Clock, Fetch, FetchError, Fetched, Random, ToFetch};
use crate::memory::Memory;
use crate::testing::{lines, now, one, policy, refused, request, response};
use crate::verdict::Verdict;

const Q: &str = "on_http_request";
const URL: &str = "https://b.internal/";

/// Each `METHOD url` has its answers; the last one stays.
#[derive(Debug, Default)]
struct Net {
    answers: Mutex<HashMap<String, Vec<Result<Fetched, FetchError>>>>,
    asked: Mutex<Vec<ToFetch>>,
    elapsed: Mutex<Duration>,
}

impl Net {
    fn with(
        self,
        to: &str,
        answers: impl IntoIterator<Item = Result<Fetched, FetchError>>,
    ) -> Self {
        let answers = answers.into_iter().collect();
        self.answers.lock().unwrap().insert(to.to_owned(), answers);
        self
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|one| format!("{} {}", one.method, one.url))
            .collect()
    }
}

#[async_trait]
impl Fetch for Net {
    async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError> {
        let to = format!("{} {}", request.method, request.url);
        self.asked.lock().unwrap().push(request);
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(&to) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Err(FetchError::Refused(format!("nobody may ask {to}"))),
        }
    }

    async fn pause(&self, time: Duration) {
        *self.elapsed.lock().unwrap() += time;
    }
}

impl Clock for Net {
    fn now(&self) -> SystemTime {
        now()
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap()
    }
}

impl Random for Net {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0xab);
    }
}

fn answers(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> Result<Fetched, FetchError> {
    Ok(Fetched {
        status: StatusCode::from_u16(status).unwrap(),
        headers: lines(headers),
        body: Bytes::from(body),
        resolved: "203.0.113.7".parse().ok(),
        took: Duration::from_millis(5),
    })
}

fn leads(status: u16, location: &'static str) -> Result<Fetched, FetchError> {
    answers(status, &[("location", location)], "moved")
}

struct Ran {
    verdict: Verdict,
    /// `actions.ngrok.http_request` as JSON.
    result: serde_json::Value,
    net: Arc<Net>,
}

/// Runs the action on a request with `x-name: a b` and `x-host: c.internal`.
async fn run(config: &str, net: Net) -> Ran {
    let net = Arc::new(net);
    let clock: Arc<dyn Clock> = Arc::<Net>::clone(&net);
    let env = Env::new(clock, Arc::<Net>::clone(&net)).with_fetch(Arc::<Net>::clone(&net));
    let came = lines(&[("x-name", "a b"), ("x-host", "c.internal")]);
    let mut exchange = request(&came);
    exchange.env = &env;
    exchange.memory = Memory::traced();
    let verdict = policy(&one(Q, "http-request", config))
        .on_http_request(&mut exchange)
        .await;
    let result = exchange.memory.result("http_request");
    let result = result.map_or(serde_json::Value::Null, |value| {
        serde_json::from_str(&crate::expr::json::encode(value)).unwrap()
    });
    Ran {
        verdict,
        result,
        net,
    }
}

fn config(more: &str) -> String {
    format!("{{url: '{URL}'{more}}}")
}

#[tokio::test]
async fn the_answer_is_left_for_the_following_actions() {
    let answer = answers(404, &[("x-a", "1"), ("x-a", "2")], "gone");
    let Ran {
        verdict, result, ..
    } = run(
        &config(""),
        Net::default().with("GET https://b.internal/", [answer]),
    )
    .await;
    assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
    let sent = serde_json::json!({
        "user-agent": ["adit"],
        "x-forwarded-for": ["192.0.2.1"],
        "adit-req-type": ["http-request"],
        "adit-req-id": ["ab".repeat(16)],
    });
    let came = serde_json::json!({"x-a": ["1", "2"]});
    let expected = serde_json::json!({
        "attempts": [{
            "resolved_ip": "203.0.113.7", "response_header": came, "response_status_code": 404, "response_time_ms": "5",
        }],
        "req": {"method": "GET", "url": URL, "body": "", "header": sent, "headers": sent},
        "res": {
            "resolved_ip": "203.0.113.7", "header": came, "headers": came, "status_code": 404, "statusCode": 404,
            "time_ms": "5", "body": "gone",
        },
        "error": {"code": "", "message": ""},
    });
    assert_eq!(result, expected);
}

#[tokio::test]
async fn everything_of_the_request_can_be_said() {
    let to = "POST http://c.internal:8080/x?y=1&n%26=a%20b&m=2";
    let config = "{url: \"http://${req.headers['x-host'][0]}:8080/x?y=1\", method: POST,
          query_params: [{key: 'n&', value: \"${req.headers['x-name'][0]}\"}, {key: m, value: 2}],
          headers: {Authorization: 'Bearer ${req.method}', user-agent: mine}, body: '{\"a\": ${1 + 1}}'}";
    let ran = run(config, Net::default().with(to, [answers(200, &[], "")])).await;
    assert_eq!(ran.result["res"]["status_code"], 200, "{}", ran.result);
    let asked = ran.net.asked.lock().unwrap();
    assert_eq!(asked[0].body, "{\"a\": 2}");
    assert_eq!(asked[0].headers["authorization"], "Bearer GET");
    assert_eq!(
        asked[0]
            .headers
            .get_all("user-agent")
            .iter()
            .collect::<Vec<_>>(),
        ["mine"]
    );
    assert_eq!(
        (asked[0].timeout, asked[0].max),
        (Duration::from_secs(3), 256 << 10)
    );
}

#[tokio::test]
async fn redirects_are_followed_one_by_one() {
    let post = ", method: POST, body: secret, headers: {authorization: a, cookie: b, content-type: c, x-d: d}";
    for (status, method, body) in [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", "secret"),
        (308, "POST", "secret"),
    ] {
        let net = Net::default()
            .with("POST https://b.internal/", [leads(status, "next?e=f#g")])
            .with(
                &format!("{method} https://b.internal/next?e=f"),
                [leads(status, "//other.example/")],
            )
            .with(
                &format!("{method} https://other.example/"),
                [answers(200, &[], "end")],
            );
        let Ran { result, net, .. } = run(&config(post), net).await;
        assert_eq!(result["res"]["body"], "end", "{status} {result}");
        assert_eq!(result["res"]["time_ms"], "15");
        assert_eq!(result["attempts"].as_array().unwrap().len(), 1);
        let asked = net.asked.lock().unwrap();
        let [_, same, other] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(
            (same.body.as_ref(), other.body.as_ref()),
            (body.as_bytes(), body.as_bytes())
        );
        assert_eq!(
            other.headers.contains_key("content-type"),
            !body.is_empty(),
            "{status}"
        );
        assert_eq!(
            (&same.headers["authorization"], &same.headers["cookie"]),
            (&"a".parse().unwrap(), &"b".parse().unwrap())
        );
        assert!(
            !other.headers.contains_key("authorization") && !other.headers.contains_key("cookie")
        );
        assert_eq!(other.headers["x-d"], "d");
    }
}

#[tokio::test]
async fn credentials_do_not_come_back_with_the_first_host() {
    let net = Net::default()
        .with(
            "GET https://b.internal/",
            [leads(302, "http://b.internal/"), answers(200, &[], "")],
        )
        .with(
            "GET http://b.internal/",
            [leads(302, "https://b.internal/")],
        );
    let ran = run(&config(", headers: {authorization: a}"), net).await;
    let asked = ran.net.asked.lock().unwrap();
    let with: Vec<_> = asked
        .iter()
        .map(|one| one.headers.contains_key("authorization"))
        .collect();
    assert_eq!(with, [true, false, false]);
}

#[tokio::test]
async fn redirects_have_a_bound_and_must_lead_somewhere() {
    let net = || Net::default().with("GET https://b.internal/", [leads(302, "/")]);
    for (more, fetched) in [
        ("", 11),
        (", max_redirects: 0", 1),
        (", max_redirects: 2", 3),
    ] {
        let ran = run(&config(more), net()).await;
        assert_eq!(ran.result["error"]["code"], "ERR_ADIT_3214");
        assert_eq!(ran.net.asked().len(), fetched, "{more}");
    }
    let nowhere = Net::default().with("GET https://b.internal/", [leads(302, "ftp://b/")]);
    let ran = run(&config(""), nowhere).await;
    assert_eq!(
        ran.result["error"]["message"],
        "a redirect leads nowhere: scheme `ftp` is not http or https"
    );
    // Without a location, and with any other status, it is the answer.
    for answer in [answers(302, &[], "a"), leads(304, "/"), leads(201, "/")] {
        let ran = run(
            &config(""),
            Net::default().with("GET https://b.internal/", [answer]),
        )
        .await;
        assert_eq!(ran.result["error"]["code"], "");
    }
}

#[tokio::test]
async fn a_condition_asks_again() {
    let busy = || answers(503, &[("x-try", "again")], "");
    let condition = ", retry_condition: \"attempts < 3 && last_attempt.res.status_code == 503 && last_attempt.res.statusCode == 503 \
        && last_attempt.res.headers['x-try'][0] == 'again' && last_attempt.req.url.startsWith('https://b') && last_attempt.error.code == ''\"";
    let net = Net::default().with("GET https://b.internal/", [busy(), answers(200, &[], "ok")]);
    let ran = run(&config(condition), net).await;
    assert_eq!(
        (ran.net.asked().len(), ran.net.elapsed()),
        (2, Duration::from_millis(100))
    );
    let statuses: Vec<_> = ran.result["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["response_status_code"].clone())
        .collect();
    assert_eq!(statuses, [503, 200]);
    assert_eq!(ran.result["res"]["body"], "ok");
    let ran = run(
        &config(condition),
        Net::default().with("GET https://b.internal/", [busy()]),
    )
    .await;
    assert_eq!(ran.net.asked().len(), 3);
}

#[tokio::test]
async fn three_retries_are_the_most_and_the_time_is_one_for_all() {
    let failed = || {
        Net::default().with(
            "GET https://b.internal/",
            [Err(FetchError::Failed("refused".to_owned()))],
        )
    };
    let always = ", retry_condition: last_attempt.error.code == 'ERR_ADIT_3007' && last_attempt.res.status_code == 0";
    let ran = run(&config(always), failed()).await;
    assert_eq!(
        (ran.net.asked().len(), ran.net.elapsed()),
        (4, Duration::from_millis(700))
    );
    let timeouts: Vec<_> = ran
        .net
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|one| one.timeout.as_millis())
        .collect();
    assert_eq!(timeouts, [3000, 2900, 2700, 2300]);

    /// Takes a second for each answer.
    #[derive(Debug)]
    struct Slow(Arc<Net>);

    #[async_trait]
    impl Fetch for Slow {
        async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError> {
            self.0.pause(Duration::from_millis(950)).await;
            self.0.fetch(request).await
        }

        async fn pause(&self, time: Duration) {
            self.0.pause(time).await;
        }
    }
    let net = Arc::new(failed());
    let clock: Arc<dyn Clock> = Arc::<Net>::clone(&net);
    let slow = Arc::new(Slow(Arc::clone(&net)));
    let env = Env::new(clock, Arc::<Net>::clone(&net)).with_fetch(slow);
    let none = HeaderMap::new();
    let mut exchange = request(&none);
    exchange.env = &env;
    let policy = policy(&one(
        Q,
        "http-request",
        &config(&format!("{always}, timeout: 1s")),
    ));
    assert!(matches!(
        policy.on_http_request(&mut exchange).await,
        Verdict::Continue
    ));
    assert_eq!(net.asked().len(), 1, "50 ms are not enough to wait 100 ms");
}

#[tokio::test]
async fn a_condition_that_fails_stops_the_phase() {
    let net = Net::default().with("GET https://b.internal/", [answers(200, &[], "")]);
    let ran = run(
        &config(", retry_condition: \"last_attempt.res.header['x-none'][0] == ''\""),
        net,
    )
    .await;
    let Verdict::Fault { fault, .. } = ran.verdict else {
        panic!("{:?}", ran.verdict);
    };
    assert_eq!(fault.code(), 2254);
    assert_eq!(fault.to_string(), "retry_condition: no such key: `x-none`");
}

#[tokio::test]
async fn without_an_answer_the_policy_says_what_happens() {
    for (error, code, status) in [
        (FetchError::Timeout, 3602, 504),
        (FetchError::TooLarge, 3601, 502),
        (FetchError::Loop, 3603, 508),
        (FetchError::Refused("no".to_owned()), 3007, 502),
        (FetchError::Failed("no".to_owned()), 3007, 502),
    ] {
        let net = || Net::default().with("GET https://b.internal/", [Err(error.clone())]);
        let ran = run(&config(""), net()).await;
        assert!(matches!(ran.verdict, Verdict::Continue), "{error}");
        assert_eq!(ran.result["error"]["code"], format!("ERR_ADIT_{code}"));
        assert_eq!(ran.result["error"]["message"], error.to_string());
        let ran = run(&config(", on_error: halt"), net()).await;
        let Verdict::Refuse { refusal, .. } = ran.verdict else {
            panic!("{:?}", ran.verdict);
        };
        assert_eq!((refusal.code, refusal.status.as_u16()), (code, status));
    }
}

#[tokio::test]
async fn what_an_expression_yields_may_be_no_url() {
    let computed =
        |more: &str| format!("{{url: \"https://${{req.headers['x-name'][0]}}/\"{more}}}");
    let ran = run(&computed(""), Net::default()).await;
    assert!(matches!(ran.verdict, Verdict::Continue));
    assert_eq!(ran.result["error"]["code"], "ERR_ADIT_2247");
    assert_eq!(ran.result["res"]["status_code"], 0);
    let ran = run(&computed(", on_error: halt"), Net::default()).await;
    let Verdict::Fault { fault, .. } = ran.verdict else {
        panic!("{:?}", ran.verdict);
    };
    assert_eq!(fault.code(), 2247);
    let ran = run(
        "{url: \"https://${req.headers['x-none'][0]}/\"}",
        Net::default(),
    )
    .await;
    assert!(matches!(ran.verdict, Verdict::Fault { fault, .. } if fault.code() == 2238));
}

#[tokio::test]
async fn an_encoded_answer_is_decoded_within_bounds() {
    let encoded = |coding: Coding, text: &[u8]| {
        let mut out = BytesMut::new();
        let mut compress = Compress::new(coding).unwrap();
        compress.push(text, &mut out).unwrap();
        compress.end(&mut out).unwrap();
        let mut answer = answers(200, &[("content-encoding", coding.name())], "").unwrap();
        answer.body = out.freeze();
        Net::default().with("GET https://b.internal/", [Ok(answer)])
    };
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Br] {
        let ran = run(&config(""), encoded(coding, b"hello")).await;
        assert_eq!(ran.result["res"]["body"], "hello", "{coding}");
        let ran = run(&config(""), encoded(coding, &[b'a'; (256 << 10) + 1])).await;
        assert_eq!(ran.result["error"]["code"], "ERR_ADIT_3601", "{coding}");
    }
    let ran = run(&config(""), encoded(Coding::Zstd, b"hello")).await;
    assert_eq!(ran.result["error"]["code"], "ERR_ADIT_3904");
}

#[tokio::test]
async fn the_response_phase_may_ask_and_a_trial_may_not() {
    let net = Arc::new(Net::default().with("GET https://b.internal/", [answers(200, &[], "")]));
    let clock: Arc<dyn Clock> = Arc::<Net>::clone(&net);
    let env = Env::new(clock, Arc::<Net>::clone(&net)).with_fetch(Arc::<Net>::clone(&net));
    let text = one("on_http_response", "http-request", &config(""));
    let none = HeaderMap::new();
    let mut exchange = response(&none, &none);
    exchange.env = &env;
    let tried = text.replace("- actions", "- mode: shadow\n    actions");
    assert!(matches!(
        policy(&tried).on_http_response(&mut exchange).await,
        Verdict::Continue
    ));
    assert!(net.asked().is_empty());
    assert!(matches!(
        policy(&text).on_http_response(&mut exchange).await,
        Verdict::Continue
    ));
    assert_eq!(net.asked(), ["GET https://b.internal/"]);
}

#[test]
fn the_attempts_are_known_in_the_condition_alone() {
    for text in ["attempts > 1", "last_attempt.res.status_code == 500"] {
        let rule = format!("{Q}:\n  - expressions: [\"{text}\"]\n    actions: [{{type: deny}}]\n");
        let message = refused(&rule);
        assert!(
            message.contains("only in `retry_condition` of `http-request`"),
            "{message}"
        );
    }
    let behind = one(
        Q,
        "http-request",
        &config(", retry_condition: attempts < 2, body: '${attempts}'"),
    );
    assert!(refused(&behind).contains("only in `retry_condition`"));
}

#[test]
fn a_wrong_config_is_refused_at_its_place() {
    let long = |length: usize| "a".repeat(length);
    let many = "{key: a, value: b}, ".repeat(33);
    for (more, said) in [
        (
            ", method: HEAD".to_owned(),
            "method: `method` is GET, PUT, POST, PATCH, DELETE or OPTIONS, not `HEAD` (ERR_ADIT_2222)",
        ),
        (
            ", max_redirects: 101".to_owned(),
            "max_redirects: `max_redirects` is from 0 to 100, not 101 (ERR_ADIT_2215)",
        ),
        (
            ", timeout: 900ms".to_owned(),
            "timeout: `timeout` is at least 1s (ERR_ADIT_2215)",
        ),
        (
            ", timeout: 31s".to_owned(),
            "timeout: `timeout` is at most 30s (ERR_ADIT_2225)",
        ),
        (
            ", headers: {Host: a}".to_owned(),
            "headers: header `host` is made of the url (ERR_ADIT_2219)",
        ),
        (", headers: {adit-hop: a}".to_owned(), "(ERR_ADIT_2219)"),
        (
            ", retry_condition: attempts".to_owned(),
            "retry_condition: an expression of a rule is bool, not int (ERR_ADIT_2200)",
        ),
        (format!(", query_params: [{many}]"), "(ERR_ADIT_2244)"),
        (
            format!(", query_params: [{{key: {}, value: a}}]", long(129)),
            "a query key is longer than 128 bytes (ERR_ADIT_2245)",
        ),
        (
            format!(", query_params: [{{key: a, value: {}}}]", long(8193)),
            "a query value is longer than 8192 bytes (ERR_ADIT_2246)",
        ),
        (
            format!(", body: {}", long((256 << 10) + 1)),
            "the body is longer than 262144 bytes (ERR_ADIT_2221)",
        ),
        (
            ", on_error: stop".to_owned(),
            "unknown variant `stop`, expected `halt` or `continue`",
        ),
    ] {
        let message = refused(&one(Q, "http-request", &config(&more)));
        assert!(message.contains(said), "{message}");
        assert!(message.starts_with("policy.yaml:4:"), "{message}");
    }
    assert!(refused(&one(Q, "http-request", "{}")).contains("missing field `url`"));
    let relative = refused(&one(Q, "http-request", "{url: /a}"));
    assert!(relative.contains("url: `url` is an absolute http or https url: it does not begin with http:// or https:// (ERR_ADIT_2226)"), "{relative}");
}
