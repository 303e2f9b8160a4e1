//! Policies follow their files while connections run, and a mistake changes nothing but what is told. What of it ends
//! streams is in `revocation.rs`.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use adit_gateway::ReloadError;

use crate::harness::{
    Agent, Deployed, Gateway, Service, raw,
    visitor::{until, visit},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// Two endpoints that have their policies from files.
const FROM_FILES: &str = "
endpoints:
  - { url: http://app.localhost, traffic_policy_file: app.yaml }
  - { url: http://ws.localhost, traffic_policy_file: ws.yaml }
";

/// A policy that writes its version onto each response.
fn version(version: &str) -> String {
    format!(
        "on_http_response: [{{ actions: [{{ type: add-headers, config: {{ headers: {{ x-version: \"{version}\" }} }} }}] }}]\n"
    )
}

/// A policy that answers everything with this status.
fn deny(status: u16) -> String {
    format!(
        "on_http_request: [{{ actions: [{{ type: deny, config: {{ status_code: {status} }} }}] }}]\n"
    )
}

fn from_file(file: &str) -> String {
    format!("endpoints: [{{ url: http://app.localhost, traffic_policy_file: {file} }}]\n")
}

async fn gateway(app: &str, ws: &str) -> Gateway {
    Gateway::with_files(&[("app.yaml", app), ("ws.yaml", ws)], FROM_FILES).await
}

/// Asks on one connection until it is answered under this version.
async fn asks_until(client: &mut raw::Client, version: &str) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            client.send(GET).await;
            let answer = client.answer().await;
            assert!(answer.status == 200 && !answer.closed, "{answer:?}");
            if answer.header("x-version") == Some(version) {
                return;
            }
        }
    };
    crate::harness::soon(&format!("version {version}"), asking).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_is_for_the_next_request_on_the_same_connection() {
    let service = Service::echo().await;
    let gateway = gateway(&version("1"), &version("1")).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut kept = raw::Client::connect(gateway.http()).await;
    asks_until(&mut kept, "1").await;
    for written in ["2", "3"] {
        // As some editors do it and as others do.
        match written {
            "2" => fs::write(gateway.folder().join("app.yaml"), version(written)).unwrap(),
            _ => gateway.put("app.yaml", &version(written)),
        }
        asks_until(&mut kept, written).await;
    }
    assert_eq!(service.counts().abandoned, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_ends_under_the_policy_that_it_began_with() {
    let service = Service::echo().await;
    let gateway = gateway(&version("1"), &version("1")).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let mut client = raw::Client::connect(gateway.http()).await;
    client.send(GET.replace("/ ", "/slow-head ")).await;
    service.wait_for_requests(1).await;
    gateway.put("app.yaml", &version("2"));
    gateway.reload().await.unwrap();
    service.release();
    assert_eq!(client.answer().await.header("x-version"), Some("1"));
    client.send(GET).await;
    assert_eq!(client.answer().await.header("x-version"), Some("2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_in_gateway_yaml_may_change_come_and_go() {
    let gateway = Gateway::with(&declared(&deny(410))).await;
    for (extra, status) in [
        (declared(&deny(410)), 410),
        (declared(&deny(418)), 418),
        ("endpoints: [{ url: http://app.localhost }]\n".into(), 503),
        (declared(&deny(451)), 451),
    ] {
        gateway.rewrite(&extra);
        until(gateway.http(), "app.localhost", status).await;
        // What was noticed is not done twice.
        assert_eq!(gateway.reload().await.unwrap().changed, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mistake_holds_everything_back() {
    let gateway = gateway(&deny(410), &deny(410)).await;
    gateway.put(
        "ws.yaml",
        "on_http_request: [{ actions: [{ type: dney }] }]\n",
    );
    gateway.put("app.yaml", &deny(418));
    let refused = gateway.reload().await.unwrap_err();
    assert!(matches!(refused, ReloadError::Refused(_)), "{refused:?}");
    let told = refused.to_string();
    assert!(
        told.contains("ws.yaml:1:") && told.contains("did you mean `deny`"),
        "{told}"
    );
    for host in ["app.localhost", "ws.localhost"] {
        assert_eq!(visit(gateway.http(), host, "/").await.0, 410, "{host}");
    }
    gateway.put("ws.yaml", &deny(451));
    // Whoever was first, the file system or we: both have changed now.
    assert!(gateway.reload().await.is_ok());
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 418);
    assert_eq!(visit(gateway.http(), "ws.localhost", "/").await.0, 451);
}

/// As Kubernetes mounts a ConfigMap: each version in a folder of its own, and one link that is swapped.
fn mount(folder: &Path, version: &str, policy: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("app.yaml"), policy).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_config_map_is_followed_through_its_links() {
    let mounted = tempfile::TempDir::new().unwrap();
    let folder = mounted.path();
    mount(folder, "..1", &deny(410));
    symlink("..data/app.yaml", folder.join("app.yaml")).unwrap();
    let file = folder.join("app.yaml");
    let gateway = Gateway::with(&from_file(file.to_str().unwrap())).await;
    until(gateway.http(), "app.localhost", 410).await;
    for (version, status) in [("..2", 418), ("..3", 451), ("..4", 404)] {
        mount(folder, version, &deny(status));
        until(gateway.http(), "app.localhost", status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_named_later_is_watched_too() {
    let gateway = gateway(&deny(410), &deny(410)).await;
    fs::create_dir(gateway.folder().join("policies")).unwrap();
    let file = gateway.folder().join("policies/app.yaml");
    fs::write(&file, deny(418)).unwrap();
    gateway.rewrite(&FROM_FILES.replace("app.yaml", "policies/app.yaml"));
    until(gateway.http(), "app.localhost", 418).await;
    fs::write(&file, deny(451)).unwrap();
    until(gateway.http(), "app.localhost", 451).await;
    // Away with the folder: the policy stays. A new one in its place is read.
    fs::rename(
        gateway.folder().join("policies"),
        gateway.folder().join("gone"),
    )
    .unwrap();
    assert!(gateway.reload().await.is_err());
    assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 451);
    fs::create_dir(gateway.folder().join("policies")).unwrap();
    fs::write(&file, deny(404)).unwrap();
    until(gateway.http(), "app.localhost", 404).await;
}

// === the command ===

fn declared(policy: &str) -> String {
    format!(
        "endpoints: [{{ url: http://app.localhost, traffic_policy: {{ {} }} }}]\n",
        policy.trim()
    )
}

/// SIGHUP, and the line that answers it.
async fn hangup(deployed: &mut Deployed) -> String {
    deployed.gateway.signal("HUP");
    deployed
        .gateway
        .wait_for_line(|line| line.contains("the configuration was read again"))
        .await
}

fn said(deployed: &Deployed, words: &str) -> usize {
    deployed.gateway.output().matches(words).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_reloads_and_a_mistake_is_told_once() {
    let service = Service::echo().await;
    let addr = service.addr();
    let endpoints: [(&str, &dyn std::fmt::Display); 1] = [("http://app.localhost", &addr)];
    let mut deployed = Deployed::start(&declared(&version("1")), &endpoints).await;
    let mut kept = raw::Client::connect(deployed.http).await;
    asks_until(&mut kept, "1").await;

    deployed.rewrite(&declared(&version("2")));
    hangup(&mut deployed).await;
    kept.send(GET).await;
    assert_eq!(kept.answer().await.header("x-version"), Some("2"));

    for _ in 0..2 {
        // The same mistake again is no news.
        deployed.rewrite(&declared(
            "on_http_request: [{ actions: [{ type: dney }] }]",
        ));
        assert!(hangup(&mut deployed).await.contains("not right"));
    }
    let line = deployed
        .gateway
        .output()
        .lines()
        .find(|line| line.contains("not reloaded"))
        .map(str::to_owned)
        .unwrap();
    assert!(
        line.contains("gateway.yaml:") && line.contains("dney"),
        "{line}"
    );
    assert_eq!(said(&deployed, "not reloaded"), 1);
    kept.send(GET).await;
    assert_eq!(kept.answer().await.header("x-version"), Some("2"));

    deployed.rewrite(&declared(&version("3")));
    hangup(&mut deployed).await;
    assert_eq!(said(&deployed, "the configuration is right again"), 1);
    kept.send(GET).await;
    let answer = kept.answer().await;
    assert!(answer.header("x-version") == Some("3") && !answer.closed);
    assert_eq!(service.counts().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_restart_is_named_once_and_without_its_value() {
    let service = Service::echo().await;
    let addr = service.addr();
    let endpoints: [(&str, &dyn std::fmt::Display); 1] = [("http://app.localhost", &addr)];
    let mut deployed = Deployed::start(&declared(&version("1")), &endpoints).await;
    for (old, n) in [("1", "2"), ("2", "3")] {
        deployed.edit(|text| {
            text.replace("domain: localhost", "domain: moved.example")
                .replace(version(old).trim(), version(n).trim())
        });
        assert!(hangup(&mut deployed).await.contains("lvl=info"));
        let mut client = raw::Client::connect(deployed.http).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.header("x-version"), Some(n));
    }
    let output = deployed.gateway.output();
    let told: Vec<_> = output
        .lines()
        .filter(|line| line.contains("by a restart only"))
        .collect();
    assert_eq!(told.len(), 1, "{output}");
    assert!(told[0].contains("keys=domain"), "{output}");
    assert!(!output.contains("moved.example"), "{output}");
}
