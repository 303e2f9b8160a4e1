//! A real OpenID Provider in a process of its own: the npm package `oidc-provider` under `tests/e2e/identity/provider.mjs`.
//!
//! ```ignore
//! let provider = OidcProvider::start(json!({})).await;                 // signs alice in without asking
//! let gateway = Gateway::with(&policy(provider.issuer())).await;
//! provider.register(&gateway, "edge", "https://app.localhost").await;  // its redirect URI has the gateway's port
//! ```

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{Public, raw, soon};

/// The secret of every client that [`OidcProvider::register`] makes.
pub(crate) const CLIENT_SECRET: &str = "edge-secret-0123456789-0123456789";

/// A running provider. Dropping it ends it.
pub(crate) struct OidcProvider {
    issuer: String,
    address: SocketAddr,
    child: Child,
    settings: Value,
    /// Its certificate, if it speaks TLS.
    dir: TempDir,
}

impl OidcProvider {
    /// Starts one on a free port of 127.0.0.1. What the settings may say stands in `provider.mjs`.
    pub(crate) async fn start(settings: Value) -> Self {
        Self::start_in(TempDir::new().unwrap(), settings).await
    }

    /// The same over TLS, with a certificate of [`OidcProvider::ca_pem`].
    pub(crate) async fn start_tls(mut settings: Value) -> Self {
        let dir = TempDir::new().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        settings["tls"] = json!({ "cert": cert, "key": key });
        Self::start_in(dir, settings).await
    }

    async fn start_in(dir: TempDir, settings: Value) -> Self {
        let mut all = json!({ "control": true });
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
        let (child, issuer) = spawn(&all).await;
        let address = issuer.split_once("://").unwrap().1.parse().unwrap();
        all["port"] = json!(SocketAddr::port(&address));
        Self {
            issuer,
            address,
            child,
            settings: all,
            dir,
        }
    }

    /// Its URL, as policies name it.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whom to trust if it speaks TLS.
    pub(crate) fn ca_pem(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// The lines of a `gateway.yaml` that allow the gateway to ask it.
    pub(crate) fn allowed(&self) -> String {
        let cas = match self.issuer.starts_with("https:") {
            true => format!(", ca_files: ['{}']", self.ca_pem().display()),
            false => String::new(),
        };
        format!(
            "fetch: {{ allow: ['{}'], allow_private: true{cas} }}\n",
            self.address
        )
    }

    /// Knows an app of this gateway as its client from now on, with its paths for coming back and [`CLIENT_SECRET`].
    pub(crate) async fn register(&self, gateway: &impl Public, client: &str, app: &str) {
        let at = |path| gateway.url(&format!("{app}{path}"));
        self.register_as(json!({
            "client_id": client,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [at("/adit/oauth2/callback")],
            "post_logout_redirect_uris": [at("/adit/logout"), at("/")],
            "backchannel_logout_uri": at("/adit/backchannel-logout"),
            "backchannel_logout_session_required": true,
        }))
        .await;
    }

    /// Knows a client as RFC 7591 has it, instead of one of the same id if there is one.
    pub(crate) async fn register_as(&self, client: Value) {
        self.command("client", client).await;
    }

    /// Signs with new keys; so many of the ones before stay published.
    pub(crate) async fn rotate_keys(&self, kept: usize) {
        self.command(&format!("rotate?keep={kept}"), Value::Null)
            .await;
    }

    /// Answers everything with this status until [`OidcProvider::recover`].
    pub(crate) async fn fail(&self, status: u16) {
        self.command(&format!("fail?status={status}"), Value::Null)
            .await;
    }

    /// Answers only this path with this status.
    pub(crate) async fn fail_at(&self, path: &str, status: u16) {
        self.command(&format!("fail?status={status}&path={path}"), Value::Null)
            .await;
    }

    /// Leaves this path without an answer until [`OidcProvider::recover`].
    pub(crate) async fn hold_at(&self, path: &str) {
        self.command(&format!("hold?path={path}"), Value::Null)
            .await;
    }

    /// Answers again, also what was held.
    pub(crate) async fn recover(&self) {
        self.command("fail?status=0", Value::Null).await;
        self.command("release", Value::Null).await;
    }

    /// Does not know a person any more: it refuses to refresh their tokens.
    pub(crate) async fn forget(&self, user: &str) {
        self.command(&format!("forget?user={user}"), Value::Null)
            .await;
    }

    /// Says this of a person from now on, besides what it says already.
    pub(crate) async fn says_of(&self, user: &str, claims: Value) {
        self.command(&format!("people?user={user}"), claims).await;
    }

    /// Puts wrong claims into its ID tokens from now on; `null` takes one out.
    pub(crate) async fn spoil(&self, claims: Value) {
        self.command("spoil", claims).await;
    }

    /// A token with these claims, signed with its own key for RS256.
    pub(crate) async fn sign(&self, header: Value, claims: Value) -> String {
        let asked = json!({ "header": header, "payload": claims });
        let answer = self.command("sign?alg=RS256", asked).await;
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Tells a client that a session is over (OpenID Connect Back-Channel Logout 1.0).
    pub(crate) async fn log_out(&self, client: &str, sub: &str, sid: &str) {
        self.command(
            &format!("logout?client={client}&sub={sub}&sid={sid}"),
            Value::Null,
        )
        .await;
    }

    /// The `sid` of every session that clients have of a person.
    pub(crate) async fn sessions(&self, user: &str) -> Vec<String> {
        let sids = self
            .ask("GET", &format!("sessions?user={user}"), Value::Null)
            .await;
        serde_json::from_value(sids).unwrap()
    }

    /// Trusts an authority when it sends back-channel logouts.
    pub(crate) async fn trust(&self, ca_pem: &Path) {
        self.command("trust", json!({ "ca": ca_pem })).await;
    }

    /// How often a path was asked for, its own commands left out.
    pub(crate) async fn asked(&self, path: &str) -> u64 {
        let counts = self.ask("GET", "counts", Value::Null).await;
        counts[path].as_u64().unwrap_or(0)
    }

    /// Ends it: its port refuses connections.
    pub(crate) async fn stop(&mut self) {
        let pid = self.child.id().expect("it runs");
        signal(pid, "TERM");
        soon("the provider's end", self.child.wait()).await.unwrap();
    }

    /// Starts it again at its port after [`OidcProvider::stop`]: with new keys, and nothing remembered but its settings.
    pub(crate) async fn start_again(&mut self) {
        let (child, issuer) = spawn(&self.settings).await;
        assert_eq!(issuer, self.issuer);
        self.child = child;
    }

    async fn command(&self, command: &str, body: Value) -> Value {
        self.ask("POST", command, body).await
    }

    async fn ask(&self, method: &str, command: &str, body: Value) -> Value {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let request = format!(
            "{method} /test/{command} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut client = match self.issuer.starts_with("https:") {
            true => raw::Client::over(
                super::tls::connect_to(self.address, "localhost", &self.ca_pem(), &[])
                    .await
                    .unwrap(),
            ),
            false => raw::Client::connect(self.address).await,
        };
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{command}: {answer:?}");
        answer.json()
    }
}

/// Runs it until it says that it is ready, and where.
async fn spawn(settings: &Value) -> (Child, String) {
    let mut child = node("provider.mjs")
        .arg(settings.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs; scripts/setup-test.sh installs it");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon("the provider", lines.next_line()).await.unwrap();
    let line = line.expect("the provider is ready; scripts/setup-test.sh installs what it needs");
    let issuer = line.strip_prefix("ready ").unwrap().to_owned();
    (child, issuer)
}

/// `node` with one of the scripts in `tests/e2e/identity`.
pub(crate) fn node(script: &str) -> Command {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/identity");
    let mut node = Command::new("node");
    node.arg("--no-warnings").arg(folder.join(script));
    node
}

fn signal(pid: u32, name: &str) {
    let status = std::process::Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}
