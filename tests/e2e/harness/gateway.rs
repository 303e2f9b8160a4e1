//! A gateway in this process, made from the text of a `gateway.yaml` as an operator would write it.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use adit_gateway::{Config, ReloadError, Reloaded, token::TokenHash};
use tempfile::TempDir;

use super::{Public, bytes::port_range};

/// A running gateway of the domain `localhost` with a local certificate authority. Dropping it ends it.
pub(crate) struct Gateway {
    running: adit_gateway::Gateway,
    dir: TempDir,
    agents: Vec<(String, Vec<String>)>,
    extra: String,
}

impl Gateway {
    /// One with defaults and the agents `tester` and `other`, who may bind anything.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// The same with more lines for its `gateway.yaml`: `limits: { … }`, `trusted_proxies: […]`, `endpoints: …`.
    pub(crate) async fn with(extra: &str) -> Self {
        Self::with_agents(&[("tester", &["bind:*"]), ("other", &["bind:*"])], extra).await
    }

    /// One that knows these agents, each with its access list, and nobody else.
    pub(crate) async fn with_agents(agents: &[(&str, &[&str])], extra: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let agents = owned(agents);
        let running = run(dir.path(), (0, 0), &agents, extra).await;
        Self {
            running,
            dir,
            agents,
            extra: extra.to_owned(),
        }
    }

    /// One of the domain `gate.test` that takes https and agents on every address of this machine. Nothing resolves
    /// the domain but a [`super::namespace::Namespace`]; its certificate is good for 127.0.0.1, too.
    pub(crate) async fn everywhere(extra: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let agents = vec![("tester".to_owned(), vec!["bind:*".to_owned()])];
        let text = yaml((0, 0), &dir.path().join("data"), &agents, extra);
        let text = text.replacen("127.0.0.1:0", "0.0.0.0:0", 1);
        let text = text.replacen("domain: localhost", "domain: gate.test", 1);
        let config = Config::load(&put(dir.path(), "gateway.yaml", &text)).unwrap();
        let running = adit_gateway::Gateway::start(config).await.unwrap();
        Self {
            running,
            dir,
            agents,
            extra: extra.to_owned(),
        }
    }

    /// One whose folder holds files, such as policies, that `extra` may name.
    pub(crate) async fn with_files(files: &[(&str, &str)], extra: &str) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let agents = vec![("tester".to_owned(), vec!["bind:*".to_owned()])];
        let running = run(dir.path(), (0, 0), &agents, extra).await;
        Self {
            running,
            dir,
            agents,
            extra: extra.to_owned(),
        }
    }

    /// Writes one of its files anew, in one step.
    pub(crate) fn put(&self, name: &str, text: &str) {
        put(self.dir.path(), name, text);
    }

    /// Where its files lie.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Writes its `gateway.yaml` anew, with other lines behind the ones that are always there.
    pub(crate) fn rewrite(&self, extra: &str) {
        write(self.dir.path(), (0, 0), &self.agents, extra);
    }

    /// The same with these agents in the place of its own.
    pub(crate) fn rewrite_agents(&self, agents: &[(&str, &[&str])]) {
        write(self.dir.path(), (0, 0), &owned(agents), &self.extra);
    }

    /// Lets it read its files again, now.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.running.reload().await
    }

    /// Ends it and starts it again on the same ports, with the same authority and agents.
    pub(crate) async fn restart(self, deadline: Duration) -> Self {
        let ports = (self.https().port(), self.http().port());
        self.shutdown(deadline).await;
        let Self {
            running,
            dir,
            agents,
            extra,
        } = self;
        drop(running);
        let running = run(dir.path(), ports, &agents, &extra).await;
        Self {
            running,
            dir,
            agents,
            extra,
        }
    }

    /// Where https and agents are taken.
    pub(crate) fn https(&self) -> SocketAddr {
        self.running.https().unwrap()
    }

    /// Where plain http is taken.
    pub(crate) fn http(&self) -> SocketAddr {
        self.running.http().unwrap()
    }

    /// Where the operator asks.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.running.admin().unwrap()
    }

    /// Where the admin API is.
    pub(crate) fn api(&self) -> SocketAddr {
        self.running.api().unwrap()
    }

    /// The authority's certificate.
    pub(crate) fn ca_pem(&self) -> &Path {
        self.running.local_ca().unwrap().0
    }

    /// The token of the agent `tester`.
    #[allow(clippy::unused_self)]
    pub(crate) fn token(&self) -> String {
        token_of("tester")
    }

    /// The token of any other agent.
    #[allow(clippy::unused_self)]
    pub(crate) fn token_of(&self, agent: &str) -> String {
        token_of(agent)
    }

    /// What agents connect to.
    pub(crate) fn connect_url(&self) -> String {
        format!("localhost:{}", self.https().port())
    }

    /// The public URL with its port: `https://app.localhost/x` becomes `https://app.localhost:40123/x`.
    pub(crate) fn url(&self, url: &str) -> String {
        Public::url(self, url)
    }

    /// Ends it in order, within the deadline.
    pub(crate) async fn shutdown(&self, deadline: Duration) {
        self.running.shutdown(deadline).await;
    }
}

fn owned(agents: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let texts = |acl: &[&str]| acl.iter().map(|rule| (*rule).to_owned()).collect();
    let agents = agents.iter();
    agents
        .map(|(name, acl)| ((*name).to_owned(), texts(acl)))
        .collect()
}

/// Tokens are for tests only, so they may be as plain as names.
pub(crate) fn token_of(agent: &str) -> String {
    format!("adit_token-of-{agent}-in-tests")
}

/// The text of a `gateway.yaml` for these agents. Ports 0 mean any.
pub(crate) fn yaml(
    (https, http): (u16, u16),
    data_dir: &Path,
    agents: &[(String, Vec<String>)],
    extra: &str,
) -> String {
    let (first, last) = port_range();
    let mut text = format!(
        "domain: localhost\n\
         listen: {{ https: \"127.0.0.1:{https}\", http: \"127.0.0.1:{http}\", admin: \"127.0.0.1:0\", api: \"127.0.0.1:0\", tcp_ports: {first}-{last} }}\n\
         data_dir: \"{}\"\n\
         tls: {{ local_ca: true }}\n\
         agents:\n",
        data_dir.display()
    );
    for (name, acl) in agents {
        let hash = TokenHash::of(&token_of(name));
        writeln!(
            text,
            "  - {{ name: {name}, token_hash: \"{hash}\", acl: {acl:?} }}"
        )
        .unwrap();
    }
    text.push_str(extra);
    text.push('\n');
    text
}

async fn run(
    dir: &Path,
    ports: (u16, u16),
    agents: &[(String, Vec<String>)],
    extra: &str,
) -> adit_gateway::Gateway {
    let file = write(dir, ports, agents, extra);
    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    adit_gateway::Gateway::start(config)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Writes `gateway.yaml` into a folder, with `data` beside it.
pub(crate) fn write(
    dir: &Path,
    ports: (u16, u16),
    agents: &[(String, Vec<String>)],
    extra: &str,
) -> PathBuf {
    let text = yaml(ports, &dir.join("data"), agents, extra);
    put(dir, "gateway.yaml", &text)
}

/// Writes a file in one step: whoever watches it sees the old text or the new one.
pub(crate) fn put(dir: &Path, name: &str, text: &str) -> PathBuf {
    let (file, fresh) = (dir.join(name), dir.join(format!(".{name}.new")));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, &file).unwrap();
    file
}
