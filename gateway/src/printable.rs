//! Text from strangers, made safe to show: a request path must not move the cursor or fake a line.

use std::borrow::Cow;

/// Whether showing this character could do more than show a character: controls (C0, DEL, C1),
/// line and paragraph separators, and marks that turn the reading direction around.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with each harmful character written as an escape.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_harmful) {
        let mut shown = String::with_capacity(text.len() + 8);
        text.chars().for_each(|c| push(&mut shown, c));
        Cow::Owned(shown)
    } else {
        Cow::Borrowed(text)
    }
}

/// Appends one character, escaped if it is harmful.
pub fn push(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        c if is_harmful(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => shown.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a52_escape_sequences_become_visible() {
        assert_eq!(
            printable("/a\r\nb\u{1b}[2J\u{9b}1m"),
            "/a\\r\\nb\\u001b[2J\\u009b1m"
        );
        assert_eq!(printable("\u{202e}gpj.exe"), "\\u202egpj.exe");
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(printable("/grüße/日本"), Cow::Borrowed(_)));
    }
}
