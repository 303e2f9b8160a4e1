//! Percent-encoding (RFC 3986 §2).

use std::borrow::Cow;

/// What never needs an escape (RFC 3986 §2.3): letters, digits, `-`, `.`, `_` and `~`.
pub fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Escapes every byte that is not unreserved, so that the text can stand as one segment, one name or one value.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_unreserved) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if is_unreserved(byte) {
            escaped.push(char::from(byte));
        } else {
            push_escape(&mut escaped, byte);
        }
    }
    Cow::Owned(escaped)
}

/// Escapes the bytes that are not kept, and each `%` that begins no escape. What is escaped already stays so.
pub fn escape_unless(text: &str, is_kept: fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let is_sound = match first {
            b'%' => first_escape(rest).is_some(),
            byte => byte.is_ascii() && is_kept(*byte),
        };
        match is_sound {
            true => escaped.push(char::from(*first)),
            false => push_escape(&mut escaped, *first),
        }
        rest = after;
    }
    escaped
}

/// The bytes that the text stands for; `+` stays. `None` if a `%` begins no escape.
pub fn unescape(text: &str) -> Option<Cow<'_, [u8]>> {
    decode(text, |_| None)
}

/// The same for text from strangers: a `%` that begins no escape stays as it is.
pub fn unescape_leniently(text: &str) -> Cow<'_, [u8]> {
    decode(text, |_| Some(b'%')).unwrap_or(Cow::Borrowed(text.as_bytes()))
}

/// The byte that an escape at the beginning of `text` stands for, and what follows the escape.
pub(super) fn first_escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = text else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let value = digit(*high)? * 16 + digit(*low)?;
    Some((u8::try_from(value).ok()?, rest))
}

/// Writes a byte as `%XX`.
pub(super) fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    text.push('%');
    text.push(DIGITS[usize::from(byte >> 4)]);
    text.push(DIGITS[usize::from(byte & 15)]);
}

fn decode(text: &str, otherwise: impl Fn(&[u8]) -> Option<u8>) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, first_escape(rest)) {
            (_, Some(escape)) => escape,
            (b'%', None) => (otherwise(rest)?, after),
            (byte, None) => (*byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unreserved_stay() {
        assert_eq!(escape("a b"), "a%20b");
        assert_eq!(escape("/foo+ü%"), "%2Ffoo%2B%C3%BC%25");
        assert!(matches!(escape("aZ09-._~"), Cow::Borrowed(_)));
    }

    #[test]
    fn escapes_stay_and_what_is_none_becomes_one() {
        let graphic = |byte: u8| byte.is_ascii_graphic();
        assert_eq!(
            escape_unless("/a b%20c%zz%4\r\nü%", graphic),
            "/a%20b%20c%25zz%254%0D%0A%C3%BC%25"
        );
    }

    #[test]
    fn unescape_reads_back_what_escape_wrote() {
        let all: String = (0..=255_u8).map(char::from).collect();
        let escaped = escape(&all);
        assert_eq!(unescape(&escaped).unwrap(), all.as_bytes());
        assert_eq!(unescape_leniently(&escaped), all.as_bytes());
    }

    #[test]
    fn a_percent_sign_without_digits_is_told_or_kept() {
        for text in ["%", "%4", "%zz", "a%2", "%+1", "%%41"] {
            assert_eq!(unescape(text), None, "{text}");
        }
        assert_eq!(unescape_leniently("100%"), b"100%".as_slice());
        assert_eq!(unescape_leniently("%%41%4"), b"%A%4".as_slice());
        assert_eq!(unescape("a+b").unwrap(), b"a+b".as_slice());
    }
}
