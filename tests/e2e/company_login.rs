//! `docs/company-login.md`, typed: its policies are the ones that people sign in with, its cases pass.

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{
    AditProcess, Agent, Browser, CLIENT_SECRET, Gateway, OidcProvider, Service, company::APP,
};

/// The page's blocks of YAML that begin with this line.
fn blocks(file: &str) -> Vec<String> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/company-login.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks
        .filter(|block| block.starts_with(&format!("# {file}")))
        .collect()
}

/// A policy of the page for a provider of here.
fn policies(provider: &OidcProvider) -> Vec<String> {
    let policies = blocks("policy.yaml").into_iter();
    let own = policies.map(|policy| {
        policy
            .replace("https://accounts.google.com", provider.issuer())
            .replace("CLIENT-ID", "edge")
            .replace("CLIENT-SECRET", CLIENT_SECRET)
            .replace("@example.com", "@example.test")
    });
    own.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_with_each_policy_of_the_page() {
    let people = json!({
        "ada": { "email": "ada@example.test", "email_verified": true, "groups": ["dev"] },
        "eve": { "email": "eve@badexample.test", "email_verified": true },
        "ops": { "email": "op@example.test", "email_verified": true, "groups": ["ops"] },
    });
    let provider = OidcProvider::start(json!({ "people": people })).await;
    let policies = policies(&provider);
    assert_eq!(policies.len(), 3);
    let service = Service::echo().await;
    let gateway = Gateway::with_files(
        &[("policy.yaml", &policies[0])],
        &format!(
            "{}endpoints: [{{ url: {APP}, traffic_policy_file: policy.yaml }}]\n",
            provider.allowed()
        ),
    )
    .await;
    let _agent = Agent::forward(&gateway, APP, service.addr()).await;
    provider.register(&gateway, "edge", APP).await;
    for (at, policy) in policies.iter().enumerate() {
        gateway.put("policy.yaml", policy);
        gateway.reload().await.unwrap();
        for (user, admin) in [("ada", at != 1), ("eve", at != 1), ("ops", true)] {
            let mut browser = Browser::new(&gateway);
            let sent = browser.get(&format!("{APP}/page")).await;
            let to = format!("{}&login_hint={user}", sent.location().unwrap());
            let page = browser.open(&to).await;
            let enters = at != 1 || user != "eve";
            assert_eq!(
                page.status,
                if enters { 200 } else { 403 },
                "{at} {user}: {page:?}"
            );
            if at == 2 && user == "ada" {
                let request = service.requests().pop().unwrap();
                assert_eq!(request.header("x-user"), Some("ada@example.test"));
                assert_eq!(request.header("x-groups"), Some("dev"));
            }
            let page = browser.get(&format!("{APP}/admin/users")).await;
            assert_eq!(page.status == 200, admin, "{at} {user}: {page:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cases_of_the_page_pass() {
    let home = Arc::new(TempDir::new().unwrap());
    fs::write(home.path().join("policy.yaml"), &blocks("policy.yaml")[1]).unwrap();
    fs::write(home.path().join("cases.yaml"), &blocks("cases.yaml")[0]).unwrap();
    for command in ["policy check policy.yaml", "policy test cases.yaml"] {
        let mut adit = AditProcess::spawn_in(Arc::clone(&home), command.split(' '), &[]);
        assert!(adit.wait_exit().await.success(), "{}", adit.output());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_writes_into_gateway_yaml_is_read() {
    let home = Arc::new(TempDir::new().unwrap());
    // With the secret where the page says that it belongs.
    let named = "${secrets.get('login', 'client-secret')}";
    let policy = blocks("policy.yaml")[0].replace("CLIENT-SECRET", named);
    fs::write(home.path().join("policy.yaml"), policy).unwrap();
    let secrets = home.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("client-secret"), "sesame").unwrap();
    let lines = blocks("in gateway.yaml").concat();
    let lines = lines.replace("/etc/adit/secrets", "secrets");
    let text = format!(
        "domain: localhost\ndata_dir: data\ntls: {{ local_ca: true }}\nlisten: {{ https: '127.0.0.1:0' }}\nagents: []\n{lines}"
    );
    let ca = rcgen::generate_simple_self_signed(["sso.example.com".to_owned()]).unwrap();
    fs::write(home.path().join("company-ca.pem"), ca.cert.pem()).unwrap();
    fs::write(home.path().join("gateway.yaml"), text).unwrap();
    let args = ["gateway", "check", "gateway.yaml"];
    let mut adit = AditProcess::spawn_in(Arc::clone(&home), args, &[]);
    assert!(adit.wait_exit().await.success(), "{}", adit.output());
}
