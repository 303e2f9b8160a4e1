//! From a syntax tree to a compiled expression: every name, number of arguments and known type is checked.

mod call;
mod macros;
mod names;

use super::eval::{Frame, eval};
use super::node::{Node, Operator};
use super::static_type::{MAP, Type};
use super::syntax::{Expr, Kind, Wrong, parse};
use super::value::{Key, Value};
use crate::action::Phase;
use crate::memory::Spent;

/// Cost units that finding the values of constant parts may take; what would take more is left to the exchange, and to
/// its budget.
pub(super) const FOLDING_MAX: u64 = 10_000;

/// What a text compiles to.
pub(super) struct Compiled {
    pub(super) node: Node,
    pub(super) kind: Type,
}

/// Compiles a text that stands in a phase; `None`: nowhere in particular, everything is allowed.
pub(super) fn compile(text: &str, phase: Option<Phase>) -> Result<Compiled, Wrong> {
    compile_within(text, phase, Spent::default())
}

/// The same, where finding constant values has already cost so much.
pub(super) fn compile_within(
    text: &str,
    phase: Option<Phase>,
    folding: Spent,
) -> Result<Compiled, Wrong> {
    let mut compiler = Compiler {
        phase,
        locals: Vec::new(),
        folding,
    };
    let (node, kind) = compiler.node(&parse(text)?)?;
    Ok(Compiled { node, kind })
}

type Typed = (Node, Type);

struct Compiler {
    phase: Option<Phase>,
    /// The variables of the loops around, outermost first.
    locals: Vec<(String, Type)>,
    /// What finding constant values has cost.
    folding: Spent,
}

impl Compiler {
    /// How deep this goes is bounded by the parser.
    fn node(&mut self, expr: &Expr) -> Result<Typed, Wrong> {
        let (node, kind) = match &expr.kind {
            Kind::Literal(value) => literal(value),
            Kind::Name(_) | Kind::Field(..) => self.name(expr)?,
            Kind::Index(parts) => self.index(expr, parts)?,
            Kind::Call(called) => self.call(expr, called)?,
            Kind::List(items) => self.list(items)?,
            Kind::Map(entries) => self.map(entries)?,
            Kind::Not(of) => (Node::Not(Box::new(self.bool(of, "!")?)), Type::Bool),
            Kind::Negative(of) => self.negative(of)?,
            Kind::And(sides) => (Node::And(self.sides("&&", sides)?), Type::Bool),
            Kind::Or(sides) => (Node::Or(self.sides("||", sides)?), Type::Bool),
            Kind::Choice(parts) => self.choice(parts)?,
            Kind::Binary(operator, sides) => self.binary(expr, *operator, sides)?,
        };
        Ok((self.folded(node), kind))
    }

    fn list(&mut self, items: &[Expr]) -> Result<Typed, Wrong> {
        let mut nodes = Vec::with_capacity(items.len());
        let mut kind: Option<Type> = None;
        for item in items {
            let (node, item) = self.node(item)?;
            nodes.push(node);
            kind = Some(kind.map_or(item, |known| known.or(item)));
        }
        let item = kind.unwrap_or(Type::Dyn).inside();
        Ok((Node::List(nodes.into()), Type::List(item)))
    }

    fn map(&mut self, entries: &[(Expr, Expr)]) -> Result<Typed, Wrong> {
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (key_node, kind) = self.node(key)?;
            if !kind.is_key() {
                return Err(wrong(key, format_args!("{kind} is no key of a map")));
            }
            nodes.push((key_node, self.node(value)?.0));
        }
        Ok((Node::Map(nodes.into()), MAP))
    }

    fn bool(&mut self, expr: &Expr, by: &str) -> Result<Node, Wrong> {
        let (node, kind) = self.node(expr)?;
        match kind.fits(Type::Bool) {
            true => Ok(node),
            false => Err(wrong(expr, format_args!("`{by}` takes bool, not {kind}"))),
        }
    }

    fn negative(&mut self, of: &Expr) -> Result<Typed, Wrong> {
        let (node, kind) = self.node(of)?;
        match matches!(kind, Type::Int | Type::Double | Type::Dyn) {
            true => Ok((Node::Negative(Box::new(node)), kind)),
            false => Err(wrong(of, format_args!("`-` does not take {kind}"))),
        }
    }

    fn sides(&mut self, sign: &str, sides: &[Expr]) -> Result<Box<[Node]>, Wrong> {
        sides.iter().map(|side| self.bool(side, sign)).collect()
    }

    fn choice(&mut self, parts: &[Expr; 3]) -> Result<Typed, Wrong> {
        let [condition, yes, no] = parts;
        let condition = self.bool(condition, "?:")?;
        let (yes, yes_kind) = self.node(yes)?;
        let (no, no_kind) = self.node(no)?;
        let node = Node::Choice(Box::new([condition, yes, no]));
        Ok((node, yes_kind.or(no_kind)))
    }

    fn binary(
        &mut self,
        expr: &Expr,
        operator: Operator,
        sides: &[Expr; 2],
    ) -> Result<Typed, Wrong> {
        let [left, right] = sides;
        let (mut left_node, left_kind) = self.node(left)?;
        let (mut right_node, right_kind) = self.node(right)?;
        names::respell_codes(operator, &mut left_node, &mut right_node);
        let Some(kind) = result_kind(operator, left_kind, right_kind) else {
            let sign = operator.sign();
            let message = format_args!("`{sign}` does not take {left_kind} and {right_kind}");
            return Err(wrong(expr, message));
        };
        Ok((
            Node::Binary(operator, Box::new([left_node, right_node])),
            kind,
        ))
    }

    /// The value of a node that looks at nothing outside, found once. What fails stays: it may stand where it is not
    /// reached.
    fn folded(&self, node: Node) -> Node {
        if !is_known(&node) {
            return node;
        }
        let frame = &mut Frame::folding(&self.folding, FOLDING_MAX);
        let value = eval(&node, frame).map(Value::into_owned);
        value.map_or(node, Node::Constant)
    }
}

/// An expression that is wrong at this place.
fn wrong(expr: &Expr, message: impl std::fmt::Display) -> Wrong {
    Wrong {
        at: expr.at,
        message: format!("{message} (ERR_ADIT_2200)"),
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
            Map(_) => a.is_key().then_some(Bool),
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

fn literal(value: &Value<'static>) -> Typed {
    let kind = match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        Value::Null => Type::Null,
        _ => Type::Dyn,
    };
    (Node::Constant(value.clone()), kind)
}

/// Whether a node has the same value for every exchange.
fn is_known(node: &Node) -> bool {
    let is_constant = |node: &Node| node.constant().is_some();
    match node {
        Node::List(items) | Node::And(items) | Node::Or(items) => items.iter().all(is_constant),
        Node::Map(entries) => entries
            .iter()
            .all(|(key, value)| is_constant(key) && is_constant(value)),
        Node::Index { of, key, .. } => is_constant(of) && is_constant(key),
        Node::HasKey(of, key) => is_constant(of) && is_constant(key),
        Node::Not(of) | Node::Negative(of) | Node::Matches(of, _) | Node::InRanges(of, _) => {
            is_constant(of)
        }
        Node::Binary(_, sides) => sides.iter().all(is_constant),
        Node::Choice(parts) => parts.iter().all(is_constant),
        Node::Call(function, arguments) => function.pure && arguments.iter().all(is_constant),
        _ => false,
    }
}

/// A field's name as the key that it is.
fn field(name: &str) -> Key<'static> {
    Key::String(name.to_owned().into())
}
