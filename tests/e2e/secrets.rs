//! Secrets go where policies send them, follow their files while requests flow, and are seen nowhere else.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use crate::harness::{
    Agent, Deployed, Gateway, Service, soon,
    visitor::{until, visit},
};

const POLICY: &str = "on_http_request:
  - actions:
      - type: add-headers
        config: { headers: { x-service-token: \"Bearer ${secrets.get('web', 'token')}\" } }
";

/// A folder as Kubernetes mounts it, with one secret.
fn mount(folder: &Path, version: &str, text: &str) {
    fs::create_dir_all(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("token"), text).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if fs::symlink_metadata(folder.join("token")).is_err() {
        symlink("..data/token", folder.join("token")).unwrap();
    }
}

/// Asks until the service gets this token; every request is answered meanwhile.
async fn gets(gateway: &Gateway, service: &Service, token: &str) {
    let wanted = format!("Bearer {token}");
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            assert_eq!(visit(gateway.http(), "app.localhost", "/").await.0, 200);
            let requests = service.requests();
            let last = requests
                .last()
                .and_then(|last| last.header("x-service-token"));
            if last == Some(&wanted) {
                return;
            }
        }
    };
    soon(&format!("the token {token}"), asking).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_swapped_while_requests_flow() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(
        &[("app.yaml", POLICY)],
        "secrets: [{ name: web, directory: mounted }]
endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]
",
    )
    .await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    // What is not there yet fails, and the service is not asked.
    until(gateway.http(), "app.localhost", 500).await;
    assert!(service.requests().is_empty());
    let folder = gateway.folder().join("mounted");
    mount(&folder, "..1", "one\n");
    until(gateway.http(), "app.localhost", 200).await;
    for (version, token) in [("..2", "two"), ("..3", "three")] {
        mount(&folder, version, token);
        gets(&gateway, &service, token).await;
    }
    fs::remove_file(folder.join("token")).unwrap();
    until(gateway.http(), "app.localhost", 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_variables_follow_gateway_yaml() {
    let service = Service::echo().await;
    let with = |kept: &str| {
        format!(
            "secrets: [{{ name: web, {kept} }}]
endpoints: [{{ url: http://app.localhost, traffic_policy_file: app.yaml }}]
"
        )
    };
    let files = [("app.yaml", POLICY), ("a", "first\n"), ("b", "second")];
    let gateway = Gateway::with_files(&files, &with("files: { token: a }")).await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    gets(&gateway, &service, "first").await;
    gateway.put("a", "renewed");
    gets(&gateway, &service, "renewed").await;
    gateway.rewrite(&with("files: { token: b }"));
    gets(&gateway, &service, "second").await;
    // Cargo sets this one for every test.
    gateway.rewrite(&with("env: { token: CARGO_PKG_NAME }"));
    gets(&gateway, &service, env!("CARGO_PKG_NAME")).await;
    let reloaded = gateway.reload().await.unwrap();
    assert_eq!((reloaded.changed, reloaded.waiting), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_of_an_agent_reads_only_what_the_operator_lets_it() {
    let service = Service::echo().await;
    let gateway = Gateway::with_files(
        &[("token", "granted")],
        "secrets: [{ name: web, files: { token: token } }]\n",
    )
    .await;
    let _agent = Agent::builder(&gateway)
        .url("http://app.localhost")
        .upstream(service.addr())
        .policy(POLICY)
        .start()
        .await;
    until(gateway.http(), "app.localhost", 500).await;
    assert!(service.requests().is_empty());
    let file = gateway.folder().join("gateway.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let granted = text.replace("name: tester,", "name: tester, secrets: [web],");
    assert_ne!(granted, text);
    gateway.put("gateway.yaml", &granted);
    until(gateway.http(), "app.localhost", 200).await;
    gets(&gateway, &service, "granted").await;
    gateway.put("gateway.yaml", &text);
    until(gateway.http(), "app.localhost", 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_and_no_page_shows_one() {
    let service = Service::echo().await;
    let files = tempfile::TempDir::new().unwrap();
    let file = files.path().join("token");
    fs::write(&file, "swordfish\n").unwrap();
    let extra = format!(
        "secrets: [{{ name: web, files: {{ token: {} }} }}]
endpoints:
  - url: http://app.localhost
    traffic_policy:
      on_http_request:
        - actions:
            - type: set-vars
              config: {{ vars: [{{ token: \"${{secrets.get('web', 'token')}}\" }}] }}
            - type: add-headers
              config: {{ headers: {{ x-token: \"${{vars.token}}\" }} }}
            - type: log
              config: {{ metadata: {{ token: \"${{vars.token}}\", line: \"${{req.headers['x-token'][0]}}\" }} }}
        - expressions: [\"req.url.path == '/rewrite'\"]
          actions: [{{ type: url-rewrite, config: {{ to: \"/t/${{vars.token}}\" }} }}]
        - expressions: [\"req.url.path == '/fault'\"]
          actions: [{{ type: add-headers, config: {{ headers: {{ x-a: \"${{int(vars.token)}}\" }} }} }}]
        - expressions: [\"req.url.path == '/key'\", \"req.headers[vars.token][0] == ''\"]
          actions: [{{ type: deny }}]
",
        file.display()
    );
    let deployed = Deployed::start(&extra, &[("http://app.localhost", &service.addr())]).await;
    let mut told = String::new();
    for (path, status) in [
        ("/", 200),
        ("/rewrite", 200),
        ("/fault", 500),
        ("/key", 500),
    ] {
        let (got, page) = visit(deployed.http, "app.localhost", path).await;
        assert_eq!(got, status, "{path}: {page}");
        if status != 200 {
            told.push_str(&page);
        }
    }
    let Deployed {
        mut gateway,
        mut agent,
        ..
    } = deployed;
    gateway
        .wait_for_line(|line| line.contains("[secret web/token]"))
        .await;
    for process in [&mut gateway, &mut agent] {
        process.term();
        process.wait_exit().await;
        told.push_str(&process.output());
    }
    assert!(
        service
            .requests()
            .iter()
            .any(|request| request.target == "/t/swordfish")
    );
    assert!(!told.contains("swordfish"), "{told}");
}
