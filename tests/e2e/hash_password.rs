//! `adit config hash-password`: what it asks, what it prints, and that what it prints works where it is pasted.

use std::{process::Stdio, sync::Arc};

use rustix::{process::Signal, termios::LocalModes};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::harness::{
    command::{Told, run},
    soon,
    terminal::Terminal,
};

const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

fn new_home() -> Arc<TempDir> {
    Arc::new(TempDir::new().unwrap())
}

/// `adit config hash-password ARGS…` with this on its standard input.
async fn piped(args: &[&str], input: &str) -> Told {
    let mut child = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["config", "hash-password"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // One that has ended already reads nothing.
    drop(
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .await,
    );
    let output = soon("the command to end", child.wait_with_output())
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Whether a credential, pasted into a policy, lets `ada:correct horse` in and nobody else.
async fn works_in_a_policy(item: &str) {
    let home = new_home();
    let policy = format!(
        "on_http_request:\n  - actions:\n      - type: basic-auth\n        config:\n          credentials:\n            {item}\n"
    );
    let cases = "policy: policy.yaml\ncases:\n\
        - name: the right one\n  given: { headers: { authorization: Basic YWRhOmNvcnJlY3QgaG9yc2U= } }\n  expect: { verdict: continue }\n\
        - name: a wrong one\n  given: { headers: { authorization: Basic YWRhOndyb25nIGhvcnNl } }\n  expect: { status: 401 }\n";
    std::fs::write(home.path().join("policy.yaml"), policy).unwrap();
    std::fs::write(home.path().join("cases.yaml"), cases).unwrap();
    let told = run(&home, ["policy", "test", "cases.yaml"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let told = run(&home, ["policy", "check", "policy.yaml"]).await;
    assert_eq!(
        told.stdout, "policy.yaml: 1 rule, no mistakes\n",
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_standard_input_becomes_a_hash() {
    for (args, prefix) in [
        (&[][..], ARGON2),
        (&["--algorithm", "argon2id"], ARGON2),
        (&["--algorithm=bcrypt"], "$2y$12$"),
    ] {
        let told = piped(args, "correct horse\nthis is not read\n").await;
        assert_eq!((told.code, &*told.stderr), (0, ""), "{told:?}");
        let hash = told.stdout.strip_suffix('\n').unwrap();
        assert!(hash.starts_with(prefix) && !hash.contains('\n'), "{told:?}");
        works_in_a_policy(&format!("- 'ada:{hash}'")).await;
        assert_ne!(
            piped(args, "correct horse\n").await.stdout,
            told.stdout,
            "salt"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_makes_it_a_line_that_can_be_pasted() {
    let told = piped(&["--user", "ada"], "correct horse").await;
    assert_eq!((told.code, &*told.stderr), (0, ""), "{told:?}");
    let line = told.stdout.strip_suffix('\n').unwrap();
    assert!(line.starts_with(&format!("- 'ada:{ARGON2}")), "{line}");
    works_in_a_policy(line).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_policy_would_accept_is_a_mistake() {
    for (args, input, said) in [
        (&[][..], "short\n", "a password has 8 to 128 characters"),
        (&[], "", "a password has 8 to 128 characters"),
        (&[], "tab\tin the middle\n", "no control characters"),
        (&["--algorithm", "bcrypt"], &"x".repeat(73), "take argon2id"),
        (&["--user", "a:b"], "correct horse\n", "neither a colon"),
        (
            &["--user", ""],
            "correct horse\n",
            "a user has 1 to 128 bytes",
        ),
        (
            &["--algorithm", "md5"],
            "correct horse\n",
            "argon2id, bcrypt",
        ),
    ] {
        let told = piped(args, input).await;
        assert_eq!((told.code, &*told.stdout), (1, ""), "{args:?}: {told:?}");
        assert!(told.stderr.contains(said), "{said}: {told:?}");
        assert!(!told.stderr.contains("correct horse"), "{told:?}");
    }
    let told = piped(&["correct horse"], "").await;
    assert_eq!(
        (told.code, &*told.stdout),
        (1, ""),
        "no password is an argument"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_asked_twice_and_shows_nothing() {
    let mut terminal = Terminal::run(new_home(), &["config", "hash-password", "--user", "ada"]);
    terminal.shows("Password: ").await;
    assert!(!terminal.mode().local_modes.contains(LocalModes::ECHO));
    terminal.types(b"wrong one\x15correct hors\x7fse\r");
    terminal.shows("The same again: ").await;
    terminal.types(b"correct horse\r");
    assert_eq!(
        terminal.wait_exit().await.code(),
        Some(0),
        "{}",
        terminal.drawn()
    );
    terminal.shows(ARGON2).await;
    terminal
        .shows("under `credentials:` of `basic-auth`:")
        .await;
    let drawn = terminal.drawn();
    assert!(
        !drawn.contains("horse") && !drawn.contains("wrong"),
        "{drawn:?}"
    );
    let line = drawn.lines().find(|line| line.contains(ARGON2)).unwrap();
    works_in_a_policy(line.trim()).await;
    assert_eq!(terminal.mode().local_modes, terminal.before.local_modes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_different_passwords_make_no_hash() {
    let mut terminal = Terminal::run(new_home(), &["config", "hash-password"]);
    terminal.shows("Password: ").await;
    terminal.types(b"correct horse\r");
    terminal.shows("The same again: ").await;
    terminal.types(b"correct house\r");
    assert_eq!(terminal.wait_exit().await.code(), Some(1));
    terminal.shows("the two are not the same").await;
    assert!(!terminal.drawn().contains("$argon2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_the_typing_gives_the_terminal_back() {
    for end in [
        None,
        Some(Signal::INT),
        Some(Signal::TERM),
        Some(Signal::HUP),
    ] {
        let mut terminal = Terminal::run(new_home(), &["config", "hash-password"]);
        terminal.shows("Password: ").await;
        terminal.types(b"correct");
        match end {
            None => terminal.types(b"\x03"),
            Some(signal) => terminal.signal(signal),
        }
        assert_eq!(terminal.wait_exit().await.code(), Some(1), "{end:?}");
        terminal.shows("interrupted").await;
        let (before, after) = (&terminal.before, terminal.mode());
        assert_eq!(
            (after.local_modes, after.input_modes, after.output_modes),
            (before.local_modes, before.input_modes, before.output_modes),
            "{end:?}"
        );
        assert!(!terminal.drawn().contains("$argon2"));
    }
}
