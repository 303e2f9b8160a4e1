//! Macros: `has`, and those that go through a list or the keys of a map.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use super::super::node::{Loop, LoopKind, Node};
use super::super::syntax::Wrong;
use super::super::types::{LIST, Type};
use super::names::{index, segments};
use super::{Compiler, Typed, field};

/// Deepest nesting of loops.
const LOOPS_MAX: usize = 8;

impl Compiler<'_> {
    /// A call that is a macro; `None` if it is none.
    pub(super) fn macro_call(
        &mut self,
        expr: &IdedExpr,
        call: &CallExpr,
    ) -> Option<Result<Typed, Wrong>> {
        match (call.func_name.as_str(), &call.target, &call.args[..]) {
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

    fn has(&mut self, of: &IdedExpr) -> Result<Typed, Wrong> {
        let node = match &of.expr {
            Expr::Select(select) => match segments(of) {
                Some(names) if self.local(names.first().unwrap_or(&"")).is_none() => {
                    self.has_name(of)?
                }
                _ => Node::HasKey(
                    Box::new(self.node(&select.operand)?.0),
                    Box::new(Node::Constant(field(&select.field).into_value())),
                ),
            },
            Expr::Call(call) if call.func_name == operators::INDEX => match &call.args[..] {
                [map, key] => {
                    let (map, _) = self.node(map)?;
                    let (key, _) = self.node(key)?;
                    Node::HasKey(Box::new(map), Box::new(key))
                }
                _ => return Err(self.wrong(of, "`has` asks for a field or a key (ERR_ADIT_2200)")),
            },
            _ => return Err(self.wrong(
                of,
                "`has` asks for a field or a key, as in `has(req.headers['x'])` (ERR_ADIT_2200)",
            )),
        };
        Ok((node, Type::Bool))
    }

    fn has_name(&mut self, of: &IdedExpr) -> Result<Node, Wrong> {
        Ok(match self.node(of)?.0 {
            Node::Var(name) => Node::HasVar(name),
            Node::Index { of, key, .. } => Node::HasKey(of, key),
            value => Node::HasValue(Box::new(value)),
        })
    }

    fn go_through(
        &mut self,
        expr: &IdedExpr,
        kind: LoopKind,
        target: &IdedExpr,
        arguments: &[IdedExpr],
    ) -> Result<Typed, Wrong> {
        let usage = || {
            self.wrong(expr, match kind {
                LoopKind::SortBy => "`sortBy` is written `list.sortBy(x, key)` (ERR_ADIT_2200)",
                LoopKind::Map => "`map` is written `list.map(x, value)` or `list.map(x, condition, value)` (ERR_ADIT_2200)",
                _ => "a macro is written as in `list.exists(x, x == 1)`: a name and a condition (ERR_ADIT_2200)",
            })
        };
        let (name, first, second) = match arguments {
            [name, first] => (name, first, None),
            [name, first, second] if kind == LoopKind::Map => (name, first, Some(second)),
            _ => return Err(usage()),
        };
        let Expr::Ident(name) = &name.expr else {
            return Err(usage());
        };
        let (over, over_kind) = self.node(target)?;
        let item = match over_kind {
            Type::List(item) => *item,
            Type::Map(_) => Type::String,
            Type::Dyn => Type::Dyn,
            other => {
                let message =
                    format!("macros go through a list or a map, not {other} (ERR_ADIT_2200)");
                return Err(self.wrong(target, &message));
            }
        };
        if self.locals.len() == LOOPS_MAX {
            let message = format!("more than {LOOPS_MAX} macros in each other (ERR_ADIT_2200)");
            return Err(self.wrong(expr, &message));
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
        first: &IdedExpr,
        second: Option<&IdedExpr>,
    ) -> Result<(Option<Node>, Option<Node>, Type), Wrong> {
        if kind == LoopKind::SortBy || (kind == LoopKind::Map && second.is_none()) {
            let (transform, made) = self.node(first)?;
            return Ok((None, Some(transform), made));
        }
        let (condition, got) = self.node(first)?;
        self.expect(first, got, Type::Bool, "the condition of a macro")?;
        let Some(second) = second else {
            return Ok((Some(condition), None, Type::Dyn));
        };
        let (transform, made) = self.node(second)?;
        Ok((Some(condition), Some(transform), made))
    }

    /// `a[b]`.
    pub(super) fn index(
        &mut self,
        expr: &IdedExpr,
        of: &IdedExpr,
        key: &IdedExpr,
    ) -> Result<Typed, Wrong> {
        let (node, kind) = self.node(of)?;
        let (by, by_kind) = self.node(key)?;
        let inside = match kind {
            Type::List(item) => {
                let number = by_kind == Type::Dyn || by_kind.is_number();
                number.then_some(*item)
            }
            Type::Map(value) => [Type::Bool, Type::Int, Type::Uint, Type::String]
                .iter()
                .any(|wanted| by_kind.fits(*wanted))
                .then_some(*value),
            Type::Dyn => Some(Type::Dyn),
            _ => None,
        };
        match inside {
            Some(inside) => Ok((index(node, by), inside)),
            None => Err(self.wrong(
                expr,
                &format!("{kind} has nothing at {by_kind} (ERR_ADIT_2200)"),
            )),
        }
    }
}
