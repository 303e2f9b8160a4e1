//! Hashes of texts, each as a function `hash.x(s)` and as a method `s.x()`, in hexadecimal digits or base64.

use crc::{CRC_32_ISO_HDLC, CRC_64_GO_ISO, Crc};
use md5::{Digest, Md5};
use ring::digest;

use super::{Answer, Call, Function, TEXT};
use crate::expr::json::base64;
use crate::expr::static_type::Type;
use crate::expr::value::Value;

const TWO: &[Type] = &[Type::String, Type::String];

/// The four forms of each hash.
macro_rules! hashes {
    ($(($name:literal, $call:expr)),* $(,)?) => {
        &[$(
            Function::global(concat!("hash.", $name), TEXT, Type::String, $call),
            Function::global(concat!("hash.", $name), TWO, Type::String, $call),
            Function::method(Type::String, $name, &[], Type::String, $call),
            Function::method(Type::String, $name, TEXT, Type::String, $call),
        )*]
    };
}

pub(super) const TABLE: &[Function] = hashes![
    ("md5", md5),
    ("sha1", sha1),
    ("sha256", sha256),
    ("sha512", sha512),
    ("crc32", crc32),
    ("crc64", crc64),
    ("xxhash64", xxhash64),
];

/// The polynomial of Ethernet and zip.
const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// The polynomial of ISO 3309, with the inversions that Go's library has.
const CRC64: Crc<u64> = Crc::<u64>::new(&CRC_64_GO_ISO);

fn md5<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    written(call, |bytes| Md5::digest(bytes).to_vec())
}

fn sha1<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    by_ring(call, &digest::SHA1_FOR_LEGACY_USE_ONLY)
}

fn sha256<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    by_ring(call, &digest::SHA256)
}

fn sha512<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    by_ring(call, &digest::SHA512)
}

fn crc32<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    written(call, |bytes| CRC32.checksum(bytes).to_be_bytes())
}

fn crc64<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    written(call, |bytes| CRC64.checksum(bytes).to_be_bytes())
}

fn xxhash64<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    written(call, |bytes| {
        twox_hash::XxHash64::oneshot(0, bytes).to_be_bytes()
    })
}

fn by_ring<'e>(call: &Call<'_, 'e, '_>, algorithm: &'static digest::Algorithm) -> Answer<'e> {
    written(call, |bytes| digest::digest(algorithm, bytes))
}

/// The hash of the first argument in the spelling that the second one asks for.
fn written<'e, H: AsRef<[u8]>>(
    call: &Call<'_, 'e, '_>,
    hash: impl FnOnce(&[u8]) -> H,
) -> Answer<'e> {
    let text = call.text(0)?;
    // A hash takes about five times as long as looking at a text.
    call.charge(text.len().saturating_mul(4))?;
    let hash = hash(text.as_bytes());
    let spelling = if call.len() > 1 {
        &**call.text(1)?
    } else {
        "hex"
    };
    match spelling {
        "hex" => Ok(Value::text(hex(hash.as_ref()))),
        "base64" => Ok(Value::text(base64(hash.as_ref()))),
        other => Err(call.error(format_args!(
            "the format is `hex` or `base64`, not `{other}`"
        ))),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("hash.md5('hello')", "'5d41402abc4b2a76b9719d911017c592'"),
            (
                "hash.sha1('hello', 'base64')",
                "'qvTGHdzF6KLavt4PO0gs2a6pQ00='",
            ),
            (
                "hash.sha256('hello')",
                "'2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'",
            ),
            ("hash.sha512('hello').startsWith('9b71d224')", "true"),
            ("hash.sha512('hello').endsWith('dec043')", "true"),
            ("hash.crc32('hello')", "'3610a686'"),
            ("hash.crc64('hello')", "'3c3eeee2d8100000'"),
            ("hash.xxhash64('hello')", "'26c7827d889f6da3'"),
            ("'hello'.crc32()", "'3610a686'"),
        ]);
    }

    #[test]
    fn each_hash_is_a_method_too_and_has_two_spellings() {
        for name in [
            "md5", "sha1", "sha256", "sha512", "crc32", "crc64", "xxhash64",
        ] {
            gives(&[
                (&format!("'é'.{name}()"), &format!("hash.{name}('é')")),
                (
                    &format!("'é'.{name}('hex')"),
                    &format!("hash.{name}('é', 'hex')"),
                ),
                (
                    &format!("'é'.{name}('base64')"),
                    &format!("hash.{name}('é', 'base64')"),
                ),
            ]);
            fails(&[(
                &format!("'é'.{name}('HEX')"),
                "the format is `hex` or `base64`, not `HEX`",
            )]);
        }
        gives(&[
            ("''.crc64()", "'0000000000000000'"),
            ("'hello'.crc32('base64')", "'NhCmhg=='"),
            (
                "hash.sha1('')",
                "'da39a3ee5e6b4b0d3255bfef95601890afd80709'",
            ),
        ]);
    }
}
