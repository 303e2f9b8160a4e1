//! Finds `${…}` in a text: braces nest, and what stands in quotes is no brace.

use super::super::syntax::Wrong;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// As it stands; `$${` has become `${`.
    Text(String),
    /// What stands between `${` and its `}`, and how many characters into the text it begins.
    Expression {
        /// Characters before it.
        at: usize,
        /// Between the braces.
        text: &'a str,
    },
}

/// Cuts a text into its pieces, in order.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Wrong> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    let at = |rest: &str| text.chars().count() - rest.chars().count();
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        literal.push_str(before);
        if let Some(behind) = from.strip_prefix("$${") {
            literal.push_str("${");
            rest = behind;
        } else if let Some(inside) = from.strip_prefix("${") {
            let Some(length) = closing(inside) else {
                return Err(Wrong {
                    at: at(from),
                    message:
                        "`${` has no matching `}`; a literal `${` is written `$${` (ERR_ADIT_2224)"
                            .to_owned(),
                });
            };
            let (expression, behind) = inside.split_at(length);
            if expression.trim().is_empty() {
                return Err(Wrong {
                    at: at(from),
                    message: "`${}` is empty (ERR_ADIT_2224)".to_owned(),
                });
            }
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let at = at(inside);
            pieces.push(Piece::Expression {
                at,
                text: expression,
            });
            rest = behind.strip_prefix('}').unwrap_or(behind);
        } else {
            literal.push('$');
            rest = from.strip_prefix('$').unwrap_or_default();
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// How many bytes stand before the brace that closes what began before `text`.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            b'\'' | b'"' => {
                at += quoted(text.get(at..)?, is_raw(bytes, at))?;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                // A comment goes to the end of its line.
                at += bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether the quote at this place belongs to `r'…'`, in which a backslash is a backslash.
fn is_raw(bytes: &[u8], quote: usize) -> bool {
    let before = bytes.get(..quote).unwrap_or_default();
    let letters = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    let prefix: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    matches!(&prefix[..], b"r" | b"br" | b"rb")
}

/// How many bytes a quoted text takes, its quotes included.
pub(crate) fn quoted(text: &str, raw: bool) -> Option<usize> {
    let quote = text.get(..1)?;
    let triple = quote.repeat(3);
    let end = if text.starts_with(&triple) {
        triple.as_str()
    } else {
        quote
    };
    let mut at = end.len();
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with(end) {
            return Some(at + end.len());
        }
        let mut characters = rest.chars();
        let character = characters.next()?;
        at += character.len_utf8();
        if character == '\\' && !raw {
            at += characters.next()?.len_utf8();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let pieces = pieces(text).unwrap().into_iter();
        let shown = pieces.map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Expression { text, .. } => format!("<{text}>"),
        });
        shown.collect()
    }

    #[test]
    fn braces_and_quotes_nest() {
        assert_eq!(found("a ${b} c"), ["a ", "<b>", " c"]);
        assert_eq!(
            found("${ {'a': {'}': 1}}['a'] }"),
            ["< {'a': {'}': 1}}['a'] >"]
        );
        assert_eq!(found(r#"${"\"}" + '}'}"#), [r#"<"\"}" + '}'>"#]);
        assert_eq!(found("${r'\\' + '}'}!"), ["<r'\\' + '}'>", "!"]);
        assert_eq!(
            found("${'''a'}''' + \"\"\"}\"\"\"}"),
            ["<'''a'}''' + \"\"\"}\"\"\">"]
        );
        assert_eq!(found("${a // }\n}"), ["<a // }\n>"]);
    }

    #[test]
    fn a_dollar_alone_is_a_dollar() {
        assert_eq!(found("$1 and $${x} and $"), ["$1 and ${x} and $"]);
        assert_eq!(found(""), [""]);
        assert_eq!(found("$${${a}"), ["${", "<a>"]);
    }

    #[test]
    fn what_is_not_closed_is_refused_at_its_place() {
        for (text, at) in [
            ("é${", 1),
            ("a ${b", 2),
            ("${'}", 0),
            ("${}", 0),
            ("${a}${ }", 4),
        ] {
            let wrong = pieces(text).unwrap_err();
            assert_eq!(wrong.at, at, "{text}");
            assert!(
                wrong.message.ends_with("(ERR_ADIT_2224)"),
                "{}",
                wrong.message
            );
        }
    }
}
