//! What the README of each example says to type, typed: the commands of its `sh` blocks keep running, those of its
//! `console` blocks end, and must say what the README says they do.

use std::{fs, net::TcpListener, path::Path, process::Stdio, sync::Arc};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    examples::{LOG, copy, demo_service, listening_service, stories},
    harness::{AditProcess, chromium::Chromium, listening, provider::node, soon},
    transcript::{Block, blocks, fits, variables},
};

/// An example, as far as it has been typed.
struct Session {
    home: Arc<TempDir>,
    services: Vec<Child>,
    /// The port that stands in for 9411, on which a provider listens once it is started.
    provider: u16,
    running: Vec<AditProcess>,
    /// The ports of the README, each with the one that it is here.
    ports: Vec<(String, u16)>,
}

impl Session {
    fn of(story: &str) -> Self {
        let any_port = ["9443", "9080", "9180"].map(|port| format!("127.0.0.1:{port}"));
        // A gateway is told of its provider before that listens, so its port is chosen here.
        let provider = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = provider.local_addr().unwrap().port();
        let own = provider.to_string();
        let any_port = any_port
            .iter()
            .map(|address| (address.as_str(), "127.0.0.1:0"));
        let instead: Vec<_> = any_port.chain([("9411", own.as_str())]).collect();
        Self {
            home: copy(story, &instead),
            provider,
            services: Vec::new(),
            running: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// Text of the README or of a file, with the ports of here.
    fn here(&self, text: &str) -> String {
        let ports = self.ports.iter();
        ports.fold(text.to_owned(), |text, (told, port)| {
            text.replace(told, &port.to_string())
        })
    }

    fn port_is(&mut self, told: &str, port: u16) {
        self.ports.retain(|(known, _)| known != told);
        self.ports.push((told.to_owned(), port));
    }

    async fn start(&mut self, command: &str) {
        let (variables, command) = variables(command);
        let words: Vec<_> = command.split(' ').collect();
        match words[..] {
            ["python3", "../quickstart/service.py", port, ref name @ ..] => {
                let (service, here) = demo_service(name).await;
                self.services.push(service);
                self.port_is(port, here);
            }
            ["python3", "service.py", port, ref version @ ..] => {
                let (service, here) = own_service(self.home.path(), version).await;
                self.services.push(service);
                self.port_is(port, here);
            }
            ["node", "issuer.mjs", port] => {
                let (issuer, here) = issuer(self.home.path()).await;
                self.services.push(issuer);
                self.port_is(port, here);
            }
            ["adit", "gateway", ..] => {
                let mut gateway = self.adit(command);
                for (scheme, told) in [("https", "9443"), ("http", "9080"), ("admin", "9180")] {
                    let address = listening(&mut gateway, scheme).await;
                    self.port_is(told, address.port());
                }
                self.running.push(gateway);
            }
            ["adit", "http" | "start", ..] => {
                self.localise("adit.yaml");
                let command = self.naming_ports_of_here(&self.here(command));
                let mut agent = self.adit_with(&variables, &command);
                let mut started = String::new();
                for _ in 0..endpoints(&words) {
                    started = agent
                        .wait_for_line(|line| line.contains("started tunnel"))
                        .await;
                }
                if words[1] == "http" {
                    let url = started.split_once(" url=").unwrap().1;
                    let port = url.trim_matches('"').rsplit(':').next().unwrap();
                    self.port_is("8080", port.parse().unwrap());
                }
                self.running.push(agent);
            }
            ["node", "../../tests/e2e/identity/provider.mjs", settings] => {
                self.localise(settings);
                self.services
                    .push(provider(self.home.path(), settings).await);
                self.port_is("9411", self.provider);
            }
            _ => panic!("`{command}` is not known to this test"),
        }
    }

    /// Puts the ports of here into a file, if there is one.
    fn localise(&self, file: &str) {
        let file = self.home.path().join(file);
        if let Ok(text) = fs::read_to_string(&file) {
            fs::write(file, self.here(&text)).unwrap();
        }
    }

    /// A policy that names a port is used in a copy: its cases name the port of the README.
    fn naming_ports_of_here(&self, command: &str) -> String {
        let policy = fs::read_to_string(self.home.path().join("policy.yaml")).unwrap();
        let here = self.here(&policy);
        if here == policy {
            return command.to_owned();
        }
        fs::write(self.home.path().join("here.yaml"), here).unwrap();
        command.replace("policy.yaml", "here.yaml")
    }

    fn adit(&self, command: &str) -> AditProcess {
        self.adit_with(&[], command)
    }

    fn adit_with(&self, variables: &[(&str, &str)], command: &str) -> AditProcess {
        let args = command.split(' ').skip(1).chain(LOG);
        AditProcess::spawn_in(Arc::clone(&self.home), args, variables)
    }

    async fn type_in(&mut self, command: &str, told: &[String]) {
        let is_stranger = command.contains("--interface 127.0.0.2");
        assert!(
            !is_stranger || TcpListener::bind("127.0.0.2:0").is_ok(),
            "this machine lacks 127.0.0.2: sudo ifconfig lo0 alias 127.0.0.2"
        );
        let adit = Path::new(env!("CARGO_BIN_EXE_adit")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &self.here(command)])
            .env_clear()
            .env("PATH", format!("{}:{path}", adit.display()))
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .kill_on_drop(true);
        let output = soon(command, shell.output()).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let printed: Vec<_> = text.lines().map(str::trim_end).collect();
        let told: Vec<_> = told.iter().map(|line| self.here(line)).collect();
        assert!(
            fits(&told, &printed),
            "$ {command}\nthe README says:\n{}\nit was:\n{text}\n{}",
            told.join("\n"),
            String::from_utf8_lossy(&output.stderr)
        );
        // Who changes a policy sees at once what it does; a test would be faster than the gateway.
        if command.starts_with("sed ") {
            let gateway = self.running.first_mut().expect("a gateway runs");
            gateway
                .wait_for_line(|line| line.contains("configuration reloaded"))
                .await;
        }
    }

    async fn play(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Terminals(commands) => {
                    self.running.clear();
                    for command in commands {
                        self.start(command).await;
                    }
                }
                Block::Transcript(transcript) => {
                    for (command, told) in transcript {
                        self.type_in(command, told).await;
                    }
                }
            }
        }
    }
}

/// How many endpoints a command starts.
fn endpoints(words: &[&str]) -> usize {
    let named = words.iter().skip(2);
    let named = named.take_while(|word| !word.starts_with("--")).count();
    match words.get(1) {
        Some(&"start") => named.max(1),
        _ => 1,
    }
}

/// The service of a story, and where it listens.
async fn own_service(home: &Path, version: &[&str]) -> (Child, u16) {
    let mut service = Command::new("python3");
    service.args(["service.py", "0"]).args(version);
    service.current_dir(home);
    listening_service(service).await
}

/// The issuer of a story, and where it listens.
async fn issuer(home: &Path) -> (Child, u16) {
    let mut issuer = Command::new("node");
    issuer.args(["issuer.mjs", "0"]).current_dir(home);
    listening_service(issuer).await
}

/// The provider of an example, which has to listen where its settings say.
async fn provider(home: &Path, settings: &str) -> Child {
    let mut provider = node("provider.mjs")
        .arg(settings)
        .current_dir(home)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(provider.stdout.take().unwrap()).lines();
    let line = soon("the provider", lines.next_line()).await.unwrap();
    assert!(line.is_some_and(|line| line.starts_with("ready ")));
    provider
}

fn readme(story: &str) -> Vec<Block> {
    let text = fs::read_to_string(stories().join(story).join("README.md"));
    blocks(&text.unwrap())
}

async fn typed_through(story: &str) {
    let blocks = readme(story);
    let asks = |block: &Block| match block {
        Block::Transcript(typed) => typed.iter().any(|(command, _)| command.contains("curl ")),
        Block::Terminals(_) => false,
    };
    assert!(blocks.iter().any(asks), "{story} asks for nothing");
    let mut session = Session::of(story);
    session.play(&blocks).await;
}

macro_rules! typed_through {
    ($($test:ident: $story:literal,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                typed_through($story).await;
            }
        )+

        /// The examples whose README is typed.
        pub(crate) const TYPED: &[&str] = &[$($story),+];
    };
}

typed_through! {
    api_keys_does_what_its_readme_says: "api-keys",
    api_with_jwt_does_what_its_readme_says: "api-with-jwt",
    basic_auth_does_what_its_readme_says: "basic-auth",
    blue_green_does_what_its_readme_says: "blue-green",
    canary_does_what_its_readme_says: "canary",
    canary_by_header_does_what_its_readme_says: "canary-by-header",
    ip_allowlist_does_what_its_readme_says: "ip-allowlist",
    maintenance_page_does_what_its_readme_says: "maintenance-page",
    protect_internal_app_does_what_its_readme_says: "protect-internal-app",
    rate_limit_api_does_what_its_readme_says: "rate-limit-api",
    webhook_verify_does_what_its_readme_says: "webhook-verify",
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stable_release_answers_when_the_canary_is_gone() {
    let blocks = readme("canary-by-header");
    let mut session = Session::of("canary-by-header");
    session.play(&blocks[..1]).await;
    let ask = "curl --cacert data/ca.pem -H 'x-release: canary' https://app.localhost:9443/name";
    session.type_in(ask, &["canary".to_owned()]).await;
    let mut canary = session.running.pop().unwrap();
    canary.term();
    canary.wait_exit().await;
    session.type_in(ask, &["stable".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_to_the_internal_app_as_its_readme_says() {
    let blocks = readme("protect-internal-app");
    let mut session = Session::of("protect-internal-app");
    session.play(&blocks[..1]).await;
    let mut chromium = Chromium::start().await;
    let app = session.here("https://app.localhost:9443/headers");
    let signs_in = async |chromium: &mut Chromium, tab: u32, user: &str| {
        let mut tab = chromium.tab(tab);
        tab.forget_cookies().await;
        tab.goto(&app).await;
        tab.fill("User", user).await;
        tab.fill("Password", &format!("{user}pass")).await;
        tab.click("Sign in").await;
        tab.click("Allow").await;
        tab.arrive(&app).await;
        tab.text().await
    };
    let seen = signs_in(&mut chromium, 0, "alice").await;
    assert!(
        seen.contains("x-forwarded-for") && !seen.contains("x-user"),
        "{seen}"
    );

    let second = "sed -i.bak 's/policy.yaml/policy-team.yaml/' gateway.yaml";
    session.type_in(second, &[]).await;
    // Alice has to sign in anew only if the login itself was changed, as it is here: its sessions are shorter.
    let seen = signs_in(&mut chromium, 0, "alice").await;
    for line in [
        r#""x-user": "alice@example.test""#,
        r#""x-user-name": "Alice""#,
        r#""x-groups": "staff,admins""#,
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    let seen = signs_in(&mut chromium, 0, "mallory").await;
    assert!(seen.contains("for people of Example only"), "{seen}");
    chromium.tab(0).click("Sign out").await;
    let seen = signs_in(&mut chromium, 0, "bob").await;
    assert!(seen.contains("bob@example.test"), "{seen}");
    let admin = app.replace("/headers", "/admin/users");
    let asks = "async (url) => (await fetch(url)).status";
    assert_eq!(chromium.tab(0).run(asks, admin.into()).await, 403);
}
