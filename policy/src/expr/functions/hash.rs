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

/// A share of users or addresses that stays the same: [`bucket`].
pub(super) const BUCKETS: &[Function] = &[
    Function::global("hash.bucket", TEXT_AND_COUNT, Type::Int, bucket),
    Function::global("hash.bucket", TEXT_COUNT_AND_SALT, Type::Int, bucket),
];

const TEXT_AND_COUNT: &[Type] = &[Type::String, Type::Int];
const TEXT_COUNT_AND_SALT: &[Type] = &[Type::String, Type::Int, Type::String];

/// Most buckets: as fine as a share can be.
const BUCKETS_MAX: i64 = 1_000_000_000;

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

/// `hash.bucket(text, count)` and `hash.bucket(text, count, salt)`: which of `count` buckets, from 0, a text belongs to.
///
/// It is the same on every gateway, at any time: `hash.bucket(conn.client_ip, 100) < 5` chooses one client in twenty, and
/// with `< 20` the same clients and some more. Another salt shuffles anew, so that those who meet one experiment do not
/// meet all others, too. Anybody can compute it: of the SHA-256 of the salt, a zero byte and the text, the first eight
/// bytes, most significant first, are multiplied by `count` and divided by 2^64. Who may choose the text may choose the
/// bucket: it is no secret.
fn bucket<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (text, count) = (call.text(0)?, call.int(1)?);
    let salt: &str = if call.len() > 2 { call.text(2)? } else { "" };
    if !(1..=BUCKETS_MAX).contains(&count) {
        return Err(call.error(format_args!(
            "the number of buckets is from 1 to {BUCKETS_MAX}, not {count}"
        )));
    }
    let length = text.len().saturating_add(salt.len());
    call.charge(length.saturating_mul(4))?;
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [salt.as_bytes(), &[0], text.as_bytes()] {
        hash.update(part);
    }
    let hash = hash.finish();
    let first = hash.as_ref().iter().take(8);
    let first = first.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let scaled = (u128::from(first) * u128::from(count.unsigned_abs())) >> 64;
    // Less than `count`.
    Ok(Value::Int(i64::try_from(scaled).unwrap_or_default()))
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
    use crate::testing::{eval, fails, gives};

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

    #[test]
    fn a_bucket_is_the_same_for_ever_and_anybody_can_compute_it() {
        gives(&[
            ("hash.bucket('alice', 100)", "7"),
            ("hash.bucket('alice', 100, '')", "7"),
            ("hash.bucket('alice', 100, 'pricing')", "57"),
            ("hash.bucket('', 1)", "0"),
            ("hash.bucket('alice', 1000000000) < 1000000000", "true"),
        ]);
        fails(&[
            (
                "hash.bucket('alice', 0)",
                "the number of buckets is from 1 to 1000000000, not 0",
            ),
            ("hash.bucket('alice', -5)", "not -5"),
            ("hash.bucket('alice', 1000000001)", "not 1000000001"),
        ]);
    }

    /// How many of 2,000 texts meet a condition.
    fn count(condition: &str) -> i64 {
        let text =
            format!("lists.range(2000).map(i, 'user-' + string(i)).filter(u, {condition}).size()");
        match eval(&text).unwrap() {
            crate::expr::Value::Int(count) => count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn buckets_are_even_grow_by_addition_and_are_shuffled_by_a_salt() {
        // Five standard deviations of a share of 2,000: a fair hash misses this once in a million times, and this one
        // is the same in every run.
        for (share, of) in [(5, 100), (50, 100), (1, 3)] {
            let expected = 2000.0 * f64::from(share) / f64::from(of);
            let deviation = (expected * (1.0 - expected / 2000.0)).sqrt();
            let found = f64::from(
                i32::try_from(count(&format!("hash.bucket(u, {of}) < {share}"))).unwrap(),
            );
            assert!(
                (found - expected).abs() < 5.0 * deviation,
                "{share}/{of}: {found}"
            );
        }
        assert_eq!(
            count("hash.bucket(u, 100) < 5 && hash.bucket(u, 100) >= 20"),
            0
        );
        // Of those in one half, half are in the same half under another salt.
        let both = count("hash.bucket(u, 2, 'a') == 0 && hash.bucket(u, 2, 'b') == 0");
        assert!((400..600).contains(&both), "{both}");
    }
}
