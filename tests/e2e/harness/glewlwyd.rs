//! Glewlwyd, a second OpenID provider: in C, from Debian, and not a line of it shared with the first.
//!
//! It signs in through its own API, as its page does: POST `/api/auth/`, PUT `/api/auth/grant/CLIENT`, and back.

use std::{fmt::Write as _, net::TcpListener, path::Path, process::Stdio, time::Duration};

use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Ask, Browser, CLIENT_SECRET, Page, Public, soon};

/// A running provider with one person, `alice` with the password `alicepass1`. Dropping it ends it.
pub(crate) struct Glewlwyd {
    base: String,
    _child: Child,
    _dir: TempDir,
}

/// Whether this machine can have it: only Debian and its kin have a package of it.
pub(crate) fn is_here() -> bool {
    let has = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    };
    assert!(
        has("glewlwyd") || !has("apt-get"),
        "glewlwyd is missing: run sh scripts/setup-test.sh"
    );
    has("glewlwyd")
}

impl Glewlwyd {
    /// Starts one on a free port, with a database of its own, that knows no client yet.
    pub(crate) async fn start(gateway: &impl Public) -> Self {
        let dir = TempDir::new().unwrap();
        make_database(dir.path()).await;
        // It does not say which port it got, so it is given one; the next process to ask for any gets another.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let base = format!("http://127.0.0.1:{port}");
        std::fs::write(dir.path().join("g.conf"), configuration(&base, port)).unwrap();
        let child = Command::new("glewlwyd")
            .arg("--config-file=g.conf")
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let started = Self {
            base,
            _child: child,
            _dir: dir,
        };
        soon("glewlwyd", until_it_listens(port)).await;
        started.set_up(gateway).await;
        started
    }

    /// Its URL, as policies name it.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/api/oidc", self.base)
    }

    /// The lines of a `gateway.yaml` that allow the gateway to ask it.
    pub(crate) fn allowed(&self) -> String {
        let address = self.base.trim_start_matches("http://");
        format!("fetch: {{ allow: ['{address}'], allow_private: true }}\n")
    }

    /// Knows an app of this gateway as its client.
    pub(crate) async fn register(&self, gateway: &impl Public, client: &str, app: &str) {
        let mut admin = self.administrator(gateway).await;
        let back = gateway.url(&format!("{app}/adit/oauth2/callback"));
        let registration = json!({
            "client_id": client, "name": client, "client_secret": CLIENT_SECRET, "confidential": true,
            "redirect_uri": [back],
            "authorization_type": ["code", "refresh_token"],
            "token_endpoint_auth_method": ["client_secret_basic"], "scope": ["openid"], "enabled": true
        });
        self.tell(&mut admin, Method::POST, "/client/", registration)
            .await;
    }

    /// What alice does at its page: signs in there, allows the client, and is sent back. The answer is the redirect.
    pub(crate) async fn sign_in(
        &self,
        browser: &mut Browser,
        sent_to: &Page,
        client: &str,
    ) -> Page {
        let signs = json!({ "username": "alice", "password": "alicepass1" });
        self.tell(browser, Method::POST, "/auth/", signs).await;
        let allows = json!({ "scope": "openid" });
        self.tell(
            browser,
            Method::PUT,
            &format!("/auth/grant/{client}"),
            allows,
        )
        .await;
        let callback = sent_to
            .parameter("callback_url")
            .expect("its page knows the way back");
        browser.get(&format!("{callback}&g_continue=")).await
    }

    async fn administrator(&self, gateway: &impl Public) -> Browser {
        let mut admin = Browser::new(gateway);
        let signs = json!({ "username": "admin", "password": "password" });
        self.tell(&mut admin, Method::POST, "/auth/", signs).await;
        admin
    }

    /// The protocol with a key of its own, and alice.
    async fn set_up(&self, gateway: &impl Public) {
        let mut admin = self.administrator(gateway).await;
        let (private, public) = key_pair().await;
        let parameters = json!({
            "iss": self.issuer(), "jwt-type": "rsa", "jwt-key-size": "256", "key": private, "cert": public,
            "access-token-duration": 60, "refresh-token-duration": 3600, "code-duration": 30,
            "refresh-token-rolling": true, "allow-non-oidc": false, "jwks-show": true,
            "auth-type-code-enabled": true, "auth-type-refresh-enabled": true, "auth-type-client-enabled": true,
            "auth-type-id-token-enabled": true, "auth-type-token-enabled": false, "auth-type-none-enabled": false,
            "auth-type-password-enabled": false,
            "pkce-allowed": true, "pkce-required": true, "pkce-method-plain-allowed": false,
            "subject-type": "public", "introspection-revocation-allowed": true,
            "introspection-revocation-allow-target-client": true,
            "session-management-allowed": true, "session-cookie-name": "GLEW_OIDC", "session-cookie-expiration": 3600,
            "service-documentation": "", "op-policy-uri": "", "op-tos-uri": "", "scope": [], "claims": [],
            "name-claim": "mandatory", "email-claim": "mandatory"
        });
        let module = json!({
            "module": "oidc", "name": "oidc", "display_name": "OIDC", "enabled": true, "parameters": parameters
        });
        self.tell(&mut admin, Method::POST, "/mod/plugin/", module)
            .await;
        let alice = json!({
            "username": "alice", "name": "Alice", "email": "alice@example.test", "password": "alicepass1",
            "scope": ["openid", "g_profile"], "enabled": true
        });
        self.tell(&mut admin, Method::POST, "/user/", alice).await;
    }

    async fn tell(&self, browser: &mut Browser, method: Method, path: &str, body: Value) {
        let ask = Ask {
            method,
            headers: &[("content-type", "application/json")],
            body: body.to_string(),
        };
        let page = browser.send(&format!("{}/api{path}", self.base), ask).await;
        assert_eq!(page.status, 200, "{path}: {page:?}");
    }
}

/// The tables that its package brings.
async fn make_database(dir: &Path) {
    let tables = "zcat \"$(dpkg -L glewlwyd-common glewlwyd | grep -m 1 'init.sqlite3.sql.gz$')\" | sqlite3 glew.db";
    let made = Command::new("sh")
        .args(["-c", tables])
        .current_dir(dir)
        .status()
        .await;
    assert!(made.unwrap().success(), "{tables}");
}

fn configuration(base: &str, port: u16) -> String {
    let modules = std::process::Command::new("sh")
        .args(["-c", "dpkg -L glewlwyd | grep -m 1 '^/usr/lib.*/glewlwyd$'"])
        .output()
        .unwrap();
    let modules = String::from_utf8(modules.stdout).unwrap();
    let modules = modules.trim();
    let mut text = String::new();
    for (name, value) in [
        ("bind_address", "127.0.0.1"),
        ("external_url", base),
        ("login_url", "login.html"),
        ("api_prefix", "api"),
        ("log_mode", "console"),
        ("log_level", "ERROR"),
        ("session_key", "GLEW"),
        ("admin_scope", "g_admin"),
        ("profile_scope", "g_profile"),
        ("hash_algorithm", "SHA512"),
    ] {
        writeln!(text, "{name}=\"{value}\"").unwrap();
    }
    for (name, folder) in [
        ("user_module_path", "user"),
        ("client_module_path", "client"),
        ("user_auth_scheme_module_path", "scheme"),
        ("plugin_module_path", "plugin"),
    ] {
        writeln!(text, "{name}=\"{modules}/{folder}\"").unwrap();
    }
    writeln!(
        text,
        "port={port}\ncookie_secure=0\ndatabase = {{ type = \"sqlite3\"; path = \"glew.db\"; }};"
    )
    .unwrap();
    text
}

async fn key_pair() -> (String, String) {
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ])
        .output()
        .await
        .unwrap();
    let private = String::from_utf8(made.stdout).unwrap();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("k.pem"), &private).unwrap();
    let told = Command::new("openssl")
        .args(["pkey", "-in", "k.pem", "-pubout"])
        .current_dir(dir.path())
        .output()
        .await
        .unwrap();
    (private, String::from_utf8(told.stdout).unwrap())
}

async fn until_it_listens(port: u16) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        tick.tick().await;
    }
}
