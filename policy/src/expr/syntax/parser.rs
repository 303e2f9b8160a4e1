//! The grammar (CEL specification, "Syntax"), by descent.

use super::cursor::{Cursor, unexpected};
use super::token::{Token, TokenKind};
use super::{Called, Expr, Kind, Operator, TEXT_MAX, Value, Wrong};

/// Deepest nesting of brackets. Each takes a few frames of the stack while it is read.
const BRACKETS_MAX: usize = 100;

/// Words that are kept for later versions of the language.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Operators between two operands, and how tightly they bind.
const BINARY: &[(&str, Operator, u8)] = &[
    ("==", Operator::Equal, 1),
    ("!=", Operator::NotEqual, 1),
    ("<=", Operator::LessEqual, 1),
    ("<", Operator::Less, 1),
    (">=", Operator::GreaterEqual, 1),
    (">", Operator::Greater, 1),
    ("in", Operator::In, 1),
    ("+", Operator::Add, 2),
    ("-", Operator::Subtract, 2),
    ("*", Operator::Multiply, 3),
    ("/", Operator::Divide, 3),
    ("%", Operator::Remainder, 3),
];

/// Reads a text.
pub(in super::super) fn parse(text: &str) -> Result<Expr, Wrong> {
    if text.len() > TEXT_MAX {
        let message = format!("the expression is longer than {TEXT_MAX} bytes (ERR_ADIT_2221)");
        return Err(Wrong { at: 0, message });
    }
    if let Some(inner) = text.trim().strip_prefix("${") {
        let inner = inner.strip_suffix('}').unwrap_or(inner).trim();
        return Err(Wrong::syntax(
            0,
            format_args!("an expression stands without `${{}}`: write {inner}"),
        ));
    }
    let mut parser = Parser {
        words: Cursor::of(text)?,
        brackets: 0,
    };
    let expr = parser.expression()?;
    match parser.words.peek().kind {
        TokenKind::End => Ok(expr),
        _ => Err(parser.words.unexpected()),
    }
}

struct Parser<'t> {
    words: Cursor<'t>,
    brackets: usize,
}

type Parsed = Result<Expr, Wrong>;

impl Parser<'_> {
    /// `a ? b : c`, whose last part may be one again.
    fn expression(&mut self) -> Parsed {
        let mut choices = Vec::new();
        let mut last = self.any()?;
        while let Some(at) = self.words.take("?") {
            let yes = self.any()?;
            self.words.expect(":")?;
            choices.push((at, last, yes));
            last = self.any()?;
        }
        for (at, condition, yes) in choices.into_iter().rev() {
            last = Expr::new(at, Kind::Choice(Box::new([condition, yes, last])))?;
        }
        Ok(last)
    }

    /// `a || b`, as many as there are.
    fn any(&mut self) -> Parsed {
        self.chain("||", Self::all, Kind::Or)
    }

    /// `a && b`, as many as there are.
    fn all(&mut self) -> Parsed {
        self.chain("&&", |parser| parser.binary(1), Kind::And)
    }

    fn chain(
        &mut self,
        sign: &str,
        part: fn(&mut Self) -> Parsed,
        kind: fn(Vec<Expr>) -> Kind,
    ) -> Parsed {
        let first = part(self)?;
        let Some(at) = self.words.take(sign) else {
            return Ok(first);
        };
        let mut parts = vec![first, part(self)?];
        while self.words.take(sign).is_some() {
            parts.push(part(self)?);
        }
        Expr::new(at, kind(parts))
    }

    /// Operators that bind at least so tightly.
    fn binary(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        while let Some((operator, tightness)) =
            self.operator().filter(|(_, tightness)| *tightness >= least)
        {
            let at = self.words.advance().at;
            let right = self.binary(tightness + 1)?;
            left = Expr::new(at, Kind::Binary(operator, Box::new([left, right])))?;
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        let TokenKind::Sign(sign) = self.words.peek().kind else {
            return None;
        };
        let (_, operator, tightness) = BINARY.iter().find(|(known, ..)| *known == sign)?;
        Some((*operator, *tightness))
    }

    /// `!a` and `-a`.
    fn unary(&mut self) -> Parsed {
        let mut signs = Vec::new();
        loop {
            if let Some(at) = self.words.take("!") {
                signs.push((at, '!'));
            } else if let Some(at) = self.words.take("-") {
                signs.push((at, '-'));
            } else {
                break;
            }
        }
        // The least whole number has no positive one that it could be the negative of.
        let negative = match (signs.last(), &self.words.peek().kind) {
            (Some((_, '-')), TokenKind::Int(number)) => 0_i64.checked_sub_unsigned(*number),
            _ => None,
        };
        let mut expr = match negative {
            Some(number) => {
                signs.pop();
                let at = self.words.advance().at;
                let literal = Expr::new(at, Kind::Literal(Value::Int(number)))?;
                self.members(literal)?
            }
            None => self.member()?,
        };
        for (at, sign) in signs.into_iter().rev() {
            let of = Box::new(expr);
            expr = Expr::new(
                at,
                if sign == '!' {
                    Kind::Not(of)
                } else {
                    Kind::Negative(of)
                },
            )?;
        }
        Ok(expr)
    }

    fn member(&mut self) -> Parsed {
        let of = self.primary()?;
        self.members(of)
    }

    /// `.b`, `.f(c)` and `[d]`, as many as there are.
    fn members(&mut self, mut of: Expr) -> Parsed {
        loop {
            if self.words.take(".").is_some() {
                let token = self.words.advance();
                let TokenKind::Name(name) = token.kind else {
                    return Err(unexpected(&token));
                };
                of = match self.words.take("(") {
                    Some(_) => {
                        let arguments = self.items(")", false)?;
                        let called = Called {
                            target: Some(Box::new(of)),
                            name: name.to_owned(),
                            arguments,
                        };
                        Expr::new(token.at, Kind::Call(called))?
                    }
                    None => Expr::new(token.at, Kind::Field(Box::new(of), name.to_owned()))?,
                };
            } else if let Some(at) = self.words.take("[") {
                let key = self.bracketed(Self::expression)?;
                self.words.expect("]")?;
                of = Expr::new(at, Kind::Index(Box::new([of, key])))?;
            } else if of.segments().is_some() && self.words.is_next("{") {
                return Err(Wrong::syntax(of.at, "messages cannot be made"));
            } else {
                return Ok(of);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let token = self.words.advance();
        let at = token.at;
        let kind = match token.kind {
            TokenKind::Literal(value) => Kind::Literal(value),
            TokenKind::Int(number) => {
                let number = i64::try_from(number).map(Value::Int);
                let message =
                    "the number is out of range: whole numbers have 64 bits, beyond that write 1.0";
                Kind::Literal(number.map_err(|_| Wrong::syntax(at, message))?)
            }
            TokenKind::Sign("(") => {
                let expr = self.bracketed(Self::expression)?;
                self.words.expect(")")?;
                return Ok(expr);
            }
            TokenKind::Sign("[") => Kind::List(self.items("]", true)?),
            TokenKind::Sign("{") => Kind::Map(self.entries()?),
            // `.name` is a name from the outermost scope; there is no other.
            TokenKind::Sign(".") => match self.words.advance() {
                Token {
                    kind: TokenKind::Name(name),
                    ..
                } => return self.named(at, name),
                other => return Err(unexpected(&other)),
            },
            TokenKind::Name("true") => Kind::Literal(Value::Bool(true)),
            TokenKind::Name("false") => Kind::Literal(Value::Bool(false)),
            TokenKind::Name("null") => Kind::Literal(Value::Null),
            TokenKind::Name(name) => return self.named(at, name),
            TokenKind::Sign(_) | TokenKind::End => return Err(unexpected(&token)),
        };
        Expr::new(at, kind)
    }

    fn named(&mut self, at: usize, name: &str) -> Parsed {
        if RESERVED.contains(&name) {
            return Err(Wrong::syntax(
                at,
                format_args!("`{name}` is a reserved word"),
            ));
        }
        let name = name.to_owned();
        if self.words.take("(").is_none() {
            return Expr::new(at, Kind::Name(name));
        }
        let arguments = self.items(")", false)?;
        Expr::new(
            at,
            Kind::Call(Called {
                target: None,
                name,
                arguments,
            }),
        )
    }

    /// What stands between commas, up to the closing bracket.
    fn items(&mut self, close: &'static str, may_end_with_comma: bool) -> Result<Vec<Expr>, Wrong> {
        self.bracketed(|parser| {
            let mut items = Vec::new();
            if parser.words.take(close).is_some() {
                return Ok(items);
            }
            loop {
                items.push(parser.expression()?);
                let comma = parser.words.take(",").is_some();
                if (!comma || may_end_with_comma) && parser.words.take(close).is_some() {
                    return Ok(items);
                }
                if !comma {
                    return Err(parser.words.missing(close));
                }
            }
        })
    }

    /// `key: value` between commas, up to the closing brace.
    fn entries(&mut self) -> Result<Vec<(Expr, Expr)>, Wrong> {
        self.bracketed(|parser| {
            let mut entries = Vec::new();
            while parser.words.take("}").is_none() {
                let key = parser.expression()?;
                parser.words.expect(":")?;
                entries.push((key, parser.expression()?));
                if parser.words.take(",").is_none() {
                    parser.words.expect("}")?;
                    break;
                }
            }
            Ok(entries)
        })
    }

    fn bracketed<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        self.brackets += 1;
        if self.brackets > BRACKETS_MAX {
            return Err(Wrong::syntax(
                self.words.peek().at,
                "the expression is nested too deep",
            ));
        }
        let parsed = inside(self);
        self.brackets -= 1;
        parsed
    }
}
