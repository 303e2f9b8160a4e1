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

/// A source line, cut where a secret may begin. `path` leads to the mistake; from the column `hidden`, counted from 0, the
/// line holds what is not to be shown in any case.
pub(super) fn source_line(line: &str, path: &str, hidden: Option<usize>) -> String {
    let shown = hidden.unwrap_or(SHOWN_MAX).min(SHOWN_MAX);
    let end = line.char_indices().nth(shown).map(|(end, _)| end);
    let mut safe = harmless(end.and_then(|end| line.get(..end)).unwrap_or(line));
    if secret_word_end(path).is_some() && secret_word_end(&safe).is_none() {
        let indent = safe.len() - safe.trim_start().len();
        return " ".repeat(indent) + "…";
    }
    let key_end = secret_word_end(&safe).and_then(|from| Some(from + safe.get(from..)?.find(':')?));
    match key_end {
        Some(end) => {
            safe.truncate(end);
            safe + ": …"
        }
        None if end.is_some() => safe + "…",
        None => safe,
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
        assert_eq!(source_line("  authToken: abc", "x", None), "  authToken: …");
        assert_eq!(
            source_line(r#"{"a": 1, "password": "abc", "b": 2}"#, "b", None),
            r#"{"a": 1, "password": …"#
        );
        assert_eq!(
            source_line("  weight: heavy", "weight", None),
            "  weight: heavy"
        );
    }

    #[test]
    fn an_entry_below_a_secret_key_is_not_shown() {
        let path = "config.credentials[0]";
        let said = "invalid type: string \"a:b\", expected a map";
        assert_eq!(source_line("    - a:b", path, None), "    …");
        assert_eq!(
            message(path, said),
            "invalid type: string …, expected a map"
        );
    }

    #[test]
    fn what_is_hidden_is_not_shown() {
        assert_eq!(source_line("  tokn: abc", "", Some(8)), "  tokn: …");
        assert_eq!(source_line("  ä: abc", "token", Some(5)), "  …");
    }

    #[test]
    fn no_message_moves_the_cursor_or_begins_a_line() {
        let shown = message("", "unknown field `\u{1b}[2J\n`");
        assert_eq!(shown, "unknown field `\u{fffd}[2J\u{fffd}`");
        assert_eq!(source_line("\ta\u{7}", "", None), "\ta\u{fffd}");
    }

    #[test]
    fn an_endless_line_ends_and_hides_its_secrets_all_the_same() {
        assert_eq!(
            message("", &"ü".repeat(9_000)).chars().count(),
            MESSAGE_MAX + 1
        );
        let long = "ü".repeat(1_000);
        assert_eq!(source_line(&long, "", None).chars().count(), SHOWN_MAX + 1);
        let line = format!("{{authtoken: abc, metadata: {long}}}");
        assert_eq!(source_line(&line, "weight", None), "{authtoken: …");
    }
}
