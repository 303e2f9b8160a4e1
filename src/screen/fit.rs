//! Text made to fit columns, which are not letters: some are two wide, some none.

use ratatui::text::Span;

/// The text in exactly this many columns: filled up, or cut and marked.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let mut shown = if columns_of(text) <= columns {
        text.to_owned()
    } else {
        let mut parts = torn(text, columns.saturating_sub(1)).into_iter();
        parts.next().unwrap_or_default() + "…"
    };
    let used = columns_of(&shown);
    shown.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    shown
}

/// The text in lines of at most this many columns, broken at spaces where that is possible.
pub(super) fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns_of(line) + 1 + columns_of(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(torn(word, columns)),
        }
    }
    lines
}

/// One word in parts of at most this many columns, and of one letter at least.
fn torn(word: &str, columns: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = columns_of(c.encode_utf8(&mut [0; 4]));
        if used > 0 && used + wide > columns {
            parts.push(String::new());
            used = 0;
        }
        used += wide;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// How wide a text is shown: `µ` is two bytes and one column.
pub(super) fn columns_of(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_up_or_cut_to_its_columns() {
        assert_eq!(fitted("abc", 5), "abc  ");
        assert_eq!(fitted("abcdef", 5), "abcd…");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("日本語", 4), "日… ");
    }

    #[test]
    fn a_broken_text_loses_only_spaces() {
        assert_eq!(broken("ab日本", 3), ["ab", "日", "本"]);
        assert_eq!(broken("", 3), [""]);
        assert_eq!(broken("ab", 0), ["a", "b"]);
        assert_eq!(broken("sudo cp a b", 7), ["sudo cp", "a b"]);
        assert_eq!(broken("sudo copy a", 7), ["sudo", "copy a"]);
        assert_eq!(broken("a  b abcdef", 4), ["a  b", "abcd", "ef"]);
    }
}
