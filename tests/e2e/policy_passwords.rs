//! Hashed passwords and limited attempts, over real sockets.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::task::JoinSet;

use crate::harness::{Agent, Gateway, Service, curl, raw};

/// `correct horse` by bcrypt, with the cost that is usual.
const BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu";
/// `password` by Argon2.
const ARGON2: &str =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

/// Passwords that are guessed at the same time.
const GUESSES: usize = 50;

fn guarded(url: &str, config: &str) -> String {
    format!(
        "  - url: {url}\n    traffic_policy:\n      on_http_request:\n        - actions:\n            - type: basic-auth\n              config: {config}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a38_only_who_knows_a_hashed_password_reaches_the_service() {
    let service = Service::echo().await;
    let credentials = format!("['alice:{BCRYPT}', 'bob:{ARGON2}', 'carol:plain as day']");
    let gateway = Gateway::with(&format!(
        "endpoints:\n{}",
        guarded(
            "https://app.localhost",
            &format!("{{ credentials: {credentials} }}")
        )
    ))
    .await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    for version in ["--http1.1", "--http2"] {
        for wrong in [
            "alice:password",
            "bob:correct horse",
            "eve:correct horse",
            &format!("alice:{BCRYPT}"),
        ] {
            let answer = curl(&gateway, [version, "-u", wrong, "https://app.localhost/"]).await;
            assert_eq!(answer.status, 401, "{wrong}: {answer:?}");
            assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_50011"));
        }
    }
    assert_eq!(service.counts().connections, 0);
    for version in ["--http1.1", "--http2"] {
        for right in ["alice:correct horse", "bob:password", "carol:plain as day"] {
            for _ in 0..2 {
                let answer = curl(&gateway, [version, "-u", right, "https://app.localhost/"]).await;
                assert_eq!(answer.status, 200, "{right}: {answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_is_refused_with_the_right_password_too() {
    let service = Service::echo().await;
    let config = format!("{{ credentials: ['alice:{BCRYPT}'], attempts: {{ max: 3, per: 1h }} }}");
    let gateway = Gateway::with(&format!(
        "endpoints:\n{}",
        guarded("https://app.localhost", &config)
    ))
    .await;
    let _agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
    let ask = async |password: &str| {
        let user = format!("alice:{password}");
        curl(&gateway, ["-u", &user, "https://app.localhost/"]).await
    };
    for _ in 0..3 {
        assert_eq!(ask("wrong horse").await.status, 401);
        let anonymous = curl(&gateway, ["https://app.localhost/"]).await;
        assert_eq!(anonymous.status, 401, "{anonymous:?}");
    }
    for password in ["correct horse", "wrong horse"] {
        let answer = ask(password).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_50010"));
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((3_000..=3_960).contains(&seconds), "{answer:?}");
    }
    assert_eq!(service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_passwords_are_hashed_others_are_served() {
    let service = Service::echo().await;
    let config = format!("{{ credentials: ['alice:{BCRYPT}'], attempts: off }}");
    let gateway = Gateway::with(&format!(
        "endpoints:\n{}",
        guarded("http://slow.localhost", &config)
    ))
    .await;
    let _slow = Agent::forward(&gateway, "http://slow.localhost", service.addr()).await;
    let _open = Agent::forward(&gateway, "http://open.localhost", service.addr()).await;
    let mut guessers = Vec::new();
    for _ in 0..GUESSES {
        guessers.push(raw::Client::connect(gateway.http()).await);
    }
    let mut visitor = raw::Client::connect(gateway.http()).await;

    let answered = Arc::new(AtomicUsize::new(0));
    let mut guesses = JoinSet::new();
    for (number, mut guesser) in guessers.into_iter().enumerate() {
        let authorization = basic(&format!("alice:guess number {number}"));
        let request = format!(
            "GET / HTTP/1.1\r\nHost: slow.localhost\r\nAuthorization: {authorization}\r\n\r\n"
        );
        guesser.send(request).await;
        let answered = Arc::clone(&answered);
        guesses.spawn(async move {
            let status = guesser.answer().await.status;
            answered.fetch_add(1, Ordering::Relaxed);
            status
        });
    }
    for _ in 0..20 {
        visitor
            .send("GET / HTTP/1.1\r\nHost: open.localhost\r\n\r\n")
            .await;
        assert_eq!(visitor.answer().await.status, 200);
    }
    // If a guess took the core that serves the visitor, each answer would have waited for many of them.
    let guessed_meanwhile = answered.load(Ordering::Relaxed);
    assert!(guessed_meanwhile < GUESSES, "{guessed_meanwhile}");
    let statuses = guesses.join_all().await;
    assert_eq!(statuses, [401; GUESSES]);
    assert_eq!(service.requests().len(), 20);
}

/// The value of `authorization` for `user:password`.
pub(crate) fn basic(credential: &str) -> String {
    format!("Basic {}", STANDARD.encode(credential))
}
