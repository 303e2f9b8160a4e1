//! What two gateways say to each other, and how sockets go with it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
};

/// The revision of all this. Gateways of different revisions do not take over from each other.
pub(super) const REVISION: u32 = 1;

/// Bytes of a message; a longer one is refused.
const LONGEST: u32 = 1 << 20;

/// Sockets that go with one byte. The kernel takes 253.
const AT_ONCE: usize = 64;

/// What the new one says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) revision: u32,
    pub(super) pid: u32,
}

/// What the old one answers. The sockets follow, in the order of the list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Offer {
    Sockets { pid: u32, sockets: Vec<Offered> },
    Refused { reason: String },
}

/// One of the old one's sockets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offered {
    /// What arrives there, as in `listen:`.
    pub(super) name: String,
    /// Whether somebody keeps it open when both have closed it.
    pub(super) kept: bool,
}

/// The new one has started, and uses these of the sockets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) adopted: Vec<usize>,
}

/// The old one accepts no more.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SteppedDown {}

/// Sends one message.
pub(super) async fn say(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&text).await
}

/// Receives one message.
pub(super) async fn hear<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > LONGEST {
        return Err(io::Error::other("a message is too long"));
    }
    // The length is bounded above.
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

/// Sends copies of sockets.
pub(super) async fn give(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    for some in sockets.chunks(AT_ONCE) {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(some)) {
                return Err(io::Error::other("there is no room for so many sockets"));
            }
            let flags = SendFlags::empty();
            sendmsg(stream.as_fd(), &[IoSlice::new(&[1])], &mut control, flags)?;
            Ok(())
        };
        stream.async_io(Interest::WRITABLE, send).await?;
    }
    Ok(())
}

/// Receives so many sockets.
pub(super) async fn take(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let mut into = [IoSliceMut::new(&mut byte)];
            let received = recvmsg(stream.as_fd(), &mut into, &mut control, RecvFlags::empty())?;
            let messages = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                _ => None,
            });
            let sockets: Vec<_> = messages.flatten().collect();
            match (received.bytes, sockets.is_empty()) {
                (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
                (_, true) => Err(io::Error::other("a socket is missing")),
                (_, false) => Ok(sockets),
            }
        };
        taken.extend(stream.async_io(Interest::READABLE, receive).await?);
    }
    for socket in &taken {
        // Programs that this one starts have no use for them.
        fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    }
    Ok(taken)
}
