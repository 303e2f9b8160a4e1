//! The words of an expression: names, literals and signs, each with its place.

use super::super::template::quoted;
use super::literal;
use super::{Value, Wrong};

/// A word, and how many characters stand before it.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) at: usize,
    pub(super) kind: TokenKind<'t>,
}

/// What a word is.
#[derive(Clone, Debug)]
pub(super) enum TokenKind<'t> {
    Name(&'t str),
    /// A whole number, whose sign the parser knows.
    Int(u64),
    Literal(Value<'static>),
    Sign(&'static str),
    End,
}

/// All signs; of two that begin alike the longer one comes first.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "!", "(", ")", "[", "]",
    "{", "}", ",", ":", "?", ".",
];

/// The words of a text; the last one is its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Wrong> {
    let mut tokens = Vec::new();
    let (mut rest, mut at) = (text, 0);
    loop {
        let (blank, behind) = split(rest, blank(rest));
        at += blank.chars().count();
        let Some(first) = behind.chars().next() else {
            tokens.push(Token {
                at,
                kind: TokenKind::End,
            });
            return Ok(tokens);
        };
        let (kind, length) = token(behind, first).map_err(|message| Wrong::syntax(at, message))?;
        tokens.push(Token { at, kind });
        let (taken, behind) = split(behind, length);
        at += taken.chars().count();
        rest = behind;
    }
}

/// How many bytes of white space and comments a text begins with.
fn blank(text: &str) -> usize {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if !rest.starts_with("//") {
            return text.len() - rest.len();
        }
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
}

/// The first word of a text, and how many bytes it takes.
fn token(text: &str, first: char) -> Result<(TokenKind<'_>, usize), String> {
    let second_is_digit = || text.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    if let Some(prefix) = quote_prefix(text) {
        return literal_text(text, prefix);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let (name, _) = split(text, word(text));
        let kind = if name == "in" {
            TokenKind::Sign("in")
        } else {
            TokenKind::Name(name)
        };
        return Ok((kind, name.len()));
    }
    if first.is_ascii_digit() || first == '.' && second_is_digit() {
        return number(text);
    }
    match SIGNS.iter().find(|sign| text.starts_with(**sign)) {
        Some(sign) => Ok((TokenKind::Sign(sign), sign.len())),
        None => Err(match first {
            '=' => "`=` is no sign: equality is written `==`".to_owned(),
            '&' | '|' => format!("`{first}` is no sign: write `{first}{first}`"),
            other => format!("`{other}` does not belong here"),
        }),
    }
}

/// How many letters stand before the quote that a text begins with: `r`, `b` or both; `None` without a quote.
fn quote_prefix(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let letters = bytes
        .iter()
        .take(2)
        .take_while(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B'));
    let letters = letters.count();
    let is_twice = letters == 2 && bytes.first()?.eq_ignore_ascii_case(bytes.get(1)?);
    let is_quote = matches!(bytes.get(letters), Some(b'\'' | b'"'));
    (is_quote && !is_twice).then_some(letters)
}

fn literal_text(text: &str, prefix: usize) -> Result<(TokenKind<'_>, usize), String> {
    let (prefix, behind) = split(text, prefix);
    let has = |letter: char| prefix.chars().any(|c| c.eq_ignore_ascii_case(&letter));
    let (raw, bytes) = (has('r'), has('b'));
    let length = quoted(behind, raw).ok_or("a text is not closed")?;
    let (literal, _) = split(behind, length);
    let value = literal::unquoted(literal, raw, bytes)?;
    Ok((TokenKind::Literal(value), prefix.len() + length))
}

fn number(text: &str) -> Result<(TokenKind<'_>, usize), String> {
    let length = literal::number_length(text);
    let (number, behind) = split(text, length);
    // `1abc` is no number with a name behind it.
    let joined = length + word(behind);
    if joined > length {
        let (all, _) = split(text, joined);
        return Err(format!("`{all}` is no number"));
    }
    Ok((literal::number(number)?, length))
}

/// How many bytes of letters, digits and `_` a text begins with.
fn word(text: &str) -> usize {
    let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.find(end).unwrap_or(text.len())
}

fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}
