//! The real `adit` command: its lines as events, its signals, its memory.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

use super::soon;

/// A running `adit`, at home in an empty folder, with nothing of this machine's configuration.
/// Dropping it kills it.
pub(crate) struct AditProcess {
    child: Child,
    _home: Arc<TempDir>,
    lines: Arc<Mutex<Vec<String>>>,
    changed: watch::Receiver<()>,
    told: usize,
}

impl AditProcess {
    /// Runs `adit ARGS…` with more variables in its environment.
    pub(crate) fn spawn<A: AsRef<str>>(
        args: impl IntoIterator<Item = A>,
        envs: &[(&str, &str)],
    ) -> Self {
        Self::spawn_in(Arc::new(TempDir::new().unwrap()), args, envs)
    }

    /// The same at home in a folder that others know, too.
    pub(crate) fn spawn_in<A: AsRef<str>>(
        home: Arc<TempDir>,
        args: impl IntoIterator<Item = A>,
        envs: &[(&str, &str)],
    ) -> Self {
        Self::spawn_within(&[], home, args, envs)
    }

    /// The same behind a command that becomes the one that its arguments say.
    pub(crate) fn spawn_within<A: AsRef<str>>(
        before: &[&str],
        home: Arc<TempDir>,
        args: impl IntoIterator<Item = A>,
        envs: &[(&str, &str)],
    ) -> Self {
        let command = [before, &[env!("CARGO_BIN_EXE_adit")]].concat();
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .args(args.into_iter().map(|arg| arg.as_ref().to_owned()))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .envs(envs.iter().copied())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (change, changed) = watch::channel(());
        let change = Arc::new(change);
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        collect(stdout, Arc::clone(&lines), Arc::clone(&change));
        collect(stderr, Arc::clone(&lines), change);
        Self {
            child,
            _home: home,
            lines,
            changed,
            told: 0,
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The next line, of stdout or stderr, that `is` describes. Lines before it are passed over.
    pub(crate) async fn wait_for_line(&mut self, is: impl Fn(&str) -> bool) -> String {
        let waiting = async {
            loop {
                let seen = {
                    let lines = self.lines.lock().unwrap();
                    let found = lines.iter().skip(self.told).position(|line| is(line));
                    found.map(|at| (self.told + at, lines[self.told + at].clone()))
                };
                if let Some((at, line)) = seen {
                    return (at, line);
                }
                if self.changed.changed().await.is_err() {
                    panic!(
                        "it ended before it said that:\n{}",
                        self.lines.lock().unwrap().join("\n")
                    );
                }
            }
        };
        let Ok((at, line)) = tokio::time::timeout(super::LONGEST, waiting).await else {
            panic!("it did not say that:\n{}", self.output());
        };
        self.told = at + 1;
        line
    }

    /// Everything it has said so far.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// SIGKILL.
    pub(crate) fn kill9(&self) {
        self.signal("KILL");
    }

    /// SIGTERM.
    pub(crate) fn term(&self) {
        self.signal("TERM");
    }

    /// SIGSTOP: it stands still, its connections stay.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn cont(&self) {
        self.signal("CONT");
    }

    /// Any signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success(), "kill -s {name} {pid}");
    }

    /// Waits for its end, and until all that it said was heard.
    pub(crate) async fn wait_exit(&mut self) -> ExitStatus {
        let status = soon("the process to end", self.child.wait()).await.unwrap();
        soon("its last line", async {
            while self.changed.changed().await.is_ok() {}
        })
        .await;
        status
    }

    /// Resident memory at this moment, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        memory(self.pid(), "VmRSS")
    }

    /// The most memory that was ever resident, in KiB.
    pub(crate) fn peak_rss_kib(&self) -> u64 {
        memory(self.pid(), "VmHWM")
    }
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/status"))).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn collect(
    from: impl AsyncRead + Unpin + Send + 'static,
    lines: Arc<Mutex<Vec<String>>>,
    change: Arc<watch::Sender<()>>,
) {
    tokio::spawn(async move {
        let mut from = BufReader::new(from).lines();
        while let Ok(Some(line)) = from.next_line().await {
            lines.lock().unwrap().push(line);
            change.send_replace(());
        }
    });
}
