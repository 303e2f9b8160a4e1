//! Literals: numbers, and texts with their escapes (CEL specification, "String and Bytes Values").

use super::Value;
use super::token::TokenKind;

/// How many bytes the number takes that a text begins with.
pub(super) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize, is: fn(&u8) -> bool| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| is(byte)).count()
    };
    let suffixed = |end: usize| end + usize::from(matches!(bytes.get(end), Some(b'u' | b'U')));
    if text.starts_with("0x") || text.starts_with("0X") {
        return suffixed(digits(2, u8::is_ascii_hexdigit));
    }
    let whole = digits(0, u8::is_ascii_digit);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1, u8::is_ascii_digit);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign, u8::is_ascii_digit);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    if end == whole { suffixed(end) } else { end }
}

/// The number that such a text is.
pub(super) fn number(text: &str) -> Result<TokenKind<'static>, String> {
    let wrong = || format!("`{text}` is no number, or out of range");
    let (digits, is_uint) = match text.strip_suffix(['u', 'U']) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let whole = match hex {
        Some(digits) => u64::from_str_radix(digits, 16).map_err(|_| wrong())?,
        None if digits.contains(['.', 'e', 'E']) => {
            let value: f64 = digits.parse().map_err(|_| wrong())?;
            let value = Some(value)
                .filter(|value| value.is_finite())
                .ok_or_else(wrong)?;
            return Ok(TokenKind::Literal(Value::Double(value)));
        }
        None => digits.parse().map_err(|_| wrong())?,
    };
    Ok(match is_uint {
        true => TokenKind::Literal(Value::Uint(whole)),
        false => TokenKind::Int(whole),
    })
}

/// The text or the bytes that stand in quotes.
pub(super) fn unquoted(literal: &str, raw: bool, bytes: bool) -> Result<Value<'static>, String> {
    let is_triple =
        literal.len() >= 6 && (literal.starts_with("'''") || literal.starts_with("\"\"\""));
    let quote = if is_triple { 3 } else { 1 };
    let inside = literal
        .get(quote..literal.len() - quote)
        .unwrap_or_default();
    if !is_triple && inside.contains(['\n', '\r']) {
        return Err(
            "a text goes over a line's end: write it in three quotes, or the end as `\\n`"
                .to_owned(),
        );
    }
    let inside = inside.replace("\r\n", "\n").replace('\r', "\n");
    match (raw, bytes) {
        (true, true) => Ok(Value::Bytes(inside.into_bytes().into())),
        (true, false) => Ok(Value::text(inside)),
        (false, true) => Ok(Value::Bytes(unescaped(&inside, Unit::Byte)?.into())),
        (false, false) => {
            let text = String::from_utf8(unescaped(&inside, Unit::Character)?);
            text.map(Value::text)
                .map_err(|_| "the text is not UTF-8".to_owned())
        }
    }
}

/// What `\xff` and `\377` stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Character,
}

fn unescaped(text: &str, unit: Unit) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        rest = push_escape(&mut out, escape, unit)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Reads what stands behind a backslash; what follows it.
fn push_escape<'t>(out: &mut Vec<u8>, text: &'t str, unit: Unit) -> Result<&'t str, String> {
    let mut characters = text.chars();
    let letter = characters.next().unwrap_or(' ');
    let unknown =
        || format!("`\\{letter}` is no escape: a backslash is written `\\\\`, or the text as r'…'");
    let (digits, base) = match letter {
        'x' | 'X' => (2, 16),
        'u' if unit == Unit::Character => (4, 16),
        'U' if unit == Unit::Character => (8, 16),
        '0'..='3' => (3, 8),
        _ => {
            out.push(plain(letter).ok_or_else(unknown)?);
            return Ok(characters.as_str());
        }
    };
    // The digits of an octal escape begin with its letter.
    let from = if base == 8 { text } else { characters.as_str() };
    let (number, behind) = from.split_at_checked(digits).ok_or_else(unknown)?;
    let all_digits = number.chars().all(|c| c.is_digit(base));
    let value = u32::from_str_radix(number, base)
        .ok()
        .filter(|_| all_digits);
    let value = value.ok_or_else(unknown)?;
    match (unit, u8::try_from(value)) {
        (Unit::Byte, Ok(byte)) => out.push(byte),
        _ => {
            let character = char::from_u32(value).ok_or_else(unknown)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(behind)
}

fn plain(letter: char) -> Option<u8> {
    Some(match letter {
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        '\\' | '?' | '"' | '\'' | '`' => u8::try_from(letter).ok()?,
        _ => return None,
    })
}
