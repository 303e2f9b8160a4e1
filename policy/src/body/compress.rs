//! Content codings put on, as the body passes.

use std::{fmt, io::Write};

use brotli::CompressorWriter;
use bytes::BytesMut;
use flate2::{Compression, FlushCompress};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

use super::{BodyFault, Transform, coding::Coding};

// The levels and windows are a gateway's: many responses at a time, and a client that waits for each. They are about
// as fast as each other, and what a higher level saves on a page is a few per cent.

/// gzip and deflate, of 0 to 9. About 300 KiB for each body on its way.
const DEFLATE_LEVEL: u32 = 4;
/// The largest window of deflate, 32 KiB.
const DEFLATE_WINDOW_BITS: u8 = 15;
/// Brotli, of 0 to 11.
const BR_LEVEL: u32 = 4;
/// 256 KiB. Brotli's own choice of 4 MiB would be paid in memory by each body on its way.
const BR_WINDOW_BITS: u32 = 18;
/// Zstandard, of 1 to 19.
const ZSTD_LEVEL: i32 = 3;
/// 512 KiB, for the same reason; clients of HTTP must take up to 8 MiB (RFC 9659).
const ZSTD_WINDOW_BITS: u32 = 19;

/// How much is encoded at a time.
const STEP: usize = 16 * 1024;

/// Puts one coding on. After each push everything that was pushed can be decoded from what came out, so that a client
/// sees what the service has sent so far while the service pauses.
pub struct Compress {
    coding: Coding,
    encoder: Encoder,
}

enum Encoder {
    Deflate(flate2::Compress, Box<[u8]>),
    /// `None` once the body has ended.
    Br(Option<Box<CompressorWriter<Vec<u8>>>>),
    Zstd(zstd::stream::raw::Encoder<'static>, Box<[u8]>),
}

// === impl Compress ===

impl Compress {
    /// Fails only if the encoder cannot be set up, which takes memory.
    pub fn new(coding: Coding) -> Result<Self, BodyFault> {
        let level = Compression::new(DEFLATE_LEVEL);
        let step = || vec![0; STEP].into();
        let encoder = match coding {
            Coding::Gzip => Encoder::Deflate(
                flate2::Compress::new_gzip(level, DEFLATE_WINDOW_BITS),
                step(),
            ),
            Coding::Deflate => Encoder::Deflate(flate2::Compress::new(level, true), step()),
            Coding::Br => {
                let writer = CompressorWriter::new(Vec::new(), STEP, BR_LEVEL, BR_WINDOW_BITS);
                Encoder::Br(Some(Box::new(writer)))
            }
            Coding::Zstd => Encoder::Zstd(zstd_encoder().map_err(|_| BodyFault::Encoding)?, step()),
        };
        Ok(Self { coding, encoder })
    }
}

fn zstd_encoder() -> std::io::Result<zstd::stream::raw::Encoder<'static>> {
    let mut encoder = zstd::stream::raw::Encoder::new(ZSTD_LEVEL)?;
    encoder.set_parameter(zstd::stream::raw::CParameter::WindowLog(ZSTD_WINDOW_BITS))?;
    Ok(encoder)
}

impl Transform for Compress {
    fn push(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), BodyFault> {
        if piece.is_empty() {
            return Ok(());
        }
        match &mut self.encoder {
            Encoder::Deflate(deflate, made) => {
                deflate_all(deflate, piece, FlushCompress::Sync, made, out)
            }
            Encoder::Br(writer) => {
                let writer = writer.as_mut().ok_or(BodyFault::Encoding)?;
                let written = writer.write_all(piece).and_then(|()| writer.flush());
                written.map_err(|_| BodyFault::Encoding)?;
                let made = writer.get_mut();
                out.extend_from_slice(made);
                made.clear();
                Ok(())
            }
            Encoder::Zstd(zstd, made) => zstd_push(zstd, piece, made, out),
        }
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), BodyFault> {
        match &mut self.encoder {
            Encoder::Deflate(deflate, made) => {
                deflate_all(deflate, &[], FlushCompress::Finish, made, out)
            }
            Encoder::Br(writer) => {
                let writer = writer.take().ok_or(BodyFault::Encoding)?;
                out.extend_from_slice(&writer.into_inner());
                Ok(())
            }
            Encoder::Zstd(zstd, made) => zstd_drain(made, out, |space| zstd.finish(space, true)),
        }
    }
}

fn deflate_all(
    deflate: &mut flate2::Compress,
    piece: &[u8],
    flush: FlushCompress,
    made: &mut [u8],
    out: &mut BytesMut,
) -> Result<(), BodyFault> {
    let begin = deflate.total_in();
    loop {
        let taken = usize::try_from(deflate.total_in() - begin).unwrap_or(usize::MAX);
        let rest = piece.get(taken..).unwrap_or_default();
        let before = deflate.total_out();
        deflate
            .compress(rest, made, flush)
            .map_err(|_| BodyFault::Encoding)?;
        let now = usize::try_from(deflate.total_out() - before).unwrap_or(usize::MAX);
        out.extend_from_slice(made.get(..now).unwrap_or_default());
        // Space that was left over means that nothing more waits inside.
        if now < made.len() {
            return Ok(());
        }
    }
}

fn zstd_push(
    zstd: &mut zstd::stream::raw::Encoder<'static>,
    piece: &[u8],
    made: &mut [u8],
    out: &mut BytesMut,
) -> Result<(), BodyFault> {
    let mut input = InBuffer::around(piece);
    while input.pos() < piece.len() {
        let mut space = OutBuffer::around(&mut *made);
        zstd.run(&mut input, &mut space)
            .map_err(|_| BodyFault::Encoding)?;
        out.extend_from_slice(space.as_slice());
    }
    zstd_drain(made, out, |space| zstd.flush(space))
}

/// Repeats a step until it says that nothing is left inside.
fn zstd_drain(
    made: &mut [u8],
    out: &mut BytesMut,
    mut step: impl FnMut(&mut OutBuffer<'_, [u8]>) -> std::io::Result<usize>,
) -> Result<(), BodyFault> {
    loop {
        let mut space = OutBuffer::around(&mut *made);
        let left = step(&mut space).map_err(|_| BodyFault::Encoding)?;
        out.extend_from_slice(space.as_slice());
        if left == 0 {
            return Ok(());
        }
    }
}

impl fmt::Debug for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compress")
            .field("coding", &self.coding)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::body::{
        decode::Decode,
        pieces::{cut, run},
    };

    /// What a client can read of these bytes, which may go on later.
    fn readable(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        if coding == Coding::Zstd {
            let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            return decoder.into_inner();
        }
        let mut out = BytesMut::new();
        let mut decode = Decode::new(coding, usize::MAX).unwrap();
        decode.push(bytes, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn each_push_can_be_read_at_once() {
        for coding in Coding::ALL {
            let mut compress = Compress::new(*coding).unwrap();
            let mut out = BytesMut::new();
            let mut pushed = String::new();
            for piece in ["data: 1\n\n", "data: 2\n\n", &"data: 3\n\n".repeat(10_000)] {
                compress.push(piece.as_bytes(), &mut out).unwrap();
                pushed.push_str(piece);
                assert!(
                    readable(*coding, &out) == pushed.as_bytes(),
                    "{coding}: after {} bytes",
                    pushed.len()
                );
            }
        }
    }

    #[test]
    fn a_large_body_gets_smaller_and_stays_what_it_was() {
        let body: Vec<u8> = (0..300_000_u32)
            .map(|number| u8::try_from(number.wrapping_mul(number) >> 7 & 31).unwrap() + b'a')
            .collect();
        for coding in Coding::ALL {
            let encoded = run(
                &mut Compress::new(*coding).unwrap(),
                std::slice::from_ref(&body),
            )
            .unwrap();
            assert!(
                encoded.len() < body.len() * 4 / 5,
                "{coding}: {}",
                encoded.len()
            );
            assert!(readable(*coding, &encoded) == body, "{coding}");
        }
    }

    proptest! {
        #[test]
        fn the_client_reads_what_was_pushed(
            body in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..400),
            cuts in prop::collection::vec(0_usize..40, 0..9),
        ) {
            for coding in Coding::ALL {
                let pieces = cut(&body, &cuts);
                let encoded = run(&mut Compress::new(*coding).unwrap(), &pieces).unwrap();
                prop_assert_eq!(readable(*coding, &encoded), body.clone(), "{}", coding);
            }
        }
    }
}
