//! Calls: operators, macros and functions.

use std::sync::Arc;

use cel::common::ast::{CallExpr, IdedExpr, operators};

use super::super::functions::{self, Function};
use super::super::node::{Node, Operator};
use super::super::pattern;
use super::super::syntax::Wrong;
use super::super::types::Type;
use super::super::value::Value;
use super::names::{listed, segments};
use super::{Compiler, Typed};
use crate::document::scope;
use crate::ip_set::{IpSet, parse_net};
use crate::nearest::nearest;

/// What other languages call a function.
const ALIASES: &[(&str, &str)] = &[
    ("includes", "contains"),
    ("starts_with", "startsWith"),
    ("ends_with", "endsWith"),
];

impl Compiler<'_> {
    pub(super) fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Typed, Wrong> {
        if let Some(typed) = self.operator(expr, call) {
            return typed;
        }
        if let Some(typed) = self.macro_call(expr, call) {
            return typed;
        }
        let name = ALIASES.iter().find(|(alias, _)| *alias == call.func_name);
        let name = name.map_or(call.func_name.as_str(), |(alias, meant)| {
            scope::warn(format!("`{alias}` is read as `{meant}`"));
            meant
        });
        let Some(target) = &call.target else {
            return self.function(expr, name, None, &call.args);
        };
        // `base64.encode(x)`: what looks like a receiver is the namespace of a function.
        if let Some(namespace) = segments(target)
            && self.local(namespace.first().unwrap_or(&"")).is_none()
        {
            let qualified = format!("{}.{name}", namespace.join("."));
            let is_function = functions::named(&qualified).next().is_some();
            if is_function || functions::all().any(|known| in_namespace(known, &namespace)) {
                return self.function(expr, &qualified, None, &call.args);
            }
        }
        self.function(expr, name, Some(target), &call.args)
    }

    fn operator(&mut self, expr: &IdedExpr, call: &CallExpr) -> Option<Result<Typed, Wrong>> {
        let typed = match (call.func_name.as_str(), &call.args[..]) {
            (operators::LOGICAL_NOT, [of]) => self.node(of).and_then(|(node, kind)| {
                self.expect(of, kind, Type::Bool, "!")?;
                Ok((Node::Not(Box::new(node)), Type::Bool))
            }),
            (operators::NEGATE, [of]) => self.node(of).and_then(|(node, kind)| {
                match matches!(kind, Type::Int | Type::Double | Type::Dyn) {
                    true => Ok((Node::Negative(Box::new(node)), kind)),
                    false => {
                        Err(self.wrong(of, &format!("`-` does not take {kind} (ERR_ADIT_2200)")))
                    }
                }
            }),
            (operators::LOGICAL_AND, [left, right]) => self
                .sides("&&", left, right)
                .map(|sides| (Node::And(sides), Type::Bool)),
            (operators::LOGICAL_OR, [left, right]) => self
                .sides("||", left, right)
                .map(|sides| (Node::Or(sides), Type::Bool)),
            (operators::CONDITIONAL, [condition, yes, no]) => self.choice(condition, yes, no),
            (operators::INDEX, [of, key]) => self.index(expr, of, key),
            (name, [left, right]) => {
                let operator = match name {
                    operators::ADD => Operator::Add,
                    operators::SUBSTRACT => Operator::Subtract,
                    operators::MULTIPLY => Operator::Multiply,
                    operators::DIVIDE => Operator::Divide,
                    operators::MODULO => Operator::Remainder,
                    operators::EQUALS => Operator::Equal,
                    operators::NOT_EQUALS => Operator::NotEqual,
                    operators::LESS => Operator::Less,
                    operators::LESS_EQUALS => Operator::LessEqual,
                    operators::GREATER => Operator::Greater,
                    operators::GREATER_EQUALS => Operator::GreaterEqual,
                    operators::IN => Operator::In,
                    _ => return None,
                };
                self.binary(expr, operator, left, right)
            }
            _ => return None,
        };
        Some(typed)
    }

    fn sides(
        &mut self,
        sign: &str,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<Box<[Node; 2]>, Wrong> {
        let (a, kind) = self.node(left)?;
        self.expect(left, kind, Type::Bool, sign)?;
        let (b, kind) = self.node(right)?;
        self.expect(right, kind, Type::Bool, sign)?;
        Ok(Box::new([a, b]))
    }

    fn choice(
        &mut self,
        condition: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Result<Typed, Wrong> {
        let (asked, kind) = self.node(condition)?;
        self.expect(condition, kind, Type::Bool, "?:")?;
        let (yes, yes_kind) = self.node(yes)?;
        let (no, no_kind) = self.node(no)?;
        Ok((
            Node::Choice(Box::new([asked, yes, no])),
            yes_kind.or(no_kind),
        ))
    }

    fn function(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
    ) -> Result<Typed, Wrong> {
        let forms =
            || functions::named(name).filter(|form| form.receiver.is_some() == target.is_some());
        if !forms().any(|form| form.arguments.len() == arguments.len()) {
            let message = miscount(name, forms().collect(), arguments.len(), target.is_some());
            return Err(self.wrong(expr, &message));
        }
        let mut nodes = Vec::with_capacity(arguments.len() + 1);
        let mut kinds = Vec::with_capacity(arguments.len() + 1);
        for argument in target.into_iter().chain(arguments) {
            let (node, kind) = self.node(argument)?;
            nodes.push(node);
            kinds.push(kind);
        }
        let Some(form) = forms().find(|form| form.takes(&kinds)) else {
            return Err(self.wrong(expr, &misfit(name, forms().collect(), &kinds)));
        };
        if let Some(phase) = self.phase
            && !form.phases.contains(&phase)
        {
            let message = format!(
                "`{name}` is not there in {phase}, only in {} (ERR_ADIT_2200)",
                listed(form.phases)
            );
            return Err(self.wrong(expr, &message));
        }
        let at = arguments.last().unwrap_or(expr);
        let node = self.specialized(at, form, nodes)?;
        Ok((node, form.result))
    }

    /// Patterns and ranges that are known are made ready once.
    fn specialized(
        &self,
        at: &IdedExpr,
        form: &'static Function,
        mut nodes: Vec<Node>,
    ) -> Result<Node, Wrong> {
        let last = nodes.last().and_then(Node::constant).cloned();
        match (form.name, last) {
            ("matches", Some(Value::String(text))) => {
                let pattern = pattern::Pattern::of(&text).map_err(|reason| {
                    self.wrong(
                        at,
                        &format!("the pattern is wrong: {reason} (ERR_ADIT_2261)"),
                    )
                })?;
                nodes.truncate(1);
                match nodes.pop() {
                    Some(of) => Ok(Node::Matches(Box::new(of), pattern)),
                    None => Err(self.wrong(at, "`matches` needs a text (ERR_ADIT_2200)")),
                }
            }
            ("inCidrRange" | "inCidrRanges", Some(ranges)) => {
                let mut set = Vec::new();
                let one = [ranges.clone()];
                let items = match &ranges {
                    Value::List(items) => &items[..],
                    _ => &one,
                };
                for item in items {
                    match parse_net(item.as_str().unwrap_or_default()) {
                        Ok(net) => set.push(net),
                        Err(_) => scope::warn(format!(
                            "`{}` is no range of addresses and holds none",
                            item.to_text()
                        )),
                    }
                }
                nodes.truncate(1);
                let set: IpSet = set.into_iter().collect();
                match nodes.pop() {
                    Some(of) => Ok(Node::InRanges(Box::new(of), Arc::new(set))),
                    None => Err(self.wrong(at, "an address is missing (ERR_ADIT_2200)")),
                }
            }
            _ => Ok(Node::Call(form, nodes.into())),
        }
    }
}

fn in_namespace(function: &Function, namespace: &[&str]) -> bool {
    let [root] = namespace else {
        return false;
    };
    function
        .name
        .split_once('.')
        .is_some_and(|(known, _)| known == *root)
}

/// No form of a function takes so many arguments, or there is none at all.
fn miscount(name: &str, forms: Vec<&Function>, given: usize, method: bool) -> String {
    if forms.is_empty() {
        return unknown(name, method);
    }
    if (name, given) == ("sort", 3) {
        return "`sort` takes no condition: write `list.sortBy(x, key)` (ERR_ADIT_2200)".to_owned();
    }
    let mut counts: Vec<usize> = forms.iter().map(|form| form.arguments.len()).collect();
    counts.sort_unstable();
    counts.dedup();
    let texts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    format!(
        "`{name}` takes {} argument{}, not {given} (ERR_ADIT_2200)",
        texts.join(" or "),
        if counts == [1] { "" } else { "s" }
    )
}

/// No form of a function takes these types.
fn misfit(name: &str, forms: Vec<&Function>, kinds: &[Type]) -> String {
    let usages: Vec<String> = forms.iter().map(|form| form.usage()).collect();
    let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    format!(
        "`{name}` does not take ({}); it is {} (ERR_ADIT_2200)",
        kinds.join(", "),
        usages.join(" or ")
    )
}

fn unknown(name: &str, method: bool) -> String {
    if name == "secrets.get" {
        return "`secrets.get` is not built into this version (ERR_ADIT_2200)".to_owned();
    }
    if let Some(other) = functions::named(name).next() {
        return format!("`{name}` is written {} (ERR_ADIT_2200)", other.usage());
    }
    let known = functions::all().filter(|form| form.receiver.is_some() == method);
    match nearest(name, known.map(|form| form.name)) {
        Some(near) => format!("unknown function `{name}`; did you mean `{near}`? (ERR_ADIT_2200)"),
        None => format!("unknown function `{name}` (ERR_ADIT_2200)"),
    }
}

// === impl Function ===

impl Function {
    fn takes(&self, kinds: &[Type]) -> bool {
        let wanted = self.receiver.iter().chain(self.arguments);
        let count = self.arguments.len() + usize::from(self.receiver.is_some());
        count == kinds.len() && wanted.zip(kinds).all(|(wanted, got)| got.fits(*wanted))
    }

    /// How it is called: `string.contains(string)`.
    fn usage(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        match self.receiver {
            Some(receiver) => format!("`{receiver}.{}({})`", self.name, arguments.join(", ")),
            None => format!("`{}({})`", self.name, arguments.join(", ")),
        }
    }
}
