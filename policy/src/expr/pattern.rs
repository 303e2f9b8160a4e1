//! Regular expressions in RE2's syntax, bounded in size; they search in linear time.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern in bytes; a larger one is refused.
const SIZE_MAX: usize = 1 << 20;

/// Compiles a pattern; the error is one line.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translated(pattern)?;
    RegexBuilder::new(&translated)
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| one_line(&error))
}

/// The same for a body, which need not be text.
pub(crate) fn compile_bytes(pattern: &str) -> Result<regex::bytes::Regex, String> {
    let translated = translated(pattern)?;
    let built = regex::bytes::RegexBuilder::new(&translated)
        .size_limit(SIZE_MAX)
        .build();
    built.map_err(|error| one_line(&error))
}

/// `\Q…\E` is RE2's way to quote, and unknown to the library; `\C` would cut characters in two.
fn translated(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
        let (escape, behind) = escape.split_at(length);
        rest = behind;
        match escape {
            r"\Q" => {
                let (quoted, behind) = rest.split_once(r"\E").unwrap_or((rest, ""));
                out.push_str(&regex::escape(quoted));
                rest = behind;
            }
            r"\C" => return Err(r"`\C` is not supported".to_owned()),
            _ => out.push_str(escape),
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn one_line(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("it takes more than {limit} bytes"),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parts_are_literal() {
        let pattern = compile(r"^\Qa.b\E\d+$").unwrap();
        assert!(pattern.is_match("a.b12") && !pattern.is_match("axb12"));
        assert!(compile(r"\Qa.b").unwrap().is_match("a.b"));
        assert!(compile(r"\\Q").unwrap().is_match(r"\Q"));
    }

    #[test]
    fn what_cannot_be_searched_is_refused_in_one_line() {
        assert_eq!(compile("(").unwrap_err(), "unclosed group");
        assert!(compile(r"\C").unwrap_err().contains("not supported"));
        assert!(
            compile(&"a{1000}".repeat(100))
                .unwrap_err()
                .contains("more than")
        );
    }
}
