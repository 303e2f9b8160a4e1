//! The side of the running gateway: it gives its sockets to the one that comes after it, and goes when that has started.

use std::{
    fs, io,
    os::{
        fd::AsFd,
        unix::fs::PermissionsExt,
        unix::net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    message::{Ask, Offer, Offered, REVISION, Ready, SteppedDown, give, hear, say},
    own_uid, socket_path,
};
use crate::sockets::listening::{Listener, Listening};

/// How long a new gateway may take from asking to having started. Meanwhile this one serves as ever, and nobody else can
/// take over from it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long whoever accepts may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// Where the next gateway asks.
#[derive(Debug)]
pub(crate) struct Door {
    listener: StdListener,
    path: PathBuf,
}

/// The gateway that comes after this one, on its sockets.
#[derive(Debug)]
pub(crate) struct Successor {
    /// It waits for the end of this connection, which is the end of this process.
    _stream: StdStream,
}

// === impl Door ===

impl Door {
    /// Opens it, for this user only. `replaces` the one of the gateway that was taken over from; that of another
    /// gateway is left alone.
    pub(crate) fn open(data_dir: &Path, replaces: bool) -> io::Result<Self> {
        let path = socket_path(data_dir);
        if !replaces && StdStream::connect(&path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another gateway with the same data_dir answers there",
            ));
        }
        let folder = path.parent().unwrap_or(data_dir);
        crate::data_dir::create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        // In one step, so that there is never a moment without one.
        let fresh = path.with_extension(std::process::id().to_string());
        remove(&fresh)?;
        let listener = StdListener::bind(&fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
        fs::rename(&fresh, &path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// As [`Self::wait`], on the calling thread.
    pub(crate) fn wait_here(
        self,
        listening: &Listening,
        stop: &CancellationToken,
    ) -> io::Result<Option<Successor>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.wait(listening, stop))
    }

    /// Waits for a gateway that takes over. Then `stop` is cancelled and everybody has stopped accepting.
    /// `None`: `stop` came first, and the door is closed.
    pub(crate) async fn wait(
        self,
        listening: &Listening,
        stop: &CancellationToken,
    ) -> io::Result<Option<Successor>> {
        let listener = UnixListener::from_std(self.listener)?;
        loop {
            let offered = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                offered = offer(&listener, listening) => offered,
            };
            match offered {
                Ok(Some(started)) => return started.step_down(listening, stop).await.map(Some),
                Ok(None) => {}
                Err(error) => info!(
                    %error,
                    "another gateway wanted to take over and did not start; this one goes on"
                ),
            }
        }
        // Before it is closed: the next gateway may open its own in the same moment.
        remove(&self.path)?;
        Ok(None)
    }
}

/// A gateway that has started on our sockets.
struct Started {
    stream: UnixStream,
    pid: u32,
    listeners: Vec<Arc<Listener>>,
    adopted: Vec<usize>,
}

/// Gives somebody the sockets, and waits until they have started on them. `None`: it was nobody.
async fn offer(listener: &UnixListener, listening: &Listening) -> io::Result<Option<Started>> {
    let (mut stream, _) = listener.accept().await?;
    let uid = stream.peer_cred()?.uid();
    if uid != own_uid() {
        warn!(
            uid,
            "another user asked for the gateway's sockets, and gets nothing"
        );
        return Ok(None);
    }
    let started = async {
        let Ask { revision, pid } = match hear(&mut stream).await {
            Ok(ask) => ask,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!("somebody looked whether this gateway can be taken over");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if revision != REVISION {
            let reason = format!(
                "it hands over by revision {REVISION}, and the new one by {revision}; stop it, and start the new one"
            );
            say(
                &mut stream,
                &Offer::Refused {
                    reason: reason.clone(),
                },
            )
            .await?;
            return Err(io::Error::other(reason));
        }
        info!(pid, "another gateway wants to take over");
        let mut listeners = listening.all();
        listeners.retain(|listener| !listener.copy);
        let sockets = listeners.iter().map(|listener| Offered {
            name: listener.role.name().to_owned(),
            kept: listener.is_kept(),
        });
        let offer = Offer::Sockets {
            pid: std::process::id(),
            sockets: sockets.collect(),
        };
        say(&mut stream, &offer).await?;
        let sockets: Vec<_> = listeners
            .iter()
            .map(|listener| listener.socket.as_fd())
            .collect();
        give(&stream, &sockets).await?;
        let Ready { adopted } = hear(&mut stream).await?;
        Ok(Some((pid, listeners, adopted)))
    };
    let Some((pid, listeners, adopted)) = timeout(PATIENCE, started).await?? else {
        return Ok(None);
    };
    Ok(Some(Started {
        stream,
        pid,
        listeners,
        adopted,
    }))
}

// === impl Started ===

impl Started {
    async fn step_down(
        self,
        listening: &Listening,
        stop: &CancellationToken,
    ) -> io::Result<Successor> {
        let Self {
            mut stream,
            pid,
            listeners,
            adopted,
        } = self;
        for listener in adopted.iter().filter_map(|index| listeners.get(*index)) {
            listener.keep();
        }
        // Whoever accepts holds the others.
        drop(listeners);
        listening.hand_over();
        stop.cancel();
        if timeout(ENDING, listening.nobody_accepts()).await.is_err() {
            warn!("somebody still accepts connections");
        }
        match say(&mut stream, &SteppedDown {}).await {
            Ok(()) => info!(pid, "another gateway has taken over"),
            Err(error) => error!(pid, %error, "the gateway that has taken over is gone"),
        }
        let _stream = stream.into_std()?;
        Ok(Successor { _stream })
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
