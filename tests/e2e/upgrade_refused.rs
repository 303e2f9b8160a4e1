//! Upgrades that do not happen: nothing changes for whoever is served.

use std::{os::unix::fs::PermissionsExt, path::Path};

use tokio::process::Command;

use crate::harness::{Deployed, gateway, load::Load, named::Named, soon};

const HOST: &str = "app.localhost";

async fn deployed(service: &Named) -> Deployed {
    let addr = service.address();
    let urls = [
        ("http://app.localhost", &addr as &dyn std::fmt::Display),
        ("https://app.localhost", &addr),
    ];
    Deployed::start("", &urls).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_gateway_that_cannot_start_changes_nothing() {
    let service = Named::start("app").await;
    let mut deployed = deployed(&service).await;
    let mut load = Load::begin(&deployed, HOST);
    load.goes_on().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // One that cannot be read, one that cannot be built, and one that fails with the sockets in its hands.
    let mistakes = [
        ("nonsense: true".to_owned(), "nonsense"),
        (
            "endpoints: [{ url: \"https://x.localhost\", traffic_policy_file: missing.yaml }]"
                .to_owned(),
            "missing.yaml",
        ),
        (
            format!("endpoints: [{{ url: \"tcp://localhost:{port}\" }}]"),
            "cannot listen",
        ),
    ];
    for (extra, said) in mistakes {
        let agents = [("tester".to_owned(), vec!["bind:*".to_owned()])];
        let text = gateway::yaml(
            (0, 0),
            &deployed.home().path().join("data"),
            &agents,
            &extra,
        );
        std::fs::write(deployed.home().path().join("other.yaml"), text).unwrap();
        let mut new = deployed.begin_take_over_with("other.yaml");
        assert_ne!(new.wait_exit().await.code(), Some(0));
        assert!(new.output().contains(said), "{said}: {}", new.output());
        load.goes_on().await;
    }
    deployed
        .gateway
        .wait_for_line(|line| line.contains("this one goes on"))
        .await;
    // And the right one still can.
    let mut old = deployed.take_over().await;
    load.goes_on().await;
    assert_eq!(old.wait_exit().await.code(), Some(0));
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_nobody_to_take_over_from_is_told_what_to_do() {
    let service = Named::start("app").await;
    let mut deployed = deployed(&service).await;
    deployed.gateway.kill9();
    deployed.gateway.wait_exit().await;
    let mut new = deployed.begin_take_over();
    assert_ne!(new.wait_exit().await.code(), Some(0));
    assert!(
        new.output().contains("--take-over=if-running"),
        "{}",
        new.output()
    );
    let mut alone = deployed.start_gateway_with("--take-over=if-running");
    alone.wait_for_line(|line| line.contains("listening")).await;
    let mut second = deployed.start_gateway_with("--take-over=if-running");
    second
        .wait_for_line(|line| line.contains("listening"))
        .await;
    assert_eq!(
        alone.wait_exit().await.code(),
        Some(0),
        "{}",
        alone.output()
    );
}

/// Asks for the sockets at a path, and prints how many bytes came back.
const ASK: &str = "
import json, socket, struct, sys
text = json.dumps({'revision': 1, 'pid': 1}).encode()
asked = socket.socket(socket.AF_UNIX)
asked.connect(sys.argv[1])
try:
    asked.sendall(struct.pack('>I', len(text)) + text)
    print(len(asked.recv(1000)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_gets_no_sockets() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can become another user");
        return;
    }
    let service = Named::start("app").await;
    let mut deployed = deployed(&service).await;
    let folder = deployed.home().path().join("data/take-over");
    let socket = folder.join("socket");
    let ask = async |user: &str| {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid",
                user,
                "--clear-groups",
                "/usr/bin/env",
                "python3",
                "-c",
                ASK,
            ])
            .arg(&socket)
            .current_dir("/");
        soon("an answer", command.output()).await.unwrap()
    };
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&socket), 0o600);
    assert_ne!(ask("0").await.stdout, b"0\n");
    assert!(!ask("65534").await.status.success());
    // Even where the folders let them in.
    let opened = [
        deployed.home().path(),
        &deployed.home().path().join("data"),
        &folder,
        &socket,
    ];
    for path in opened {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let stranger = ask("65534").await;
    assert_eq!(stranger.stdout, b"0\n", "{stranger:?}");
    deployed
        .gateway
        .wait_for_line(|line| line.contains("another user") && line.contains("65534"))
        .await;
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
