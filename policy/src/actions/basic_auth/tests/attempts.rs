//! How often signing in may fail, and for whom.

use std::net::SocketAddr;

use super::*;
use crate::Policy;
use crate::exchange::Conn;
use crate::testing::{Turned, now};

const RIGHT: &str = "alice:correct horse";

fn load(more: &str, env: &Env) -> Policy {
    let config = format!("{{credentials: ['{RIGHT}', 'bob:battery staple'], {more}}}");
    let text = one("on_http_request", "basic-auth", &config);
    Policy::load("policy.yaml", &text, env).unwrap()
}

/// What a client is answered; `None` if it is let in.
async fn refusal(policy: &Policy, env: &Env, client: &str, lines: &[&str]) -> Option<Refusal> {
    let server: SocketAddr = "198.51.100.1:443".parse().unwrap();
    let conn = Conn::new(
        SocketAddr::new(client.parse().unwrap(), 5_000),
        server,
        now(),
    );
    let lines = sent(lines);
    let mut exchange = request(&lines);
    exchange.conn = &conn;
    exchange.env = env;
    match policy.on_http_request(&mut exchange).await {
        Verdict::Continue => None,
        Verdict::Refuse { refusal, .. } => Some(refusal),
        verdict => panic!("{verdict:?}"),
    }
}

async fn status(policy: &Policy, env: &Env, client: &str, credential: &str) -> u16 {
    let refusal = refusal(policy, env, client, &[&basic(credential)]).await;
    refusal.map_or(0, |refusal| refusal.status.as_u16())
}

/// So many wrong passwords, each answered as such.
async fn guess(policy: &Policy, env: &Env, client: &str, user: &str, times: u32) {
    for attempt in 0..times {
        let credential = format!("{user}:guess number {attempt}");
        assert_eq!(
            status(policy, env, client, &credential).await,
            401,
            "{credential}"
        );
    }
}

#[tokio::test]
async fn a_client_who_has_failed_ten_times_waits_a_minute_even_with_the_right_password() {
    let (clock, env) = Turned::env();
    let policy = load("", &env);
    for attempt in 0..10 {
        guess(&policy, &env, "192.0.2.7", &format!("user {attempt}"), 1).await;
        assert_eq!(
            status(&policy, &env, "192.0.2.7", RIGHT).await,
            if attempt < 9 { 0 } else { 429 }
        );
    }
    let line = basic(RIGHT);
    let limited = refusal(&policy, &env, "192.0.2.7", &[&line]).await.unwrap();
    assert_eq!((limited.status.as_u16(), limited.code), (429, 50010));
    let [(RETRY_AFTER, seconds)] = &limited.headers[..] else {
        panic!("{limited:?}");
    };
    let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
    assert!((54..=66).contains(&seconds), "{seconds}");
    assert_eq!(
        status(&policy, &env, "192.0.2.8", RIGHT).await,
        0,
        "another client"
    );
    clock.turn(Duration::from_secs(seconds - 10));
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 429);
    clock.turn(Duration::from_secs(10));
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 0);
}

#[tokio::test]
async fn what_guesses_no_password_is_no_attempt() {
    let (_, env) = Turned::env();
    let policy = load("attempts: {max: 1}", &env);
    let good = basic(RIGHT);
    for lines in [&[][..], &["Bearer abc"], &["Basic !!!"], &[&good, &good]] {
        for _ in 0..3 {
            let refusal = refusal(&policy, &env, "192.0.2.7", lines).await.unwrap();
            assert_eq!(refusal.status, 401, "{lines:?}");
        }
    }
    guess(&policy, &env, "192.0.2.7", "alice", 1).await;
    for lines in [&[][..], &["Basic !!!"]] {
        let refusal = refusal(&policy, &env, "192.0.2.7", lines).await.unwrap();
        assert_eq!(
            refusal.status, 401,
            "who signs in to nothing waits for nothing: {lines:?}"
        );
    }
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 429);
}

#[tokio::test]
async fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
    let (_, env) = Turned::env();
    let policy = load("attempts: {max: 3}", &env);
    for (client, user) in [
        ("2001:db8::1", "u"),
        ("2001:db8::2", "v"),
        ("2001:db8::ffff:0:0:3", "w"),
    ] {
        guess(&policy, &env, client, user, 1).await;
    }
    assert_eq!(status(&policy, &env, "2001:db8::4", RIGHT).await, 429);
    assert_eq!(status(&policy, &env, "2001:db8:0:1::4", RIGHT).await, 0);
    for (client, user) in [
        ("192.0.2.7", "x"),
        ("::ffff:192.0.2.7", "y"),
        ("192.0.2.7", "z"),
    ] {
        guess(&policy, &env, client, user, 1).await;
    }
    assert_eq!(status(&policy, &env, "::ffff:192.0.2.7", RIGHT).await, 429);
    assert_eq!(status(&policy, &env, "192.0.2.6", RIGHT).await, 0);
}

#[tokio::test]
async fn a_user_is_guessed_no_more_often_from_many_addresses() {
    let (_, env) = Turned::env();
    let policy = load("", &env);
    for client in 1..=10 {
        guess(&policy, &env, &format!("198.51.100.{client}"), "alice", 1).await;
    }
    assert_eq!(
        status(&policy, &env, "203.0.113.1", "alice:guess").await,
        429
    );
    assert_eq!(
        status(&policy, &env, "203.0.113.1", RIGHT).await,
        429,
        "no oracle"
    );
    assert_eq!(
        status(&policy, &env, "203.0.113.1", "bob:battery staple").await,
        0
    );
    // A user who does not exist is no different.
    for client in 1..=10 {
        guess(&policy, &env, &format!("203.0.113.{client}"), "nobody", 1).await;
    }
    assert_eq!(
        status(&policy, &env, "192.0.2.1", "nobody:guess").await,
        429
    );
}

#[tokio::test]
async fn strangers_do_not_lock_a_user_out_where_they_have_signed_in() {
    let (clock, env) = Turned::env();
    let policy = load("", &env);
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 0);
    clock.turn(Duration::from_secs(11 * 3_600));
    for client in 1..=10 {
        guess(&policy, &env, &format!("198.51.100.{client}"), "alice", 1).await;
    }
    assert_eq!(status(&policy, &env, "192.0.2.8", RIGHT).await, 429);
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 0);
    // What is tried there counts there all the same.
    guess(&policy, &env, "192.0.2.7", "alice", 10).await;
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 429);
}

#[tokio::test]
async fn the_limit_is_what_the_policy_says() {
    let (clock, env) = Turned::env();
    let policy = load("attempts: {max: 2, per: 1h}", &env);
    guess(&policy, &env, "192.0.2.7", "alice", 2).await;
    clock.turn(Duration::from_secs(1_800));
    assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 429);
    for off in ["attempts: off", "attempts: false"] {
        let policy = load(off, &env);
        guess(&policy, &env, "192.0.2.7", "alice", 50).await;
        assert_eq!(status(&policy, &env, "192.0.2.7", RIGHT).await, 0);
    }
}

#[tokio::test]
async fn counting_goes_on_under_a_new_policy_and_apart_in_a_trial() {
    let (_, env) = Turned::env();
    let env = env.for_endpoint("https://a.example");
    let old = load("", &env);
    let shadow = one(
        "on_http_request",
        "basic-auth",
        "{credentials: ['zoe:12345678']}",
    );
    let shadow = shadow.replace("- actions", "- mode: shadow\n    actions");
    let shadow = Policy::load("policy.yaml", &shadow, &env).unwrap();
    for _ in 0..20 {
        assert_eq!(status(&shadow, &env, "192.0.2.7", RIGHT).await, 0);
    }
    guess(&old, &env, "192.0.2.7", "alice", 10).await;
    let new = load("realm: other", &env);
    drop(old);
    assert_eq!(status(&new, &env, "192.0.2.7", RIGHT).await, 429);
    let elsewhere = env.for_endpoint("https://b.example");
    assert_eq!(
        status(&load("", &elsewhere), &elsewhere, "192.0.2.7", RIGHT).await,
        0
    );
}

#[tokio::test]
async fn without_enforcement_nothing_is_counted_unless_that_is_said() {
    let (_, env) = Turned::env();
    let told = async |policy: &Policy, credential: &str| {
        let lines = sent(&[&basic(credential)]);
        let mut exchange = request(&lines);
        exchange.env = &env;
        exchange.memory = Memory::traced();
        let verdict = policy.on_http_request(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        exchange.memory.result("basic_auth").cloned().unwrap()
    };
    let silent = load("enforce: false", &env);
    let counting = load("enforce: false, attempts: {max: 2}", &env);
    for _ in 0..20 {
        assert_eq!(
            told(&silent, "alice:wrong horse").await,
            left(true, "alice", false)
        );
    }
    assert_eq!(told(&silent, RIGHT).await, left(true, "alice", true));
    for _ in 0..2 {
        assert_eq!(
            told(&counting, "alice:wrong horse").await,
            left(true, "alice", false)
        );
    }
    let limited = Value::map([(
        "credentials",
        Value::map([
            ("presented", Value::Bool(true)),
            ("username", Value::text("alice")),
            ("authorized", Value::Bool(false)),
            ("limited", Value::Bool(true)),
        ]),
    )]);
    assert_eq!(told(&counting, RIGHT).await, limited);
}

#[test]
fn a_limit_that_is_none_is_refused() {
    for (attempts, said) in [
        (
            "never",
            "`attempts` is `off`, or a map as in `{ max: 10, per: 1m }` (ERR_ADIT_2222)",
        ),
        ("5", "expected `off`, or a map"),
        ("{max: 0}", "0 is not from 1 to 2000000000 (ERR_ADIT_2215)"),
        (
            "{per: 500ms}",
            "not whole seconds from 1s to 24h (ERR_ADIT_2204)",
        ),
        ("{most: 3}", "unknown field `most`"),
    ] {
        let config = format!("{{credentials: ['{RIGHT}'], attempts: {attempts}}}");
        let message = refused(&one("on_http_request", "basic-auth", &config));
        assert!(message.contains(said), "{attempts}: {message}");
        assert!(message.contains("attempts"), "{message}");
    }
}
