//! Framing: a `u32` length in network order, then that many bytes of JSON.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Memory taken up front for a frame; the rest grows as bytes really arrive.
const FIRST_ALLOCATION: usize = 1024;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer declared more than this place of the protocol allows.
    #[error("frame of {declared} bytes where at most {limit} are allowed")]
    TooLarge {
        /// What the peer's length field said.
        declared: u32,
        /// The limit it broke.
        limit: usize,
    },
    /// The bytes are no message of this protocol.
    #[error("frame that is no message: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The connection ended or broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
}

/// Reads one message and not a byte more.
///
/// Not safe to cancel: a dropped read may have consumed part of a frame.
///
/// # Errors
/// When the frame is larger than `limit`, is no `M`, or the connection ends.
pub async fn read<M, IO>(io: &mut IO, limit: usize) -> Result<M, FrameError>
where
    M: DeserializeOwned,
    IO: AsyncRead + Unpin,
{
    let declared = io.read_u32().await?;
    let length = declared as usize;
    if length > limit {
        return Err(FrameError::TooLarge { declared, limit });
    }
    let mut body = Vec::with_capacity(length.min(FIRST_ALLOCATION));
    if io.take(u64::from(declared)).read_to_end(&mut body).await? < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_slice(&body).map_err(FrameError::Malformed)
}

/// Writes one message and flushes it.
///
/// # Errors
/// When the message is larger than `limit`, or the connection ends.
pub async fn write<M, IO>(io: &mut IO, message: &M, limit: usize) -> Result<(), FrameError>
where
    M: Serialize,
    IO: AsyncWrite + Unpin,
{
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Malformed)?;
    let declared = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    if declared as usize > limit {
        return Err(FrameError::TooLarge { declared, limit });
    }
    frame.splice(..4, declared.to_be_bytes());
    io.write_all(&frame).await?;
    io.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_what_was_written_and_leaves_the_rest() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"hello", 100).await.unwrap();
        bytes.extend_from_slice(b"raw");
        let mut rest = bytes.as_slice();
        assert_eq!(read::<String, _>(&mut rest, 100).await.unwrap(), "hello");
        assert_eq!(rest, b"raw");
    }

    #[tokio::test]
    async fn a44_e_a_declared_length_of_4_gib_is_refused_before_a_byte_is_taken() {
        let mut bytes: &[u8] = &[0xff, 0xff, 0xff, 0xff, b'x'];
        let error = read::<String, _>(&mut bytes, 100).await.unwrap_err();
        assert!(matches!(
            error,
            FrameError::TooLarge {
                declared: u32::MAX,
                limit: 100
            }
        ));
        assert_eq!(bytes, b"x");
    }

    #[tokio::test]
    async fn a_frame_cut_short_is_an_error() {
        let mut bytes: &[u8] = &[0, 0, 0, 9, b'"', b'a'];
        assert!(matches!(
            read::<String, _>(&mut bytes, 100).await,
            Err(FrameError::Io(_))
        ));
    }

    #[tokio::test]
    async fn does_not_write_what_the_peer_would_refuse() {
        let mut sink = Vec::new();
        assert!(write(&mut sink, &"x".repeat(200), 100).await.is_err());
        assert!(sink.is_empty());
    }
}
