//! Content codings undone, with a bound on what comes out.

use std::fmt;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use super::{
    BodyFault, Transform,
    coding::{Coding, elements},
};

/// How many codings one body may wear. One is usual, and each multiplies what a few bytes can become.
const LAYERS: usize = 3;

/// How much is decoded at a time.
const STEP: usize = 16 * 1024;

/// The window that every sender of gzip may use: 32 KiB.
const WINDOW_BITS: u8 = 15;

/// Undoes one coding. What comes out is at most `cap` bytes: a small body that stands for an endless one ends as
/// [`BodyFault::TooLarge`]. A body that is cut short, or goes on after its end, is [`BodyFault::Encoding`].
pub struct Decode {
    coding: Coding,
    decoder: Decoder,
    made: Box<[u8]>,
    begun: bool,
    ended: bool,
    left: usize,
}

enum Decoder {
    Inflate(Decompress),
    Br(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

/// Undoes the codings that a header names, on a body that is there as a whole.
pub fn decode(lines: &HeaderMap, body: Bytes, cap: usize) -> Result<Bytes, BodyFault> {
    let layers = Decode::all(lines, cap)?;
    layers.into_iter().try_fold(body, |body, mut layer| {
        let mut out = BytesMut::new();
        layer.push(&body, &mut out)?;
        layer.end(&mut out)?;
        Ok(out.freeze())
    })
}

// === impl Decode ===

impl Decode {
    /// `None`: this coding is not undone here.
    pub fn new(coding: Coding, cap: usize) -> Option<Self> {
        let decoder = Decoder::new(coding)?;
        Some(Self {
            coding,
            decoder,
            made: vec![0; STEP].into(),
            begun: false,
            ended: false,
            left: cap,
        })
    }

    /// What undoes the codings that a header names, to be applied in this order. Empty: the body is plain.
    pub fn all(lines: &HeaderMap, cap: usize) -> Result<Vec<Self>, BodyFault> {
        let lines = lines.get_all(header::CONTENT_ENCODING);
        let mut layers = elements(lines.iter().map(|line| line.as_bytes()))
            .filter(|name| !name.eq_ignore_ascii_case(b"identity"))
            .take(LAYERS + 1)
            .map(|name| {
                Coding::named(name)
                    .and_then(|coding| Self::new(coding, cap))
                    .ok_or(BodyFault::Encoding)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if layers.len() > LAYERS {
            return Err(BodyFault::Encoding);
        }
        // The header names them in the order in which they were put on.
        layers.reverse();
        Ok(layers)
    }

    /// What comes after an end: gzip may be several members in a row, everything else is over.
    fn begin_again(&mut self) -> Result<(), BodyFault> {
        if self.coding != Coding::Gzip {
            return Err(BodyFault::Encoding);
        }
        self.decoder = Decoder::new(self.coding).ok_or(BodyFault::Encoding)?;
        self.ended = false;
        Ok(())
    }
}

impl Transform for Decode {
    fn push(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), BodyFault> {
        self.begun |= !piece.is_empty();
        let mut rest = piece;
        let mut full = false;
        while !rest.is_empty() || full {
            if self.ended {
                self.begin_again()?;
            }
            let step = self.decoder.step(rest, &mut self.made)?;
            self.left = self
                .left
                .checked_sub(step.made)
                .ok_or(BodyFault::TooLarge)?;
            out.extend_from_slice(self.made.get(..step.made).unwrap_or_default());
            rest = rest.get(step.taken..).unwrap_or_default();
            self.ended = step.ended;
            full = step.made == self.made.len() && !self.ended;
            if step.taken == 0 && step.made == 0 && !rest.is_empty() {
                return Err(BodyFault::Encoding);
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), BodyFault> {
        // No body at all is no broken one.
        if self.begun && !self.ended {
            return Err(BodyFault::Encoding);
        }
        Ok(())
    }
}

impl fmt::Debug for Decode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decode")
            .field("coding", &self.coding)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

// === impl Decoder ===

struct Step {
    taken: usize,
    made: usize,
    ended: bool,
}

impl Decoder {
    fn new(coding: Coding) -> Option<Self> {
        let alloc = StandardAlloc::default;
        match coding {
            Coding::Gzip => Some(Self::Inflate(Decompress::new_gzip(WINDOW_BITS))),
            Coding::Deflate => Some(Self::Inflate(Decompress::new(true))),
            // Strict: windows of up to 16 MiB, as the standard has them, and not the large ones of an extension.
            Coding::Br => Some(Self::Br(Box::new(BrotliState::new_strict(
                alloc(),
                alloc(),
                alloc(),
            )))),
            Coding::Zstd => None,
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, BodyFault> {
        match self {
            Self::Inflate(inflate) => {
                let (taken, made) = (inflate.total_in(), inflate.total_out());
                let status = inflate
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|_| BodyFault::Encoding)?;
                let since = |before, now| usize::try_from(now - before).unwrap_or(usize::MAX);
                Ok(Step {
                    taken: since(taken, inflate.total_in()),
                    made: since(made, inflate.total_out()),
                    ended: status == Status::StreamEnd,
                })
            }
            Self::Br(state) => {
                let (mut left, mut taken) = (input.len(), 0);
                let (mut space, mut made) = (output.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left, &mut taken, input, &mut space, &mut made, output, &mut 0, state,
                );
                if matches!(result, BrotliResult::ResultFailure) {
                    return Err(BodyFault::Encoding);
                }
                Ok(Step {
                    taken,
                    made,
                    ended: matches!(result, BrotliResult::ResultSuccess),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::body::{
        compress::Compress,
        pieces::{cut, run},
    };

    const UNDONE: [Coding; 3] = [Coding::Gzip, Coding::Deflate, Coding::Br];

    fn encoded(coding: Coding, body: &[u8]) -> Vec<u8> {
        run(&mut Compress::new(coding).unwrap(), &[body.to_vec()]).unwrap()
    }

    fn decoded(coding: Coding, cap: usize, pieces: &[Vec<u8>]) -> Result<Vec<u8>, BodyFault> {
        run(&mut Decode::new(coding, cap).unwrap(), pieces)
    }

    #[test]
    fn a_body_larger_than_the_buffers_comes_out_whole() {
        let body: Vec<u8> = (0..200_000_u32)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        for coding in UNDONE {
            let encoded = encoded(coding, &body);
            assert!(decoded(coding, body.len(), &[encoded]).unwrap() == body);
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_cap() {
        let bomb = vec![0; 4 * 1024 * 1024];
        for coding in UNDONE {
            let encoded = encoded(coding, &bomb);
            assert!(encoded.len() < 32 * 1024, "{coding} makes it small");
            let mut decode = Decode::new(coding, 100_000).unwrap();
            let mut out = BytesMut::new();
            assert_eq!(decode.push(&encoded, &mut out), Err(BodyFault::TooLarge));
            assert!(out.len() <= 100_000);
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_or_is_something_else_is_refused() {
        for coding in UNDONE {
            let whole = encoded(coding, b"the whole text, and nothing but the text");
            for end in 1..whole.len() {
                let short = whole[..end].to_vec();
                assert_eq!(decoded(coding, 100, &[short]), Err(BodyFault::Encoding));
            }
            let longer = [&whole[..], b"more"].concat();
            assert_eq!(decoded(coding, 100, &[longer]), Err(BodyFault::Encoding));
            let plain = b"\x00plain text that nobody encoded".to_vec();
            assert_eq!(decoded(coding, 100, &[plain]), Err(BodyFault::Encoding));
            assert_eq!(decoded(coding, 100, &[]), Ok(vec![]), "no body at all");
        }
    }

    #[test]
    fn gzip_may_have_several_members() {
        let members = [
            encoded(Coding::Gzip, b"one, "),
            encoded(Coding::Gzip, b"two"),
        ];
        assert_eq!(
            decoded(Coding::Gzip, 100, &members),
            Ok(b"one, two".to_vec())
        );
        assert_eq!(
            decoded(Coding::Gzip, 100, &[members.concat()]),
            Ok(b"one, two".to_vec())
        );
    }

    #[test]
    fn the_layers_come_off_in_reverse() {
        let all = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            let lines = HeaderMap::from_iter([(header::CONTENT_ENCODING, value)]);
            Decode::all(&lines, 100)
        };
        let mut body = encoded(Coding::Br, &encoded(Coding::Gzip, b"text"));
        let layers = all("gzip, identity, BR").unwrap();
        assert_eq!(layers.len(), 2);
        for mut layer in layers {
            body = run(&mut layer, &[body]).unwrap();
        }
        assert_eq!(body, b"text");
        assert!(all("").unwrap().is_empty());
        assert_eq!(all("zstd").unwrap_err(), BodyFault::Encoding);
        assert_eq!(all("compress, gzip").unwrap_err(), BodyFault::Encoding);
        assert_eq!(all("br, br, br, br").unwrap_err(), BodyFault::Encoding);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding_wherever_the_pieces_are_cut(
            body in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..400),
            cuts in prop::collection::vec(0_usize..40, 0..9),
        ) {
            for coding in UNDONE {
                let pieces = cut(&body, &cuts);
                let encoded = run(&mut Compress::new(coding).unwrap(), &pieces).unwrap();
                let pieces = cut(&encoded, &cuts);
                prop_assert_eq!(decoded(coding, body.len(), &pieces), Ok(body.clone()));
            }
        }

        #[test]
        fn noise_never_panics_and_never_outgrows_the_cap(
            mut noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            for (coding, magic) in UNDONE.into_iter().zip([&b"\x1f\x8b\x08"[..], b"\x78\x9c", b"\x0b"]) {
                let mut out = BytesMut::new();
                let mut decode = Decode::new(coding, 1000).unwrap();
                let pushed = decode.push(&noise, &mut out);
                prop_assert!(out.len() <= 1000, "{pushed:?}");
                noise.splice(0..0, magic.iter().copied());
                let mut decode = Decode::new(coding, 1000).unwrap();
                let pushed = decode.push(&noise, &mut out);
                prop_assert!(out.len() <= 2000, "{pushed:?}");
            }
        }
    }
}
