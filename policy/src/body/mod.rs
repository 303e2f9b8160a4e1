//! Changing bodies: find and replace, content codings, and the messages of an event stream.
//!
//! Everything here is a [`Transform`]: bytes go in piece by piece, and what is ready comes out. Where the pieces are cut
//! never shows in what comes out. A [`BodyFault`] ends the body: nothing of it may be sent any more.
//!
//! | module | what it does |
//! |---|---|
//! | [`find_replace`] | regular expressions on a whole body, with [`replacement`] for what takes a match's place |
//! | [`decode`], [`compress`] | content codings, undone and done |
//! | [`coding`] | their names |
//! | [`negotiation`] | which coding a client wants, and what must not be compressed |
//! | [`sse`] | a `text/event-stream`, [`Message`] by message |

pub mod coding;
pub mod compress;
pub mod decode;
pub mod find_replace;
mod message;
pub mod negotiation;
pub mod replacement;
pub mod sse;

use std::fmt;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use thiserror::Error;

pub use message::Message;

use crate::action::Phase;

/// How much of a body a policy may hold, in bytes. Beyond it the exchange is refused: a rule that redacts or verifies
/// must never see only a part.
pub const BODY_MAX: usize = 10 * 1024 * 1024;

/// Lends the body of the request to whoever must see all of it.
#[async_trait]
pub trait BodySource: Send {
    /// The whole body, of at most `max` bytes. Asked again, it answers again.
    async fn read(&mut self, max: usize) -> Result<Bytes, BodyFault>;
}

/// Changes a body as it passes.
pub trait Transform: fmt::Debug + Send + Sync {
    /// Takes the next piece; what can be sent already is appended to `out`.
    fn push(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), BodyFault>;

    /// The body has ended; the rest is appended to `out`. Called once, and nothing is pushed after it.
    fn end(&mut self, out: &mut BytesMut) -> Result<(), BodyFault>;

    /// How many bytes go in before the first comes out, for one that holds the whole body: a body that says in advance
    /// that it is longer need not be read at all. `None` for one that passes on what it gets.
    fn holds(&self) -> Option<usize> {
        None
    }
}

/// Sends a piece through all of these, each on what the one before has made of it. `end`: it is the last, and may be empty.
///
/// After a fault, and after the end, nothing more may be sent through them.
pub fn pass(
    transforms: &mut [Box<dyn Transform>],
    piece: Bytes,
    end: bool,
) -> Result<Bytes, BodyFault> {
    let mut piece = piece;
    for transform in transforms {
        let mut out = BytesMut::new();
        if !piece.is_empty() {
            transform.push(&piece, &mut out)?;
        }
        if end {
            transform.end(&mut out)?;
        }
        piece = out.freeze();
    }
    Ok(piece)
}

/// Why a body cannot be read or changed. The client never gets a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyFault {
    /// It ended before its end, or could not be read.
    #[error("the body could not be read to its end (ERR_ADIT_3902)")]
    Unreadable,
    /// It is larger than a policy may hold, or grew beyond that.
    #[error("the body, or one message of it, is larger than a policy may hold (ERR_ADIT_3903)")]
    TooLarge,
    /// It is not in the coding that its header names, or nobody here can undo that coding.
    #[error(
        "the body's content-encoding cannot be undone: use gzip, deflate or br (ERR_ADIT_3904)"
    )]
    Encoding,
    /// A rule about its messages could not decide, with the number of the reason.
    #[error("a policy could not decide about a message of the body (ERR_ADIT_{0})")]
    Undecided(u16),
}

// === impl BodyFault ===

impl BodyFault {
    /// The number in `ERR_ADIT_nnnn`.
    pub const fn code(self) -> u16 {
        match self {
            Self::Unreadable => 3902,
            Self::TooLarge => 3903,
            Self::Encoding => 3904,
            Self::Undecided(code) => code,
        }
    }

    /// What the client gets when a body of this phase has the fault.
    pub const fn status(self, phase: Phase) -> StatusCode {
        match (self, phase) {
            (Self::TooLarge, Phase::OnHttpRequest) => StatusCode::PAYLOAD_TOO_LARGE,
            (Self::TooLarge | Self::Encoding, _) => StatusCode::BAD_GATEWAY,
            (Self::Unreadable | Self::Undecided(_), _) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What the property tests of this module share.
#[cfg(test)]
pub(crate) mod pieces {
    use super::*;

    /// A body and where to cut it.
    pub(crate) fn cut(body: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut rest = body;
        let mut pieces = Vec::new();
        for at in cuts {
            let (piece, after) = rest.split_at((*at).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    /// All that comes out for these pieces.
    pub(crate) fn run(
        transform: &mut dyn Transform,
        pieces: &[Vec<u8>],
    ) -> Result<Vec<u8>, BodyFault> {
        let mut out = BytesMut::new();
        for piece in pieces {
            transform.push(piece, &mut out)?;
        }
        transform.end(&mut out)?;
        Ok(out.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::{compress::Compress, decode::Decode, find_replace::FindReplace, *};
    use coding::Coding;
    use replacement::Replacement;

    #[test]
    fn transforms_work_in_a_row() {
        let rules = vec![(Regex::new("secret").unwrap(), Replacement::parse("***"))];
        let mut encoded = BytesMut::new();
        let mut compress = Compress::new(Coding::Gzip).unwrap();
        compress.push(b"a secret", &mut encoded).unwrap();
        compress.end(&mut encoded).unwrap();
        let mut row: Vec<Box<dyn Transform>> = vec![
            Box::new(Decode::new(Coding::Gzip, 100).unwrap()),
            Box::new(FindReplace::new(rules, 100)),
            Box::new(Compress::new(Coding::Br).unwrap()),
            Box::new(Decode::new(Coding::Br, 100).unwrap()),
        ];
        let half = encoded.split_to(encoded.len() / 2).freeze();
        assert_eq!(pass(&mut row, half, false).unwrap(), "");
        assert_eq!(pass(&mut row, encoded.freeze(), false).unwrap(), "");
        assert_eq!(pass(&mut row, Bytes::new(), true).unwrap(), "a ***");
        assert_eq!(
            pass(&mut [], Bytes::from("as it is"), true).unwrap(),
            "as it is"
        );
    }
}
