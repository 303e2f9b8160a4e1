//! Sessions over restarts, beside other processes, and with a file that something has happened to.

use std::{fs, io::Write, sync::Mutex, time::Duration};

use adit_policy::env::OwnKeys;
use tempfile::TempDir;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// An environment whose keys stay the same, as the gateway's do.
fn env() -> Env {
    Env::system()
}

fn session(id: &str, began: SystemTime) -> SessionKeys {
    SessionKeys {
        id: id.into(),
        issuer: "https://id.example".into(),
        subject: "alice@example.com".into(),
        provider_session: None,
        began,
    }
}

fn ended(id: &str) -> Ended {
    Ended::Session(id.into())
}

fn journal(dir: &TempDir) -> PathBuf {
    dir.path().join("sessions/journal")
}

/// Ends the process, in order.
fn stop(logins: Logins) {
    logins.flush();
    drop(logins);
}

#[test]
fn a36_d_who_has_signed_out_stays_out_after_a_restart() {
    let (dir, env, now) = (TempDir::new().unwrap(), env(), SystemTime::now());
    let logins = Logins::open(dir.path(), env.clone()).unwrap();
    logins.end(ended("s1"), now, now + HOUR);
    let person = Ended::Person {
        issuer: "https://id.example".into(),
        subject: "alice@example.com".into(),
    };
    logins.end(person, now, now + HOUR);
    assert!(logins.use_once("used", now, now + HOUR));
    logins.put(
        "large",
        b"what does not fit into cookies".as_slice().into(),
        now,
        now + HOUR,
    );
    stop(logins);

    let text = fs::read(journal(&dir)).unwrap();
    assert!(!text.is_empty());
    for secret in ["alice", "cookies", "s1", "used", "id.example"] {
        let found = text
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{secret} can be read");
    }

    let again = Logins::open(dir.path(), env).unwrap();
    assert!(again.is_ended(&session("s1", now + HOUR / 2)));
    assert!(again.is_ended(&session("s2", now)), "all of the person");
    assert!(
        !again.is_ended(&session("s2", now + HOUR / 2)),
        "who may sign in again"
    );
    assert!(!again.use_once("used", now, now + HOUR));
    assert_eq!(
        *again.get("large").unwrap(),
        *b"what does not fit into cookies"
    );
}

#[test]
fn whoever_listens_hears_what_ends() {
    let dir = TempDir::new().unwrap();
    let logins = Logins::open(dir.path(), env()).unwrap();
    let heard = Arc::<Mutex<Vec<Ended>>>::default();
    let ear = Arc::clone(&heard);
    logins.on_end(Box::new(move |which| {
        ear.lock().unwrap().push(which.clone())
    }));
    let now = SystemTime::now();
    logins.end(ended("s1"), now, now + HOUR);
    assert_eq!(*heard.lock().unwrap(), [ended("s1")]);
}

#[test]
fn what_was_torn_is_left_out_and_nothing_else() {
    let (dir, env, now) = (TempDir::new().unwrap(), env(), SystemTime::now());
    let logins = Logins::open(dir.path(), env.clone()).unwrap();
    logins.end(ended("s1"), now, now + HOUR);
    stop(logins);
    let whole = fs::read(journal(&dir)).unwrap();
    for torn in [&whole[..whole.len() / 2], b"\xff\x00garbage", b"\n\n"] {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(journal(&dir))
            .unwrap();
        file.write_all(torn).unwrap();
        let logins = Logins::open(dir.path(), env.clone()).unwrap();
        assert!(logins.is_ended(&session("s1", now)));
        logins.end(ended("s2"), now, now + HOUR);
        stop(logins);
        let logins = Logins::open(dir.path(), env.clone()).unwrap();
        assert!(logins.is_ended(&session("s1", now)) && logins.is_ended(&session("s2", now)));
        stop(logins);
    }
}

#[test]
fn what_does_not_matter_any_more_is_forgotten_at_the_start() {
    let (dir, env, now) = (TempDir::new().unwrap(), env(), SystemTime::now());
    let logins = Logins::open(dir.path(), env.clone()).unwrap();
    logins.end(ended("s1"), now, now + HOUR);
    stop(logins);
    let one = fs::metadata(journal(&dir)).unwrap().len();
    let logins = Logins::open(dir.path(), env.clone()).unwrap();
    for n in 0..100 {
        logins.end(ended("s1"), now, now + HOUR);
        logins.use_once(&format!("state {n}"), now, now - HOUR);
    }
    stop(logins);
    assert!(fs::metadata(journal(&dir)).unwrap().len() > 100 * one);
    // The thread that wrote may still have the file; whoever comes after it is alone.
    let mut length = u64::MAX;
    for _ in 0..1000 {
        stop(Logins::open(dir.path(), env.clone()).unwrap());
        length = fs::metadata(journal(&dir)).unwrap().len();
        if length == one {
            break;
        }
        std::thread::yield_now();
    }
    assert_eq!(length, one);
    assert!(
        Logins::open(dir.path(), env)
            .unwrap()
            .is_ended(&session("s1", now))
    );
}

#[test]
fn two_gateways_on_one_directory_keep_what_both_have_seen() {
    let (dir, env, now) = (TempDir::new().unwrap(), env(), SystemTime::now());
    let both = [(); 2].map(|()| Logins::open(dir.path(), env.clone()).unwrap());
    for (index, logins) in both.iter().enumerate() {
        for n in 0..50 {
            logins.end(ended(&format!("{index}-{n}")), now, now + HOUR);
        }
    }
    both.into_iter().for_each(stop);
    let logins = Logins::open(dir.path(), env).unwrap();
    for index in 0..2 {
        for n in 0..50 {
            assert!(logins.is_ended(&session(&format!("{index}-{n}"), now)));
        }
    }
}

#[test]
fn while_two_gateways_serve_who_signs_out_at_one_is_signed_out_at_the_other() {
    let (dir, env, now) = (TempDir::new().unwrap(), env(), SystemTime::now());
    let [old, new] = [(); 2].map(|()| Logins::open(dir.path(), env.clone()).unwrap());
    let (tell, told) = mpsc::channel();
    new.on_end(Box::new(move |ended| tell.send(ended.clone()).unwrap()));
    new.follow();
    new.put("kept", b"new".as_slice().into(), now, now + HOUR);
    new.flush();
    old.put("other", b"old".as_slice().into(), now, now + HOUR);
    old.end(ended("s1"), now, now + HOUR);
    let patience = Duration::from_secs(20);
    assert_eq!(told.recv_timeout(patience).unwrap(), ended("s1"));
    assert!(new.is_ended(&session("s1", now)));
    assert_eq!(new.get("other").as_deref(), Some(b"old".as_slice()));
    // What it wrote last is read, however quickly it is gone.
    old.end(ended("s2"), now, now + HOUR);
    stop(old);
    new.follow_no_more();
    new.flush();
    assert!(new.is_ended(&session("s2", now)));
    assert_eq!(new.get("kept").as_deref(), Some(b"new".as_slice()));
}

#[test]
fn lines_of_other_keys_are_left_out() {
    let (dir, now) = (TempDir::new().unwrap(), SystemTime::now());
    let logins = Logins::open(dir.path(), env()).unwrap();
    logins.end(ended("s1"), now, now + HOUR);
    stop(logins);
    let stranger = env().with_keys(Arc::new(OwnKeys::new(Arc::new(Sevens))));
    let logins = Logins::open(dir.path(), stranger).unwrap();
    assert!(!logins.is_ended(&session("s1", now)));
}

#[derive(Debug)]
struct Sevens;

impl adit_policy::env::Random for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_told_at_the_start() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("sessions"), "a file").unwrap();
    let why = Logins::open(dir.path(), env()).unwrap_err().to_string();
    assert!(
        why.contains("sessions: ") && why.contains("stays out after a restart"),
        "{why}"
    );
}
