//! The real curl, told about the gateway's ports and authority.

use std::{ffi::OsString, fmt, process::Stdio};

use tempfile::NamedTempFile;
use tokio::process::Command;

use super::{Public, soon};

/// What curl got and how it ended.
pub(crate) struct CurlOutput {
    /// curl's exit code; 0 is success, 18 a body that was cut short, 52 an empty answer.
    pub(crate) code: i32,
    /// The last answer's status; 0 if there was none.
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    /// All heads, interim ones and those of redirects included.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) stderr: String,
}

impl fmt::Debug for CurlOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        let Self {
            code, head, stderr, ..
        } = self;
        write!(
            f,
            "curl ended with {code}\n{stderr}\n{head}{body}\n[{} bytes]",
            self.body.len()
        )
    }
}

impl CurlOutput {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The first header of a name in the last head.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let last = self.head.trim_end().rsplit("\r\n\r\n").next()?;
        super::raw::header(last, name)
    }
}

/// Runs curl with these arguments. URLs need no port: the gateway's is filled in.
pub(crate) async fn curl<A: AsRef<str>>(
    gateway: &impl Public,
    args: impl IntoIterator<Item = A>,
) -> CurlOutput {
    soon("curl", command(gateway, args)).await
}

async fn command<A: AsRef<str>>(
    gateway: &impl Public,
    args: impl IntoIterator<Item = A>,
) -> CurlOutput {
    let head = NamedTempFile::new().unwrap();
    let args = args.into_iter().map(|arg| match arg.as_ref() {
        url if url.starts_with("http://") || url.starts_with("https://") => gateway.url(url),
        other => other.to_owned(),
    });
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*"]);
    for port in [gateway.https().port(), gateway.http().port()] {
        command.args(["--resolve", &format!("*:{port}:127.0.0.1")]);
    }
    command
        .arg("--cacert")
        .arg(gateway.ca_pem())
        .arg("--dump-header")
        .arg(head.path())
        .args([
            "--write-out",
            "%{stderr}\ncurl: %{http_code} %{http_version}\n",
        ])
        .args(args.map(OsString::from))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .expect("curl runs; scripts/setup-test.sh installs it");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    // The last line of two words is the one that --write-out made.
    let figures = stderr.lines().rev().find_map(|line| {
        let figures = line.strip_prefix("curl: ")?;
        (figures.split(' ').count() == 2).then_some(figures)
    });
    let mut figures = figures.unwrap_or_default().split(' ');
    CurlOutput {
        code: output.status.code().unwrap_or(-1),
        status: figures.next().and_then(|n| n.parse().ok()).unwrap_or(0),
        version: figures.next().unwrap_or_default().to_owned(),
        head: std::fs::read_to_string(head.path()).unwrap_or_default(),
        body: output.stdout,
        stderr,
    }
}
