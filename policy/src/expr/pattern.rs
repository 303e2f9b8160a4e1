//! Regular expressions in RE2's syntax, bounded in size; they search in linear time.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Largest compiled pattern in bytes; a larger one is refused.
const SIZE_MAX: usize = 1 << 20;

/// A pattern that knows what it costs.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    positions: u64,
}

/// A pattern that was read and not compiled yet.
pub(crate) struct Read {
    translated: String,
    effort: Effort,
}

/// What a pattern takes, as its text is written out: `a{9}` is nine letters.
#[derive(Clone, Copy, Debug, Default)]
struct Effort {
    /// Letters and classes: at each of them a search may stand at once.
    positions: u64,
    /// What compiling makes of them: classes take as much room as they have ranges.
    ranges: u64,
}

// === impl Pattern ===

impl Pattern {
    /// Compiles a pattern; the error is one line.
    pub(crate) fn of(pattern: &str) -> Result<Self, String> {
        Read::of(pattern)?.compile()
    }

    /// Whether it is found anywhere.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Cost units of searching a text: linear in the text, and in the worst case in the pattern too.
    pub(crate) fn searching(&self, text: &str) -> u64 {
        (text.len() as u64).saturating_mul(self.positions + 1) / 32
    }
}

// === impl Read ===

impl Read {
    /// Reads a pattern; the error is one line.
    pub(crate) fn of(pattern: &str) -> Result<Self, String> {
        let translated = translated(pattern)?;
        let hir = regex_syntax::parse(&translated).map_err(|error| last_line(&error))?;
        let effort = Effort::of(&hir);
        Ok(Self { translated, effort })
    }

    /// Cost units of compiling it.
    pub(crate) fn compiling(&self) -> u64 {
        self.effort.ranges
    }

    /// Compiles it.
    pub(crate) fn compile(&self) -> Result<Pattern, String> {
        let built = RegexBuilder::new(&self.translated)
            .size_limit(SIZE_MAX)
            .build();
        let positions = self.effort.positions;
        built
            .map(|regex| Pattern { regex, positions })
            .map_err(|error| one_line(&error))
    }
}

// === impl Effort ===

impl Effort {
    fn of(hir: &Hir) -> Self {
        let sum = |all: &[Hir]| all.iter().map(Self::of).fold(Self::default(), Self::and);
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::of_one(1),
            HirKind::Literal(literal) => Self::of_one(1).times(literal.0.len()),
            HirKind::Class(Class::Unicode(class)) => Self::of_one(class.ranges().len()),
            HirKind::Class(Class::Bytes(class)) => Self::of_one(class.ranges().len()),
            HirKind::Repetition(of) => {
                let times = of.max.unwrap_or_else(|| of.min.max(1));
                Self::of(&of.sub).times(usize::try_from(times).unwrap_or(usize::MAX))
            }
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Concat(all) | HirKind::Alternation(all) => sum(all),
        }
    }

    fn of_one(ranges: usize) -> Self {
        Self {
            positions: 1,
            ranges: ranges as u64,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            positions: self.positions.saturating_add(other.positions),
            ranges: self.ranges.saturating_add(other.ranges),
        }
    }

    fn times(self, times: usize) -> Self {
        Self {
            positions: self.positions.saturating_mul(times as u64),
            ranges: self.ranges.saturating_mul(times as u64),
        }
    }
}

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
        other => last_line(other),
    }
}

fn last_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
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
