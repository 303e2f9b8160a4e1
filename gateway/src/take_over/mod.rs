//! One gateway continues in the place of another, on the same machine and the same `data_dir`, and no client sees it.
//!
//! The running gateway listens on a Unix socket in its data directory. The new one connects there, and gets the listening
//! sockets themselves (`SCM_RIGHTS`), so that nobody is lost who waits in their queues:
//!
//! ```text
//! new → old   who it is                      the old one serves as ever
//! old → new   its listening sockets
//!             … the new one starts on them; if it cannot, nothing has happened …
//! new → old   ready, and what it uses
//! old → new   it accepts no more             from now on connections wait in the kernel for an instant
//!             the new one accepts            the old one tells its agents to go, finishes what runs, and ends
//! ```
//!
//! The connection stays open until the old process has ended, so the new one knows when that is.
//!
//! - [`predecessor`]: the new one's side; [`successor`]: the old one's; [`message`]: what they say

use std::{
    io,
    path::{Path, PathBuf},
};

pub(crate) mod message;
pub(crate) mod predecessor;
pub(crate) mod successor;

/// Whether a gateway that starts continues in the place of one that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TakeOver {
    /// It starts by itself.
    #[default]
    No,
    /// If one runs; otherwise it starts by itself.
    IfRunning,
    /// If none runs, it does not start.
    Yes,
}

/// Why a gateway cannot continue in the place of another one, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// There is none.
    #[error(
        "there is no running gateway to take over from: nobody answers at {}; start without --take-over, or with \
         --take-over=if-running; and if one runs, see that both have the same data_dir", path.display()
    )]
    Nobody {
        /// Where it would answer.
        path: PathBuf,
    },
    /// It cannot be asked.
    #[error(
        "the running gateway cannot be asked for its sockets at {}: {source}; a take-over is for the user it runs as",
        path.display()
    )]
    Ask {
        /// Where it answers.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody else pretends to be it.
    #[error(
        "{} is not a gateway's of this user: user {uid} answers there; see who may write to data_dir", path.display()
    )]
    Stranger {
        /// Where they answer.
        path: PathBuf,
        /// Who.
        uid: u32,
    },
    /// It does not want to.
    #[error("the running gateway does not let itself be taken over: {reason}")]
    Refused {
        /// In its words.
        reason: String,
    },
    /// The conversation broke.
    #[error(
        "the running gateway did not hand over its sockets: {0}; it goes on, and its log says more"
    )]
    Broken(#[from] io::Error),
}

/// Where a gateway answers who wants to take over from it.
fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("take-over").join("socket")
}

/// The user that this process acts for.
fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests;
