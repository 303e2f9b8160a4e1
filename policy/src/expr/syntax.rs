//! From a text to a syntax tree (CEL specification, "Syntax"). Each node knows its place, and how deep a tree may be is
//! bounded while it grows, so that neither looking at one nor dropping it can exhaust the stack.

mod cursor;
mod literal;
mod parser;
mod token;

use super::node::Operator;
use super::value::Value;

pub(super) use parser::parse;

/// Longest text of one expression in bytes.
const TEXT_MAX: usize = 16 << 10;
/// Deepest tree.
const DEPTH_MAX: usize = 200;

/// Where an expression is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// How many characters into the text.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// A node of a syntax tree.
#[derive(Debug)]
pub(super) struct Expr {
    /// Where it stands: its name or its sign, in characters.
    pub(super) at: usize,
    pub(super) kind: Kind,
    depth: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    Literal(Value<'static>),
    Name(String),
    /// `a.b`.
    Field(Box<Expr>, String),
    /// `a[b]`.
    Index(Box<[Expr; 2]>),
    Call(Called),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    /// Two or more.
    And(Vec<Expr>),
    /// Two or more.
    Or(Vec<Expr>),
    Choice(Box<[Expr; 3]>),
    Binary(Operator, Box<[Expr; 2]>),
}

/// `f(a)` or `target.f(a)`: a function or a macro.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) target: Option<Box<Expr>>,
    pub(super) name: String,
    pub(super) arguments: Vec<Expr>,
}

impl Wrong {
    /// A text that is no expression.
    fn syntax(at: usize, message: impl std::fmt::Display) -> Self {
        let message = format!("{message} (ERR_ADIT_2200)");
        Self { at, message }
    }
}

impl Expr {
    fn new(at: usize, kind: Kind) -> Result<Self, Wrong> {
        let depth = 1 + kind.depth();
        match depth > DEPTH_MAX {
            true => Err(Wrong::syntax(at, "the expression is nested too deep")),
            false => Ok(Self { at, kind, depth }),
        }
    }

    /// A dotted name, root first; `None` if the expression is more than that.
    pub(super) fn segments(&self) -> Option<Vec<&str>> {
        match &self.kind {
            Kind::Name(name) => Some(vec![name]),
            Kind::Field(of, field) => {
                let mut names = of.segments()?;
                names.push(field);
                Some(names)
            }
            _ => None,
        }
    }
}

impl Kind {
    /// How deep it is below.
    fn depth(&self) -> usize {
        let deepest = |all: &[Expr]| all.iter().map(|expr| expr.depth).max().unwrap_or(0);
        match self {
            Self::Literal(_) | Self::Name(_) => 0,
            Self::Field(of, _) | Self::Not(of) | Self::Negative(of) => of.depth,
            Self::Index(parts) | Self::Binary(_, parts) => deepest(&parts[..]),
            Self::Choice(parts) => deepest(&parts[..]),
            Self::List(all) | Self::And(all) | Self::Or(all) => deepest(all),
            Self::Map(entries) => {
                let deepest = entries
                    .iter()
                    .map(|(key, value)| key.depth.max(value.depth));
                deepest.max().unwrap_or(0)
            }
            Self::Call(called) => {
                let target = called.target.as_ref().map_or(0, |target| target.depth);
                target.max(deepest(&called.arguments))
            }
        }
    }
}
