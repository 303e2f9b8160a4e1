//! Forms (`application/x-www-form-urlencoded`), decoded as the providers that sign their fields do.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;

use super::{Incoming, Unverified, malformed, only};

/// A field's name and value. Bytes, not text: what is signed are bytes.
pub(super) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The fields of a form or a query, in order.
pub(super) fn pairs(text: &[u8]) -> Vec<Pair<'_>> {
    let fields = text
        .split(|byte| *byte == b'&')
        .filter(|field| !field.is_empty());
    fields
        .map(|field| {
            let mut halves = field.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default();
            (decode(name), decode(halves.next().unwrap_or_default()))
        })
        .collect()
}

/// The fields of a request's body. A body that is no form has fields that nobody signs, so it is refused; so is a body
/// that nobody calls anything.
pub(super) fn body<'a>(incoming: &Incoming<'a>) -> Result<Vec<Pair<'a>>, Unverified> {
    if incoming.body.is_empty() {
        return Ok(Vec::new());
    }
    if !is_form(incoming)? {
        return Err(malformed(
            CONTENT_TYPE.as_str(),
            "application/x-www-form-urlencoded",
        ));
    }
    Ok(pairs(incoming.body))
}

pub(super) fn is_form(incoming: &Incoming<'_>) -> Result<bool, Unverified> {
    let kind = only(incoming, CONTENT_TYPE.as_str())?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    Ok(kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// `+` is a space, `%41` an `A`; a `%` without two digits behind it stays.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, behind @ ..]) => match byte(*high, *low) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = behind;
                }
                None => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
    }
    bytes.into()
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_fields_in_their_order() {
        let text = b"b=1+2&a=%41%c3%a4%&empty=&=x&none&&z=%4&y=%zz";
        let found = pairs(text);
        let found: Vec<(&[u8], &[u8])> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        let expected: Vec<(&[u8], &[u8])> = vec![
            (b"b", b"1 2"),
            (b"a", "Aä%".as_bytes()),
            (b"empty", b""),
            (b"", b"x"),
            (b"none", b""),
            (b"z", b"%4"),
            (b"y", b"%zz"),
        ];
        assert_eq!(found, expected);
        assert!(pairs(b"").is_empty());
    }
}
