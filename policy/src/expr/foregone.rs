//! What is certain about expressions before any exchange is there, for those who wrote them: `policy check` warns of it.

use super::compile::FOLDING_MAX;
use super::error::EvalError;
use super::eval::{Frame, eval};
use super::expression::Expression;
use super::node::{Node, Operator};
use super::number;
use super::value::Value;
use crate::memory::Spent;

/// Functions that never give the same again; what holds of one call says nothing about the next.
const CHANCE: &[&str] = &["rand", "uuid"];

/// Whether expressions that must all be true never are: the index of the one that makes it so, and why.
pub(crate) fn never(expressions: &[Expression]) -> Option<(usize, String)> {
    let mut conditions = Vec::new();
    for (index, expression) in expressions.iter().enumerate() {
        for node in conjuncts(expression.node()) {
            match value(node) {
                Some(Ok(Value::Bool(false))) => {
                    return Some((index, "it is always false".to_owned()));
                }
                Some(_) => {}
                None => conditions.push((index, node)),
            }
        }
    }
    let text = |index: usize| expressions.get(index).map_or("", Expression::text);
    for (at, (index, node)) in conditions.iter().enumerate() {
        for (earlier, other) in conditions.iter().take(at) {
            if contradict(other, node) {
                return Some((*index, format!("it contradicts `{}`", text(*earlier))));
            }
        }
    }
    None
}

/// How an expression that looks at nothing outside always fails.
pub(super) fn failure(node: &Node) -> Option<EvalError> {
    value(node)?.err()
}

/// The value that a node has whatever the exchange; `None` if it depends on it, or takes too long to find now.
fn value(node: &Node) -> Option<Result<Value<'static>, EvalError>> {
    if looks_outside(node) {
        return None;
    }
    match alone(node) {
        Err(error) if !error.can_be_absorbed() => None,
        found => Some(found),
    }
}

fn alone(node: &Node) -> Result<Value<'static>, EvalError> {
    let spent = Spent::default();
    eval(node, &mut Frame::folding(&spent, FOLDING_MAX)).map(Value::into_owned)
}

fn looks_outside(node: &Node) -> bool {
    match node {
        Node::Variable(_) | Node::Var(_) | Node::HasVar(_) | Node::Result(..) => true,
        Node::Call(function, arguments) => !function.pure || arguments.iter().any(looks_outside),
        other => other.parts().into_iter().any(looks_outside),
    }
}

/// What `&&` holds together.
fn conjuncts(node: &Node) -> Vec<&Node> {
    match node {
        Node::And(sides) => sides.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

fn contradict(a: &Node, b: &Node) -> bool {
    let given = |fact: &Node, other: &Node| {
        let (of, known) = equation(fact)?;
        decided(other, &of, known)
    };
    given(a, b).or_else(|| given(b, a)) == Some(false) || apart(a, b).unwrap_or(false)
}

/// `x == constant`, as what x is written as and the constant.
fn equation(node: &Node) -> Option<(String, &Value<'static>)> {
    match compared(node)? {
        (Operator::Equal, of, known) => Some((of, known)),
        _ => None,
    }
}

/// A comparison with a constant, the constant on the right.
fn compared(node: &Node) -> Option<(Operator, String, &Value<'static>)> {
    let Node::Binary(operator, sides) = node else {
        return None;
    };
    let [left, right] = &**sides;
    let (operator, of, known) = match (left.constant(), right.constant()) {
        (None, Some(known)) => (*operator, left, known),
        (Some(known), None) => (operator.turned()?, right, known),
        _ => return None,
    };
    Some((operator, written(of)?, known))
}

/// Something that tells nodes apart; `None` if the same node may give different values in one phase.
fn written(node: &Node) -> Option<String> {
    let is_chance = |node: &Node| match node {
        Node::Call(function, _) => CHANCE.iter().any(|name| function.name.starts_with(name)),
        _ => false,
    };
    let has_chance =
        is_chance(node) || node.parts().into_iter().any(|part| written(part).is_none());
    (!has_chance).then(|| format!("{node:?}"))
}

/// What a condition says if what is written as `of` has this value; `None` if it says nothing about it alone.
fn decided(node: &Node, of: &str, known: &Value<'static>) -> Option<bool> {
    let put = |part: &Node| match part.constant() {
        Some(value) => Some(Node::Constant(value.clone())),
        None => (written(part)? == of).then(|| Node::Constant(known.clone())),
    };
    let filled = match node {
        Node::Not(inner) => return decided(inner, of, known).map(|value| !value),
        Node::Binary(operator, sides) => {
            let [left, right] = &**sides;
            Node::Binary(*operator, Box::new([put(left)?, put(right)?]))
        }
        Node::Matches(part, pattern) => Node::Matches(Box::new(put(part)?), pattern.clone()),
        Node::InRanges(part, set) => Node::InRanges(Box::new(put(part)?), set.clone()),
        Node::Call(function, arguments) if function.pure => {
            let filled: Option<Vec<_>> = arguments.iter().map(put).collect();
            Node::Call(function, filled?.into())
        }
        _ => return None,
    };
    match alone(&filled) {
        Ok(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// Whether two comparisons of the same thing leave nothing between them, as in `x > 5` and `x < 3`.
fn apart(a: &Node, b: &Node) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (a, b) = (compared(a)?, compared(b)?);
    let ((low, of, least), (high, other, most)) =
        match (a.0.is_lower_bound()?, b.0.is_lower_bound()?) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return None,
        };
    let is_open = low == Operator::Greater || high == Operator::Less;
    Some(
        of == other
            && match number::compare(least, most)? {
                Greater => true,
                Equal => is_open,
                Less => false,
            },
    )
}

impl Node {
    /// The nodes right below it.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Constant(_)
            | Self::Variable(_)
            | Self::Var(_)
            | Self::HasVar(_)
            | Self::Result(..)
            | Self::Local(_) => Vec::new(),
            Self::List(parts) | Self::And(parts) | Self::Or(parts) | Self::Call(_, parts) => {
                parts.iter().collect()
            }
            Self::Map(entries) => entries
                .iter()
                .flat_map(|(key, value)| [key, value])
                .collect(),
            Self::Index { of, key, .. } | Self::HasKey(of, key) => vec![of, key],
            Self::HasValue(of)
            | Self::Not(of)
            | Self::Negative(of)
            | Self::Matches(of, _)
            | Self::InRanges(of, _) => vec![of],
            Self::Binary(_, sides) => sides.iter().collect(),
            Self::Choice(parts) => parts.iter().collect(),
            Self::Loop(of) => {
                let inside = of.condition.iter().chain(&of.transform);
                std::iter::once(&of.over).chain(inside).collect()
            }
        }
    }
}

impl Operator {
    /// The operator with its sides changed over.
    fn turned(self) -> Option<Self> {
        Some(match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            _ => return None,
        })
    }

    /// Whether a comparison with a constant bounds from below; `None` if it does not bound.
    fn is_lower_bound(self) -> Option<bool> {
        match self {
            Self::Greater | Self::GreaterEqual => Some(true),
            Self::Less | Self::LessEqual => Some(false),
            _ => None,
        }
    }
}
