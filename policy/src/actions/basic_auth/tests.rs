//! `basic-auth`: who gets in, who does not, and what is read.

mod attempts;
mod hashed;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::*;
use crate::memory::Memory;
use crate::testing::{one, policy, refused, request};
use crate::verdict::Verdict;

const CONFIG: &str = "{credentials: ['alice:correct horse', 'bob:$${battery}', 'é:pässwörd']}";

pub(super) fn basic(credential: &str) -> String {
    format!("Basic {}", STANDARD.encode(credential))
}

fn sent(lines: &[&str]) -> HeaderMap {
    let lines = lines.iter();
    let lines = lines.map(|line| (AUTHORIZATION, HeaderValue::from_str(line).unwrap()));
    lines.collect()
}

async fn asked(config: &str, headers: &HeaderMap) -> (Verdict, Value<'static>) {
    let policy = policy(&one("on_http_request", "basic-auth", config));
    let mut exchange = request(headers);
    exchange.memory = Memory::traced();
    let verdict = policy.on_http_request(&mut exchange).await;
    let left = exchange.memory.result("basic_auth").cloned();
    (verdict, left.unwrap_or(Value::Null))
}

fn left(presented: bool, username: &'static str, authorized: bool) -> Value<'static> {
    let credentials = Value::map([
        ("presented", Value::Bool(presented)),
        ("username", Value::text(username)),
        ("authorized", Value::Bool(authorized)),
        ("limited", Value::Bool(false)),
    ]);
    Value::map([("credentials", credentials)])
}

#[tokio::test]
async fn who_is_on_the_list_gets_in() {
    for (credential, user) in [
        ("alice:correct horse", "alice"),
        ("bob:${battery}", "bob"),
        ("é:pässwörd", "é"),
    ] {
        for scheme in ["Basic", "BASIC", "basic "] {
            let line = basic(credential).replace("Basic", scheme);
            let (verdict, told) = asked(CONFIG, &sent(&[&line])).await;
            assert!(matches!(verdict, Verdict::Continue), "{line}: {verdict:?}");
            assert_eq!(told, left(true, user, true));
        }
    }
}

#[tokio::test]
async fn others_get_401_with_a_challenge() {
    let config = "{credentials: ['alice:correct horse'], realm: the vault}";
    let headers = sent(&[&basic("alice:wrong horse")]);
    let (verdict, told) = asked(config, &headers).await;
    let Verdict::Refuse { refusal, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((refusal.status.as_u16(), refusal.code), (401, 50011));
    assert_eq!(
        refusal.headers,
        [(
            WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Basic realm="the vault", charset="UTF-8""#)
        )]
    );
    assert_eq!(told, left(true, "alice", false));
    let (verdict, told) = asked(CONFIG, &HeaderMap::new()).await;
    let Verdict::Refuse { refusal, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(
        refusal.headers[0].1,
        r#"Basic realm="adit", charset="UTF-8""#
    );
    assert_eq!(told, left(false, "", false));
}

#[tokio::test]
async fn a38_what_is_ambiguous_or_malformed_is_refused() {
    let good = basic("alice:correct horse");
    let cases: &[&[&str]] = &[
        &[&good, &basic("eve:whatever")],
        &[&good, &good],
        &[&good, "Bearer abc"],
        &[&format!("{good}, {good}")],
        &[&good.replace("Basic ", "Basic")],
        &[&good.replace("Basic", "Digest")],
        &["Basic"],
        &["Basic "],
        &["Basic !!!!"],
        &[&format!("{good}=")],
        &[good.trim_end_matches('=')],
        &[&basic("alice")],
        &[&basic("alice:correct horse\0")],
        &[&basic("alice\0:correct horse")],
        &[&basic("alice:correct horse\n")],
        &[&basic("alice:")],
        &[&basic(":")],
    ];
    for lines in cases {
        let (verdict, told) = asked(CONFIG, &sent(lines)).await;
        assert!(
            matches!(&verdict, Verdict::Refuse { refusal, .. } if refusal.code == 50011),
            "{lines:?}: {verdict:?}"
        );
        assert_ne!(told, left(true, "alice", true), "{lines:?}");
    }
    let mut other_header = HeaderMap::new();
    other_header.insert("proxy-authorization", good.parse().unwrap());
    let (verdict, _) = asked(CONFIG, &other_header).await;
    assert!(matches!(verdict, Verdict::Refuse { .. }));
}

#[tokio::test]
async fn without_enforcement_the_decision_is_only_told() {
    let config = "{credentials: ['alice:correct horse'], enforce: false}";
    for (lines, told) in [
        (sent(&[]), left(false, "", false)),
        (sent(&[&basic("eve:12345678")]), left(true, "eve", false)),
        (sent(&["Basic !"]), left(true, "", false)),
    ] {
        let (verdict, left) = asked(config, &lines).await;
        assert!(matches!(verdict, Verdict::Continue));
        assert_eq!(left, told);
    }
}

#[tokio::test]
async fn a_credential_may_be_made_for_each_exchange() {
    let lines = |user: &'static str, password: &'static str, sent: &str| {
        HeaderMap::from_iter([
            ("x-user".parse().unwrap(), HeaderValue::from_static(user)),
            (
                "x-pass".parse().unwrap(),
                HeaderValue::from_static(password),
            ),
            (AUTHORIZATION, HeaderValue::from_str(&basic(sent)).unwrap()),
        ])
    };
    let sides = "{credentials: [\"u-${req.headers['x-user'][0]}:${req.headers['x-pass'][0]}\"]}";
    let whole = "{credentials: [\"${req.headers['x-user'][0] + ':' + req.headers['x-pass'][0]}\"]}";
    let passes = async |config, user, password, sent: &str| {
        let (verdict, _) = asked(config, &lines(user, password, sent)).await;
        matches!(verdict, Verdict::Continue)
    };
    assert!(passes(sides, "a", "12345678", "u-a:12345678").await);
    assert!(passes(sides, "a", "1234:5678", "u-a:1234:5678").await);
    assert!(passes(whole, "a", "12345678", "a:12345678").await);
    assert!(
        !passes(sides, "a", "", "u-a:").await,
        "no empty password matches"
    );
    assert!(!passes(sides, "a", "1234567", "u-a:1234567").await);
    assert!(!passes(sides, "a:12345678", "x", "u-a:12345678:x").await);
    assert!(!passes(whole, "", "12345678", ":12345678").await);
    let (verdict, _) = asked(sides, &sent(&[&basic("u-a:12345678")])).await;
    assert!(matches!(verdict, Verdict::Fault { fault, .. } if fault.code() == 2238));
}

#[test]
fn a_wrong_credential_is_refused_at_its_place_and_never_shown() {
    for (credential, said) in [
        (
            "alice",
            "a credential has no colon: write `user:password` (ERR_ADIT_2257)",
        ),
        (
            ":hunter2hunter2",
            "the user of a credential is empty (ERR_ADIT_359)",
        ),
        (
            "alice:hunter2",
            "has not 8 to 128 characters (ERR_ADIT_360)",
        ),
        (
            "alice:hunter2\\n",
            "holds a control character (ERR_ADIT_2258)",
        ),
        (
            "al\\tice:hunter2hunter2",
            "holds a control character (ERR_ADIT_2257)",
        ),
        (
            "${req.method}hunter2${req.method}",
            "stands outside of `${}`",
        ),
        (
            "alice:${req.methot}hunter2",
            "unknown variable `req.methot`",
        ),
    ] {
        let config = format!("{{credentials: ['bob:12345678', \"{credential}\"]}}");
        let message = refused(&one("on_http_request", "basic-auth", &config));
        assert!(message.contains(said), "{message}");
        assert!(message.starts_with("policy.yaml:4:"), "{message}");
        assert!(message.contains("credentials[1]"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let config = "{credentials: ['alice:correct horse']}";
    let policy = policy(&one("on_http_request", "basic-auth", config));
    assert!(!format!("{policy:?}").contains("horse"));
}

#[test]
fn lists_and_texts_have_bounds() {
    let with = |count: usize, user: usize, password: usize| {
        let credential = format!("{}:{}", "u".repeat(user), "p".repeat(password));
        let list = vec![credential; count].join(", ");
        let config = format!("{{credentials: [{list}]}}");
        one("on_http_request", "basic-auth", &config)
    };
    assert!(!policy(&with(100, 128, 128)).is_empty());
    assert!(
        refused(&with(101, 1, 8)).contains("more than 100 items in `credentials` (ERR_ADIT_2218)")
    );
    assert!(refused(&with(0, 1, 8)).contains("at least one item (ERR_ADIT_2223)"));
    assert!(refused(&with(1, 129, 8)).contains("longer than 128 bytes (ERR_ADIT_2257)"));
    assert!(refused(&with(1, 1, 129)).contains("(ERR_ADIT_360)"));
    for realm in ["'a\"b'", "'a\\b'", "\"a\\nb\"", "é", &"r".repeat(129)] {
        let config = format!("{{credentials: ['a:12345678'], realm: {realm}}}");
        let message = refused(&one("on_http_request", "basic-auth", &config));
        assert!(
            message.contains("a realm has up to 128 ASCII characters"),
            "{message}"
        );
    }
}
