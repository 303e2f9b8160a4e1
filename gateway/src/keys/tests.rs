//! Keys over months, over restarts, and between processes.

use std::{fs, os::unix::fs::PermissionsExt};

use adit_policy::env::{Env, Keyring as _};
use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn at(days: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY + days * DAY
}

fn seal(keys: &Keyring, text: &str) -> String {
    let env = Env::system();
    keys.keys().seal(b"test", text.as_bytes(), env.random())
}

fn opens(keys: &Keyring, sealed: &str) -> bool {
    keys.keys().open(b"test", sealed).is_some()
}

fn published(keys: &Keyring) -> Vec<String> {
    let set: serde_json::Value = serde_json::from_str(&keys.keys().jwks()).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_restart_finds_the_same_keys() {
    let dir = TempDir::new().unwrap();
    let sealed = seal(&Keyring::open(dir.path(), at(0)).unwrap(), "session");
    let again = Keyring::open(dir.path(), at(1)).unwrap();
    assert!(opens(&again, &sealed));
    let other = TempDir::new().unwrap();
    assert!(!opens(
        &Keyring::open(other.path(), at(0)).unwrap(),
        &sealed
    ));
}

#[test]
fn keys_change_every_month_while_sessions_live_on() {
    let dir = TempDir::new().unwrap();
    let keys = Keyring::open(dir.path(), at(0)).unwrap();
    let sealed = seal(&keys, "session");
    let first = keys.keys().signing_id().to_owned();
    assert_eq!(published(&keys), [&*first]);

    // Published a day before it signs.
    keys.turn(at(30)).unwrap();
    assert_eq!(keys.keys().signing_id(), first);
    let both = published(&keys);
    assert_eq!((both.len(), &both[0]), (2, &first));
    let before = seal(&keys, "session");

    keys.turn(at(31)).unwrap();
    let second = keys.keys().signing_id().to_owned();
    assert_eq!(second, both[1]);
    assert_eq!(published(&keys), [&*second, &*first]);
    assert_ne!(
        seal(&keys, "x")[..5],
        before[..5],
        "it seals with the new key"
    );
    assert!(opens(&keys, &sealed) && opens(&keys, &before));

    keys.turn(at(32)).unwrap();
    assert_eq!(published(&keys), [second]);
    for day in (33..31 + 365).step_by(7) {
        keys.turn(at(day)).unwrap();
        assert!(opens(&keys, &sealed), "day {day}");
    }
    keys.turn(at(31 + 365)).unwrap();
    assert!(!opens(&keys, &sealed), "no session is as old as that");
}

#[test]
fn processes_that_begin_at_the_same_moment_agree() {
    let dir = TempDir::new().unwrap();
    let rings: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Keyring::open(dir.path(), at(0)).unwrap()))
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let sealed = seal(&rings[0], "session");
    assert!(rings.iter().all(|ring| opens(ring, &sealed)));
    // One of them makes the next keys, and the others take them over before they are used.
    rings[0].turn(at(30)).unwrap();
    for ring in &rings {
        ring.turn(at(30)).unwrap();
        assert_eq!(published(ring), published(&rings[0]));
    }
}

#[test]
fn keys_are_their_owners_only() {
    let dir = TempDir::new().unwrap();
    let open = || Keyring::open(dir.path(), at(0));
    open().unwrap();
    let folder = dir.path().join("keys");
    let file = folder.join("keyring.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    for (path, wide, narrow, said) in [
        (&file, 0o640, 0o600, "chmod 600"),
        (&file, 0o604, 0o600, "chmod 600"),
        (&folder, 0o720, 0o700, "chmod 700"),
    ] {
        let set = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(wide);
        let why = open().unwrap_err().to_string();
        assert!(
            why.contains(said) && why.starts_with(path.to_str().unwrap()),
            "{why}"
        );
        set(narrow);
        assert!(open().is_ok());
    }
}

#[test]
fn a_file_that_is_no_keyring_is_refused_without_a_word_of_it() {
    let dir = TempDir::new().unwrap();
    Keyring::open(dir.path(), at(0)).unwrap();
    let file = dir.path().join("keys/keyring.json");
    for (text, said) in [
        (
            r#"{"version":1,"sealing":"topsecret"}"#,
            "restore it from a backup",
        ),
        ("topsecret", "restore it from a backup"),
        (
            r#"{"version":2,"sealing":[],"signing":[]}"#,
            "its layout is 2, and this version of adit reads 1",
        ),
        (
            r#"{"version":1,"sealing":[{"made":1,"key":"topsecret"}],"signing":[]}"#,
            "base64",
        ),
        (
            r#"{"version":1,"sealing":[{"made":1,"key":"dG9wc2VjcmV0"}],"signing":[]}"#,
            "a sealing key has 32 bytes",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let why = Keyring::open(dir.path(), SystemTime::UNIX_EPOCH).unwrap_err();
        assert!(why.to_string().contains(said), "{why}");
        assert!(!format!("{why} {why:?}").contains("topsecret"), "{why:?}");
    }
}

#[test]
fn keys_in_use_stay_when_the_file_is_gone_bad() {
    let dir = TempDir::new().unwrap();
    let keys = Keyring::open(dir.path(), at(0)).unwrap();
    let sealed = seal(&keys, "session");
    fs::write(dir.path().join("keys/keyring.json"), "{").unwrap();
    assert!(keys.turn(at(1)).is_err());
    assert!(opens(&keys, &sealed));
}

#[test]
fn a_key_that_seems_to_be_made_in_the_future_is_replaced() {
    let dir = TempDir::new().unwrap();
    let sealed = seal(&Keyring::open(dir.path(), at(10_000)).unwrap(), "session");
    let keys = Keyring::open(dir.path(), at(0)).unwrap();
    let first = keys.keys().signing_id().to_owned();
    keys.turn(at(1)).unwrap();
    assert!(opens(&keys, &sealed));
    assert_ne!(keys.keys().signing_id(), first);
}
