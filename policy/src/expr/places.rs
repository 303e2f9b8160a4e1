//! Where each node of a syntax tree stands in its text.
//!
//! The parser keeps no places, so the tree is laid over the tokens again: it holds every name, literal and operator in
//! the order in which they are written.

use std::collections::HashMap;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, operators};

use super::template::quoted;

/// Characters before each node, by the node's number.
pub(super) type Places = HashMap<u64, usize>;

/// Finds the place of each node.
pub(super) fn of(root: &IdedExpr, text: &str) -> Places {
    let mut search = Search {
        tokens: tokens(text),
        next: 0,
        places: Places::new(),
    };
    search.visit(root);
    search.places
}

struct Token<'a> {
    at: usize,
    text: &'a str,
}

struct Search<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    places: Places,
}

impl Search<'_> {
    fn visit(&mut self, expr: &IdedExpr) {
        match &expr.expr {
            Expr::Ident(name) => self.find(expr.id, |token| token == name.trim_start_matches('.')),
            Expr::Literal(_) => self.find(expr.id, is_literal),
            Expr::Select(select) => {
                self.visit(&select.operand);
                self.find(expr.id, |token| token == select.field);
            }
            Expr::List(list) => {
                self.find(expr.id, |token| token == "[");
                list.elements.iter().for_each(|element| self.visit(element));
            }
            Expr::Map(map) => {
                self.find(expr.id, |token| token == "{");
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key);
                        self.visit(&entry.value);
                    }
                }
            }
            Expr::Call(call) => {
                let sign = operators_sign(&call.func_name);
                match (sign, &call.args[..]) {
                    (Some(sign), [first, rest @ ..]) if !rest.is_empty() => {
                        self.visit(first);
                        self.find(expr.id, |token| token == sign);
                        rest.iter().for_each(|argument| self.visit(argument));
                    }
                    (sign, arguments) => {
                        call.target.iter().for_each(|target| self.visit(target));
                        let name = sign.unwrap_or(&call.func_name);
                        self.find(expr.id, |token| token == name);
                        arguments.iter().for_each(|argument| self.visit(argument));
                    }
                }
            }
            Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {}
        }
    }

    /// Goes on to the next token of this kind; the node stands there.
    fn find(&mut self, node: u64, is: impl Fn(&str) -> bool) {
        let rest = self.tokens.get(self.next..).unwrap_or_default();
        if let Some(found) = rest.iter().position(|token| is(token.text)) {
            let at = rest.get(found).map_or(0, |token| token.at);
            self.places.insert(node, at);
            self.next += found + 1;
        }
    }
}

fn operators_sign(name: &str) -> Option<&'static str> {
    Some(match name {
        operators::CONDITIONAL => "?",
        operators::LOGICAL_AND => "&&",
        operators::LOGICAL_OR => "||",
        operators::LOGICAL_NOT => "!",
        operators::SUBSTRACT | operators::NEGATE => "-",
        operators::ADD => "+",
        operators::MULTIPLY => "*",
        operators::DIVIDE => "/",
        operators::MODULO => "%",
        operators::EQUALS => "==",
        operators::NOT_EQUALS => "!=",
        operators::GREATER_EQUALS => ">=",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::LESS => "<",
        operators::INDEX => "[",
        operators::IN => "in",
        _ => return None,
    })
}

fn is_literal(token: &str) -> bool {
    let begins = token.chars().next().unwrap_or(' ');
    let in_quotes = token.ends_with(['\'', '"']);
    in_quotes
        || begins.is_ascii_digit()
        || begins == '.' && token.len() > 1
        || matches!(token, "true" | "false" | "null")
}

/// Names, numbers, quoted texts and signs.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut at = 0;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, behind) = rest.split_at(length);
        if !first.is_whitespace() && !token.starts_with("//") {
            tokens.push(Token { at, text: token });
        }
        at += token.chars().count();
        rest = behind;
    }
    tokens
}

/// How many bytes the token at the beginning of a text takes.
fn token_length(text: &str, first: char) -> usize {
    let run = |is: fn(char) -> bool| text.find(|c| !is(c)).unwrap_or(text.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if is_word(first) {
        let word = run(|c| c.is_alphanumeric() || c == '_');
        let (name, behind) = text.split_at(word);
        let prefix = matches!(name.to_ascii_lowercase().as_str(), "r" | "b" | "br" | "rb");
        if prefix && behind.starts_with(['\'', '"']) {
            let raw = name.to_ascii_lowercase().contains('r');
            return word + quoted(behind, raw).unwrap_or(behind.len());
        }
        if first.is_ascii_digit() {
            return run(|c| c.is_alphanumeric() || c == '.');
        }
        return word;
    }
    match first {
        '\'' | '"' => quoted(text, false).unwrap_or(text.len()),
        _ if text.starts_with("//") => text.find('\n').unwrap_or(text.len()),
        _ if ["&&", "||", "==", "!=", "<=", ">="]
            .iter()
            .any(|sign| text.starts_with(sign)) =>
        {
            2
        }
        _ => first.len_utf8(),
    }
}
