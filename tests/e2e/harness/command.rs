//! The real command in its two roles: an agent whose configuration file knows the gateway, and a gateway.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use tempfile::TempDir;
use tokio::process::Command;

use super::{AditProcess, Gateway, gateway, soon};

/// Where the configuration file lies in a home.
pub(crate) fn config_file(home: &TempDir) -> PathBuf {
    home.path().join(".config/adit/adit.yml")
}

/// A home whose configuration file names a gateway, its authority and a token.
pub(crate) fn home(connect_url: &str, ca: &Path, token: &str) -> Arc<TempDir> {
    let home = TempDir::new().unwrap();
    let file = config_file(&home);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = format!(
        "version: 3\nagent:\n  connect_url: {connect_url}\n  connect_cas: {}\n  authtoken: {token}\n",
        ca.display()
    );
    std::fs::write(file, text).unwrap();
    Arc::new(home)
}

/// `adit ARGS…` of the agent `tester`.
pub(crate) fn agent<A: AsRef<str>>(
    gateway: &Gateway,
    args: impl IntoIterator<Item = A>,
) -> AditProcess {
    let home = home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    AditProcess::spawn_in(home, args, &[])
}

/// `adit http` for this service, online at this URL.
pub(crate) async fn online(gateway: &Gateway, url: &str, service: SocketAddr) -> AditProcess {
    let mut agent = agent(gateway, ["http", &service.to_string(), "--url", url]);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    agent
}

/// `adit gateway`, with the agent `tester` and a log at level debug. It can be ended and started
/// again on the same ports.
pub(crate) struct GatewayProcess {
    pub(crate) process: AditProcess,
    /// Names with their access lists, as the next start will have them.
    pub(crate) agents: Vec<(String, Vec<String>)>,
    dir: Arc<TempDir>,
    https: SocketAddr,
    http: SocketAddr,
    extra: String,
}

impl GatewayProcess {
    /// Starts one with more lines for its `gateway.yaml`, on any ports.
    pub(crate) async fn start(extra: &str) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let agents = vec![("tester".to_owned(), vec!["bind:*".to_owned()])];
        Self::start_in(dir, (0, 0), agents, extra.to_owned()).await
    }

    /// Waits for its end, and starts it again.
    pub(crate) async fn again(mut self) -> Self {
        let ended = self.process.wait_exit().await;
        assert!(ended.success(), "{}", self.process.output());
        let ports = (self.https.port(), self.http.port());
        Self::start_in(self.dir, ports, self.agents, self.extra).await
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// A home whose configuration file names this gateway and a token.
    pub(crate) fn home(&self, token: &str) -> Arc<TempDir> {
        let ca = self.dir.path().join("data/ca.pem");
        home(&format!("localhost:{}", self.https.port()), &ca, token)
    }

    async fn start_in(
        dir: Arc<TempDir>,
        ports: (u16, u16),
        agents: Vec<(String, Vec<String>)>,
        extra: String,
    ) -> Self {
        let file = gateway::write(dir.path(), ports, &agents, &extra);
        let args = [
            "gateway",
            "--log-level",
            "debug",
            "--config",
            file.to_str().unwrap(),
        ];
        let mut process = AditProcess::spawn_in(Arc::clone(&dir), args, &[]);
        let https = listening(&mut process, "https").await;
        let http = listening(&mut process, "http").await;
        Self {
            process,
            agents,
            dir,
            https,
            http,
            extra,
        }
    }
}

/// Where a gateway says that it listens.
pub(crate) async fn listening(process: &mut AditProcess, scheme: &str) -> SocketAddr {
    let scheme = format!("scheme={scheme} ");
    let line = process
        .wait_for_line(|line| line.contains("msg=listening") && line.contains(&scheme))
        .await;
    let address = line.split_once("addr=").unwrap().1;
    address.split(' ').next().unwrap().parse().unwrap()
}

/// What a command that ends by itself said, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `adit ARGS…` in a home, to its end.
pub(crate) async fn run<A: AsRef<OsStr>>(
    home: &TempDir,
    args: impl IntoIterator<Item = A>,
) -> Told {
    let running = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = soon("the command to end", running).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
