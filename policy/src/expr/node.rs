//! A compiled expression: names are looked up, macros are loops, what is constant is a value.

use std::sync::Arc;

use super::functions::Function;
use super::pattern::Pattern;
use super::value::{Key, Value};
use super::vars::Variable;
use crate::ip_set::IpSet;

/// One node of a compiled expression.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    Variable(&'static Variable),
    /// `vars.<name>`.
    Var(Arc<str>),
    /// `actions.ngrok.<name>` and fields below; null if any of it is not there.
    Result(&'static str, Box<[Key<'static>]>),
    /// What a loop is at.
    Local(usize),
    List(Box<[Self]>),
    Map(Box<[(Self, Self)]>),
    /// `a[b]` and `a.b`; of null it is null if `lenient`.
    Index {
        of: Box<Self>,
        key: Box<Self>,
        lenient: bool,
    },
    /// `has(x)`: neither null nor empty.
    HasValue(Box<Self>),
    /// `has(vars.x)`.
    HasVar(Arc<str>),
    /// `has(a.b)` and `has(a[b])`.
    HasKey(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    /// Two or more.
    And(Box<[Self]>),
    /// Two or more.
    Or(Box<[Self]>),
    Choice(Box<[Self; 3]>),
    Binary(Operator, Box<[Self; 2]>),
    /// `matches` with a pattern that is known.
    Matches(Box<Self>, Pattern),
    /// `inCidrRange` and `inCidrRanges` with ranges that are known.
    InRanges(Box<Self>, IpSet),
    Call(&'static Function, Box<[Self]>),
    Loop(Box<Loop>),
}

/// An operator with two operands that are both looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

/// A macro: goes through a list, or through the keys of a map.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) over: Node,
    /// Where the element is kept.
    pub(super) slot: usize,
    /// The condition; for `map` with two arguments it is always true.
    pub(super) condition: Option<Node>,
    /// What becomes of an element, for `map` and `sortBy`.
    pub(super) transform: Option<Node>,
}

/// The macros that go through something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    SortBy,
}

impl Operator {
    /// How it is written.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
        }
    }
}

impl Node {
    pub(super) fn constant(&self) -> Option<&Value<'static>> {
        match self {
            Self::Constant(value) => Some(value),
            _ => None,
        }
    }
}
