//! What a message about a document may show of it: no secret, and nothing endless.

/// Longest part of a source line that a message shows, in characters.
pub(super) const SHOWN_MAX: usize = 160;
/// Longest message, in characters: it may quote a key as long as the document.
const MESSAGE_MAX: usize = 1_000;
/// Behind a key with one of these words in it, a line is not shown.
const SECRET_WORDS: &[&str] = &[
    "authorization",
    "cookie",
    "credential",
    "passphrase",
    "password",
    "private",
    "secret",
    "token",
];

/// A source line, cut where a secret may begin. `path` leads to the mistake. The value of an unknown key is one, since
/// nobody knows whose it is.
pub(super) fn source_line(line: &str, path: &str, message: &str) -> String {
    let end = line.char_indices().nth(SHOWN_MAX).map(|(end, _)| end);
    let line = harmless(end.and_then(|end| line.get(..end)).unwrap_or(line));
    if secret_word_end(path).is_some() && secret_word_end(&line).is_none() {
        let indent = line.len() - line.trim_start().len();
        return " ".repeat(indent) + "…";
    }
    let from = match message.contains("unknown field") {
        true => Some(0),
        false => secret_word_end(&line),
    };
    let key_end = from.and_then(|from| Some(from + line.get(from..)?.find(':')?));
    match key_end.and_then(|end| line.get(..end)) {
        Some(key) => format!("{key}: …"),
        None if end.is_some() => line + "…",
        None => line,
    }
}

/// A message without what it quotes if its path leads to a secret, on one line, and not endless.
pub(super) fn message(path: &str, message: &str) -> String {
    let quoted = message
        .split_once(" \"")
        .and_then(|(before, rest)| Some((before, rest.rsplit_once('"')?.1)))
        .filter(|_| secret_word_end(path).is_some());
    let safe = match quoted {
        Some((before, after)) => harmless(&format!("{before} …{after}")),
        None => harmless(message),
    };
    match safe.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => safe.get(..end).unwrap_or_default().to_owned() + "…",
        None => safe,
    }
}

/// Text that cannot move a terminal's cursor or begin a new line in a log.
fn harmless(text: &str) -> String {
    let shown = |c: char| c == '\t' || !c.is_control();
    text.chars()
        .map(|c| if shown(c) { c } else { '\u{fffd}' })
        .collect()
}

fn secret_word_end(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let ends = SECRET_WORDS
        .iter()
        .filter_map(|word| Some(lower.find(word)? + word.len()));
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_behind_a_secret_key() {
        assert_eq!(
            source_line("  authToken: abc", "x", "bad"),
            "  authToken: …"
        );
        assert_eq!(
            source_line(r#"{"a": 1, "password": "abc", "b": 2}"#, "b", "bad"),
            r#"{"a": 1, "password": …"#
        );
        assert_eq!(
            source_line("  weight: heavy", "weight", "bad"),
            "  weight: heavy"
        );
    }

    #[test]
    fn an_entry_below_a_secret_key_is_not_shown() {
        let path = "config.credentials[0]";
        let said = "invalid type: string \"a:b\", expected a map";
        assert_eq!(source_line("    - a:b", path, said), "    …");
        assert_eq!(
            message(path, said),
            "invalid type: string …, expected a map"
        );
    }

    #[test]
    fn the_value_of_an_unknown_key_is_not_shown() {
        assert_eq!(
            source_line("  tokn: abc", "", "unknown field `tokn`"),
            "  tokn: …"
        );
    }

    #[test]
    fn no_message_moves_the_cursor_or_begins_a_line() {
        let shown = message("", "unknown field `\u{1b}[2J\n`");
        assert_eq!(shown, "unknown field `\u{fffd}[2J\u{fffd}`");
        assert_eq!(source_line("\ta\u{7}", "", "bad"), "\ta\u{fffd}");
    }

    #[test]
    fn an_endless_line_ends_and_hides_its_secrets_all_the_same() {
        assert_eq!(
            message("", &"ü".repeat(9_000)).chars().count(),
            MESSAGE_MAX + 1
        );
        let long = "ü".repeat(1_000);
        assert_eq!(source_line(&long, "", "bad").chars().count(), SHOWN_MAX + 1);
        let line = format!("{{authtoken: abc, metadata: {long}}}");
        assert_eq!(source_line(&line, "weight", "bad"), "{authtoken: …");
    }
}
