//! Upper and lower case.

use super::{Answer, Call, Function};
use crate::expr::static_type::Type;
use crate::expr::value::Value;

const STRING: Type = Type::String;

pub(super) const TABLE: &[Function] = &[
    Function::method(STRING, "lower", &[], STRING, lower),
    Function::method(STRING, "upper", &[], STRING, upper),
    Function::method(STRING, "lowerAscii", &[], STRING, lower_ascii),
    Function::method(STRING, "upperAscii", &[], STRING, upper_ascii),
];

/// `s.lower()`: one character for one character, as Unicode's simple mapping has it.
fn lower<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    mapped(call, |c| match c {
        // The only one whose full mapping is longer.
        'İ' => 'i',
        _ => only(c.to_lowercase()).unwrap_or(c),
    })
}

/// `s.upper()`, in the same way: `ß` stays.
fn upper<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    mapped(call, |c| only(c.to_uppercase()).unwrap_or_else(|| title(c)))
}

/// `s.lowerAscii()`: A to Z only.
fn lower_ascii<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    mapped(call, |c| c.to_ascii_lowercase())
}

/// `s.upperAscii()`: a to z only.
fn upper_ascii<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    mapped(call, |c| c.to_ascii_uppercase())
}

fn mapped<'e>(call: &Call<'_, 'e, '_>, map: fn(char) -> char) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    if text.chars().all(|c| map(c) == c) {
        return Ok(Value::String(text.clone()));
    }
    Ok(Value::text(text.chars().map(map).collect::<String>()))
}

fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    first.filter(|_| characters.next().is_none())
}

/// Greek letters with an iota below have a capital of one character, which Unicode's full mapping takes apart.
fn title(c: char) -> char {
    let up = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(u32::from(c) + up).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use crate::testing::gives;

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("'ÉCOLE'.lower()", "'école'"),
            ("'TacoCÆt Xii'.lowerAscii()", "'tacocÆt xii'"),
        ]);
    }

    #[test]
    fn a_text_keeps_its_number_of_characters() {
        gives(&[
            ("'İ'.lower()", "'i'"),
            ("'ẞΣ'.lower()", "'ßσ'"),
            ("'ß'.upper()", "'ß'"),
            ("'ŉﬁé'.upper()", "'ŉﬁÉ'"),
            ("'\\u1f80\\u1fb3\\u1f88'.upper()", "'\\u1f88\\u1fbc\\u1f88'"),
            ("'ǆ'.upper()", "'Ǆ'"),
            ("'tacoé'.upperAscii()", "'TACOé'"),
            ("'plain'.lower()", "'plain'"),
        ]);
    }
}
