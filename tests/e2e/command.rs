//! The real `adit` command: what is typed, what it says, and how it ends.

use std::{process::Command as Std, sync::Arc};

use tempfile::TempDir;

use crate::harness::{
    AditProcess, command, command::run, lines::started, named::Named, visitor::visit,
};

fn new_home() -> Arc<TempDir> {
    Arc::new(TempDir::new().unwrap())
}

// === adit gateway ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_gateway_check_points_at_each_mistake() {
    let home = new_home();
    let right = "domain: example.com\ntls: { local_ca: true }\n";
    for (text, place, words) in [
        (
            "domain: example.com\ntls: { local_ca: true }\nlisten: { htps: null }\n",
            "3:11",
            "https",
        ),
        (
            "domain: example.com\ntls: { local_ca: true }\nlimits:\n  header_size: huge\n",
            "4:16",
            "64KiB",
        ),
        (
            "domain: example.com\ntls: { local_ca: true }\nagents:\n- name: a\n  token_hash: secret\n",
            "5:15",
            "sha256:",
        ),
        (
            "domain: example.com\ntls: { local_ca: true }\nagents:\n- { name: a, token_hash: HASH, acl: [\"app.example.com\"] }\n",
            "4:105",
            "bind:",
        ),
        (
            "domain: exa mple.com\ntls: { local_ca: true }\n",
            "1:9",
            "host",
        ),
        (
            "domain: example.com\ntls: { local_ca: true }\nendpoints:\n- url: https://a.example.com\n  traffic_policy:\n    on_http_request:\n    - actions: [{ type: dney }]\n",
            "7:25",
            "deny",
        ),
    ] {
        let file = home.path().join("gateway.yaml");
        let hash = format!("sha256:{}", "0".repeat(64));
        std::fs::write(&file, text.replace("HASH", &hash)).unwrap();
        let told = run(&home, ["gateway", "check", "gateway.yaml"]).await;
        assert_eq!(told.code, 1, "{told:?}");
        assert!(
            told.stderr.contains(&format!("gateway.yaml:{place}")),
            "{place}: {}",
            told.stderr
        );
        assert!(
            told.stderr.contains('^') && told.stderr.contains(words),
            "{words}: {}",
            told.stderr
        );
        // Not even a start gets past it.
        assert_eq!(
            run(&home, ["gateway", "--config", "gateway.yaml"])
                .await
                .code,
            1
        );
    }
    std::fs::write(home.path().join("gateway.yaml"), right).unwrap();
    let told = run(&home, ["gateway", "check", "gateway.yaml"]).await;
    assert_eq!(
        (told.code, told.stdout.as_str()),
        (0, "gateway.yaml: ok\n"),
        "{told:?}"
    );
    let missing = run(&home, ["gateway", "check", "gateway.yaml", "nowhere.yaml"]).await;
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("nowhere.yaml"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_works_when_its_lines_are_pasted() {
    let home = new_home();
    let told = run(&home, ["gateway", "token", "alice"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let line = |mark: &str| {
        told.stdout
            .lines()
            .find(|line| line.contains(mark))
            .unwrap()
            .trim()
    };
    let typed: Vec<_> = line("adit config add-authtoken")
        .split(' ')
        .skip(1)
        .collect();
    let pasted = format!(
        "domain: localhost\nlisten: {{ https: \"127.0.0.1:0\", http: \"127.0.0.1:0\" }}\ndata_dir: data\n\
         tls: {{ local_ca: true }}\nagents:\n  {}\n",
        line("token_hash").replace("example.com", "localhost")
    );
    std::fs::write(home.path().join("gateway.yaml"), pasted).unwrap();
    let mut gateway = AditProcess::spawn_in(Arc::clone(&home), ["gateway", "gateway.yaml"], &[]);
    let https = command::listening(&mut gateway, "https").await;
    let http = command::listening(&mut gateway, "http").await;

    // The agent's machine knows the authority only by its file.
    assert_eq!(run(&home, typed).await.code, 0);
    let address = format!("localhost:{}", https.port());
    assert_eq!(
        run(&home, ["config", "add-connect-url", &address])
            .await
            .code,
        0
    );
    let file = command::config_file(&home);
    let text = std::fs::read_to_string(&file).unwrap();
    let ca = home.path().join("data/ca.pem");
    std::fs::write(
        &file,
        text.replace(
            "agent:\n",
            &format!("agent:\n  connect_cas: {}\n", ca.display()),
        ),
    )
    .unwrap();

    let service = Named::start("app").await;
    let port = service.address().port().to_string();
    let mut agent = AditProcess::spawn_in(
        Arc::clone(&home),
        ["http", &port, "--url", "http://alice.localhost"],
        &[],
    );
    started(&mut agent, "http").await;
    assert_eq!(
        visit(http, "alice.localhost", "/").await,
        (200, "app /".into())
    );
    let mut refused =
        AditProcess::spawn_in(home, ["http", &port, "--url", "http://bob.localhost"], &[]);
    assert_eq!(refused.wait_exit().await.code(), Some(2));
    assert!(
        refused.output().contains("ERR_ADIT_316"),
        "{}",
        refused.output()
    );
}

// === adit config ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_config_writes_and_checks_the_file() {
    let home = new_home();
    let file = command::config_file(&home);
    let missing = run(&home, ["config", "check"]).await;
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("no such file"), "{missing:?}");
    let secret = "adit_DoNotShowThis";
    for args in [
        ["config", "add-authtoken", secret],
        ["config", "add-connect-url", "example.com:443"],
    ] {
        let told = run(&home, args).await;
        assert_eq!(told.code, 0, "{told:?}");
        assert!(
            !told.stdout.contains(secret) && told.stdout.contains(file.to_str().unwrap()),
            "{told:?}"
        );
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
    assert_eq!(run(&home, ["config", "check"]).await.code, 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains(secret) && text.contains("example.com:443"),
        "{text}"
    );
    std::fs::write(&file, text + "endpoint: []\n").unwrap();
    let wrong = run(&home, ["config", "check"]).await;
    assert_eq!(wrong.code, 1);
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    assert!(
        wrong.stderr.contains(&format!("adit.yml:{lines}:1")),
        "{wrong:?}"
    );
    assert!(
        wrong.stderr.contains("endpoints") && !wrong.stderr.contains(secret),
        "{wrong:?}"
    );
}

// === odds and ends ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completion_scripts_are_read_by_their_shells() {
    let home = new_home();
    for shell in ["bash", "zsh", "fish"] {
        let told = run(&home, ["completion", shell]).await;
        assert_eq!(told.code, 0, "{told:?}");
        assert!(told.stdout.contains("add-authtoken"), "{shell}");
        let script = home.path().join(shell);
        std::fs::write(&script, told.stdout).unwrap();
        if let Ok(read) = Std::new(shell).arg("-n").arg(&script).output() {
            assert!(
                read.status.success() && read.stderr.is_empty(),
                "{shell}: {read:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_its_version_and_what_is_wrong_with_a_line() {
    let home = new_home();
    let version = format!("adit version {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&home, ["version"]).await.stdout, version);
    assert_eq!(run(&home, ["--help"]).await.code, 0);
    for (args, words) in [
        (&["htpp", "80"][..], "http"),
        (&["http"], "ADDRESS"),
        (&["http", "99999"], "99999"),
        (&["http", "file:///etc"], "file://"),
        (&["http", "tcp://localhost:22"], "tcp://"),
        (
            &["http", "80", "--traffic-policy-file", "nowhere.yaml"],
            "nowhere.yaml",
        ),
        (&["http", "80", "--config", "nowhere.yml"], "nowhere.yml"),
        (&["start"], "NAME"),
        (&["start", "--all"], "endpoints:"),
        (&["gateway"], "--config"),
    ] {
        let told = run(&home, args).await;
        assert_eq!(told.code, 1, "{args:?}: {told:?}");
        assert!(
            told.stderr.contains(words) && told.stdout.is_empty(),
            "{args:?}: {told:?}"
        );
    }
}
