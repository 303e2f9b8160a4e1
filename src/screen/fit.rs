//! Text made to fit columns, which are not letters: some are two wide, some none.

use ratatui::text::Span;

/// The text in exactly this many columns: filled up, or cut and marked.
pub(super) fn fitted(text: &str, columns: usize) -> String {
    let mut parts = broken(text, columns);
    let first = parts.next().unwrap_or_default();
    let cut = parts.next().is_some();
    let mut shown = match cut {
        true => {
            broken(&first, columns.saturating_sub(1))
                .next()
                .unwrap_or_default()
                + "…"
        }
        false => first,
    };
    let used = columns_of(&shown);
    shown.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    shown
}

/// The text in parts of at most this many columns.
pub(super) fn broken(text: &str, columns: usize) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
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
    parts.into_iter()
}

fn columns_of(text: &str) -> usize {
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
    fn a_broken_text_loses_nothing() {
        let parts: Vec<_> = broken("ab日本", 3).collect();
        assert_eq!(parts, ["ab", "日", "本"]);
        assert_eq!(broken("", 3).count(), 1);
        assert_eq!(broken("ab", 0).count(), 2);
    }
}
