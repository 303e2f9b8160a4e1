//! What takes the place of a regular expression's match: text with groups, `$1`.

use regex::{Captures, Regex, bytes};

/// Text that takes the place of a match. `$1` is what the first group matched and `$0` the whole match; a group that is
/// not there, or took no part, is empty; `$$` is a dollar. Only digits make a group's number: `$1x` is group 1 and an `x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Group(usize),
}

// === impl Replacement ===

impl Replacement {
    /// Reads text that a policy's author wrote.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = after.split_at(digits);
            rest = tail;
            if number.is_empty() {
                plain.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
                continue;
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            // No expression has so many groups that a number too large for usize is one of them.
            pieces.push(Piece::Group(number.parse().unwrap_or(usize::MAX)));
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Self { pieces }
    }

    /// Text in which a dollar is a dollar: what an interpolation yielded, so that no client can name groups.
    pub fn literal(text: &str) -> Self {
        let pieces = match text {
            "" => Vec::new(),
            _ => vec![Piece::Text(text.into())],
        };
        Self { pieces }
    }

    /// Replaces every match in `subject`. `None`: there is none. What matched is given to `found`, in order.
    pub fn replace_all(
        &self,
        pattern: &Regex,
        subject: &str,
        mut found: impl FnMut(&str),
    ) -> Option<String> {
        let mut changed = None;
        let mut copied = 0;
        for groups in pattern.captures_iter(subject) {
            let whole = groups.get_match();
            found(whole.as_str());
            let changed: &mut String = changed.get_or_insert_with(String::new);
            changed.push_str(subject.get(copied..whole.start()).unwrap_or_default());
            self.expand(&groups, changed);
            copied = whole.end();
        }
        let mut changed = changed?;
        changed.push_str(subject.get(copied..).unwrap_or_default());
        Some(changed)
    }

    /// What takes the place of a whole text that no expression looked at: it is the whole match, and there are no groups.
    pub fn of_whole(&self, text: &str) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Group(0) => text,
            Piece::Group(_) => "",
        });
        pieces.collect()
    }

    /// Appends what takes the place of this match.
    pub fn expand(&self, groups: &Captures<'_>, onto: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => onto.push_str(text),
                Piece::Group(number) => {
                    onto.push_str(groups.get(*number).map_or("", |group| group.as_str()));
                }
            }
        }
    }

    /// The same for a match in bytes.
    pub fn expand_bytes(&self, groups: &bytes::Captures<'_>, onto: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => onto.extend_from_slice(text.as_bytes()),
                Piece::Group(number) => onto.extend_from_slice(
                    groups
                        .get(*number)
                        .map_or(&[][..], |group| group.as_bytes()),
                ),
            }
        }
    }

    /// The text of a replacement without groups, which needs no captures.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// Parts of one text, each read in its own way.
impl FromIterator<Self> for Replacement {
    fn from_iter<I: IntoIterator<Item = Self>>(parts: I) -> Self {
        Self {
            pieces: parts.into_iter().flat_map(|part| part.pieces).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, subject: &str, replacement: &Replacement) -> String {
        let pattern = Regex::new(pattern).unwrap();
        let text = replacement.replace_all(&pattern, subject, |_| {});
        text.unwrap_or_else(|| "(no match)".into())
    }

    #[test]
    fn a_group_is_its_digits_and_nothing_more() {
        let to = |text| replaced("(a)(b)?(c)", "-ac-", &Replacement::parse(text));
        assert_eq!(to("$1x"), "-ax-");
        assert_eq!(to("$3$1"), "-ca-");
        assert_eq!(to("[$0]"), "-[ac]-");
        assert_eq!(to("$2|$4|$99999999999999999999"), "-||-");
        assert_eq!(to("$$1 $ $x $$"), "-$1 $ $x $-");
        assert_eq!(to("$"), "-$-");
        assert_eq!(to(""), "--");
    }

    #[test]
    fn a_whole_text_has_no_groups_but_itself() {
        let to = |text| Replacement::parse(text).of_whole("abc");
        assert_eq!(to("<$0|$1|$$1>"), "<abc||$1>");
        assert_eq!(to(""), "");
    }

    #[test]
    fn a_dollar_of_an_interpolated_value_is_only_a_dollar() {
        let parts = [
            Replacement::parse("<$1 $"),
            Replacement::literal("1 $1"),
            Replacement::parse(" $$>"),
        ];
        let to = Replacement::from_iter(parts);
        assert_eq!(replaced("(a)", "a", &to), "<a $1 $1 $>");
        assert_eq!(replaced("(a)", "a", &Replacement::literal("")), "");
    }

    #[test]
    fn every_match_is_replaced_and_told() {
        let pattern = Regex::new("[0-9]+").unwrap();
        let mut found = Vec::new();
        let text = Replacement::parse("<$0>")
            .replace_all(&pattern, "a1bb22", |text| found.push(text.to_owned()));
        assert_eq!(text.as_deref(), Some("a<1>bb<22>"));
        assert_eq!(found, ["1", "22"]);
        assert_eq!(replaced("x", "abc", &Replacement::parse("y")), "(no match)");
        assert_eq!(replaced("", "ab", &Replacement::parse("-")), "-a-b-");
    }
}
