//! From a syntax tree to a compiled expression: every name, number of arguments and known type is checked.

mod call;
mod macros;
mod names;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

use super::error::EvalError;
use super::eval::{Frame, eval};
use super::node::{Node, Operator};
use super::syntax::{Syntax, Wrong};
use super::types::{MAP, Type};
use super::value::{Key, Value};
use crate::action::Phase;

/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 200;

/// What a text compiles to.
pub(super) struct Compiled {
    pub(super) node: Node,
    pub(super) kind: Type,
}

/// Compiles a text that stands in a phase; `None`: nowhere in particular, everything is allowed.
pub(super) fn compile(text: &str, phase: Option<Phase>) -> Result<Compiled, Wrong> {
    let syntax = Syntax::of(text)?;
    let mut compiler = Compiler {
        syntax: &syntax,
        phase,
        locals: Vec::new(),
        depth: 0,
    };
    let (node, kind) = compiler.node(&syntax.root)?;
    Ok(Compiled { node, kind })
}

type Typed = (Node, Type);

struct Compiler<'s> {
    syntax: &'s Syntax,
    phase: Option<Phase>,
    /// The variables of the loops around, outermost first.
    locals: Vec<(String, Type)>,
    depth: usize,
}

impl Compiler<'_> {
    fn node(&mut self, expr: &IdedExpr) -> Result<Typed, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(expr, "the expression is nested too deep (ERR_ADIT_2200)"));
        }
        let typed = self.any(expr);
        self.depth -= 1;
        let (node, kind) = typed?;
        Ok((folded(node), kind))
    }

    fn any(&mut self, expr: &IdedExpr) -> Result<Typed, Wrong> {
        match &expr.expr {
            Expr::Literal(literal) => Ok(constant(literal)),
            Expr::Ident(_) | Expr::Select(_) => self.name(expr),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                let mut nodes = Vec::with_capacity(list.elements.len());
                let mut item: Option<Type> = None;
                for element in &list.elements {
                    let (node, kind) = self.node(element)?;
                    nodes.push(node);
                    item = Some(item.map_or(kind, |known| known.or(kind)));
                }
                let item = item.unwrap_or(Type::Dyn).inside();
                Ok((Node::List(nodes.into()), Type::List(item)))
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(self.wrong(expr, "messages cannot be made (ERR_ADIT_2200)"));
                    };
                    let (key, kind) = self.node(&entry.key)?;
                    let usable = [Type::Bool, Type::Int, Type::Uint, Type::String];
                    if !usable.iter().any(|wanted| kind.fits(*wanted)) {
                        return Err(self.wrong(
                            &entry.key,
                            &format!("{kind} is no key of a map (ERR_ADIT_2200)"),
                        ));
                    }
                    entries.push((key, self.node(&entry.value)?.0));
                }
                Ok((Node::Map(entries.into()), MAP))
            }
            Expr::Struct(_) => Err(self.wrong(expr, "messages cannot be made (ERR_ADIT_2200)")),
            Expr::Comprehension(_) | Expr::Unspecified => {
                Err(self.wrong(expr, "this is no expression (ERR_ADIT_2200)"))
            }
        }
    }

    fn wrong(&self, expr: &IdedExpr, message: &str) -> Wrong {
        Wrong {
            at: self.syntax.at(expr.id),
            message: message.to_owned(),
        }
    }

    /// Checks that an operand has the type that is asked for, as far as it is known.
    fn expect(&self, expr: &IdedExpr, got: Type, wanted: Type, by: &str) -> Result<(), Wrong> {
        match got.fits(wanted) {
            true => Ok(()),
            false => Err(self.wrong(
                expr,
                &format!("`{by}` takes {wanted}, not {got} (ERR_ADIT_2200)"),
            )),
        }
    }

    fn binary(
        &mut self,
        expr: &IdedExpr,
        operator: Operator,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<Typed, Wrong> {
        let (mut a, left_kind) = self.node(left)?;
        let (mut b, right_kind) = self.node(right)?;
        if matches!(
            operator,
            Operator::Equal | Operator::NotEqual | Operator::In
        ) {
            names::respell_codes(&mut a);
            names::respell_codes(&mut b);
        }
        let kind = result_kind(operator, left_kind, right_kind).ok_or_else(|| {
            self.wrong(
                expr,
                &format!(
                    "`{}` does not take {left_kind} and {right_kind} (ERR_ADIT_2200)",
                    operator.sign()
                ),
            )
        })?;
        Ok((Node::Binary(operator, Box::new([a, b])), kind))
    }
}

/// The type of what an operator makes; `None` if it can make nothing of these.
fn result_kind(operator: Operator, a: Type, b: Type) -> Option<Type> {
    use Type::{Bool, Bytes, Double, Duration, Dyn, Int, List, Map, String, Timestamp, Uint};
    let unknown = a == Dyn || b == Dyn;
    match operator {
        Operator::Equal | Operator::NotEqual => a.comparable(b).then_some(Bool),
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
            let ordered = matches!(a, Bool | String | Bytes | Timestamp | Duration) && a == b;
            (unknown || ordered || (a.is_number() && b.is_number())).then_some(Bool)
        }
        Operator::In => match b {
            Dyn => Some(Bool),
            List(item) => a.comparable(*item).then_some(Bool),
            Map(_) => [Bool, Int, Uint, String]
                .iter()
                .any(|key| a.fits(*key))
                .then_some(Bool),
            _ => None,
        },
        _ if unknown => Some(Dyn),
        Operator::Add => match (a, b) {
            (Timestamp, Duration) | (Duration, Timestamp) => Some(Timestamp),
            (List(x), List(y)) => Some(List(x.or(*y).inside())),
            (Int | Uint | Double | String | Bytes | Duration, _) if a == b => Some(a),
            _ => None,
        },
        Operator::Subtract => match (a, b) {
            (Timestamp, Duration) => Some(Timestamp),
            (Timestamp, Timestamp) => Some(Duration),
            (Int | Uint | Double | Duration, _) if a == b => Some(a),
            _ => None,
        },
        Operator::Multiply | Operator::Divide => (a.is_number() && a == b).then_some(a),
        Operator::Remainder => (matches!(a, Int | Uint) && a == b).then_some(a),
    }
}

fn constant(literal: &LiteralValue) -> Typed {
    let (value, kind) = match literal {
        LiteralValue::Boolean(value) => (Value::Bool(*value.inner()), Type::Bool),
        LiteralValue::Bytes(bytes) => (Value::Bytes(bytes.inner().into()), Type::Bytes),
        LiteralValue::Double(value) => (Value::Double(*value.inner()), Type::Double),
        LiteralValue::Int(value) => (Value::Int(*value.inner()), Type::Int),
        LiteralValue::Null => (Value::Null, Type::Null),
        LiteralValue::String(text) => (Value::text(text.inner().to_owned()), Type::String),
        LiteralValue::UInt(value) => (Value::Uint(*value.inner()), Type::Uint),
    };
    (Node::Constant(value), kind)
}

/// The value of a node that looks at nothing outside, found once. What fails stays: it may stand where it is not
/// reached.
fn folded(node: Node) -> Node {
    let is_constant = |node: &Node| node.constant().is_some();
    let known = match &node {
        Node::List(items) => items.iter().all(is_constant),
        Node::Map(entries) => entries
            .iter()
            .all(|(key, value)| is_constant(key) && is_constant(value)),
        Node::Index { of, key, .. } => is_constant(of) && is_constant(key),
        Node::Not(of) | Node::Negative(of) | Node::Matches(of, _) | Node::InRanges(of, _) => {
            is_constant(of)
        }
        Node::And(sides) | Node::Or(sides) | Node::Binary(_, sides) => {
            sides.iter().all(is_constant)
        }
        Node::Choice(parts) => parts.iter().all(is_constant),
        Node::Call(function, arguments) => function.pure && arguments.iter().all(is_constant),
        _ => false,
    };
    match known {
        true => eval_alone(&node).map_or(node, Node::Constant),
        false => node,
    }
}

fn eval_alone(node: &Node) -> Result<Value<'static>, EvalError> {
    eval(node, &mut Frame::alone()).map(Value::into_owned)
}

/// A field's name as the key that it is.
fn field(name: &str) -> Key<'static> {
    Key::String(name.to_owned().into())
}
