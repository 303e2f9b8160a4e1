//! The side of the new gateway: it asks for the sockets, and says when it has started on them.

use std::{io, net::TcpListener, path::Path, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    time::{error::Elapsed, timeout},
};
use tracing::{info, warn};

use super::{
    TakeOver, TakeOverError,
    message::{Ask, Offer, REVISION, Ready, SteppedDown, hear, say, take},
    own_uid, socket_path,
};
use crate::sockets::passed::{From, Passed};

/// How long the running gateway may take for each of its answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The gateway that ran before this one.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    pid: u32,
}

// === impl Predecessor ===

impl Predecessor {
    /// Asks the gateway that runs for its sockets, if that is wanted and one runs. Until [`Self::step_down`] it goes on
    /// as if nobody had asked.
    pub(crate) async fn find(
        data_dir: &Path,
        wanted: TakeOver,
    ) -> Result<Option<(Self, Vec<Passed>)>, TakeOverError> {
        if wanted == TakeOver::No {
            return Ok(None);
        }
        let path = socket_path(data_dir);
        let mut stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            // What a gateway that has crashed leaves refuses connections.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return match wanted {
                    TakeOver::Yes => Err(TakeOverError::Nobody { path }),
                    TakeOver::IfRunning | TakeOver::No => Ok(None),
                };
            }
            Err(source) => return Err(TakeOverError::Ask { path, source }),
        };
        let uid = stream.peer_cred()?.uid();
        if uid != own_uid() {
            return Err(TakeOverError::Stranger { path, uid });
        }
        let asked = timeout(PATIENCE, ask(&mut stream)).await;
        let (pid, passed) = asked.map_err(late)??;
        info!(
            pid,
            sockets = passed.len(),
            "taking over from a running gateway"
        );
        Ok(Some((Self { stream, pid }, passed)))
    }

    /// This gateway has started, with these of the sockets. Returns when the other one accepts no more.
    pub(crate) async fn step_down(&mut self, adopted: Vec<usize>) {
        let told = async {
            say(&mut self.stream, &Ready { adopted }).await?;
            hear::<SteppedDown>(&mut self.stream).await
        };
        let failed = match timeout(PATIENCE, told).await {
            Ok(Ok(SteppedDown {})) => return info!(pid = self.pid, "took over"),
            Ok(Err(error)) => error,
            Err(elapsed) => late(elapsed),
        };
        // There is no way back, and none is needed: the sockets are ours, too.
        warn!(pid = self.pid, error = %failed, "the gateway before this one did not say that it accepts no more");
    }

    /// Waits until its process has ended.
    pub(crate) async fn ended(mut self) {
        // It says nothing more; what comes is the end.
        drop(self.stream.read_u8().await);
        info!(pid = self.pid, "the gateway before this one has ended");
    }
}

async fn ask(stream: &mut UnixStream) -> Result<(u32, Vec<Passed>), TakeOverError> {
    let ask = Ask {
        revision: REVISION,
        pid: std::process::id(),
    };
    say(stream, &ask).await?;
    let (pid, offered) = match hear(stream).await? {
        Offer::Sockets { pid, sockets } => (pid, sockets),
        Offer::Refused { reason } => return Err(TakeOverError::Refused { reason }),
    };
    let sockets = take(stream, offered.len()).await?;
    let named = offered.into_iter().zip(sockets).enumerate();
    let passed = named.map(|(index, (offered, socket))| {
        let kept = offered.kept;
        let from = From::Predecessor { index, kept };
        Passed::new(TcpListener::from(socket), offered.name, from)
    });
    Ok((pid, passed.collect::<Result<_, _>>()?))
}

fn late(_: Elapsed) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("it did not answer within {PATIENCE:?}"),
    )
}
