//! A gateway and an agent as processes of their own, as people run them.

use std::{fmt::Display, net::SocketAddr, path::PathBuf, sync::Arc};

use tempfile::TempDir;

use super::{AditProcess, gateway};

/// The `adit gateway` and the `adit start` of one folder.
pub(crate) struct Deployed {
    pub(crate) gateway: AditProcess,
    pub(crate) agent: AditProcess,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) ca_pem: PathBuf,
    home: Arc<TempDir>,
    extra: String,
}

const LOG: [&str; 4] = ["--log", "stdout", "--log-format", "logfmt"];

// === impl Deployed ===

impl Deployed {
    /// Starts both and waits until the agent serves each URL. `extra` is more of `gateway.yaml`.
    pub(crate) async fn start(extra: &str, endpoints: &[(&str, &dyn Display)]) -> Self {
        let home = Arc::new(TempDir::new().unwrap());
        let (gateway, https, http, admin) = start_gateway(&home, (0, 0), extra).await;
        let ca_pem = home.path().join("data/ca.pem");
        let mut yaml = format!(
            "version: 3\nagent: {{ authtoken: {}, connect_url: \"localhost:{}\", connect_cas: \"{}\" }}\nendpoints:\n",
            gateway::token_of("tester"),
            https.port(),
            ca_pem.display()
        );
        for (at, (url, upstream)) in endpoints.iter().enumerate() {
            yaml.push_str(&format!(
                "  - {{ name: e{at}, url: \"{url}\", upstream: {{ url: \"{upstream}\" }} }}\n"
            ));
        }
        std::fs::write(home.path().join("adit.yaml"), yaml).unwrap();
        let args = ["start", "--all", "--config", "adit.yaml"];
        let agent = AditProcess::spawn_in(Arc::clone(&home), args.into_iter().chain(LOG), &[]);
        let mut deployed = Self {
            gateway,
            agent,
            https,
            http,
            admin,
            ca_pem,
            home,
            extra: extra.to_owned(),
        };
        online(&mut deployed.agent, endpoints.len()).await;
        deployed
    }

    /// Writes `gateway.yaml` anew, with other lines behind the ones that are always there.
    pub(crate) fn rewrite(&self, extra: &str) {
        let agents = [(
            "tester".to_owned(),
            vec!["bind:*".to_owned(), "bind:tcp://*".to_owned()],
        )];
        gateway::write(self.home.path(), (0, 0), &agents, extra);
    }

    /// Changes the text of its `gateway.yaml` in one step.
    pub(crate) fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.home.path().join("gateway.yaml")).unwrap();
        gateway::put(self.home.path(), "gateway.yaml", &change(text));
    }

    /// Starts another gateway process that asks the running one for its sockets.
    pub(crate) fn begin_take_over(&self) -> AditProcess {
        self.start_gateway_with("--take-over")
    }

    /// The same with another configuration.
    pub(crate) fn begin_take_over_with(&self, file: &str) -> AditProcess {
        let args = ["gateway", "--take-over", "--config", file];
        AditProcess::spawn_in(Arc::clone(&self.home), args.into_iter().chain(LOG), &[])
    }

    /// Starts another gateway process with the same configuration and one more argument.
    pub(crate) fn start_gateway_with(&self, arg: &str) -> AditProcess {
        let args = ["gateway", arg, "--config", "gateway.yaml"];
        AditProcess::spawn_in(Arc::clone(&self.home), args.into_iter().chain(LOG), &[])
    }

    /// Another gateway process takes over from the running one, which is handed back: it may still finish something.
    pub(crate) async fn take_over(&mut self) -> AditProcess {
        let mut new = self.begin_take_over();
        for (scheme, address) in [
            ("https", self.https),
            ("http", self.http),
            ("admin", self.admin),
        ] {
            assert_eq!(listening(&mut new, scheme).await, address);
        }
        std::mem::replace(&mut self.gateway, new)
    }

    /// Where all of it is at home.
    pub(crate) fn home(&self) -> &Arc<TempDir> {
        &self.home
    }

    /// Starts another agent process with the same configuration.
    pub(crate) fn start_agent(&self) -> AditProcess {
        let args = ["start", "--all", "--config", "adit.yaml"];
        AditProcess::spawn_in(Arc::clone(&self.home), args.into_iter().chain(LOG), &[])
    }

    /// Starts another gateway process in the place of one that has ended: same ports, same authority.
    pub(crate) async fn start_gateway_again(&mut self) {
        let ports = (self.https.port(), self.http.port());
        let (gateway, _, _, admin) = start_gateway(&self.home, ports, &self.extra).await;
        self.gateway = gateway;
        self.admin = admin;
    }
}

async fn start_gateway(
    home: &Arc<TempDir>,
    ports: (u16, u16),
    extra: &str,
) -> (AditProcess, SocketAddr, SocketAddr, SocketAddr) {
    let agents = [(
        "tester".to_owned(),
        vec!["bind:*".to_owned(), "bind:tcp://*".to_owned()],
    )];
    gateway::write(home.path(), ports, &agents, extra);
    let args = ["gateway", "--config", "gateway.yaml"]
        .into_iter()
        .chain(LOG);
    let mut gateway = AditProcess::spawn_in(Arc::clone(home), args, &[]);
    let https = listening(&mut gateway, "https").await;
    let http = listening(&mut gateway, "http").await;
    let admin = listening(&mut gateway, "admin").await;
    (gateway, https, http, admin)
}

/// Waits until an agent has so many endpoints.
pub(crate) async fn online(agent: &mut AditProcess, endpoints: usize) {
    for _ in 0..endpoints {
        agent
            .wait_for_line(|line| line.contains("started tunnel"))
            .await;
    }
}

/// The address that the process says it listens on.
pub(crate) async fn listening(gateway: &mut AditProcess, scheme: &str) -> SocketAddr {
    let scheme = format!("scheme={scheme} ");
    let line = gateway
        .wait_for_line(|line| line.contains("listening") && line.contains(&scheme))
        .await;
    let (_, address) = line.split_once("addr=").unwrap();
    let address = address.split(' ').next().unwrap().trim_matches('"');
    address
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {line}"))
}
