//! Keyed hashes: made from pieces, compared in constant time with what a request says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::Unverified;

/// The hash under an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Hash {
    /// SHA-1: as a keyed hash still unbroken, and all that some providers offer.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// Two digits a byte, of either case.
    #[default]
    Hex,
    /// The standard alphabet, with padding.
    Base64,
}

/// An HMAC in the making.
pub(super) struct Mac(hmac::Context);

/// A finished HMAC. Nothing prints it: whoever reads it can forge the request that it belongs to.
pub(super) struct Tag(hmac::Tag);

// === impl Mac ===

impl Mac {
    pub(super) fn new(hash: Hash, key: &[u8]) -> Self {
        let algorithm = match hash {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        Self(hmac::Context::with_key(&hmac::Key::new(algorithm, key)))
    }

    pub(super) fn add(&mut self, piece: impl AsRef<[u8]>) {
        self.0.update(piece.as_ref());
    }

    pub(super) fn finish(self) -> Tag {
        Tag(self.0.sign())
    }
}

// === impl Tag ===

impl Tag {
    /// Whether `text` says this tag. `None`: the text is not in that encoding.
    pub(super) fn is(&self, text: &str, encoding: Encoding) -> Option<bool> {
        // Room for more than the longest tag, so that base64's own estimate fits; longer texts are no tags.
        let mut room = [0; 72];
        let bytes = match encoding {
            Encoding::Hex => from_hex(text, &mut room)?,
            Encoding::Base64 => {
                let length = STANDARD.decode_slice(text, &mut room).ok()?;
                room.get(..length)?
            }
        };
        Some(bytes.ct_eq(self.0.as_ref()).into())
    }

    /// Whether `text` says this tag, as the result of a whole verification.
    pub(super) fn check(
        &self,
        text: &str,
        encoding: Encoding,
        malformed: impl FnOnce() -> Unverified,
    ) -> Result<(), Unverified> {
        match self.is(text, encoding) {
            Some(true) => Ok(()),
            Some(false) => Err(Unverified::Differs),
            None => Err(malformed()),
        }
    }

    /// The tag as text, for answers to challenges.
    pub(super) fn write(&self, encoding: Encoding) -> String {
        match encoding {
            Encoding::Hex => to_hex(self.0.as_ref()),
            Encoding::Base64 => STANDARD.encode(self.0.as_ref()),
        }
    }
}

/// Whether two texts are the same, in a time that tells only their lengths.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(|half| DIGITS[usize::from(half)]).collect()
}

/// The bytes that these digits mean, put into `room`.
pub(super) fn from_hex<'a>(text: &str, room: &'a mut [u8]) -> Option<&'a [u8]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let room = room.get_mut(..pairs.len())?;
    for ([high, low], byte) in pairs.iter().zip(room.iter_mut()) {
        let high = char::from(*high).to_digit(16)?;
        let low = char::from(*low).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(hash: Hash) -> Tag {
        let mut mac = Mac::new(hash, b"Jefe");
        mac.add("what do ya want ");
        mac.add("for nothing?");
        mac.finish()
    }

    /// RFC 2202 test case 2 and RFC 4231 test case 2.
    #[test]
    fn hashes_as_the_rfcs_say() {
        for (hash, hex) in [
            (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                Hash::Sha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Hash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let tag = tag(hash);
            assert_eq!(tag.is(hex, Encoding::Hex), Some(true));
            assert_eq!(tag.is(&hex.to_uppercase(), Encoding::Hex), Some(true));
            assert_eq!(tag.write(Encoding::Hex), hex);
            let base64 = tag.write(Encoding::Base64);
            assert_eq!(tag.is(&base64, Encoding::Base64), Some(true));
        }
    }

    #[test]
    fn only_the_whole_tag_is_the_tag() {
        let tag = tag(Hash::Sha256);
        let hex = tag.write(Encoding::Hex);
        assert_eq!(tag.is("", Encoding::Hex), Some(false));
        assert_eq!(tag.is(&hex[..62], Encoding::Hex), Some(false));
        assert_eq!(tag.is(&format!("{hex}00"), Encoding::Hex), Some(false));
        let base64 = tag.write(Encoding::Base64);
        assert_eq!(tag.is(&base64[..40], Encoding::Base64), Some(false));
        assert_eq!(tag.is("", Encoding::Base64), Some(false));
    }

    #[test]
    fn what_is_not_in_the_encoding_is_told_apart() {
        let tag = tag(Hash::Sha256);
        for text in ["0", "0g", "+1", "é1", &"00".repeat(73)] {
            assert_eq!(tag.is(text, Encoding::Hex), None, "{text}");
        }
        for text in ["A", "AA==\n", "A-_=", &"A".repeat(400)] {
            assert_eq!(tag.is(text, Encoding::Base64), None, "{text}");
        }
    }
}
