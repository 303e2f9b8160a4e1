//! What a scalar means: YAML 1.2's core schema (<https://yaml.org/spec/1.2.2/#103-core-schema>), which JSON is part of.

use granit_parser::ScalarStyle;
use serde::de::{Error, Visitor};

use super::tree::Scalar;

impl Scalar<'_> {
    /// Shows a visitor what stands here; quoted and block text is always text.
    pub(super) fn show<'de, V: Visitor<'de>, E: Error>(&self, visitor: V) -> Result<V::Value, E> {
        let text = self.text.as_ref();
        if self.style != ScalarStyle::Plain {
            return visitor.visit_str(text);
        }
        match text {
            _ if self.is_null() => visitor.visit_unit(),
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            _ => match whole(text) {
                Some(Whole::Positive(number)) => visitor.visit_u64(number),
                Some(Whole::Negative(number)) => visitor.visit_i64(number),
                None => match self.float().filter(|_| text.contains(['.', 'e', 'E'])) {
                    Some(number) => visitor.visit_f64(number),
                    None => visitor.visit_str(text),
                },
            },
        }
    }

    pub(super) fn is_null(&self) -> bool {
        let text = self.text.as_ref();
        self.style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// Whether nothing at all stands here.
    pub(super) fn is_absent(&self) -> bool {
        self.style == ScalarStyle::Plain && self.text.is_empty()
    }

    /// A number with a fraction, also where it is written without one. What no `f64` holds stays a text.
    pub(super) fn float(&self) -> Option<f64> {
        let text = self.text.as_ref();
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        match (self.style, unsigned, text) {
            (ScalarStyle::Plain, ".inf" | ".Inf" | ".INF", _) => match text.starts_with('-') {
                true => Some(f64::NEG_INFINITY),
                false => Some(f64::INFINITY),
            },
            (ScalarStyle::Plain, _, ".nan" | ".NaN" | ".NAN") => Some(f64::NAN),
            (ScalarStyle::Plain, ..) if !keeps_zeros(unsigned) => {
                text.parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        }
    }
}

enum Whole {
    Positive(u64),
    Negative(i64),
}

/// A whole number; one that is too large for 64 bits stays a text, with all its digits.
fn whole(text: &str) -> Option<Whole> {
    let radix = |digits: &str, radix| {
        let is_plain = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
        is_plain.then(|| u64::from_str_radix(digits, radix).ok())?
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16).map(Whole::Positive);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8).map(Whole::Positive);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if keeps_zeros(unsigned) {
        return None;
    }
    match text.starts_with('-') {
        true => text.parse().ok().map(Whole::Negative),
        false => radix(unsigned, 10).map(Whole::Positive),
    }
}

/// Digits with a zero before them are a name or a code (`007`) far more often than a number, so they stay a text.
fn keeps_zeros(digits: &str) -> bool {
    digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::document::read;

    fn value(text: &str) -> Value {
        read("f", text).unwrap()
    }

    #[test]
    fn plain_scalars_are_what_the_core_schema_says() {
        assert_eq!(
            value("[null, ~, true, FALSE, 5, -5, +5, 0x1F, 0o17, 1.5, -.5, 1e3, .5]"),
            json!([
                null, null, true, false, 5, -5, 5, 31, 15, 1.5, -0.5, 1000.0, 0.5
            ])
        );
        assert_eq!(read::<f64>("f", "-.inf").unwrap(), f64::NEG_INFINITY);
        assert!(read::<f64>("f", ".nan").unwrap().is_nan());
        assert_eq!(read::<f64>("f", "3").unwrap(), 3.0);
    }

    #[test]
    fn what_only_looks_like_something_else_is_a_text() {
        for text in [
            "yes",
            "off",
            "nul",
            "007",
            "-007",
            "0x",
            "0x-1",
            "0o8",
            "0b1",
            "1_000",
            "1e999",
            "inf",
            "nan",
            "++1",
            "1.2.3",
            "12:30",
            "18446744073709551616",
            "2026-07-01",
        ] {
            assert_eq!(value(text), json!(text), "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_a_text() {
        assert_eq!(
            value("- '1'\n- \"true\"\n- |-\n  5\n- >-\n  null\n"),
            json!(["1", "true", "5", "null"])
        );
    }
}
