//! Macros: `has`, and those that go through a list or the keys of a map.

use super::super::node::{Loop, LoopKind, Node};
use super::super::static_type::{LIST, Type};
use super::super::syntax::{Called, Expr, Kind, Wrong};
use super::names::index;
use super::{Compiler, Typed, field, wrong};

/// Deepest nesting of loops.
const LOOPS_MAX: usize = 8;

impl Compiler {
    /// A call that is a macro; `None` if it is none.
    pub(super) fn macro_call(
        &mut self,
        expr: &Expr,
        called: &Called,
    ) -> Option<Result<Typed, Wrong>> {
        match (called.name.as_str(), &called.target, &called.arguments[..]) {
            ("has", None, [of]) => Some(self.has(of)),
            (name, Some(target), arguments) => {
                let kind = match name {
                    "all" => LoopKind::All,
                    "exists" => LoopKind::Exists,
                    "exists_one" | "existsOne" => LoopKind::ExistsOne,
                    "filter" => LoopKind::Filter,
                    "map" => LoopKind::Map,
                    "sortBy" => LoopKind::SortBy,
                    _ => return None,
                };
                Some(self.go_through(expr, kind, target, arguments))
            }
            _ => None,
        }
    }

    fn has(&mut self, of: &Expr) -> Result<Typed, Wrong> {
        let node = match &of.kind {
            Kind::Field(operand, name) => match of.segments() {
                Some(names) if self.local(names.first().unwrap_or(&"")).is_none() => {
                    self.has_name(of)?
                }
                _ => Node::HasKey(
                    Box::new(self.node(operand)?.0),
                    Box::new(Node::Constant(field(name).into_value())),
                ),
            },
            Kind::Index(parts) => match self.index(of, parts)?.0 {
                Node::Index { of, key, .. } => Node::HasKey(of, key),
                value => Node::HasValue(Box::new(value)),
            },
            _ => {
                let message = "`has` asks for a field or a key, as in `has(req.headers['x'])`";
                return Err(wrong(of, message));
            }
        };
        Ok((node, Type::Bool))
    }

    fn has_name(&mut self, of: &Expr) -> Result<Node, Wrong> {
        Ok(match self.node(of)?.0 {
            Node::Var(name) => Node::HasVar(name),
            Node::Index { of, key, .. } => Node::HasKey(of, key),
            value => Node::HasValue(Box::new(value)),
        })
    }

    fn go_through(
        &mut self,
        expr: &Expr,
        kind: LoopKind,
        target: &Expr,
        arguments: &[Expr],
    ) -> Result<Typed, Wrong> {
        let usage = || {
            wrong(
                expr,
                match kind {
                    LoopKind::SortBy => "`sortBy` is written `list.sortBy(x, key)`",
                    LoopKind::Map => {
                        "`map` is written `list.map(x, value)` or `list.map(x, condition, value)`"
                    }
                    _ => {
                        "a macro is written as in `list.exists(x, x == 1)`: a name and a condition"
                    }
                },
            )
        };
        let (name, first, second) = match arguments {
            [name, first] => (name, first, None),
            [name, first, second] if kind == LoopKind::Map => (name, first, Some(second)),
            _ => return Err(usage()),
        };
        let Kind::Name(name) = &name.kind else {
            return Err(usage());
        };
        let (over, over_kind) = self.node(target)?;
        let item = match over_kind {
            Type::List(item) => *item,
            Type::Map(_) => Type::String,
            Type::Dyn => Type::Dyn,
            other => {
                let message = format_args!("macros go through a list or a map, not {other}");
                return Err(wrong(target, message));
            }
        };
        if self.locals.len() == LOOPS_MAX {
            let message = format_args!("more than {LOOPS_MAX} macros in each other");
            return Err(wrong(expr, message));
        }
        let slot = self.locals.len();
        self.locals.push((name.clone(), item));
        let parts = self.parts(kind, first, second);
        self.locals.pop();
        let (condition, transform, made) = parts?;
        let result = match kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
            LoopKind::Filter => Type::List(item.inside()),
            LoopKind::SortBy => match over_kind {
                Type::List(_) => over_kind,
                _ => LIST,
            },
            LoopKind::Map => Type::List(made.inside()),
        };
        let node = Node::Loop(Box::new(Loop {
            kind,
            over,
            slot,
            condition,
            transform,
        }));
        Ok((node, result))
    }

    fn parts(
        &mut self,
        kind: LoopKind,
        first: &Expr,
        second: Option<&Expr>,
    ) -> Result<(Option<Node>, Option<Node>, Type), Wrong> {
        if kind == LoopKind::SortBy || (kind == LoopKind::Map && second.is_none()) {
            let (transform, made) = self.node(first)?;
            return Ok((None, Some(transform), made));
        }
        let condition = self.bool(first, "the condition of a macro")?;
        let Some(second) = second else {
            return Ok((Some(condition), None, Type::Dyn));
        };
        let (transform, made) = self.node(second)?;
        Ok((Some(condition), Some(transform), made))
    }

    /// `a[b]`.
    pub(super) fn index(&mut self, expr: &Expr, parts: &[Expr; 2]) -> Result<Typed, Wrong> {
        let [of, key] = parts;
        let (node, kind) = self.node(of)?;
        let (by, by_kind) = self.node(key)?;
        let inside = match kind {
            Type::List(item) => {
                let number = by_kind == Type::Dyn || by_kind.is_number();
                number.then_some(*item)
            }
            Type::Map(value) => by_kind.is_key().then_some(*value),
            Type::Dyn => Some(Type::Dyn),
            _ => None,
        };
        match inside {
            Some(inside) => Ok((index(node, by), inside)),
            None => Err(wrong(expr, format_args!("{kind} has nothing at {by_kind}"))),
        }
    }
}
