//! The examples that one command runs from beginning to end: `run.sh` prints numbers, which must move as it says.

use std::{fs, net::TcpListener, path::Path};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{examples::copy, harness::LONGEST};

/// What `run.sh` of a story prints, which runs all of it and ends; on ports of here.
async fn run_to_its_end(story: &str) -> String {
    let tree = TempDir::new().unwrap();
    let free = ["9443", "9080", "9180", "3001", "3002"].map(|told| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (
            told,
            listener.local_addr().unwrap().port().to_string(),
            listener,
        )
    });
    let here: Vec<_> = free
        .iter()
        .map(|(told, port, _)| (*told, port.as_str()))
        .collect();
    for story in ["quickstart", "canary", "blue-green"] {
        let folder = copy(story, &here);
        let into = tree.path().join("examples").join(story);
        fs::create_dir_all(&into).unwrap();
        for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), into.join(file.file_name())).unwrap();
        }
    }
    // All of them are chosen before the first is given back.
    drop(free);
    let adit = Path::new(env!("CARGO_BIN_EXE_adit")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell
        .arg(tree.path().join("examples").join(story).join("run.sh"))
        .env("PATH", format!("{}:{path}", adit.display()))
        .kill_on_drop(true);
    // It takes its time: a person is to see the numbers move.
    let output = tokio::time::timeout(LONGEST * 6, shell.output());
    let output = output.await.expect("run.sh ends").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}");
    text
}

/// What stands behind a word in a line: `v2` in `v1 475 (95.0 %)  v2 25 (5.0 %)  failed 0`.
fn count(line: &str, word: &str) -> u32 {
    let mut words = line.split_whitespace();
    match words.find(|found| *found == word) {
        Some(_) => words.next().unwrap().parse().unwrap(),
        None => 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_shows_a_canary_from_rehearsal_to_all_of_the_traffic() {
    let text = run_to_its_end("canary").await;
    let after = |step: &str| {
        let (_, rest) = text
            .split_once(step)
            .unwrap_or_else(|| panic!("{step}: {text}"));
        let line = rest.lines().find(|line| line.contains("failed"));
        line.unwrap_or_else(|| panic!("{step}: {text}")).to_owned()
    };
    for (step, share) in [
        ("1. ", 0..=0),
        ("2. ", 0..=0),
        // Turns are exact on each core; what is left of the last turn on each of them is not.
        ("3. ", 10..=40),
        ("4. ", 225..=275),
        ("5. ", 500..=500),
        ("6. ", 30..=30),
    ] {
        let line = after(step);
        assert!(share.contains(&count(&line, "v2")), "{step}: {text}");
        assert_eq!(count(&line, "v1") + count(&line, "v2"), 500, "{text}");
        assert_eq!(count(&line, "failed"), 0, "{text}");
    }
    assert_eq!(count(&after("6. "), "both"), 0, "{text}");
    for line in [
        "  copies whose answer was the same: 450",
        "  copies whose answer was the same: 950",
        "  copies whose answer had another body: 50",
        "  the first difference: /price/",
        ", body at $.price",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_shows_that_a_switch_and_the_way_back_lose_no_request() {
    let text = run_to_its_end("blue-green").await;
    let (_, all) = text.split_once("All together:").unwrap();
    let all = all.trim().lines().last().unwrap();
    assert!(count(all, "blue") > 0 && count(all, "green") > 0, "{text}");
    assert_eq!(count(all, "failed"), 0, "{text}");
    let live: Vec<_> = [
        "Everybody gets blue",
        "Everybody gets green",
        "Back to blue",
    ]
    .into_iter()
    .map(|step| {
        text.split_once(step)
            .unwrap_or_else(|| panic!("{step}: {text}"))
            .1
    })
    .collect();
    assert!(!live[0].lines().nth(1).unwrap().contains("green"), "{text}");
}
