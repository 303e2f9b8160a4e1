//! Passwords that stand in a policy as hashes.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;

use super::*;
use crate::Policy;
use crate::document::{Document, read_warned};
use crate::env::{Busy, KnownSecrets, Secrets, Work};
use crate::secret::Secret;
use crate::testing::{ENV, Turned};

/// `correct horse`, by bcrypt, SHA-512 and SHA-1.
const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
const SHA_512: &str = "$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/";
const SHA_1: &str = "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=";
/// `password`.
const ARGON2: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

/// Computes at once, and counts.
#[derive(Default)]
pub(super) struct Counted {
    jobs: AtomicUsize,
    is_full: bool,
    /// What happens while the first job waits for its turn.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

#[async_trait]
impl Work for Counted {
    fn spawn(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}

    async fn compute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Busy> {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        if self.is_full {
            return Err(Busy);
        }
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        job();
        Ok(())
    }
}

fn counting() -> (Arc<Turned>, Arc<Counted>, Env) {
    let (clock, env) = Turned::env();
    let counted = Arc::<Counted>::default();
    let work = Arc::<Counted>::clone(&counted);
    (clock, counted, env.with_work(work))
}

fn list(credentials: &[&str]) -> String {
    let quoted: Vec<_> = credentials.iter().map(|one| format!("'{one}'")).collect();
    format!("{{credentials: [{}]}}", quoted.join(", "))
}

fn load(credentials: &[&str], env: &Env) -> Policy {
    let text = one("on_http_request", "basic-auth", &list(credentials));
    Policy::load("policy.yaml", &text, env).unwrap()
}

/// The status that a credential gets; 0 if it is let in.
async fn status(policy: &Policy, env: &Env, credential: &str) -> u16 {
    let lines = sent(&[&basic(credential)]);
    let mut exchange = request(&lines);
    exchange.env = env;
    match policy.on_http_request(&mut exchange).await {
        Verdict::Continue => {
            let identity = exchange.memory.identity().unwrap();
            let user = credential.split(':').next().unwrap();
            assert_eq!(identity.kind, "basic-auth");
            assert_eq!((&*identity.id, &*identity.name), (user, user));
            0
        }
        Verdict::Refuse { refusal, .. } => {
            assert!(exchange.memory.identity().is_none());
            refusal.status.as_u16()
        }
        verdict => panic!("{verdict:?}"),
    }
}

/// What a future gives that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test]
async fn hashed_passwords_stand_beside_plain_ones() {
    let list = [
        &format!("alice:{BCRYPT}"),
        &format!("bob:{SHA_512}"),
        &format!("carol:{ARGON2}"),
        &format!("dave:{SHA_1}"),
        "erin:plain as day",
        // A second password while the first one is on its way out.
        &format!("erin:{BCRYPT}"),
    ];
    let policy = load(&list, &ENV);
    for right in [
        "alice:correct horse",
        "bob:correct horse",
        "carol:password",
        "dave:correct horse",
        "erin:plain as day",
        "erin:correct horse",
    ] {
        assert_eq!(status(&policy, &ENV, right).await, 0, "{right}");
    }
    // The failures must not lock out.
    for wrong in [
        "alice:password".to_owned(),
        "carol:correct horse".to_owned(),
        "zoe:correct horse".to_owned(),
        "alice:".to_owned(),
        // Whoever has seen the policy has seen no password.
        format!("alice:{BCRYPT}"),
        format!("dave:{SHA_1}"),
    ] {
        assert_eq!(
            status(&load(&list, &Turned::env().1), &ENV, &wrong).await,
            401,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a38_a_an_unknown_user_costs_what_a_known_one_costs() {
    let (_, counted, env) = counting();
    let policy = load(&[&format!("alice:{BCRYPT}"), "bob:plain as day"], &env);
    for (credential, expected) in [
        ("alice:wrong horse", 401),
        ("zoe:wrong horse", 401),
        // A known user is hashed for as well, if the plain password was not the right one.
        ("bob:wrong horse", 401),
        // The password that is compared with to take the time lets nobody in.
        ("zoe:correct horse", 401),
        ("bob:correct horse", 401),
    ] {
        let before = counted.jobs.load(Ordering::Relaxed);
        assert_eq!(
            status(&policy, &env, credential).await,
            expected,
            "{credential}"
        );
        assert_eq!(
            counted.jobs.load(Ordering::Relaxed),
            before + 1,
            "{credential}"
        );
    }
    assert_eq!(status(&policy, &env, "alice:correct horse").await, 0);
    // Neither does one that was right a moment ago.
    assert_eq!(status(&policy, &env, "zoe:correct horse").await, 401);
}

#[tokio::test]
async fn a_password_that_was_right_is_not_hashed_again_for_five_minutes() {
    let (clock, counted, env) = counting();
    let policy = load(&[&format!("alice:{BCRYPT}")], &env);
    let asked = async |credential, jobs| {
        let before = counted.jobs.load(Ordering::Relaxed);
        let status = status(&policy, &env, credential).await;
        assert_eq!(
            counted.jobs.load(Ordering::Relaxed),
            before + jobs,
            "{credential}"
        );
        status
    };
    assert_eq!(asked("alice:correct horse", 1).await, 0);
    for _ in 0..20 {
        assert_eq!(asked("alice:correct horse", 0).await, 0);
    }
    assert_eq!(asked("alice:wrong horse", 1).await, 401);
    assert_eq!(
        asked("alice:wrong horse", 1).await,
        401,
        "what was wrong is not remembered"
    );
    assert_eq!(asked("alice:correct horse", 0).await, 0);
    clock.turn(Duration::from_secs(300));
    assert_eq!(asked("alice:correct horse", 1).await, 0);
}

#[tokio::test]
async fn a_new_list_of_credentials_forgets_what_was_right_with_the_old_one() {
    let (_, counted, env) = counting();
    let old = load(&[&format!("alice:{BCRYPT}")], &env);
    assert_eq!(status(&old, &env, "alice:correct horse").await, 0);
    let same = load(&["bob:plain as day", &format!("alice:{BCRYPT}")], &env);
    assert_eq!(status(&same, &env, "alice:correct horse").await, 0);
    assert_eq!(
        counted.jobs.load(Ordering::Relaxed),
        1,
        "the hash is the same"
    );
    let new = load(&[&format!("alice:{ARGON2}")], &env);
    assert_eq!(status(&new, &env, "alice:correct horse").await, 401);
    let without = load(&[&format!("bob:{BCRYPT}")], &env);
    assert_eq!(status(&without, &env, "alice:correct horse").await, 401);
}

#[tokio::test]
async fn a_list_without_hashes_waits_for_nothing() {
    let (_, counted, env) = counting();
    let policy = load(&["alice:correct horse"], &env);
    assert_eq!(status(&policy, &env, "alice:wrong horse").await, 401);
    assert_eq!(status(&policy, &env, "alice:correct horse").await, 0);
    assert_eq!(counted.jobs.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn where_too_many_wait_nobody_gets_in() {
    let (_, env) = Turned::env();
    let full = Counted {
        is_full: true,
        ..Counted::default()
    };
    let env = env.with_work(Arc::new(full));
    let policy = load(&[&format!("alice:{BCRYPT}"), "bob:plain as day"], &env);
    assert_eq!(status(&policy, &env, "alice:correct horse").await, 503);
    assert_eq!(status(&policy, &env, "bob:plain as day").await, 0);
}

#[tokio::test]
async fn who_has_guessed_often_enough_while_waiting_is_not_hashed_for() {
    let (_, counted, env) = counting();
    let credential = format!("alice:{BCRYPT}");
    let policy = load(&[&credential], &env);
    let others = load(&["bob:plain as day"], &env);
    let env_of_others = env.clone();
    *counted.meanwhile.lock().unwrap() = Some(Box::new(move || {
        for _ in 0..10 {
            let status = status(&others, &env_of_others, "carol:wrong horse");
            assert_eq!(at_once(status), 401);
        }
    }));
    assert_eq!(status(&policy, &env, "alice:correct horse").await, 429);
}

#[tokio::test]
async fn a_hash_may_be_made_for_each_exchange() {
    let (_, env) = Turned::env();
    let policy = load(&["alice:${getReqHeader(\"x-hash\")[0]}"], &env);
    let asked = async |hash: &str, password: &str| {
        let mut lines = sent(&[&basic(&format!("alice:{password}"))]);
        lines.insert("x-hash", HeaderValue::from_str(hash).unwrap());
        let mut exchange = request(&lines);
        exchange.env = &env;
        let verdict = policy.on_http_request(&mut exchange).await;
        matches!(verdict, Verdict::Continue)
    };
    assert!(asked(BCRYPT, "correct horse").await);
    assert!(!asked(ARGON2, "correct horse").await);
    assert!(asked(ARGON2, "password").await);
    assert!(asked("plain as day", "plain as day").await);
    // Neither a hash that takes too long nor one of an unknown kind lets anybody in, nor does it become a password.
    for hash in [&BCRYPT.replace("$04$", "$31$"), "$y$j9T$abc$def"] {
        assert!(!asked(hash, "correct horse").await && !asked(hash, hash).await);
    }
}

#[tokio::test]
async fn a_hash_may_be_a_secret_and_change() {
    /// Knows one secret, which changes.
    #[derive(Debug, Default)]
    struct Changing(Mutex<KnownSecrets>);

    impl Secrets for Changing {
        fn get(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
            self.0.lock().unwrap().get(vault, name)
        }
    }

    let (_, env) = Turned::env();
    let secrets = Arc::<Changing>::default();
    let env = env.with_secrets(Arc::<Changing>::clone(&secrets));
    let set = |hash| {
        let mut known = secrets.0.lock().unwrap();
        known.insert("users", "alice", Secret::new(hash));
    };
    let policy = load(&["alice:${secrets.get(\"users\", \"alice\")}"], &env);
    set(BCRYPT);
    assert_eq!(status(&policy, &env, "alice:correct horse").await, 0);
    assert_eq!(status(&policy, &env, "alice:password").await, 401);
    set(ARGON2);
    assert_eq!(status(&policy, &env, "alice:correct horse").await, 401);
    assert_eq!(status(&policy, &env, "alice:password").await, 0);
}

#[tokio::test]
async fn a_password_of_a_kilobyte_is_nobodys_and_not_hashed() {
    let (_, counted, env) = counting();
    let policy = load(&[&format!("alice:{SHA_512}")], &env);
    let long = format!("alice:{}", "x".repeat(1_024));
    assert_eq!(status(&policy, &env, &long).await, 401);
    assert_eq!(counted.jobs.load(Ordering::Relaxed), 0);
}

#[test]
fn a_hash_that_cannot_be_used_is_refused_at_its_place_and_never_shown() {
    for (hash, said) in [
        (
            "$y$j9T$hunter2$hunter2",
            "looks like a hash of a kind that is not known",
        ),
        (
            "$hunter2$hunter2",
            "looks like a hash of a kind that is not known",
        ),
        (
            "{SSHA}hunter2hunter2",
            "looks like a hash of a kind that is not known",
        ),
        (
            "$2y$10$hunter2",
            "is not a whole bcrypt hash (ERR_ADIT_2258)",
        ),
        (
            &BCRYPT.replace("$04$", "$16$"),
            "the cost of bcrypt goes up to 15 (ERR_ADIT_2215)",
        ),
    ] {
        let config = list(&["bob:12345678", &format!("alice:{hash}")]);
        let message = refused(&one("on_http_request", "basic-auth", &config));
        assert!(message.contains(said), "{message}");
        assert!(message.contains("credentials[1]"), "{message}");
        assert!(
            !message.contains("hunter2") && !message.contains("abcdefgh"),
            "{message}"
        );
    }
}

#[test]
fn a_weak_hash_is_read_with_a_warning() {
    for (hash, warning) in [
        (SHA_1, Some("{SHA} is SHA-1 without a salt")),
        ("$apr1$abcdefgh$sIQmFnT1CuEXAsyjuXjUX/", Some("apr1 is MD5")),
        (BCRYPT, Some("bcrypt with a cost below 10")),
        (SHA_512, None),
        ("plain as day", None),
    ] {
        let config = list(&["bob:12345678", &format!("alice:{hash}")]);
        let text = one("on_http_request", "basic-auth", &config);
        let (_, warnings) = read_warned::<Document>("policy.yaml", &text).unwrap();
        let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        match (warning, &said[..]) {
            (None, []) => {}
            (Some(warning), [said]) => {
                assert!(said.contains(warning), "{said}");
                assert!(said.contains("credentials[1]"), "{said}");
                assert!(!said.contains(&hash[8..]), "{said}");
            }
            _ => panic!("{hash}: {said:?}"),
        }
    }
}
