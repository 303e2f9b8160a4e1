//! A terminal of our own, with the real command in it.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::watch,
};

use super::soon;

/// A running `adit` whose standard streams are a terminal of 120 columns and 40 lines.
pub(crate) struct Terminal {
    /// How the terminal was before the command had it.
    pub(crate) before: Termios,
    child: Child,
    keyboard: File,
    line: OwnedFd,
    seen: Arc<Mutex<Vec<u8>>>,
    changed: watch::Receiver<()>,
    _home: Arc<TempDir>,
}

impl Terminal {
    /// Runs `adit ARGS…` in a home.
    pub(crate) fn run(home: Arc<TempDir>, args: &[&str]) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let line = open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY,
            Mode::empty(),
        )
        .unwrap();
        let before = tcgetattr(&line).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_adit"))
            .args(args)
            .env_clear()
            .env("HOME", home.path())
            .env("TERM", "xterm-256color")
            .current_dir(home.path())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let screen = File::from(screen);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (change, changed) = watch::channel(());
        watch_screen(screen.try_clone().unwrap(), Arc::clone(&seen), change);
        Self {
            before,
            child,
            keyboard: screen,
            line,
            seen,
            changed,
            _home: home,
        }
    }

    /// Everything that was ever drawn, with the escape sequences.
    pub(crate) fn drawn(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits until a text is drawn.
    pub(crate) async fn shows(&mut self, text: &str) {
        let waiting = async {
            while !self.drawn().contains(text) {
                self.changed.changed().await.expect("the terminal lives");
            }
        };
        if tokio::time::timeout(super::LONGEST, waiting).await.is_err() {
            panic!("{text:?} is not on the screen: {}", self.drawn());
        }
    }

    /// How the terminal treats what is typed.
    pub(crate) fn mode(&self) -> Termios {
        tcgetattr(&self.line).unwrap()
    }

    /// Presses keys.
    pub(crate) fn types(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the command's end.
    pub(crate) async fn wait_exit(&mut self) -> ExitStatus {
        soon("the command to end", self.child.wait()).await.unwrap()
    }
}

/// On a thread of its own, which ends with the terminal.
fn watch_screen(mut screen: File, seen: Arc<Mutex<Vec<u8>>>, change: watch::Sender<()>) {
    std::thread::spawn(move || {
        let mut space = [0; 4096];
        while let Ok(n @ 1..) = screen.read(&mut space) {
            seen.lock().unwrap().extend_from_slice(&space[..n]);
            change.send_replace(());
        }
    });
}
