//! From a place in a value to the place in the source.

use granit_parser::ScalarStyle;

use super::tree::{Kind, Mark, Node, Scalar};

/// Where the character stands that is `offset` characters into the node's text; the beginning of the node if the source
/// is written so that the two do not run side by side.
pub(super) fn mark(source: &str, node: &Node<'_>, offset: Option<usize>) -> Mark {
    let inside = match (&node.kind, offset) {
        (Kind::Scalar(scalar), Some(offset)) => within(source, node.mark, scalar, offset),
        _ => None,
    };
    inside.unwrap_or(node.mark)
}

/// The line around a place, without its end.
pub(super) fn line(source: &str, mark: Mark) -> &str {
    let Some((before, after)) = source.split_at_checked(mark.byte) else {
        return "";
    };
    // One character at a time, which is searched for many times faster than several: a line may be the document.
    let start = before
        .rfind('\n')
        .max(before.rfind('\r'))
        .map_or(0, |end| end + 1);
    let after_end = |end| after.find(end).unwrap_or(after.len());
    let end = after_end('\n').min(after_end('\r'));
    let line = source.get(start..mark.byte + end).unwrap_or_default();
    line.trim_start_matches('\u{feff}')
}

fn within(source: &str, start: Mark, scalar: &Scalar<'_>, offset: usize) -> Option<Mark> {
    let text = scalar.text.as_ref();
    let written = source.get(start.byte..scalar.end)?;
    let end = text
        .char_indices()
        .nth(offset)
        .map_or(text.len(), |(end, _)| end);
    let before = text.get(..end)?;
    // What is written before the text, and what may not occur in it.
    let (quote, escape) = match scalar.style {
        ScalarStyle::Plain => ("", None),
        ScalarStyle::SingleQuoted => ("'", Some('\'')),
        ScalarStyle::DoubleQuoted => ("\"", Some('\\')),
        ScalarStyle::Literal => return within_block(written, start, before),
        ScalarStyle::Folded => return None,
    };
    let is_as_written = written.strip_prefix(quote)?.starts_with(before);
    let is_simple = !before.contains('\n') && escape.is_none_or(|escape| !before.contains(escape));
    (is_as_written && is_simple).then(|| Mark {
        byte: start.byte + quote.len() + before.len(),
        line: start.line,
        column: start.column + quote.len() + before.chars().count(),
    })
}

/// In a `|` block each line is written as it is, behind the indentation of the first.
fn within_block(written: &str, start: Mark, before: &str) -> Option<Mark> {
    // The parser's span begins behind blank lines.
    let before = before.trim_start_matches('\n');
    let (above, last) = before.rsplit_once('\n').unwrap_or(("", before));
    let down = before.matches('\n').count();
    let indent = if down == 0 { 0 } else { start.column - 1 };
    let skipped: usize = written.split_inclusive('\n').take(down).map(str::len).sum();
    let (blank, rest) = written.get(skipped..)?.split_at_checked(indent)?;
    let is_as_written = written.starts_with(above.lines().next().unwrap_or_default())
        && blank.bytes().all(|byte| byte == b' ')
        && rest.starts_with(last);
    is_as_written.then(|| Mark {
        byte: start.byte + skipped + indent + last.len(),
        line: start.line + down,
        column: start.column + last.chars().count(),
    })
}
