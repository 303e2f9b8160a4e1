//! How a gateway begins, and why it does not.

use std::{io, net::SocketAddr, path::PathBuf};

use adit_policy::{document::Mistake, env::Env};

use crate::{
    Config, Gateway,
    fetch::Fetcher,
    front::tls::{Certificates, TlsError},
    keys::KeysError,
    logins::LoginsError,
    reload::{ConfigErrors, Loaded},
    secrets::Vaults,
    sockets::passed::{SocketError, Sockets},
    take_over::{TakeOver, TakeOverError},
};

/// How a gateway begins. [`Self::default`]: by itself.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Listening sockets that whoever started the process has opened for it.
    pub sockets: Sockets,
    /// Whether it continues in the place of a running one.
    pub take_over: TakeOver,
    /// Whether another one may continue in its place later: it answers in its data directory.
    pub hands_over: bool,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no address to listen on.
    #[error("nothing to listen on: set `listen.https`, `listen.http` or both")]
    NoListener,
    /// The data directory cannot be used.
    #[error("data_dir {}: {source}", path.display())]
    DataDir {
        /// Where it is.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The access log cannot be written where it should be.
    #[error("log.access.to {to}: {source}")]
    AccessLog {
        /// Where it should be.
        to: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys in the data directory cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// What is kept of sessions in the data directory cannot be used.
    #[error(transparent)]
    Logins(#[from] LoginsError),
    /// Policies have mistakes; each is told.
    #[error(transparent)]
    Policies(#[from] ConfigErrors),
    /// Sockets that were passed cannot be used.
    #[error(transparent)]
    Sockets(#[from] SocketError),
    /// Another gateway's place cannot be taken.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl Gateway {
    /// Checks all that can be checked without listening: certificates and their keys, and policies. What is right, and
    /// probably not what was meant, is handed back.
    ///
    /// # Errors
    /// When a certificate or a policy cannot be used.
    pub fn check(mut config: Config) -> Result<Vec<Mistake>, StartError> {
        Certificates::load(&config.tls.certificates, None)?;
        Fetcher::new(&config.fetch)?;
        let mut warnings = Vec::new();
        let vaults = Vaults::quietly(&config.secrets);
        warnings.extend(vaults.warnings(&config));
        let env = Env::system().with_secrets(vaults.of_operator());
        Loaded::of(&mut config, env, &mut |warning| {
            warnings.push(warning.clone());
        })?;
        Ok(warnings)
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another port under `listen`)"
        }
        io::ErrorKind::AddrInUse => {
            " (another program has it: choose another port under `listen`; or if it is a gateway with the same data_dir, \
             `adit gateway --take-over` continues in its place)"
        }
        _ => "",
    }
}
