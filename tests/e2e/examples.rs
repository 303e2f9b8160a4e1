//! The folders of `examples/`: each is read as users would, and run as its README says.

use std::{fs, path::PathBuf, process::Stdio, sync::Arc};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    examples_readmes::TYPED,
    harness::{AditProcess, listening, soon},
};

/// The folder of all examples.
pub(crate) fn stories() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(stories())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut stories: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    stories.sort();
    assert!(!stories.is_empty(), "there are no examples");
    stories
}

/// A copy of an example in a folder that is its process's home, with other words for some.
pub(crate) fn copy(story: &str, instead: &[(&str, &str)]) -> Arc<TempDir> {
    let home = TempDir::new().unwrap();
    for entry in fs::read_dir(stories().join(story))
        .unwrap()
        .map(Result::unwrap)
    {
        // What a run of the example has left there is no part of it.
        if entry.file_type().unwrap().is_file() {
            let mut text = fs::read_to_string(entry.path()).unwrap();
            for (old, new) in instead {
                text = text.replace(old, new);
            }
            fs::write(home.path().join(entry.file_name()), text).unwrap();
        }
    }
    Arc::new(home)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_of_every_example_is_read() {
    for story in examples() {
        let name = story.file_name().unwrap().to_string_lossy().into_owned();
        for file in ["README.md", "policy.yaml", "cases.yaml"] {
            assert!(story.join(file).is_file(), "{name} has no {file}");
        }
        assert!(
            name == "quickstart" || TYPED.contains(&name.as_str()),
            "nobody types what the README of {name} says"
        );
        let home = copy(&name, &[]);
        for file in fs::read_dir(home.path()).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            let command = match file.as_str() {
                "gateway.yaml" => "gateway check gateway.yaml".to_owned(),
                "adit.yaml" => "config check --config adit.yaml".to_owned(),
                file if file.starts_with("policy") => format!("policy check {file}"),
                file if file.starts_with("cases") => format!("policy test {file} --fail-under 100"),
                _ => continue,
            };
            let mut checked = AditProcess::spawn_in(Arc::clone(&home), command.split(' '), &[]);
            assert!(
                checked.wait_exit().await.success(),
                "{name}: adit {command}: {}",
                checked.output()
            );
            assert!(
                !checked.output().contains("warning"),
                "{name}: adit {command}: {}",
                checked.output()
            );
        }
    }
}

/// The demo service, under another name if one is given, and where it listens.
pub(crate) async fn demo_service(name: &[&str]) -> (Child, u16) {
    let mut service = Command::new("python3");
    service
        .arg(stories().join("quickstart/service.py"))
        .arg("0")
        .args(name);
    listening_service(service).await
}

/// A service that prints first where it listens, and its port.
pub(crate) async fn listening_service(mut command: Command) -> (Child, u16) {
    let command = command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut service = command.spawn().unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines();
    let line = soon("a demo service", lines.next_line())
        .await
        .unwrap()
        .unwrap();
    let port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
    (service, port)
}

async fn fetch(home: &TempDir, url: &str) -> String {
    let ca = home.path().join("data/ca.pem");
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--include",
        "--noproxy",
        "*",
        "--cacert",
    ])
    .arg(ca)
    .arg(url);
    let output = soon("curl", curl.output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) const LOG: [&str; 4] = ["--log", "stdout", "--log-format", "logfmt"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quickstart_runs_as_a_gateway_and_an_agent() {
    let home = copy(
        "quickstart",
        &[
            ("127.0.0.1:9443", "127.0.0.1:0"),
            ("127.0.0.1:9080", "127.0.0.1:0"),
            ("127.0.0.1:9180", "127.0.0.1:0"),
        ],
    );
    let (_service, upstream) = demo_service(&[]).await;
    let args = ["gateway", "--config", "gateway.yaml"]
        .into_iter()
        .chain(LOG);
    let mut gateway = AditProcess::spawn_in(Arc::clone(&home), args, &[]);
    let https = listening(&mut gateway, "https").await;

    let yaml = fs::read_to_string(home.path().join("adit.yaml")).unwrap();
    let yaml = yaml
        .replace("9443", &https.port().to_string())
        .replace("\"3000\"", &format!("\"{upstream}\""));
    fs::write(home.path().join("adit.yaml"), yaml).unwrap();
    let args = ["start", "app", "--config", "adit.yaml"]
        .into_iter()
        .chain(LOG);
    let mut agent = AditProcess::spawn_in(Arc::clone(&home), args, &[]);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;

    let page = fetch(&home, &format!("https://app.localhost:{}/", https.port())).await;
    assert!(page.contains("It works"), "{page}");
    assert!(page.contains("x-served-through: adit"), "{page}");
    let headers = fetch(
        &home,
        &format!("https://app.localhost:{}/headers", https.port()),
    )
    .await;
    assert!(
        headers.contains("\"x-quickstart\": \"hello from the policy\""),
        "{headers}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quickstart_runs_as_one_process() {
    let home = copy("quickstart", &[]);
    let (_service, upstream) = demo_service(&[]).await;
    let upstream = upstream.to_string();
    let args = ["http", &upstream, "--traffic-policy-file", "policy.yaml"]
        .into_iter()
        .chain(LOG);
    let data = home.path().join("data").display().to_string();
    let mut adit = AditProcess::spawn_in(Arc::clone(&home), args, &[("ADIT_DATA_DIR", &data)]);
    let mut urls = Vec::new();
    for _ in 0..2 {
        let line = adit
            .wait_for_line(|line| line.contains("started tunnel"))
            .await;
        urls.push(
            line.split_once(" url=")
                .unwrap()
                .1
                .split(' ')
                .next()
                .unwrap()
                .trim_matches('"')
                .to_owned(),
        );
    }
    urls.sort();
    assert!(
        urls[0].starts_with("http://") && urls[1].starts_with("https://"),
        "{urls:?}"
    );
    for url in urls {
        let page = fetch(&home, &format!("{url}/headers")).await;
        assert!(
            page.contains("x-served-through: adit") && page.contains("hello from the policy"),
            "{page}"
        );
    }
}
