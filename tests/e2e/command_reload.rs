//! The real `adit http` and `adit start` follow the files that their endpoints' policies are in.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::harness::{
    AditProcess, Gateway, RawService, Service,
    command::{self, GatewayProcess},
    named::Named,
    raw, token_of,
    visitor::{until, visit},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: ws.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

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

/// Puts a text in the place of a file in one step.
fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

/// `adit http` for a service, with a policy of its own in this file.
async fn online(
    gateway: &Gateway,
    host: &str,
    service: impl ToString,
    policy: &Path,
) -> AditProcess {
    let url = format!("http://{host}");
    let policy = policy.to_str().unwrap();
    let args = [
        "http",
        &service.to_string(),
        "--url",
        &url,
        "--traffic-policy-file",
        policy,
    ];
    let mut agent = command::agent(gateway, args);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    agent
}

async fn version_of(client: &mut raw::Client) -> String {
    client.send(GET).await;
    let answer = client.answer().await;
    assert!(answer.status == 200 && !answer.closed, "{answer:?}");
    answer.header("x-version").unwrap_or_default().to_owned()
}

fn updated(line: &str) -> bool {
    line.contains("traffic policy updated")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_for_the_next_request_and_ends_the_sockets_that_the_old_one_let_in() {
    let service = Service::echo().await;
    let echo = RawService::web_socket_echo().await;
    let gateway = Gateway::start().await;
    let folder = TempDir::new().unwrap();
    let (app, ws) = (
        folder.path().join("app.yaml"),
        folder.path().join("ws.yaml"),
    );
    fs::write(&app, version("1")).unwrap();
    fs::write(&ws, version("1")).unwrap();
    let mut app_agent = online(&gateway, "app.localhost", service.addr(), &app).await;
    let mut ws_agent = online(&gateway, "ws.localhost", echo.addr(), &ws).await;

    let mut kept = raw::Client::connect(gateway.http()).await;
    assert_eq!(version_of(&mut kept).await, "1");
    let mut socket = raw::Client::connect(gateway.http()).await;
    socket.send(UPGRADE).await;
    assert_eq!(socket.answer().await.status, 101);

    // As some editors do it and as others do.
    fs::write(&app, version("2")).unwrap();
    put(&ws, &deny(410));
    app_agent.wait_for_line(updated).await;
    ws_agent.wait_for_line(updated).await;
    assert_eq!(version_of(&mut kept).await, "2");
    // Nothing was said on the socket, so the only frame is the one that closes it.
    let last = socket.rest().await;
    assert!(last.ends_with(b"policy changed"), "{last:?}");
    assert_eq!(visit(gateway.http(), "ws.localhost", "/").await.0, 410);

    put(&app, &version("3"));
    app_agent.wait_for_line(updated).await;
    assert_eq!(version_of(&mut kept).await, "3");
    assert_eq!(service.counts().abandoned, 0);
    assert!(
        !app_agent.output().contains("no session"),
        "{}",
        app_agent.output()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_mistakes_keeps_the_old_policy_and_each_is_told_once() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.yaml");
    fs::write(&file, version("1")).unwrap();
    let mut agent = online(&gateway, "app.localhost", service.addr(), &file).await;
    let mut kept = raw::Client::connect(gateway.http()).await;

    put(
        &file,
        "on_http_request: [{ actions: [{ type: dney }] }]\non_http_response: [{ actions: [{ type: lgo }] }]\n",
    );
    let told = agent
        .wait_for_line(|line| line.contains("not reloaded"))
        .await;
    for part in ["app.yaml:1:", "dney", "app.yaml:2:", "lgo"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(version_of(&mut kept).await, "1");
    // Whoever asks is answered, but the mistakes are not told again.
    agent.signal("HUP");
    agent
        .wait_for_line(|line| line.contains("read again and are not right"))
        .await;
    assert_eq!(
        agent.output().matches("dney").count(),
        told.matches("dney").count()
    );

    put(&file, &version("2"));
    agent
        .wait_for_line(|line| line.contains("right again"))
        .await;
    agent.wait_for_line(updated).await;
    agent.signal("HUP");
    agent
        .wait_for_line(|line| line.contains("read again") && line.contains("changed=0"))
        .await;
    assert_eq!(version_of(&mut kept).await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reconnect_the_new_policy_is_what_is_bound() {
    let service = Named::start("app").await;
    let gateway = GatewayProcess::start("").await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.yaml");
    fs::write(&file, deny(410)).unwrap();
    let home = gateway.home(&token_of("tester"));
    let address = service.address().to_string();
    let args = [
        "http",
        &address,
        "--url",
        "http://app.localhost",
        "--traffic-policy-file",
        file.to_str().unwrap(),
    ];
    let mut agent = AditProcess::spawn_in(home, args, &[]);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    put(&file, &deny(418));
    agent.wait_for_line(updated).await;
    gateway.process.term();
    let gateway = gateway.again().await;
    agent
        .wait_for_line(|line| line.contains("session established"))
        .await;
    until(gateway.http(), "app.localhost", 418).await;

    // And what is written while there is no gateway.
    gateway.process.term();
    agent
        .wait_for_line(|line| line.contains("trying again"))
        .await;
    put(&file, &deny(451));
    let gateway = gateway.again().await;
    agent.wait_for_line(updated).await;
    until(gateway.http(), "app.localhost", 451).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_start_follows_its_configuration_and_says_what_waits_for_a_restart() {
    let service = Named::start("app").await;
    let gateway = Gateway::start().await;
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    let file = command::config_file(&home);
    let head = fs::read_to_string(&file).unwrap();
    let policies = file.with_file_name("b.yaml");
    let write = |inline: &str, more: &str| {
        let address = service.address();
        let endpoints = format!(
            "endpoints:\n\
             - {{ name: a, url: http://a.localhost, upstream: {{ url: \"{address}\" }}{inline}{more} }}\n\
             - {{ name: b, url: http://b.localhost, upstream: {{ url: \"{address}\" }}, traffic_policy_file: b.yaml }}\n"
        );
        put(&file, &(head.clone() + &endpoints));
    };
    let inline = |status| format!(", traffic_policy: {{ {} }}", deny(status).trim_end());
    fs::write(&policies, deny(410)).unwrap();
    write(&inline(410), "");
    let mut agent = AditProcess::spawn_in(home, ["start", "--all"], &[]);
    for host in ["a.localhost", "b.localhost"] {
        until(gateway.http(), host, 410).await;
    }
    write(&inline(418), "");
    until(gateway.http(), "a.localhost", 418).await;
    put(&policies, &deny(451));
    until(gateway.http(), "b.localhost", 451).await;

    // One mistake holds everything back, and all are told.
    put(
        &policies,
        "on_http_request: [{ actions: [{ type: dney }] }]\n",
    );
    agent
        .wait_for_line(|line| line.contains("not reloaded") && line.contains("b.yaml:1:"))
        .await;
    write(&inline(410), "");
    agent.signal("HUP");
    agent
        .wait_for_line(|line| line.contains("read again and are not right"))
        .await;
    assert_eq!(visit(gateway.http(), "a.localhost", "/").await.0, 418);
    put(&policies, &deny(404));
    until(gateway.http(), "a.localhost", 410).await;
    until(gateway.http(), "b.localhost", 404).await;

    // A policy may go, and a weight change; whether there is a pool waits.
    write("", ", weight: 7");
    agent
        .wait_for_line(|line| line.contains("weight updated") && line.contains("weight=7"))
        .await;
    write("", ", weight: 7, pooling_enabled: true");
    let told = agent
        .wait_for_line(|line| line.contains("applied by a restart only"))
        .await;
    assert!(told.contains("pooling_enabled of endpoint"), "{told}");
    until(gateway.http(), "a.localhost", 200).await;
    agent.signal("HUP");
    agent
        .wait_for_line(|line| line.contains("read again") && line.contains("changed=0"))
        .await;
    assert_eq!(
        agent.output().matches("applied by a restart only").count(),
        1
    );
}
