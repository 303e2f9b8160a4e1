//! `adit gateway status`: the table, once and live, and what it says when there is nothing to show.

use std::{fs, net::TcpListener, sync::Arc};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    Agent, Gateway, api::Api, command, named::Named, terminal::Terminal, visitor::visit,
};

/// A `gateway.yaml` that leads to a running gateway.
fn config(gateway: &Gateway, folder: &TempDir) -> String {
    let file = folder.path().join("gateway.yaml");
    let text = format!(
        "domain: localhost\nlisten: {{ https: null, api: \"{}\" }}\ndata_dir: \"{}\"\n",
        gateway.api(),
        gateway.folder().join("data").display()
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

async fn serving(gateway: &Gateway, service: &Named) -> Agent {
    let agent = Agent::builder(gateway)
        .url("http://app.localhost")
        .upstream(service.address());
    agent.start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_the_table_is_printed_once() {
    let gateway = Gateway::with("endpoints: [{ url: http://down.localhost }]\n").await;
    let service = Named::start("app").await;
    let _agent = serving(&gateway, &service).await;
    let home = TempDir::new().unwrap();
    let file = config(&gateway, &home);
    let told = command::run(&home, ["gateway", "status", "--config", &file]).await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    let port = gateway.http().port();
    for part in [
        "endpoints 2 (1 down)   sessions 1".to_owned(),
        format!("http://app.localhost:{port}   up, 1 of 1 members"),
        format!("http://down.localhost:{port}   down, 0 of 0 members"),
        "tester".to_owned(),
    ] {
        assert!(told.stdout.contains(&part), "{part}: {}", told.stdout);
    }
    // The file may stand without --config, and programs get JSON.
    let told = command::run(&home, ["gateway", "status", &file, "--json"]).await;
    let json: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(json["endpoints"][0]["members"][0]["agent"], "tester");
    assert_eq!(json["tunnel_sessions"][0]["agent"], "tester");
    // From elsewhere.
    let url = format!("http://{}", gateway.api());
    let token = Api::of(&gateway).token;
    let asked = ["gateway", "status", "--api-url", &url, "--token", &token];
    let told = command::run(&home, asked).await;
    assert!(told.code == 0 && told.stdout.contains("tester"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_terminal_the_table_lives_until_q() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let agent = serving(&gateway, &service).await;
    let home = Arc::new(TempDir::new().unwrap());
    let file = config(&gateway, &home);
    let mut terminal = Terminal::run(home, &["gateway", "status", &file]);
    terminal.shows("up, 1 of 1 members").await;
    terminal.shows("quits").await;
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
    agent.close().await;
    // Only what changed is drawn: there is no endpoint any more, and the last line is the second one now.
    terminal.shows("[2;3Hquits").await;
    terminal.types(b"q");
    assert_eq!(terminal.wait_exit().await.code(), Some(0));
    terminal.shows("\u{1b}[?1049l").await;
    assert_eq!(terminal.mode().local_modes, terminal.before.local_modes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said_with_what_to_do() {
    let gateway = Gateway::start().await;
    let home = TempDir::new().unwrap();
    let file = config(&gateway, &home);
    let without = home.path().join("without.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&without, text.replace("api:", "admin:")).unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let gone = home.path().join("gone.yaml");
    fs::write(&gone, text.replace(&gateway.api().to_string(), &address)).unwrap();
    let url = format!("http://{}", gateway.api());
    let (without, gone) = (without.to_str().unwrap(), gone.to_str().unwrap());
    for (args, says) in [
        (vec![], "--config gateway.yaml"),
        (vec!["--config", without], "api: \"127.0.0.1:9181\""),
        (vec!["--config", gone], "is the gateway running"),
        (vec!["--api-url", &url], "ADIT_API_TOKEN"),
        (
            vec!["--api-url", &url, "--token", "adit_wrong"],
            "ERR_ADIT_203",
        ),
        (
            vec!["--api-url", "https://localhost:1", "--token", "x"],
            "ssh -L",
        ),
        (
            vec![
                "--api-url",
                &format!("http://{}", gateway.http()),
                "--token",
                "x",
            ],
            "is not the admin API",
        ),
    ] {
        let told = command::run(&home, ["gateway", "status"].into_iter().chain(args.clone())).await;
        assert_eq!(
            (told.code, told.stdout.as_str()),
            (1, ""),
            "{args:?}: {told:?}"
        );
        assert!(told.stderr.contains(says), "{args:?}: {}", told.stderr);
        assert!(!told.stderr.contains("adit_wrong"), "{}", told.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_the_api_comes_with_the_lines_for_gateway_yaml() {
    let home = TempDir::new().unwrap();
    let told = command::run(&home, ["gateway", "token", "--api"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let line = told
        .stdout
        .lines()
        .find(|line| line.trim().starts_with("api:"))
        .unwrap();
    let token = told.stdout.split("ADIT_API_TOKEN=").nth(1).unwrap();
    let token = token.split_whitespace().next().unwrap();
    let gateway = Gateway::with(&format!("{}\n", line.trim())).await;
    let url = format!("http://{}", gateway.api());
    let asked = ["gateway", "status", "--api-url", &url, "--token", token];
    let told = command::run(&home, asked).await;
    assert!(
        told.code == 0 && told.stdout.contains("sessions 0"),
        "{told:?}"
    );
}
