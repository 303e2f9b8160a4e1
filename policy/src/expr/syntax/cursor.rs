//! Where a parser stands among the words of a text.

use super::Wrong;
use super::token::{Token, TokenKind, tokens};

/// The words of a text, of which some have been read.
pub(super) struct Cursor<'t> {
    /// The last one is the end.
    tokens: Vec<Token<'t>>,
    next: usize,
}

impl<'t> Cursor<'t> {
    /// At the beginning of a text.
    pub(super) fn of(text: &'t str) -> Result<Self, Wrong> {
        Ok(Self {
            tokens: tokens(text)?,
            next: 0,
        })
    }

    /// The next word.
    pub(super) fn peek(&self) -> &Token<'t> {
        const END: &Token<'static> = &Token {
            at: 0,
            kind: TokenKind::End,
        };
        self.tokens
            .get(self.next)
            .or_else(|| self.tokens.last())
            .unwrap_or(END)
    }

    /// Goes past the next word.
    pub(super) fn advance(&mut self) -> Token<'t> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub(super) fn is_next(&self, sign: &str) -> bool {
        matches!(self.peek().kind, TokenKind::Sign(next) if next == sign)
    }

    /// Goes past a sign if it is next; its place.
    pub(super) fn take(&mut self, sign: &str) -> Option<usize> {
        self.is_next(sign).then(|| self.advance().at)
    }

    /// Goes past a sign that must be next.
    pub(super) fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        match self.take(sign) {
            Some(_) => Ok(()),
            None => Err(self.missing(sign)),
        }
    }

    /// A sign is not there.
    pub(super) fn missing(&self, sign: &str) -> Wrong {
        let token = self.peek();
        Wrong::syntax(
            token.at,
            match token.kind {
                TokenKind::End => format!("`{sign}` is missing at the end"),
                _ => format!("`{sign}` is missing before {}", shown(token)),
            },
        )
    }

    /// The next word does not belong there.
    pub(super) fn unexpected(&self) -> Wrong {
        unexpected(self.peek())
    }
}

/// This word does not belong there.
pub(super) fn unexpected(token: &Token<'_>) -> Wrong {
    Wrong::syntax(
        token.at,
        match token.kind {
            TokenKind::End => "something is missing at the end".to_owned(),
            TokenKind::Name("and") => "unexpected `and`: write `&&`".to_owned(),
            TokenKind::Name("or") => "unexpected `or`: write `||`".to_owned(),
            TokenKind::Name("not") => "unexpected `not`: write `!`".to_owned(),
            _ => format!("unexpected {}", shown(token)),
        },
    )
}

fn shown(token: &Token<'_>) -> String {
    match &token.kind {
        TokenKind::Name(name) => format!("`{name}`"),
        TokenKind::Sign(sign) => format!("`{sign}`"),
        TokenKind::Int(number) => format!("`{number}`"),
        TokenKind::Literal(value) => format!("a {}", value.type_name()),
        TokenKind::End => "the end".to_owned(),
    }
}
