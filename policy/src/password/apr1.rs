//! `$apr1$salt$hash`: the MD5 of Apache, which `htpasswd` writes by default. There is no other description of it than
//! Apache's own code; its oddities are the format.

use md5::{Digest, Md5};

/// How often a hash is hashed again.
const ROUNDS: usize = 1_000;
/// Longest salt in characters.
const SALT_MAX: usize = 8;
/// 16 bytes in base 64.
const HASH_LEN: usize = 22;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Which three bytes make four characters, in turn; the twelfth byte alone makes the last two.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];

/// The salt and the hash, if the text is a whole one.
pub(super) fn parts(text: &str) -> Option<(&str, &str)> {
    let (salt, hash) = text.strip_prefix("$apr1$")?.split_once('$')?;
    let is_digit = |byte: u8| ALPHABET.contains(&byte);
    let is_whole = (1..=SALT_MAX).contains(&salt.len()) && hash.len() == HASH_LEN;
    (is_whole && salt.bytes().chain(hash.bytes()).all(is_digit)).then_some((salt, hash))
}

/// What stands behind the salt.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> String {
    let inner = md5(&[password, salt, password]);
    let mut first = Md5::new();
    first.update([password, b"$apr1$", salt].concat());
    for chunk in password.chunks(inner.len()) {
        first.update(inner.get(..chunk.len()).unwrap_or_default());
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(match bits & 1 {
            1 => &[0],
            _ => password.get(..1).unwrap_or_default(),
        });
        bits >>= 1;
    }
    let mut last: [u8; 16] = first.finalize().into();
    for round in 0..ROUNDS {
        let is_odd = round % 2 == 1;
        last = md5(&[
            if is_odd { password } else { &last },
            if round % 3 > 0 { salt } else { &[] },
            if round % 7 > 0 { password } else { &[] },
            if is_odd { &last } else { password },
        ]);
    }
    let mut text = String::with_capacity(HASH_LEN);
    for [high, middle, low] in ORDER {
        let bytes = [0, last[high], last[middle], last[low]];
        write(u32::from_be_bytes(bytes), 4, &mut text);
    }
    write(u32::from(last[11]), 2, &mut text);
    text
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The lowest six bits first.
fn write(mut bits: u32, count: usize, to: &mut String) {
    for _ in 0..count {
        to.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
}
